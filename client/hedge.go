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
// lasts, to the second. It returns the first good answer, or else the first
// node's failure; both calls have ended by then.
func (r *router) try(ctx context.Context, n need, rest []stop, method string, req []byte) attempt {
	more := len(rest) > 1
	h := r.hedging
	var wait time.Duration
	hedged := false
	if h != nil && more {
		wait, hedged = h.wait()
	}
	began := time.Now()
	if !hedged {
		a := r.one(ctx, n, rest[0], more, method, req)
		if h != nil && good(a.err) {
			h.measure(time.Since(began))
		}
		return a
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, second := make(chan attempt, 1), make(chan attempt, 1)
	go func() { first <- r.one(ctx, n, rest[0], true, method, req) }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-first:
		if good(a.err) {
			h.measure(time.Since(began))
		}
		return a
	case <-timer.C:
	}
	if !h.spend() {
		return <-first
	}
	go func() { second <- r.one(ctx, n, rest[1], len(rest) > 2, method, req) }()
	a, b := r.race(first, second, cancel)
	h.measure(time.Since(began))
	a.sent = 2
	if good(b.err) && !good(a.err) {
		b.sent = 2
		return b
	}
	return a
}

// race waits for a good answer of either, cancels the other and waits for that too.
// Only one of them comes back as good, where the other came later.
func (r *router) race(first, second <-chan attempt, cancel func()) (a, b attempt) {
	select {
	case a = <-first:
		if good(a.err) {
			cancel()
		}
		b = <-second
	case b = <-second:
		if good(b.err) {
			cancel()
		}
		if a = <-first; good(a.err) && good(b.err) {
			a.err = errLate
		}
	}
	return a, b
}

var errLate = fmt.Errorf("another node was first: %w", topology.ErrUnavailable)

// good reports whether a call has ended with what its caller asked for: a value, or
// that there is none.
func good(err error) bool { return err == nil || errors.Is(err, topology.ErrNotFound) }
