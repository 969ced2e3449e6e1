package singleleader

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// witness is the engine of a member that keeps nothing of the group's data: nobody
// ships to it, nothing is counted on it, and it never leads. What it is there for
// is the vote of its control's voter, so that two members with data and one
// without outlive the loss of any one. To who asks it, it says who leads.
type witness struct {
	env  topology.Env
	took atomic.Pointer[term]
}

// term is what a witness knows of the group.
type term struct {
	group core.Group
	since time.Time
}

var _ topology.Engine = (*witness)(nil)

func openWitness(env topology.Env) (*witness, error) {
	if _, byHand := env.Control.(topology.ByHand); byHand {
		return nil, fmt.Errorf("single-leader: %s is a witness, and people say who leads here: a witness votes where a control elects, as raft does", env.Self)
	}
	if b := env.Log.Bounds(); b.End > 0 {
		return nil, fmt.Errorf("single-leader: %s is to be a witness, and its directory holds the group's log up to entry %d: give it an empty one: %w", env.Self, b.End, topology.ErrConflict)
	}
	w := &witness{env: env}
	w.took.Store(&term{since: time.Now()})
	return w, nil
}

// Run follows the group's document.
func (w *witness) Run(ctx context.Context) error {
	var told string
	for {
		d, stale := w.env.Control.Latest(topology.DocumentGroup)
		if err := w.learn(d); err != nil && err.Error() != told {
			told = err.Error()
			w.env.Logger.Warn("the group's document cannot be read", "reason", err)
		}
		select {
		case <-stale:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *witness) learn(d topology.Document) error {
	if d.Version == 0 {
		return nil
	}
	g, err := core.DecodeGroup(d.Body)
	if err != nil {
		return err
	}
	t := &term{group: g, since: time.Now()}
	if g.Roster != nil {
		admit(w.env.Membership, g.Roster)
	}
	if now := w.took.Load(); now.group.Term == g.Term {
		t.since = now.since
	}
	w.took.Store(t)
	return nil
}

// Status implements topology.Engine.
func (w *witness) Status() topology.Status {
	t := w.took.Load()
	s := topology.Status{
		Node: w.env.Self, Kind: "single-leader", Role: topology.RoleWitness, Since: t.since,
		Leader: t.group.Leader, Term: t.group.Term, Policy: t.group.Policy, Standing: topology.Standing{Stale: -1},
	}
	if s.Leader == "" {
		s.Role = topology.RoleCandidate
	}
	if a := t.group.Agreed; a != nil {
		s.Paused = a.Paused
	}
	if t.group.Lacks(w.env.Self) {
		s.Role = topology.RoleRemoved
		s.Warnings = append(s.Warnings, errRemoved.Error()+": stop it")
	}
	return s
}

// Term is the newest that this node knows: it has nothing of an older one.
func (w *witness) Term() uint64 { return w.took.Load().group.Term }

// Write implements topology.Engine by naming who leads.
func (w *witness) Write(context.Context, record.Batch, topology.WriteOptions) (topology.Receipt, error) {
	return topology.Receipt{}, w.elsewhere("write")
}

// Read implements topology.Engine by naming who leads.
func (w *witness) Read(_ context.Context, _ record.TableID, key []byte, _ topology.ReadOptions) (topology.Reading, error) {
	err := w.elsewhere("get")
	err.Key = slices.Clone(key)
	return topology.Reading{}, err
}

func (w *witness) elsewhere(op string) *topology.Error {
	leader := w.took.Load().group.Leader
	e := &topology.Error{Op: op, Node: w.env.Self, Outcome: topology.NotApplied, Leader: leader}
	e.Err = fmt.Errorf("a witness keeps no data: %w", topology.ErrNotLeader)
	view, _ := w.env.Membership.View()
	if m, ok := view.Find(leader); ok {
		e.Addr = m.Addr
	}
	return e
}
