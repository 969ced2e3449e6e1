package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Hedge says when a read that one node has not answered yet is sent to another too.
// The first good answer is the read's, and the other call is cancelled.
type Hedge struct {
	// Percent is how many reads in a hundred may be sent twice, 1 to 100; 0 is none.
	Percent int
	// After is how long the first node is waited for; default the time within which
	// 95 in a hundred of the recent reads of this routing were answered, and not
	// before 16 of them are known.
	After time.Duration
}

const (
	latenciesMax = 128 // recent reads that are remembered
	latenciesMin = 16  // before they say anything
	burstMax     = 10  // hedges that may be saved up
)

func (h Hedge) withDefaults() (Hedge, error) {
	if h.Percent < 0 || h.Percent > 100 {
		return h, fmt.Errorf("routing.hedge.percent: %d is none of 0 to 100", h.Percent)
	}
	if h.After < 0 {
		return h, fmt.Errorf("routing.hedge.after: %v is no time to wait", h.After)
	}
	return h, nil
}

// hedging is what a routing may spend on second calls, and when it does.
type hedging struct {
	Hedge

	mu     sync.Mutex // guards what follows; a leaf
	credit int        // hundredths of a hedge
	recent [latenciesMax]time.Duration
	count  int
}

// newHedging returns nil for none.
func newHedging(h Hedge) *hedging {
	if h.Percent == 0 {
		return nil
	}
	return &hedging{Hedge: h}
}

// earn adds one read's share to what may be spent.
func (h *hedging) earn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.credit = min(h.credit+h.Percent, burstMax*100)
}

// spend takes one hedge from what may be spent, if there is one.
func (h *hedging) spend() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.credit < 100 {
		return false
	}
	h.credit -= 100
	return true
}

// measure notes how long a node took to answer.
func (h *hedging) measure(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent[h.count%latenciesMax] = d
	h.count++
}

// wait returns how long a first node is waited for, false if that is not known yet.
func (h *hedging) wait() (time.Duration, bool) {
	if h.After > 0 {
		return h.After, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count < latenciesMin {
		return 0, false
	}
	known := slices.Clone(h.recent[:min(h.count, latenciesMax)])
	slices.Sort(known)
	return known[len(known)*95/100], true
}

// try sends a read to the first of rest and, where that is slow and the budget
// lasts, to the second. It returns the first answer that no other node would better,
// or else the first node's failure; both calls have ended by then.
func (r *router) try(ctx context.Context, q query, rest []stop) attempt {
	next := len(rest) > 1
	h := r.hedging
	if h == nil {
		return r.one(ctx, q, rest[0], next)
	}
	began := time.Now()
	a := r.hedged(ctx, q, rest)
	if good(a.err) {
		h.measure(time.Since(began))
	}
	return a
}

// hedged is try where there is a budget for second calls.
func (r *router) hedged(ctx context.Context, q query, rest []stop) attempt {
	wait, known := r.hedging.wait()
	if len(rest) < 2 || !known {
		return r.one(ctx, q, rest[0], len(rest) > 1)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, second := make(chan attempt, 1), make(chan attempt, 1)
	go func() { first <- r.one(ctx, q, rest[0], true) }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-first:
		return a
	case <-timer.C:
	}
	if !r.hedging.spend() {
		return <-first
	}
	go func() { second <- r.one(ctx, q, rest[1], len(rest) > 2) }()
	a := race(first, second, cancel)
	a.sent = 2
	return a
}

// race waits for an answer of either that is final, cancels the other and waits for
// that too. Without one it returns the first node's failure.
func race(first, second <-chan attempt, cancel func()) attempt {
	var a, b attempt
	select {
	case a = <-first:
		if final(a.err) {
			cancel()
			<-second
			return a
		}
		b = <-second
	case b = <-second:
		if final(b.err) {
			cancel()
			<-first
			return b
		}
		a = <-first
	}
	if final(b.err) && !final(a.err) {
		return b
	}
	return a
}

// final reports whether no other node would answer a read otherwise: it has what its
// caller asked for, or a reason that holds everywhere.
func final(err error) bool { return good(err) || !elsewhere(err) }

// good reports whether a call has ended with what its caller asked for: a value, or
// that there is none.
func good(err error) bool { return err == nil || errors.Is(err, topology.ErrNotFound) }
