package wal

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// flights are those who wait for their record to be durable. They are woken by
// group, by closing one channel: a group of 64 costs the writer one step, and
// nobody the mutex.
type flights struct {
	gathering chan struct{} // whose record no group has taken yet
	aloft     chan struct{} // whose record is in the present group
	through   record.LSN    // the last of that
}

// of returns the channel that is closed when lsn has landed; or before, so who
// waits looks again.
func (f *flights) of(lsn record.LSN) <-chan struct{} {
	c := &f.gathering
	if lsn <= f.through {
		c = &f.aloft
	}
	if *c == nil {
		*c = make(chan struct{})
	}
	return *c
}

// board says that the writer has taken a group that ends at through.
func (f *flights) board(through record.LSN) {
	wake(f.land()) // taken, and not written: the group is another now
	f.aloft, f.gathering, f.through = f.gathering, nil, through
}

// land returns the channel to wake those whose records were in the group.
func (f *flights) land() (landed chan struct{}) {
	landed, f.aloft, f.through = f.aloft, nil, 0
	return landed
}

// all wakes everybody.
func (f *flights) all() {
	f.board(0)
	wake(f.land())
}

func wake(landed chan struct{}) {
	if landed != nil {
		close(landed)
	}
}

// Flushed returns once everything up to lsn is durable. It returns the failure
// of the log, ErrClosed once Run has returned, or ErrRewound if the entry was
// cut off while it waited: what gets its LSN later is another.
func (l *Log) Flushed(ctx context.Context, lsn record.LSN) error {
	l.mu.Lock()
	cuts, epoch := l.st.cuts.count, l.epoch.Load()
	for {
		landed, err := l.st.landing(lsn, cuts)
		l.mu.Unlock()
		if landed == nil || err != nil {
			return err
		}
		select {
		case <-landed:
		case <-ctx.Done():
			return ctx.Err()
		}
		// The order counts: what is durable after a cut may be another record.
		if l.durable.Load() >= uint64(lsn) && l.epoch.Load() == epoch {
			return nil
		}
		l.mu.Lock()
	}
}

// landing returns the channel that lsn is to be waited for with, nil if it is
// durable; or why it never will be, for who has waited since that many cuts.
func (s *state) landing(lsn record.LSN, since uint64) (<-chan struct{}, error) {
	switch {
	case s.cuts.since(since) < lsn:
		return nil, fmt.Errorf("log: LSN %d was cut off: %w", lsn, topology.ErrRewound)
	case s.Flushed >= lsn:
		return nil, nil
	case s.err != nil || s.phase >= stopped:
		return nil, s.ended()
	}
	return s.flights.of(lsn), nil
}
