package singleleader

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/topology"
)

// Wait implements topology.Waiter: it returns once the store shows what the
// token has seen, or says that it was rewound (C8).
func (rd *reader) Wait(ctx context.Context, t topology.Token) error {
	if t.IsZero() {
		return nil
	}
	if o := rd.e.group.Load().Origin; t.Origin != o {
		return fmt.Errorf("%w: a token of origin %v, this group is %v", topology.ErrMalformed, t.Origin, o)
	}
	for {
		swaps, swapped := rd.e.applier.swap()
		var err error
		switch {
		case swaps%2 == 1:
			err = rd.e.applier.until(ctx, swapped, t)
		case rd.rewoundToken(t):
			return fmt.Errorf("%w: entry %d of term %d", topology.ErrRewound, t.LSN, t.Term)
		case rd.e.applier.applied() < t.LSN:
			err = rd.e.applier.wait(ctx, t.LSN)
		case rd.older(t):
			err = rd.e.applier.until(ctx, swapped, t)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rewoundToken reports whether a newer term than the token's took its place in
// what is applied here.
func (rd *reader) rewoundToken(t topology.Token) bool {
	applied := rd.e.applier.applied()
	for _, s := range rd.e.env.Log.History() {
		if s.Term > t.Term && s.Start <= t.LSN && s.Start <= applied {
			return true
		}
	}
	return false
}

// older reports whether what is applied here in the token's place is of an older
// term: a tail that a forced failover cut and this node holds until it follows again.
func (rd *reader) older(t topology.Token) bool {
	term, known := rd.e.env.Log.History().TermAt(t.LSN)
	return known && term < t.Term
}

// holds reports whether what was read for o is of the store in which o's token, or the
// place that the leader named, was met: none took its place since swaps was counted.
func (rd *reader) holds(o topology.ReadOptions, swaps uint64) bool {
	switch {
	case o.Guarantee == topology.ReadAny || o.Guarantee == topology.ReadBounded:
		return true
	case o.Guarantee == topology.ReadSession && o.After.IsZero():
		return true
	}
	return rd.e.applier.swaps.Load() == swaps
}

// replacing says that a snapshot takes the place of what the store shows, until
// replaced is called.
func (a *applier) replacing() { a.swaps.Add(1) }

// replaced ends what replacing began, whatever became of it.
func (a *applier) replaced() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.swaps.Add(1)
	close(a.swapped)
	a.swapped = make(chan struct{})
}

// swap returns how often a snapshot began and ended to take the place of what the
// store shows, odd while one does, and what is closed when the next has.
func (a *applier) swap() (uint64, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.swaps.Load(), a.swapped
}

// until waits for a snapshot to take the place of what the store shows.
func (a *applier) until(ctx context.Context, swapped <-chan struct{}, t topology.Token) error {
	select {
	case <-swapped:
		return nil
	case <-a.e.failed:
		return a.e.broken()
	case <-a.over:
		if err := a.e.broken(); err != nil {
			return err
		}
		return fmt.Errorf("%w: entry %d of term %d is not shown here", topology.ErrClosed, t.LSN, t.Term)
	case <-ctx.Done():
		return fmt.Errorf("%w: what is shown here in the place of entry %d of term %d is older, and this node has not followed since: %w", topology.ErrTimeout, t.LSN, t.Term, ctx.Err())
	}
}
