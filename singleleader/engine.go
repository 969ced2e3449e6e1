package singleleader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// New returns the builder of a single-leader engine. Errors in o are reported
// when the builder is called.
func New(o Options) topology.Builder {
	return func(env topology.Env) (topology.Engine, error) {
		o, err := o.withDefaults()
		if err != nil {
			return nil, fmt.Errorf("single-leader: %w", err)
		}
		if slices.Contains(o.Witnesses, env.Self) {
			return openWitness(env)
		}
		if err := o.feedable(env.Self); err != nil {
			return nil, fmt.Errorf("single-leader: %w", err)
		}
		return open(env, o, nil)
	}
}

// engine is the shell around a core: it carries out effects, and owns what
// waits for them.
//
// What callers use is in the nouns it embeds: Write in the writer, Read, Scan
// and Wait in the reader, what operators ask for in the desk.
type engine struct {
	*writer
	*reader
	*desk

	env topology.Env
	o   Options
	log *slog.Logger

	turn *turn
	core core.Core // owned by whoever runs the turn

	group   atomic.Pointer[core.Group] // the newest document made durable here
	pending *pending
	applier *applier
	part    *Group // of something larger, whose log this is; nil: the group is all there is
	sinks   *sinks
	reign   *reign
	ballot  *ballot
	roles   *roles
	seats   *seats
	council *council // nil where people say who leads (control static)

	expiries *expiries

	*health
}

// health is what others than turns want to know of an engine at once.
type health struct {
	leads   atomic.Bool   // a term was started here and not given up
	since   time.Time     // when the role began; owned by the turn
	failed  chan struct{} // closed when the node can not go on
	failure atomic.Pointer[error]
	resync  atomic.Bool // log and store do not fit together: only a snapshot helps
}

var _ topology.Updater = (*engine)(nil)

func open(env topology.Env, o Options, part *Group) (*engine, error) {
	e := &engine{env: env, o: o, log: env.Logger.With("engine", "single-leader"), health: &health{failed: make(chan struct{}), since: time.Now()}}
	e.writer, e.reader, e.desk = newWriter(e), &reader{e: e}, &desk{e: e}
	e.turn = newTurn(e.run)
	e.pending = newPending(o.PendingBytesMax)
	e.sinks = newSinks(e)
	e.reign = newReign(e)
	e.roles = &roles{e: e, news: make(chan struct{}, 1)}
	e.seats = &seats{e: e}
	e.ballot = &ballot{e: e, one: newGate()}
	_, byHand := env.Control.(topology.ByHand)
	if byHand && (o.Lease > 0 || o.MaxLagOnFailover > 0) {
		return nil, fmt.Errorf("single-leader: a lease of %v, and a control that elects nobody who would wait for its end", o.Lease)
	}
	if !byHand {
		e.council = newCouncil(e)
		e.o.Stream.HeartbeatEvery = e.o.FailAfter / beatsPerFail
	}
	e.expiries = newExpiries(e)
	machine := Machine(newCells(e))
	if part != nil {
		e.part, machine = part, part.o.Machine
	}
	if err := e.recover(machine); err != nil {
		return nil, err
	}
	if e.council != nil {
		if err := e.seats.recall(); err != nil {
			return nil, err
		}
	}
	env.Transport.HandleStream(protocolLog, e.sinks.serve)
	env.Transport.HandleCall(methodPoll, topology.PeerNode, e.ballot.answerPoll)
	env.Transport.HandleCall(methodFence, topology.PeerNode, e.ballot.answerFence)
	env.Transport.HandleCall(methodStand, topology.PeerNode, e.ballot.answerStand)
	env.Transport.HandleCall(methodSucceed, topology.PeerNode, e.ballot.answerSucceed)
	if e.council != nil {
		env.Transport.HandleCall(methodPledge, topology.PeerNode, e.council.answerPledge)
	}
	env.Transport.HandleCall(methodRead, topology.PeerNode, e.answerRead)
	env.Transport.HandleCall(methodFeed, topology.PeerNode, e.reign.feeds.answerFeed)
	env.Transport.HandleCall(methodFed, topology.PeerNode, e.reign.feeds.answerFed)
	return e, nil
}

