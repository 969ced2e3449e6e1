//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How long a run waits for what must happen. They are bounds on a busy machine,
// not what is expected.
const (
	startWait  = 30 * time.Second // for three new nodes
	settleWait = 45 * time.Second // from a heal to three nodes that work
	equalWait  = 60 * time.Second // until all nodes have applied the same

	calm = 700 * time.Millisecond // before each fault
)

// Options of a run. The zero value is the short form, with every fault once.
type Options struct {
	Binary   string        // triad; empty: it is built
	Dir      string        // where the run's directory is made; empty: the system's for temporary files
	Seed     uint64        // of everything that is drawn
	Duration time.Duration // faults are drawn for so long; 0: each once, in an order that is drawn
	Faults   []string      // of which to draw; empty: all
	Rate     int           // operations a second; 0: 150
	Plain    bool          // loopback and directories, even where there could be namespaces and file systems
	Elect    bool          // nodes find out themselves who leads (control raft); else it is said by the run
	Keep     bool          // the run's directory, also where nothing is wrong
	Command  string        // how this run was called, without its options, for the reader who repeats it
	Out      io.Writer     // tells what happens

	brief bool // faults last no longer than it takes, for tests
}

// run is a run under way.
type run struct {
	*cluster
	o      Options
	began  time.Time
	load   *load
	report *Report
}

// Run makes three nodes, breaks them, judges, and takes everything away. An error
// that is errBroken means that a promise does not hold; any other, that the run
// could not go on. The report is nil if nothing was begun.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	r := &run{cluster: newCluster(o.Plain, o.Elect), o: o, began: time.Now(), report: newReport()}
	if r.o.Rate == 0 {
		r.o.Rate = rateDefault
	}
	plan, err := newPlan(o)
	if err != nil {
		return nil, err
	}
	if err := sweep(ctx); err != nil {
		r.tell("what an earlier run left behind could not be removed: %v", err)
	}
	if r.dir, err = makeDir(o.Dir); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, r.close())
		err = errors.Join(err, r.leave(err))
	}()
	if err := r.build(ctx); err != nil {
		return nil, err
	}
	if err := r.open(ctx); err != nil {
		return r.report, err
	}
	r.load = newLoad(r.nodes, r.o.Rate, r.o.Seed)
	if err := r.load.fund(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.play(ctx, plan)
}

// makeDir makes the directory of a run, under a name that tells whose it is.
func makeDir(under string) (string, error) {
	if under == "" {
		under = os.TempDir()
	}
	dir, err := filepath.Abs(filepath.Join(under, runName(os.Getpid())))
	if err != nil {
		return "", err
	}
	for i := 0; ; i++ {
		name := dir
		if i > 0 {
			name = fmt.Sprintf("%s/%d", dir, i)
		}
		err := os.MkdirAll(filepath.Dir(name), 0o700)
		if err == nil {
			err = os.Mkdir(name, 0o700)
		}
		if !errors.Is(err, os.ErrExist) {
			return name, err
		}
	}
}

// sweep removes what runs left behind whose process is gone.
func sweep(ctx context.Context) error {
	if os.Getuid() != 0 {
		return nil // who is not root has made nothing that lasts
	}
	return errors.Join(sweepSpaces(ctx), sweepImages(ctx))
}

func (r *run) build(ctx context.Context) (err error) {
	r.binary = r.o.Binary
	if r.binary == "" {
		r.binary, err = Build(ctx, r.dir)
	}
	return err
}

// play lets clients work while faults happen, and judges.
func (r *run) play(ctx context.Context, plan []strike) error {
	clients, end := context.WithCancel(ctx)
	defer end()
	done := make(chan struct{})
	go func() { defer close(done); r.load.run(clients) }()
	err := r.strikes(ctx, plan)
	end()
	<-done
	r.load.close()
	if err == nil {
		err = r.judge(ctx)
	}
	return errors.Join(err, r.save())
}

