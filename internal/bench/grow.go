package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/bench/fit"
	"github.com/triad-kv/triad/internal/bench/machine"
	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/progress"
)

// GrowOptions say along which axes costs are measured.
type GrowOptions struct {
	Options // without a scenario
	Axes    []string
	Repeats int
	Time    time.Duration // of one run
	Seed    int
	KeysMax int // the most keys of the axis keys
}

// growth is one run of it.
type growth struct {
	o      GrowOptions
	report result.Growth
	spots  []spot
}

// spot is one place of a curve: what is run there.
type spot struct {
	curve, step int
	s           *scenario.Scenario
}

// Grow measures what writes cost as the work grows. It always returns a report: one that
// is partial if ctx ended or something failed.
func Grow(ctx context.Context, o GrowOptions) (*result.Growth, error) {
	g := &growth{o: o, report: result.Growth{Format: result.FormatGrowth, Report: result.Report{
		Format: result.Format, Scenario: "grow", About: "what a write costs as the work grows", Command: o.Command, Commit: o.Commit,
		Machine: machine.Name(), Cores: runtime.NumCPU(), Go: runtime.Version(), Began: time.Now().UTC().Truncate(time.Second), Seed: o.Seed,
	}}}
	began, busy, own := time.Now(), machine.Busy(), machine.CPU()
	err := g.plan()
	if err == nil {
		err = g.run(ctx)
	}
	g.report.Took = time.Since(began).Seconds()
	g.report.Foreign = max(machine.Busy()-busy-(machine.CPU()-own), 0) / g.report.Took
	for i := range g.report.Curves {
		g.report.Curves[i].Fit()
	}
	return &g.report, err
}

// plan lays out every curve and every place of it.
func (g *growth) plan() error {
	for _, name := range g.o.Axes {
		i := slices.IndexFunc(axes, func(a axis) bool { return a.name == name })
		if i < 0 {
			return fmt.Errorf("there is no axis %q; there are %v", name, AxisNames())
		}
		for _, subject := range axes[i].subjects {
			if err := g.curve(axes[i], subject); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *growth) curve(a axis, subject string) error {
	c := result.Curve{Axis: a.name, Unit: a.unit, Subject: subject, Speed: a.speed}
	for _, x := range a.xs {
		if a.name == axisKeys && x > float64(g.o.KeysMax) {
			continue
		}
		shape := shapeDefault
		a.set(&shape, int(x))
		s, err := scenario.Read("grow", []byte(shape.text(subject, g.o.Time, g.o.Seed)))
		if err != nil {
			return fmt.Errorf("%s of %s at %v: %w", a.name, subject, x, err)
		}
		v := s.Variants()[0]
		c.Promise, c.Disks = v.Promise(), v.Durable(s.Voters(v)) // where it is largest
		g.spots = append(g.spots, spot{curve: len(g.report.Curves), step: len(c.Steps), s: s})
		c.Steps = append(c.Steps, result.Step{X: x})
	}
	g.report.Curves = append(g.report.Curves, c)
	return nil
}

// run measures every place, in turns, and then looks at what limits where curves bend.
func (g *growth) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(g.o.Dir, "triad-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	total := g.o.Repeats * len(g.spots)
	bar := progress.New(g.o.Err, g.o.Terminal, "runs", total)
	defer bar.Done()
	done := 0
	for repeat := range g.o.Repeats {
		for _, p := range g.spots {
			c := &g.report.Curves[p.curve]
			r, err := g.one(ctx, p, dir, uint64(g.o.Seed)<<16+uint64(repeat), nil)
			if err != nil {
				err = fmt.Errorf("%s of %s at %v: %w", c.Axis, c.Subject, c.Steps[p.step].X, err)
				g.report.Partial = fmt.Sprintf("%d of %d runs were measured; %v", done, total, cut(err))
				return err
			}
			r.out.Series = nil // nobody looks at it, and there are many
			c.Steps[p.step].Runs = append(c.Steps[p.step].Runs, r.out)
			done++
			bar.Add(1)
		}
	}
	for i := range g.report.Curves {
		if err := g.knee(ctx, i, dir); err != nil {
			g.report.Partial = fmt.Sprintf("what limits was not found out for all: %v", cut(err))
			return err
		}
	}
	return nil
}

// one measures at a place, and waits for nothing afterwards.
func (g *growth) one(ctx context.Context, p spot, dir string, seed uint64, profile *bytes.Buffer) (*run, error) {
	v, wl := p.s.Variants()[0], p.s.Workloads[0]
	r := newRun(p.s, v, wl, seed)
	r.into = profile
	return r, r.do(ctx, wl, place{dir, g.o.Binary}, seed, func(context.Context) error { return nil })
}

// profileTime is for how long a knee is profiled at least: a hundred samples a second and
// core are few otherwise.
const profileTime = 5 * time.Second

// knee finds where more clients bring no more, and measures there once more with a profile.
func (g *growth) knee(ctx context.Context, curve int, dir string) error {
	c := &g.report.Curves[curve]
	if c.Axis != axisClients {
		return nil
	}
	xs, ys := c.Values(result.Measures[slices.IndexFunc(result.Measures, func(m result.Measure) bool { return m.What == "writes/s" })])
	at := fit.Knee(xs, ys)
	if at < 0 {
		c.KneeNone = "throughput rises as far as was measured, or not at all"
		return nil
	}
	i := slices.IndexFunc(g.spots, func(p spot) bool { return p.curve == curve && p.step == at })
	var profile bytes.Buffer
	longer := *g.spots[i].s
	longer.Time = config.Duration(max(time.Duration(longer.Time), profileTime))
	r, err := g.one(ctx, spot{curve: curve, step: at, s: &longer}, dir, uint64(g.o.Seed)<<16+uint64(g.o.Repeats), &profile)
	if err != nil {
		return fmt.Errorf("the profile of %s at %v clients: %w", c.Subject, xs[at], err)
	}
	k := &result.Knee{X: xs[at], Ops: ys[at]}
	k.Cores = r.used.CPU / r.out.Seconds
	k.Disk = r.used.SyncTime.Seconds() / r.out.Seconds / float64(len(r.s.Sites)*r.s.Nodes)
	if k.Top, k.Sample, err = hottest(profile.Bytes()); err != nil {
		return err
	}
	k.Limit = limitOf(k)
	c.Knee = k
	return nil
}

// limitOf says in words what limits at a knee.
func limitOf(k *result.Knee) string {
	cores := float64(runtime.NumCPU())
	switch {
	case k.Cores > 0.85*cores:
		return fmt.Sprintf("CPU: %.2f of %.0f cores are busy with it", k.Cores, cores)
	case k.Disk > 0.7:
		return fmt.Sprintf("the disk: the average node waits for a sync %.0f%% of the time", 100*k.Disk)
	}
	return fmt.Sprintf("neither alone: %.2f of %.0f cores are busy, and the average node waits for a sync %.0f%% of the time; the rest is waiting for one another, and for what else this machine does", k.Cores, cores, 100*k.Disk)
}
