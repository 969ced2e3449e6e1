package singleleader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// Group is a single-leader group as a part of something larger, a site of a
// multi-leader cluster: a replicated log. Who leads, what is committed and that all
// nodes apply it alike is the group's business; what the entries are, and what they
// come to, is its owner's. The entries that start its terms are notes, so that every
// dot in the log is the owner's.
type Group struct {
	e *engine
	o GroupOptions

	told uint64 // the term whose beginning Course was told; owned by the turn
}

// GroupOptions are those of a group, and what its owner brings.
type GroupOptions struct {
	Options
	Name    string // of the group, among those whose nodes can reach one another; default core.GroupName
	Machine Machine
	Course  Course
}

// Course is told what becomes of a group on this node. It is called within a turn: it
// must not wait, nor call the group.
type Course interface {
	// Led says that this node leads the group in term, and that all its log, up to
	// lsn, is committed: from here on Append takes what follows. A lossy term may lack
	// what was committed before it: its leader was named by force, or took over from
	// one for whom nobody waited.
	Led(term uint64, lsn record.LSN, lossy bool)
	// Committed says that the log of the present term is committed up to lsn.
	Committed(lsn record.LSN)
	// Deposed says that this node leads term no more. What it appended and did not
	// hear to be committed may yet be, or not.
	Deposed(term uint64)
}

// Orders are what operators ask of a group, and what they are told.
type Orders interface {
	topology.Promoter
	topology.Switcher
	topology.Resigner
	topology.Pauser
	topology.Chronicler
	topology.Rewinder
	topology.Explainer
	topology.Counter
	Term() uint64
}

// NewGroup opens a group over what env lends. Its members are those of env's
// membership.
func NewGroup(env topology.Env, o GroupOptions) (*Group, error) {
	var err error
	if o.Options, err = o.withDefaults(); err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	g := &Group{o: o}
	if g.e, err = open(env, o.Options, g); err != nil {
		return nil, err
	}
	return g, nil
}

// Run works until ctx ends (nil) or the node can not go on (the reason).
func (g *Group) Run(ctx context.Context) error { return g.e.Run(ctx) }

// Status is that of the node in its group.
func (g *Group) Status() topology.Status { return g.e.Status() }

// Orders returns what operators ask of the group.
func (g *Group) Orders() Orders { return g.e }

// Retain returns the first LSN of the log that the group must keep, where the store
// has everything up to flushed durable.
func (g *Group) Retain(flushed record.LSN) record.LSN { return g.e.Retain(flushed) }

// Refusal is the error of a write that this node can not take, not applied: it names
// the leader, or says why the node takes nothing.
func (g *Group) Refusal(op string) error {
	if err := g.e.broken(); err != nil {
		return g.e.errorOf(op, nil, topology.NotApplied, err)
	}
	return g.e.notLeader(op, topology.NotApplied)
}

// Starting returns once this node is not about to start a term, or ctx has ended.
func (g *Group) Starting(ctx context.Context) error { return g.e.starting(ctx) }

// Append gives entries their places in the log, verbatim: their LSNs go on from its
// end, and their term is the one this node leads. An error means that the log took
// none of them; where it wraps ErrNotLeader or ErrFailed it will take no more of that
// term. While leadership is being handed over it waits, so that nobody's write ends
// Unknown by that. It keeps nothing of es.
func (g *Group) Append(es ...record.Entry) error {
	for {
		var err error
		g.e.turn.call(func() { err = g.append(es) })
		if err != errPausing {
			return err
		}
		time.Sleep(appendPause)
	}
}

// appendPause is how often Append looks whether a hand-over has ended.
const appendPause = time.Millisecond

var errPausing = errors.New("leadership is being handed over")

// append is Append within a turn.
func (g *Group) append(es []record.Entry) error {
	e := g.e
	term := es[0].Term
	switch err := e.broken(); {
	case err != nil:
		return err
	case e.core.Role != core.Leader || e.core.Term != term || g.told != term:
		return fmt.Errorf("%w: term %d", topology.ErrNotLeader, term)
	case e.pending.pausing:
		return errPausing
	case es[0].LSN != e.core.End+1:
		err := fmt.Errorf("%w: entry %d behind entry %d of the group's log", topology.ErrFailed, es[0].LSN, e.core.End)
		e.fail(err)
		return err
	}
	if err := e.env.Log.Copy(es...); err != nil {
		if !e.passing(err) {
			e.fail(err)
			return e.broken()
		}
		return err
	}
	effects := e.core.Step(core.Event{Kind: core.EvAppended, N: len(es)})
	e.reign.wake()
	e.perform(&ask{}, effects)
	return nil
}

// Frozen reports whether fewer members are in sync than a commit needs, and writes are
// to be refused then.
func (g *Group) Frozen() (frozen bool) {
	if g.o.FailFast {
		g.e.turn.call(func() { frozen = g.e.core.Lead.Frozen })
	}
	return frozen
}

// Ready returns once the store of this node may be read for what o asks within the
// group, and says what an answer then promises. A session's token is its owner's
// business.
func (g *Group) Ready(ctx context.Context, o topology.ReadOptions) (topology.Reading, error) {
	return g.e.ready(ctx, o)
}

// ReadError is the error of a read of key that failed because of err.
func (g *Group) ReadError(op string, key []byte, err error) error { return g.e.readError(op, key, err) }

// Wait returns once the store of this node shows lsn.
func (g *Group) Wait(ctx context.Context, lsn record.LSN) error { return g.e.applier.wait(ctx, lsn) }

// Applied returns what the store of this node shows.
func (g *Group) Applied() record.LSN { return g.e.applier.applied() }

// Swap returns how often a snapshot began and ended to take the place of what the
// store shows, odd while one does, and what is closed when the next has.
func (g *Group) Swap() (uint64, <-chan struct{}) { return g.e.applier.swap() }

// Failed is closed when the node can not go on; Failure says why.
func (g *Group) Failed() <-chan struct{} { return g.e.failed }

// Failure returns why the node can not go on, nil as long as it can.
func (g *Group) Failure() error { return g.e.broken() }

// Fail stops the node: nothing more is acknowledged, and Run returns err.
func (g *Group) Fail(err error) { g.e.fail(err) }

// Durable returns the members that have lsn flushed, as far as the leader knows.
func (g *Group) Durable(lsn record.LSN) (nodes []topology.NodeID) {
	g.e.turn.call(func() {
		if g.e.core.Role == core.Leader {
			nodes = g.e.durableAt(lsn)
		}
	})
	return nodes
}

// name is what the group's streams are called; that of no part is the only one there is.
func (g *Group) name() string {
	if g == nil {
		return core.GroupName
	}
	return cmp.Or(g.o.Name, core.GroupName)
}

// committed tells the owner what is, within a turn. The first it hears of a term is
// that its start is committed, which all before it is with it.
func (g *Group) committed(e *engine) {
	switch {
	case g == nil || !e.core.Settled():
	case g.told != e.core.Term:
		g.told = e.core.Term
		g.o.Course.Led(g.told, e.core.Commit, e.group.Load().Lossy())
	default:
		g.o.Course.Committed(e.core.Commit)
	}
}

// deposed tells the owner, if it was told that this node leads.
func (g *Group) deposed() {
	if g != nil && g.told != 0 {
		g.o.Course.Deposed(g.told)
		g.told = 0
	}
}