func (r *run) strikes(ctx context.Context, plan []strike) error {
	deadline := r.began.Add(r.o.Duration)
	for i, s := range plan {
		if r.o.Duration > 0 && time.Now().After(deadline) {
			break
		}
		if r.leftOut(&s) {
			continue
		}
		if err := pause(ctx, calm); err != nil { // what a fault interrupts must be under way
			return err
		}
		r.tell("%3d %v", i+1, s)
		began := time.Now()
		if err := r.strike(ctx, s); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
		took, err := r.settle(ctx)
		if err != nil {
			return fmt.Errorf("after %v: %w", s, err)
		}
		r.tell("    %v in all, %v from the heal to the first write", time.Since(began).Round(time.Millisecond), took.Round(time.Millisecond))
		r.load.era.Add(1)
	}
	return nil
}

// leftOut reports whether a strike cannot be here. Of two, one may be left.
func (r *run) leftOut(s *strike) bool {
	lacks := func(f *fault) bool {
		why := r.missing(f)
		if why != "" {
			r.report.leftOut(f.name, why)
		}
		return why != ""
	}
	if s.with != nil && lacks(s.with.fault) {
		s.with = nil
	}
	return lacks(s.fault)
}

// strike carries out one strike, or two at once. One that only cuts touches
// nothing but the network, so that two need no lock.
func (r *run) strike(ctx context.Context, s strike) error {
	cut := make(chan error, 1)
	if s.with == nil {
		cut <- nil
	} else {
		r.report.struck(s.with.fault.name)
		go func() { cut <- s.with.fault.strike(ctx, r, *s.with) }()
	}
	r.report.struck(s.fault.name)
	return errors.Join(s.fault.strike(ctx, r, s), <-cut)
}

// settle waits, once everything is healed, until all nodes work again and a write
// was acknowledged, and returns how long the latter took.
func (r *run) settle(ctx context.Context) (time.Duration, error) {
	healed := time.Now()
	var took time.Duration
	err := until(ctx, settleWait, "a write is acknowledged", func(context.Context) (bool, error) {
		return r.load.ackedSince(healed), r.fell()
	})
	if err != nil {
		return 0, errors.Join(errBroken, err, r.states(ctx))
	}
	took = time.Since(healed)
	r.report.healed(took)
	if err := r.catchUp(ctx); err != nil {
		return took, errors.Join(errBroken, err, r.states(ctx))
	}
	return took, nil
}

// catchUp waits until all nodes work and have applied what is committed now.
func (r *run) catchUp(ctx context.Context) error {
	l, err := r.leader(ctx)
	if err != nil {
		return err
	}
	at, err := l.status(ctx)
	if err != nil {
		return err
	}
	return until(ctx, settleWait, fmt.Sprintf("all nodes work and have applied %d", at.Log.Commit), func(ctx context.Context) (bool, error) {
		for _, n := range r.nodes {
			switch s, err := n.status(ctx); {
			case err != nil:
				return false, errors.Join(err, n.fell())
			case !n.ready(ctx):
				return false, fmt.Errorf("node %s is not ready", n.id)
			case min(s.Log.Applied, s.Log.Flushed) < at.Log.Commit:
				return false, fmt.Errorf("node %s has flushed %d and applied %d", n.id, s.Log.Flushed, s.Log.Applied)
			}
		}
		return true, nil
	})
}

// leave removes the run's directory, or keeps it and says how to repeat the run.
func (r *run) leave(failed error) error {
	if failed == nil && !r.o.Keep {
		return os.RemoveAll(r.dir)
	}
	r.tell("kept: %s", r.dir)
	r.tell("again: %s", r.o.repeat())
	return nil
}

// repeat is the command that does the same again.
func (o Options) repeat() string {
	line := fmt.Sprintf("%s -seed %d", o.Command, o.Seed)
	if o.Duration > 0 {
		line += " -duration " + o.Duration.String()
	}
	if len(o.Faults) > 0 {
		line += " -faults " + strings.Join(o.Faults, ",")
	}
	if o.Plain {
		line += " -plain"
	}
	if o.Elect {
		line += " -elect"
	}
	return line
}

func (r *run) tell(format string, args ...any) {
	fmt.Fprintf(r.o.Out, "%6.1f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}
