package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/internal/bench/gauge"
	"github.com/triad-kv/triad/internal/bench/probe"
	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/work"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/topology"
)

// run is one repeat of one kind of work on one subject.
type run struct {
	s      *scenario.Scenario
	v      scenario.Variant
	work   *work.Load
	w      *world.World
	gauge  *gauge.Gauge
	probes *probe.Probes
	out    result.Run
	found  []result.Anomaly
	used   world.Usage   // while it was measured
	into   *bytes.Buffer // takes a profile of the CPU meanwhile; nil: none is made
	hit    sync.Map      // by a fault's name: to which nodes it was done
}

// refusedRest is how long a client rests after it was refused, so that it does not ask a
// cluster that takes nothing as fast as it can.
const refusedRest = time.Millisecond

// recoverWithin is for how long after a fault was mended its cost is counted.
const recoverWithin = 5 * time.Second

// place is where a run's nodes live, and of which binary processes are.
type place struct{ dir, binary string }

// one does a run in a directory of its own, which it makes and removes.
func one(ctx context.Context, s *scenario.Scenario, v scenario.Variant, wl scenario.Workload, at place, seed uint64) (result.Run, []result.Anomaly, error) {
	r := newRun(s, v, wl, seed)
	err := r.do(ctx, wl, at, seed, r.settle)
	return r.out, r.found, err
}

func newRun(s *scenario.Scenario, v scenario.Variant, wl scenario.Workload, seed uint64) *run {
	return &run{s: s, v: v, work: work.New(wl, v, seed), gauge: gauge.New(s.Sites, s.Length(), phases(s)...)}
}