// recover reads where this node stood.
func (e *engine) recover(machine Machine) error {
	g, err := e.ballot.load()
	if err != nil {
		return err
	}
	e.group.Store(&g.Group)
	policy := e.o.Sync
	if g.Policy != "" {
		if policy, err = quorum.Parse(g.Policy); err != nil {
			return fmt.Errorf("group document: %w", err)
		}
	}
	snap, err := e.env.Store.Snapshot()
	if err != nil {
		return err
	}
	applied := snap.Applied()
	err = machine.Reset(snap)
	if err := errors.Join(err, e.finishInstall(snap), snap.Close()); err != nil {
		return err
	}
	p := e.positions(applied)
	if !p.Fits() || wentBack(e.env.Store) {
		e.log.Error("the store and the log do not fit together; this node waits for a snapshot and does not lead",
			"applied", applied, "log_first", p.First, "log_end", p.End)
		e.resync.Store(true)
	}
	promised, err := pledged(e.env.Stable)
	if err != nil {
		return err
	}
	e.core = core.Recover(e.env.Self, policy.Kind == quorum.KindAsync, g.accepted, promised, p)
	e.applier = newApplier(e, machine, applied)
	return e.raiseClock(p.Bounds)
}

// positions are where the log and a store that shows applied stand.
func (e *engine) positions(applied record.LSN) *core.Positions {
	return &core.Positions{Bounds: e.env.Log.Bounds(), History: e.env.Log.History(), Applied: applied}
}

// wentBack asks a store that can tell whether it lost what it had made durable.
func wentBack(s topology.Store) bool {
	w, ok := s.(interface {
		WentBack() (have, want record.LSN, yes bool)
	})
	if !ok {
		return false
	}
	_, _, yes := w.WentBack()
	return yes
}

// raiseClock makes the clock go on from the newest time in the log (C3).
func (e *engine) raiseClock(b topology.Bounds) error {
	if b.End < b.First {
		return nil
	}
	for ent, err := range e.env.Log.Read(context.Background(), b.End) {
		if err != nil {
			return err
		}
		r, err := ent.Record()
		if err != nil {
			return fmt.Errorf("entry %d: %w", ent.LSN, err)
		}
		e.env.Clock.Raise(r.Time)
	}
	return nil
}

