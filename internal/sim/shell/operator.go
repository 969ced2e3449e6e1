package shell

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// What the operator does (rule K2): where nobody has taken a write for so many
// probes, a node that may lead is made leader.
const (
	probeEvery   = 500 * time.Millisecond
	probeTimeout = time.Second
	probesMissed = 4
	promoteWait  = 5 * time.Second

	probesGivenUp = 16 // until he forces one
)

// operator is a person who watches the cluster, and knows who leads by what nodes
// say.
type operator struct {
	w    *world
	turn chan struct{} // held by who makes a leader

	mu     sync.Mutex // a leaf
	leads  topology.NodeID
	term   uint64
	forced time.Duration // when force was first used, since the world began; 0 if it was not
}

// leader is who leads as far as the operator knows.
func (o *operator) leader() topology.NodeID {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leads
}

// operate watches the leader until ctx ends, and sees to a new one where it is
// gone.
func (o *operator) operate(ctx context.Context) {
	missed, rng := 0, rand.New(rand.NewPCG(o.w.plan.Seed, 2))
	for ctx.Err() == nil {
		time.Sleep(probeEvery)
		o.w.losses.look(ctx)
		if o.write(ctx, probeKey) {
			missed = 0
			continue
		}
		if o.w.plan.Elects {
			o.look()
			continue
		}
		if missed++; missed < probesMissed {
			continue
		}
		candidates, taken := o.best(), false
		if o.w.plan.Hasty {
			rng.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		}
		for _, id := range candidates {
			if taken = o.promote(ctx, id, false); taken {
				missed = 0
				break
			}
		}
		if !taken && o.w.plan.Policy.Kind == quorum.KindAsync {
			o.giveUp(ctx, missed)
		}
	}
}

// giveUp forces the best of an asynchronous group in which nobody may lead without,
// once that has lasted: what others have beyond it is lost.
func (o *operator) giveUp(ctx context.Context, missed int) {
	if missed < probesGivenUp || !o.mayForce() {
		return
	}
	for _, id := range o.best() {
		if o.promote(ctx, id, true) {
			o.w.reach(reachedForced)
			return
		}
	}
}

// look finds out who leads, where that is nobody's to say.
func (o *operator) look() {
	for id, m := range o.w.machines {
		p := m.process()
		if p == nil || p.Engine() == nil {
			continue
		}
		if s := p.Status(); s.Role == topology.RoleLeader {
			o.mu.Lock()
			if s.Term > o.term {
				o.term, o.leads = s.Term, id
			}
			o.mu.Unlock()
		}
	}
}

// follow takes a node's word for who leads.
func (o *operator) follow(id topology.NodeID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leads = id
}

const probeKey = "probe"

// best returns all nodes, the one that has the most of the log first.
func (o *operator) best() []topology.NodeID {
	ends := map[topology.NodeID]topology.Status{}
	for id, m := range o.w.machines {
		if p := m.process(); p != nil && p.Engine() != nil {
			ends[id] = p.Status()
		}
	}
	return slices.SortedStableFunc(slices.Values(o.w.plan.Nodes), func(a, b topology.NodeID) int {
		x, y := ends[a], ends[b]
		switch {
		case x.Term != y.Term:
			return int(y.Term) - int(x.Term)
		default:
			return int(y.End) - int(x.End)
		}
	})
}

// force cuts the leader off, and makes another node leader whatever is lost with it.
func (o *operator) force(ctx context.Context, f Fault) {
	m := o.w.machines[f.Node]
	o.w.links.part(m.ip)
	time.Sleep(f.For / 2)
	if o.mayForce() && o.promote(ctx, f.Other, true) {
		o.w.reach(reachedForced)
	}
	time.Sleep(f.For / 2)
	o.w.links.join(m.ip)
}

// mayForce reports whether a leader may be forced: two at once, or one beside nodes
// that have not heard of the last, could be two leaders of one term, as operators
// are told.
func (o *operator) mayForce() bool {
	o.mu.Lock()
	forced := o.forced
	o.mu.Unlock()
	if forced == 0 {
		return true
	}
	terms := map[uint64]bool{}
	for _, m := range o.w.machines {
		p := m.process()
		if p == nil || p.Engine() == nil {
			return false
		}
		terms[p.Status().Term] = true
	}
	return len(terms) == 1 || o.w.healed.Load() // then everybody is heard of
}

// promote makes a node leader, if that is safe, or by force. One is made at a time.
func (o *operator) promote(ctx context.Context, id topology.NodeID, force bool) bool {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	p := o.w.machines[id].process()
	if p == nil {
		return false
	}
	if force {
		o.mu.Lock()
		o.forced = cmp.Or(o.forced, time.Since(o.w.began))
		o.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, promoteWait)
	defer cancel()
	var done topology.Promotion
	err := p.do(ctx, func(ctx context.Context) (err error) {
		done, err = p.Promote(ctx, force)
		return err
	})
	if err != nil {
		o.w.logger.Debug("not promoted", "node", id, "reason", err)
		return false
	}
	o.w.reach(reachedFailover)
	o.mu.Lock()
	defer o.mu.Unlock()
	if done.Term > o.term {
		o.term, o.leads = done.Term, id
	}
	return true
}

// write reports whether the leader, as the operator knows it, takes a write.
func (o *operator) write(ctx context.Context, key string) bool {
	p := o.w.machines[o.leader()].process()
	if p == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := p.do(ctx, func(ctx context.Context) error {
		_, err := p.Put(ctx, triad.DefaultTable, []byte(key), []byte("x"))
		return err
	})
	var e *topology.Error
	if errors.As(err, &e) && e.Leader != "" {
		o.follow(e.Leader)
	}
	return err == nil
}