// do starts the nodes, fills their tables, measures, and does what is to be done then.
func (r *run) do(ctx context.Context, wl scenario.Workload, at place, seed uint64, then func(context.Context) error) error {
	dir, err := os.MkdirTemp(at.dir, "run-")
	if err != nil {
		return err
	}
	remove := func() error { return os.RemoveAll(dir) }
	r.w, err = world.Start(ctx, world.Options{Scenario: r.s, Variant: r.v, Dir: filepath.Join(dir, "nodes"), Tables: r.work.Tables(), Seed: seed, Binary: at.binary})
	if err != nil {
		return errors.Join(err, remove())
	}
	r.probes = probe.New(r.w, r.s, r.v, seed)
	err = r.work.Fill(ctx, func() world.Way { return r.w.Writer(r.s.Sites[0]) })
	for _, next := range []func(context.Context) error{func(ctx context.Context) error { return r.measure(ctx, wl) }, then} {
		if err == nil {
			err = next(ctx)
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return errors.Join(err, r.w.Stop(), remove())
}

// measure puts the load on, lets it warm up, and measures; faults come and go meanwhile.
func (r *run) measure(ctx context.Context, wl scenario.Workload) error {
	began := time.Now().Add(time.Duration(r.s.Warm))
	r.gauge.Begin(began)
	loop := load.Loop{Workers: workers(r.s, wl), Rate: float64(wl.Rate)}
	steps := make([]load.Step, loop.Workers)
	for i := range steps {
		steps[i] = r.step(i)
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(r.s.Length()))
	defer cancel()
	g, faults := errgroup.WithContext(context.WithoutCancel(ctx))
	for _, f := range r.s.Faults {
		g.Go(func() error { return r.fault(faults, ctx, began, f) })
	}
	g.Go(func() error { r.probes.Run(ctx); return nil })
	g.Go(func() error { loop.Run(ctx, func(i int) load.Step { return steps[i] }); return nil })
	if !until(ctx, began) {
		return g.Wait()
	}
	asking := context.WithoutCancel(ctx)
	before := r.w.Usage(asking)
	profiled := r.begin()
	<-ctx.Done()
	profiled()
	after := r.w.Usage(asking)
	err := g.Wait()
	c := r.gauge.Counts()
	r.out.Seconds, r.out.Ops, r.out.Failed, r.out.Unknown = r.s.Length().Seconds(), c.Answered, c.Failed, c.Unknown
	r.out.Latency, r.out.Series = r.gauge.Latency(), r.gauge.Series()
	r.used = after.Minus(before)
	r.out.Cost = costOf(r.used, c.Answered)
	for _, x := range r.w.Reigns() {
		r.out.Leaders = append(r.out.Leaders, result.Leader{At: x.At.Sub(began).Seconds(), Node: x.Leader, Term: x.Term})
	}
	for i, f := range r.s.Faults {
		x := r.suffered(f)
		during := r.gauge.Apart(i)
		x.WriteP50, x.WriteP99 = during.P50, during.P99
		r.out.Faults = append(r.out.Faults, x)
	}
	return err
}

// begin begins a profile, if one is wanted, and returns what ends it. Where another one is
// under way there is none.
func (r *run) begin() (end func()) {
	if r.into == nil || pprof.StartCPUProfile(r.into) != nil {
		return func() {}
	}
	return pprof.StopCPUProfile
}

// phases are when faults last.
func phases(s *scenario.Scenario) (all []gauge.Phase) {
	for _, f := range s.Faults {
		all = append(all, gauge.Phase{From: time.Duration(f.At), To: time.Duration(f.At + f.For)})
	}
	return all
}

// suffered is what a fault cost, until some time after it was mended or until the next
// one began.
func (r *run) suffered(f scenario.Fault) result.Suffered {
	to := time.Duration(f.At) + time.Duration(f.For) + recoverWithin
	for _, other := range r.s.Faults {
		if other.At > f.At {
			to = min(to, time.Duration(other.At))
		}
	}
	x := r.gauge.Suffered(time.Duration(f.At), to)
	x.Name = f.Name
	if hit, some := r.hit.Load(f.Name); some {
		x.Hit = hit.([]string)
	}
	return x
}

// workersMax bounds how many clients an open loop makes.
const workersMax = 4096

// workers are how many clients ask at once. In an open loop those of the scenario are not
// a bound: there are as many as come while nobody is answered, so that who waits keeps
// nobody else from asking.
func workers(s *scenario.Scenario, wl scenario.Workload) int {
	if wl.Rate == 0 {
		return wl.Clients
	}
	during := 2 * time.Duration(s.Timeout).Seconds() * float64(wl.Rate)
	return min(max(wl.Clients, int(during)), max(workersMax, wl.Clients))
}

// until returns once it is at, and reports whether ctx goes on.
func until(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// step is what a client does, step by step. It is of one site.
func (r *run) step(i int) load.Step {
	number := i % len(r.s.Sites)
	site := r.s.Sites[number]
	visitor := r.w.Visitor(site)
	client := r.work.Client(work.Ways{Read: visitor.Reader, Write: visitor.Writer})
	hand := r.gauge.Hand(number)
	return func(due time.Time) (time.Duration, bool) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.s.Timeout))
		class, err := client.Step(ctx)
		cancel()
		ended := endingOf(err)
		hand.Note(class, due, time.Now(), ended)
		if ended == gauge.Failed {
			return refusedRest, true
		}
		return 0, true
	}
}

func endingOf(err error) gauge.Ending {
	switch {
	case err == nil, errors.Is(err, work.ErrRefused):
		return gauge.Answered
	case topology.OutcomeOf(err) == topology.NotApplied:
		return gauge.Failed
	}
	return gauge.Unknown
}

