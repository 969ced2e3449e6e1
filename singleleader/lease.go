package singleleader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// tenure keeps the lease of this node while it leads: it asks the rounds that renew it
// and, at the beginning, waits until the lease of the leader before is over. Its times
// are of Go's monotonic clock alone; that of a machine that sleeps may stand still.
type tenure struct {
	e    *engine
	base time.Time // from which they are counted
	news chan struct{}
}

// renewals is how often a leader asks within its lease.
const renewals = 5

// renewalMin is the shortest pause between two of them.
const renewalMin = time.Millisecond

func newTenure(e *engine) *tenure {
	return &tenure{e: e, base: time.Now(), news: make(chan struct{}, 1)}
}

// clock is what leases of e are counted by, 0 where there are none.
func clock(e *engine) time.Duration {
	if e.council == nil {
		return 0
	}
	return time.Since(e.council.tenure.base)
}

// step lets the core of e judge an event that no message caused. It is called within a
// turn.
func step(e *engine, ev core.Event) []core.Effect {
	ev.At = clock(e)
	return e.core.Step(ev)
}

// run keeps the lease until ctx ends.
func (t *tenure) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if wait := t.turn(); wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-timer.C:
		case <-t.news:
		case <-ctx.Done():
			return nil
		}
	}
}

// turn does what is due, and returns how long nothing will be, 0 for ever.
func (t *tenure) turn() (wait time.Duration) {
	e := t.e
	e.turn.call(func() {
		l := &e.core.Lead
		if e.core.Role != core.Leader || l.Lease.For == 0 && !l.Held {
			return
		}
		e.perform(&ask{}, step(e, core.Event{Kind: core.EvTick}))
		if l.Lease.For > 0 {
			wait = max(l.Lease.For/renewals, renewalMin)
		}
		if left := l.Free - clock(e); l.Held && (wait == 0 || left < wait) {
			wait = max(left, renewalMin)
		}
	})
	return wait
}

// yield gives the lease of a term up, or takes it again.
func (t *tenure) yield(term uint64, up bool) {
	ev := core.Event{Kind: core.EvYield, Term: term}
	if up {
		ev.N = 1
	}
	t.e.turn.post(ev)
}

// settled reports whether the start of a term is known to be committed here.
func (t *tenure) settled(term uint64) bool {
	var commit record.LSN
	t.e.turn.call(func() { commit = t.e.core.Commit })
	at, ok := t.e.env.Log.History().TermAt(commit)
	return ok && at == term
}

// lessee reads by the leader's lease.
type lessee struct{ *reader }

// show returns once the store shows everything that was acknowledged before the
// call, by the leader's lease or, where there is none, by a round; by says which.
func (rd lessee) show(ctx context.Context) (by topology.Guarantee, err error) {
	if err := rd.e.starting(ctx); err != nil {
		return topology.ReadLeased, err
	}
	lsn, by, err := rd.index(ctx)
	if errors.Is(err, topology.ErrNotLeader) {
		return topology.ReadLeased, forwarded(rd).follow(ctx, topology.ReadLeased)
	}
	if err != nil {
		return by, err
	}
	return by, rd.e.applier.wait(ctx, lsn)
}

// index is what a read at the leader must see that is content with a lease.
// Nothing is acknowledged elsewhere before the clock was read, which is after the read
// came: what becomes of the lease while it is served does not matter.
func (rd lessee) index(ctx context.Context) (lsn record.LSN, by topology.Guarantee, err error) {
	holds := false
	rd.e.turn.call(func() {
		if holds = core.Leased(&rd.e.core, clock(rd.e)); holds {
			lsn = rd.e.core.Commit
		}
	})
	if holds {
		rd.byLease.Add(1)
		return lsn, topology.ReadLeased, nil
	}
	lsn, err = rd.reader.index(ctx)
	return lsn, topology.ReadLinearizable, err
}

// unleased is why a leader of an asynchronous group acknowledges nothing.
const unleased = "who may be elected in its place has not confirmed lately that this node leads, and may lead already"

// leaseOf says in s what lease this leader has, and whose it waits for before it
// acknowledges anything. It is called within a turn.
func leaseOf(e *engine, s *topology.Status) {
	l, now := &e.core.Lead, clock(e)
	switch {
	case e.core.Role != core.Leader:
	case l.Held:
		s.Warnings = append(s.Warnings, fmt.Sprintf("the leader before term %d may still answer by its lease: nothing is acknowledged for %v", e.core.Term, max(l.Free-now, 0).Round(time.Millisecond)))
	case core.Barred(&e.core, now):
		s.Warnings = append(s.Warnings, "writes wait: "+unleased)
	case core.Leased(&e.core, now):
		s.Lease = l.Lease.Until - now
	}
}

// fresh reports whether who asked for g is shown nothing that is due.
func fresh(g topology.Guarantee) bool {
	return g == topology.ReadLinearizable || g == topology.ReadLeased
}