// Run implements topology.Engine.
func (e *engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	e.env.Log.Notify(e.flushed)
	defer e.env.Log.Notify(nil)
	e.flushed(e.env.Log.Bounds(), nil)
	g.Go(func() error { e.turn.own(ctx); return nil })
	g.Go(func() error { return e.applier.run(ctx) })
	if e.part == nil {
		g.Go(func() error { return e.expiries.run(ctx) })
	}
	g.Go(func() error { return e.reign.run(ctx) })
	g.Go(func() error { return e.sinks.intake.run(ctx) })
	g.Go(func() error { return e.roles.run(ctx) })
	if e.council != nil {
		g.Go(func() error { return e.council.run(ctx) })
		g.Go(func() error { return e.council.keep(ctx) })
		g.Go(func() error { return e.council.tenure.run(ctx) })
	} else {
		g.Go(func() error { return e.ballot.stand(ctx) })
	}
	g.Go(func() error {
		select {
		case <-e.failed:
			return *e.failure.Load()
		case <-ctx.Done():
			return nil
		}
	})
	err := g.Wait()
	reason := topology.ErrClosed
	if broken := e.broken(); broken != nil {
		reason = broken
	}
	e.turn.call(func() { e.pending.stop(e, reason) })
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// flushed is called by the log after each flush, and once when it fails.
func (e *engine) flushed(b topology.Bounds, err error) {
	if err != nil {
		e.fail(err)
		return
	}
	e.turn.post(core.Event{Kind: core.EvFlushed, LSN: b.Flushed})
	e.sinks.wake()
	e.reign.feeds.wake()
}

// fail stops the node: nothing more is acknowledged, waiting callers are
// answered by what is known of their writes, and Run returns err.
func (h *health) fail(err error) {
	err = fmt.Errorf("%w: %w", topology.ErrFailed, err)
	if !h.failure.CompareAndSwap(nil, &err) {
		return
	}
	close(h.failed)
}

func (h *health) broken() error {
	if p := h.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// run is one turn's work.
func (e *engine) run(r *round) {
	now := clock(e)
	for i := range r.asks {
		a := &r.asks[i]
		a.At = now
		e.perform(a, e.core.Step(a.Event))
	}
	for _, f := range r.calls {
		f()
	}
	e.accept(r.writes)
	e.askReads()
}

// perform carries out effects in order.
func (e *engine) perform(a *ask, effects []core.Effect) {
	for i := range effects {
		x := &effects[i]
		switch x.Kind {
		case core.DoStart:
			e.startTerm(x)
		case core.DoReceived:
			e.pending.release(e, topology.Received, x.LSN)
		case core.DoCommit:
			e.reign.wake()
			e.pending.release(e, topology.Flushed, x.LSN)
			e.pending.answerSeen(e)
			e.part.committed(e)
		case core.DoShow:
			e.pending.release(e, topology.Applied, x.LSN)
			e.pending.answerSeen(e)
		case core.DoApply:
			e.applier.reach(x.LSN)
			if e.pending.shows() {
				e.applier.want()
			}
			if e.core.Role == core.Follower {
				e.reign.wake()
			}
		case core.DoRound:
			e.reign.round.Store(x.Round)
			e.reign.wake()
		case core.DoAnswer:
			e.pending.answerReads(e, x.Round)
		case core.DoStepDown:
			e.leads.Store(false)
			nudge(e.roles.news)
			e.pending.stop(e, topology.ErrNotLeader)
			e.part.deposed()
			e.reign.changed()
		case core.DoCopy:
			if err := e.env.Log.Copy(a.Append.Entries[x.N:]...); err != nil {
				a.answer.err = err
				e.core.NotCopied(e.env.Log.Bounds().End, e.env.Log.History().Last())
				if !e.passing(err) {
					e.fail(err)
				}
			}
		case core.DoTail:
			a.answer.tail = x.Tail
		case core.DoKeep:
			a.answer.keep, a.answer.cutTo = true, x.LSN
		case core.DoRefuse:
			a.answer.err = x.Err
		case core.DoPersist:
			a.answer.persist = true
		case core.DoTruncate:
			a.answer.truncate, a.answer.cutTo = true, x.LSN
		}
	}
	if a.answer != nil {
		a.answer.done <- struct{}{}
	}
}

// startTerm appends the mark that starts a term.
func (e *engine) startTerm(x *core.Effect) {
	mark := e.group.Load().Mark(x.LSN, e.env.Clock.Now())
	if e.part != nil {
		mark.Dot = version.Dot{}
	}
	if _, err := e.env.Log.Append(x.Term, mark); err != nil {
		e.core.NotStarted(e.env.Log.Bounds().End, e.env.Log.History().Last())
		if !e.passing(err) {
			e.fail(err)
		}
		return
	}
	e.since = time.Now()
	e.pending.recent, e.pending.named.asked = nil, nil
	e.leads.Store(true)
	nudge(e.roles.news)
	e.expiries.note(0)
	e.expiries.wake()
	e.reign.changed()
}

// startingPause is how often a caller that waits for this node's term looks again.
const startingPause = 5 * time.Millisecond

// starting returns once this node is not about to start a term: as long as it is
// named leader and has not begun, callers wait for it as they would for a
// network, while their context lasts.
func (e *engine) starting(ctx context.Context) error {
	if e.leads.Load() || e.group.Load().Leader != e.env.Self {
		return nil
	}
	t := time.NewTicker(startingPause)
	defer t.Stop()
	for !e.leads.Load() && e.group.Load().Leader == e.env.Self {
		if e.council == nil && e.sinks.obeys() > e.group.Load().Term {
			return nil // somebody else leads a newer one
		}
		select {
		case <-t.C:
		case <-e.failed:
			return e.broken()
		case <-ctx.Done():
			return fmt.Errorf("%w: this node is named leader and has not started its term yet: %w", topology.ErrUnavailable, ctx.Err())
		}
	}
	return nil
}