// fault does a fault when it is due and mends it in time; asked ends early if nobody
// waits any more.
func (r *run) fault(ctx, asked context.Context, began time.Time, f scenario.Fault) error {
	at := began.Add(time.Duration(f.At))
	if !until(asked, at) {
		return nil
	}
	nodes := r.w.Who(f.Who)
	var hit []string
	for _, n := range nodes {
		hit = append(hit, n.ID)
	}
	r.hit.Store(f.Name, hit)
	mend, err := r.w.Break(ctx, f, nodes)
	if err != nil {
		return fmt.Errorf("fault %s: %w", f.Name, err)
	}
	until(asked, at.Add(time.Duration(f.For)))
	if err := mend(ctx); err != nil {
		return fmt.Errorf("mend fault %s: %w", f.Name, err)
	}
	return nil
}

// settle waits until the nodes have converged, and judges.
func (r *run) settle(ctx context.Context) error {
	r.w.Heal()
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(r.s.Settle), fmt.Errorf("within %v", time.Duration(r.s.Settle)))
	defer cancel()
	took, err := r.w.Converge(ctx, "end")
	if err != nil {
		r.found = append(r.found, result.Anomaly{What: scenario.NeverTheSame, Judged: 1, Found: 1, Forbidden: true, Example: err.Error()})
		return nil
	}
	r.out.Converged = float64(took) / float64(time.Millisecond)
	finals, err := r.probes.Finals(ctx)
	if err != nil {
		return fmt.Errorf("what the nodes hold in the end: %w", err)
	}
	verdict, err := probe.Judge(r.v, r.probes.Ops(), finals)
	if err != nil {
		return err
	}
	r.found = verdict.Anomalies
	r.out.Staleness, r.out.Acked, r.out.Lost = verdict.Staleness, verdict.Acked, verdict.Lost
	sums, err := r.work.Judge(ctx, r.w.At("", r.w.Nodes()[0].ID))
	if err != nil {
		return fmt.Errorf("what became of the work: %w", err)
	}
	if r.out.Sums = sums; sums != nil {
		r.found = append(r.found, result.Anomaly{
			What: scenario.LostUpdates, Judged: sums.Changes, Found: sums.Lost + sums.Extra, Forbidden: r.v.Forbids(scenario.LostUpdates, ""),
			Example: lostExample(sums),
		})
	}
	r.out.Conflicts, err = conflicts(ctx, r.w.Nodes()[0])
	return err
}

func lostExample(s *result.Sums) string {
	if s.Lost+s.Extra == 0 {
		return ""
	}
	return fmt.Sprintf("of %d acknowledged changes of %s, %d are missing and %d are too much", s.Changes, s.What, s.Lost, s.Extra)
}

// conflictsMax bounds how many conflicts are counted.
const conflictsMax = 1_000_000

// conflicts counts those that a node has met, by type; none where writes have one order.
func conflicts(ctx context.Context, n *world.Node) (map[string]int, error) {
	all := map[string]int{}
	left := conflictsMax
	for kind, err := range n.Conflicts(ctx) {
		if errors.Is(err, topology.ErrUnsupported) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		all[kind]++
		if left--; left == 0 {
			break
		}
	}
	return all, nil
}

// costOf is what an operation took.
func costOf(u world.Usage, ops int) result.Cost {
	per := 1 / float64(max(ops, 1))
	return result.Cost{
		WireBytes: float64(u.WireBytes) * per, DiskBytes: float64(u.DiskBytes) * per, Syncs: float64(u.Syncs) * per, Messages: float64(u.Messages) * per,
		CPU: u.CPU * 1e6 * per, Allocs: float64(u.Allocs) * per,
	}
}

// sum adds up what was found over several runs.
func sum(all []result.Anomaly, more []result.Anomaly) []result.Anomaly {
	for _, a := range more {
		i := slices.IndexFunc(all, func(b result.Anomaly) bool { return b.What == a.What && b.Level == a.Level })
		if i < 0 {
			all = append(all, a)
			continue
		}
		b := &all[i]
		b.Judged, b.Found, b.Undecided = b.Judged+a.Judged, b.Found+a.Found, b.Undecided+a.Undecided
		b.Example = cmp.Or(b.Example, a.Example)
	}
	return all
}
