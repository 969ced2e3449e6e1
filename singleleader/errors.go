package singleleader

import (
	"errors"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func (e *engine) errorOf(op string, b *record.Batch, o topology.Outcome, err error) *topology.Error {
	t := &topology.Error{Op: op, Node: e.env.Self, Outcome: o, Err: err}
	if b != nil && len(b.Mutations) > 0 {
		t.Key = append([]byte(nil), b.Mutations[0].Key...)
	}
	return t
}

// notLeader is the refusal that names the leader (S14).
func (e *engine) notLeader(op string, o topology.Outcome) *topology.Error {
	t := &topology.Error{Op: op, Node: e.env.Self, Outcome: o, Err: topology.ErrNotLeader}
	g := e.group.Load()
	if e.council != nil {
		if known, _ := e.council.known(); known.Term > g.Term {
			g = &known // and is about to be durable here
		}
	}
	if g.Leader != e.env.Self {
		v, _ := e.env.Membership.View()
		m, _ := v.Find(g.Leader)
		t.Leader, t.Addr = g.Leader, m.Addr
	}
	return t
}

// passing reports whether err says no more than that the log takes nothing now:
// there is no room (C67), or it does not know its cluster yet. Nothing was
// appended, and it may be tried again.
func (e *engine) passing(err error) bool {
	return (errors.Is(err, topology.ErrDiskFull) || errors.Is(err, topology.ErrUnavailable)) && !errors.Is(err, topology.ErrFailed)
}
