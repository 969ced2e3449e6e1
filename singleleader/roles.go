package singleleader

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// roles tells of changes of this node's role, one after another, beside everything else:
// who is told may take his time, and what came and went meanwhile he is not told.
type roles struct {
	e     *engine
	news  chan struct{}
	fence atomic.Pointer[unfenced] // nil: the old leader is fenced, or nobody asked
}

// unfenced is why the leader of a term is not known to be fenced.
type unfenced struct {
	term uint64
	why  string
}

// fencePause is how long at least after one attempt to fence the next is made.
const fencePause = time.Second

// lastWordWait is how long who is told may take when the node ends.
const lastWordWait = 2 * time.Second

// run tells until ctx ends, and then that this node leads no more.
func (r *roles) run(ctx context.Context) error {
	if r.e.o.OnRole == nil {
		return nil
	}
	var told uint64 // the term that this node is known to lead; 0 for none
	for {
		select {
		case <-r.news:
		case <-ctx.Done():
			if told != 0 {
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWordWait)
				defer cancel()
				r.e.o.OnRole(last, r.change(topology.RoleFollower, told))
			}
			return nil
		}
		var now uint64
		r.e.turn.call(func() {
			if r.e.core.Role == core.Leader {
				now = r.e.core.Term
			}
		})
		switch {
		case now != 0 && now != told:
			r.e.o.OnRole(ctx, r.change(topology.RoleLeader, now))
		case now == 0 && told != 0:
			r.e.o.OnRole(ctx, r.change(topology.RoleFollower, told))
		}
		told = now
	}
}

func (r *roles) change(role topology.Role, term uint64) topology.RoleChange {
	c := topology.RoleChange{Node: r.e.env.Self, Role: role, Term: term}
	g := r.e.group.Load()
	if c.Leader = g.Leader; role != topology.RoleLeader && c.Leader == c.Node {
		c.Leader = "" // its own term is over, and no other is known
	}
	return c
}

// secure has the leader of g fenced, where one is configured to be and nothing proves
// that it is: it is another node than this, and does not answer. The error means that
// this node must not lead.
func (r *roles) secure(ctx context.Context, old topology.NodeID, term uint64) error {
	e := r.e
	if e.o.Fence == nil || old == "" || old == e.env.Self {
		return nil
	}
	ask, cancel := context.WithTimeout(ctx, e.o.FailAfter/2)
	_, err := e.env.Transport.Call(ask, old, methodPoll, nil)
	cancel()
	if err == nil {
		r.fence.Store(nil)
		return nil // it will hear of the new term
	}
	v, _ := e.env.Membership.View()
	m, _ := v.Find(old)
	if err := e.o.Fence(ctx, topology.Fencing{Node: e.env.Self, Old: old, Addr: m.Addr, Term: term}); err != nil {
		why := fmt.Sprintf("this node does not lead: %s, which led term %d and does not answer, could not be fenced: %v", old, term, err)
		r.fence.Store(&unfenced{term, why})
		return fmt.Errorf("%w: %s, which led term %d and does not answer, could not be fenced, so that this node does not lead: %w", topology.ErrUnavailable, old, term, err)
	}
	r.fence.Store(nil)
	e.log.Info("the old leader is fenced", "node", old, "term", term)
	return nil
}
