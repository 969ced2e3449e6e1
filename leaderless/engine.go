package leaderless

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
)

// New returns the builder of a leaderless engine. Errors in o are reported when the
// builder is called.
func New(o Options) topology.Builder {
	return func(env topology.Env) (topology.Engine, error) {
		view, _ := env.Membership.View()
		o, err := o.withDefaults(len(view.Members))
		if err != nil {
			return nil, fmt.Errorf("leaderless: %w", err)
		}
		place, err := o.place(view)
		if err != nil {
			return nil, fmt.Errorf("leaderless: %w", err)
		}
		e, err := open(env, o, place)
		if err != nil {
			return nil, fmt.Errorf("leaderless: %w", err)
		}
		return e, nil
	}
}

// engine is the shell around a core. Its own goroutine, the loop, owns the core and
// the machine; callers and streams post to it what happened.
type engine struct {
	*reader
	*writer
	rings
	settler
	replicas
	*entropy

	env   topology.Env
	o     Options
	place *places
	log   *slog.Logger

	loop     *loop
	machine  *machine
	life     *life
	chart    *chart
	crew     *crew
	mover    *mover
	filler   *filler
	stats    stats
	promises *promises
	failed   failure
}

func open(env topology.Env, o Options, place *placement.Map) (*engine, error) {
	e := &engine{env: env, o: o, place: &places{}, log: env.Logger.With("engine", "leaderless")}
	e.failed.done = make(chan struct{})
	e.crew = newCrew(e)
	e.rings = rings{e}
	e.mover = &mover{e: e}
	e.promises = newPromises(&e.o, e.place.Current)
	var err error
	if e.chart, err = openChart(e, place); err != nil {
		return nil, err
	}
	if err := e.promises.check(); err != nil {
		return nil, err
	}
	if e.machine, err = newMachine(env.Store, env.Log, e.place); err != nil {
		return nil, err
	}
	if e.filler, err = openFiller(e); err != nil {
		return nil, err
	}
	if e.life, err = openLife(e); err != nil {
		return nil, err
	}
	e.loop = newLoop(e)
	e.reader = &reader{e: e}
	e.replicas = replicas{e}
	e.writer = &writer{e: e, budget: semaphore.NewWeighted(o.PendingBytesMax)}
	e.entropy = newEntropy(e)
	e.crew.follow(e.place.Current())
	env.Transport.HandleStream(protocolPeer, greeter{e}.serve)
	env.Transport.HandleCall(methodRequest, topology.PeerNode, e.serveRequest)
	env.Transport.HandleCall(methodMet, topology.PeerNode, e.life.serveMet)
	env.Transport.HandleCall(methodMap, topology.PeerNode, e.chart.serve)
	env.Transport.HandleCall(methodMoves, topology.PeerNode, e.mover.serveMoves)
	env.Transport.HandleCall(methodCells, topology.PeerNode, pages{e}.serve)
	env.Transport.HandleCall(methodReplicated, topology.PeerNode, replicas{e}.serve)
	env.Transport.HandleCall(methodRepair, topology.PeerNode, examined{e}.serve)
	return e, nil
}

// Run implements topology.Engine.
func (e *engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if err := e.machine.recover(ctx); err != nil {
		return fmt.Errorf("leaderless: %w", err)
	}
	if err := e.chart.settle(ctx); err != nil {
		return fmt.Errorf("leaderless: %w", err)
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := e.life.begin(e.env.Founded != nil && e.env.Founded()); err != nil {
		return fmt.Errorf("leaderless: %w", err)
	}
	e.loop.begin()
	g.Go(func() error { return e.loop.run(ctx) })
	g.Go(func() error { return e.life.run(ctx) })
	g.Go(func() error { return e.loop.keeper.run(ctx) })
	g.Go(func() error { return e.entropy.run(ctx) })
	g.Go(func() error { return e.crew.run(ctx) })
	g.Go(func() error { return e.chart.run(ctx) })
	g.Go(func() error { return e.mover.run(ctx) })
	g.Go(func() error { return e.filler.run(ctx) })
	g.Go(func() error {
		select {
		case <-e.failed.done:
			return e.failed.err
		case <-ctx.Done():
			return nil
		}
	})
	return g.Wait()
}

// Scattered says that others write, too, and that nobody orders what they do.
func (e *engine) Scattered() {}

// Levelled says that requests may name a level.
func (e *engine) Levelled() {}

// failure is why an engine can not go on.
type failure struct {
	once sync.Once
	err  error
	done chan struct{} // closed once err is set
}

// fail ends the engine.
func (e *engine) fail(err error) {
	e.failed.once.Do(func() {
		e.failed.err = err
		close(e.failed.done)
		e.log.Error("this node can not go on", "err", err)
	})
}

// failure returns why the engine can not go on, nil if it can.
func (e *engine) failure() error {
	select {
	case <-e.failed.done:
		return fmt.Errorf("%w: %w", topology.ErrFailed, e.failed.err)
	default:
		return nil
	}
}

// stats are what the loop tells others than itself.
type stats struct {
	shown   atomic.Pointer[shown]
	reads   atomic.Uint64 // that this node has coordinated
	hedges  atomic.Uint64
	fills   atomic.Uint64 // times that all was taken over from others, to vote again
	mends   atomic.Uint64 // partitions taken over cell by cell
	started time.Time
}

// shown is what the loop tells of the core.
type shown struct {
	core.Counts
	life       uint32
	catchingUp bool
	end        uint64
	flushed    uint64
	busy       int
	stays      string // why this node is not to be restarted now; empty: it may be
	collected  uint64
	at         time.Time
}

func (e *engine) errorOf(op string, o topology.Outcome, err error) *topology.Error {
	var t *topology.Error
	if errors.As(err, &t) {
		c := *t
		return &c
	}
	return &topology.Error{Op: op, Node: e.env.Self, Outcome: o, Err: err}
}

// keyed gives an error the key it is about.
func keyed(key []byte, err *topology.Error) error {
	if len(err.Key) == 0 {
		err.Key = append([]byte(nil), key...)
	}
	return err
}

var (
	_ topology.Engine  = (*engine)(nil)
	_ topology.Scanner = (*engine)(nil)
	_ topology.Waiter  = (*engine)(nil)
	_ topology.Updater = (*engine)(nil)

	_ topology.Resolvers  = (*engine)(nil)
	_ topology.Replicated = (*engine)(nil)
	_ topology.Resolver   = (*engine)(nil)
	_ topology.Repairer   = (*engine)(nil)
	_ topology.Counter    = (*engine)(nil)
	_ topology.Collector  = (*engine)(nil)
)
