package raft

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// registration is a name that this process holds.
type registration struct {
	control *Control
	claim
	lost chan struct{}
	once sync.Once
}

var _ topology.Registration = (*registration)(nil)

// Register implements topology.Control. A name that another living process holds,
// or this one, is ErrConflict.
func (c *Control) Register(ctx context.Context, id topology.NodeID) (topology.Registration, error) {
	if !id.Valid() {
		return nil, fail("register", topology.NotApplied, fmt.Errorf("%q is not a node's name: %w", id, topology.ErrMalformed))
	}
	r := &registration{control: c, claim: claim{id: id}, lost: make(chan struct{})}
	c.mu.Lock()
	held := c.claims[id] != nil
	if !held {
		c.claims[id] = r
	}
	c.mu.Unlock()
	if held {
		return nil, fail("register", topology.NotApplied, fmt.Errorf("%q is registered already: %w", id, topology.ErrConflict))
	}
	v, err := c.propose(ctx, command{kind: commandClaim, id: id, life: c.env.Life})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		delete(c.claims, id)
		return nil, err
	}
	r.number = v.value
	return r, nil
}

// Number implements topology.Registration.
func (r *registration) Number() uint64 { return r.number }

// Lost implements topology.Registration. It is closed once a leader of the voters
// has said that the claim is gone. As long as none can be reached it stays open,
// because then the name is given to nobody else either, as far as anybody can know;
// who is cut off alone learns it later than the others.
func (r *registration) Lost() <-chan struct{} { return r.lost }

// Close implements topology.Registration. It says so to the voters, and does not
// wait long for them: a claim that nobody renews ends by itself.
func (r *registration) Close() error {
	if !r.drop() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.control.timing.attempt)
	defer cancel()
	if _, err := r.control.propose(ctx, command{kind: commandRelease, id: r.id, number: r.number}); err != nil {
		r.control.logger.Debug("control: a registration ends by itself", "id", r.id, "error", err)
	}
	return nil
}

// drop ends the claim at this process; false if it had ended.
func (r *registration) drop() (first bool) {
	r.once.Do(func() {
		first = true
		r.control.mu.Lock()
		delete(r.control.claims, r.id)
		r.control.mu.Unlock()
		close(r.lost)
	})
	return first
}

// renewAll tells the leader of the voters again and again which names this process
// holds. It writes nothing anywhere.
func (c *Control) renewAll(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, c.timing.renew)
		mine := c.mine()
		if len(mine) == 0 {
			continue
		}
		within, cancel := context.WithTimeout(ctx, c.timing.claim/2)
		a, err := reaching{c}.reach(within, methodRenew, question{claims: mine})
		cancel()
		if err != nil {
			continue
		}
		for _, g := range a.gone {
			c.mu.Lock()
			r := c.claims[g.id]
			c.mu.Unlock()
			if r != nil && r.claim == g {
				c.logger.Warn("control: a registration is gone", "id", g.id, "number", g.number)
				r.drop()
			}
		}
	}
}

// mine returns the names that this process holds.
func (c *Control) mine() (all []claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(c.claims)) {
		if r := c.claims[id]; r.number != 0 {
			all = append(all, r.claim)
		}
	}
	return all
}

// leases are until when the registrations last if nobody renews them. They are in
// the leader's memory alone: a new leader gives each a whole one, and so does one
// that has been standing still, as it cannot know what it has missed
// (etcd-io/etcd#15247).
type leases struct {
	mu    sync.Mutex // a leaf; guards what follows
	until map[claim]time.Time
	term  uint64    // in which they were given
	seen  time.Time // when they were last looked after
}

// extend gives each of these another lease.
func (l *leases) extend(cs []claim, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range cs {
		if _, ok := l.until[c]; ok {
			l.until[c] = until
		}
	}
}

// overdue takes up who holds a name now, and returns whose lease is over. Leases
// last from now on if the term is another one, or nobody has looked for a while.
func (l *leases) overdue(held map[topology.NodeID]uint64, term uint64, now time.Time, lease time.Duration) (gone []claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	afresh := term != l.term || now.Sub(l.seen) > lease/4
	was := l.until
	l.until, l.term, l.seen = make(map[claim]time.Time, len(held)), term, now
	for _, id := range slices.Sorted(maps.Keys(held)) {
		c := claim{id, held[id]}
		until, known := was[c]
		if !known || afresh {
			until = now.Add(lease)
		}
		l.until[c] = until
		if now.After(until) {
			gone = append(gone, c)
		}
	}
	return gone
}

// keepLeases ends the registrations that nobody renews any more. It is the leader's
// affair.
func (s *seat) keepLeases(ctx context.Context) {
	if !s.leads() {
		return
	}
	for _, g := range s.leases.overdue(s.machine.claims(), s.raft.CurrentTerm(), time.Now(), s.control.timing.claim) {
		c := s.control
		c.logger.Warn("control: a registration was not renewed, and ends", "id", g.id, "number", g.number)
		s.moving.Go(func() {
			within, cancel := context.WithTimeout(ctx, c.timing.attempt)
			defer cancel()
			k := command{kind: commandRelease, id: g.id, number: g.number, op: operation{c.env.Self, c.session, c.number.Add(1)}}
			if _, err := s.propose(within, encodeCommand(k)); err != nil {
				c.logger.Debug("control: it is tried again", "id", g.id, "error", err)
			}
		})
	}
}

// renew extends registrations, and returns those that are gone. That one is gone is
// only said by a leader that knows itself to be one.
func (s *seat) renew(ctx context.Context, cs []claim) (gone []claim, err error) {
	if !s.leads() {
		return nil, s.notLeader("register", nil)
	}
	missing := func() (gone []claim) {
		held := s.machine.claims()
		for _, c := range cs {
			if held[c.id] != c.number {
				gone = append(gone, c)
			}
		}
		return gone
	}
	if len(missing()) > 0 {
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
		gone = missing()
	}
	s.leases.extend(cs, time.Now().Add(s.control.timing.claim))
	return gone, nil
}
