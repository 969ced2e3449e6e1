package triad

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/topology"
)

const (
	scrubEveryDefault       = 24 * time.Hour
	scrubBytesPerSecDefault = 8 << 20

	scrubFirst   = 10 * time.Minute // after the start, or ScrubEvery if that is less
	scrubAgain   = time.Minute      // after a pass whose damage could not be repaired yet
	scrubTextMax = 16               // places of damage in a status
)

// disks is what a node knows of its own disks.
type disks struct {
	fault chan error // holds the failure of the store or the home, once there is one

	beside []*wal.Log // logs of others beside the node's own; from opening on the same

	mu    sync.Mutex // a leaf
	scrub topology.Scrub
}

func (d *disks) scrubbed() topology.Scrub {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.scrub
}

// scrub reads log and store again and again, ScrubEvery after the last time, to
// find damage while there is somebody to repair it from (C5). It takes
// ScrubBytesPerSec of the disk.
func (n running) scrub(ctx context.Context) error {
	t := time.NewTimer(min(scrubFirst, n.config.Limits.ScrubEvery))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		s := scrubber{running: n}
		err := s.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, topology.ErrQuarantined), errors.Is(err, topology.ErrFailed), errors.Is(err, topology.ErrStoreFailed):
			return err
		case err != nil:
			n.logger.Warn("a scrub did not come to its end", "err", err)
		}
		next := n.config.Limits.ScrubEvery
		if len(s.found) > 0 {
			next = min(next, scrubAgain)
		}
		t.Reset(next)
	}
}

// scrubber makes one pass.
type scrubber struct {
	running
	bytes uint64
	found []string // damage that is not repaired
}

// pace lets a scrub read n bytes once they are due.
func (s *scrubber) pace(ctx context.Context, n int) error {
	t := time.NewTimer(time.Duration(float64(n) / float64(s.config.Limits.ScrubBytesPerSec) * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pass reads the store and then the log, so that what repairs the log was just
// looked at. It notes what it found, whole or not.
func (s *scrubber) pass(ctx context.Context) error {
	began := time.Now()
	err := s.store(ctx)
	if err == nil {
		err = s.log(ctx)
	}
	d := s.disks
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scrub.Damage = s.found
	if err == nil {
		d.scrub.Passes++
		d.scrub.Ended, d.scrub.Took, d.scrub.Bytes = time.Now(), time.Since(began), s.bytes
	}
	return err
}

// store fails with the store, if that is damaged.
func (s *scrubber) store(ctx context.Context) error {
	p, ok := s.running.store.(*store.Pebble)
	if !ok {
		return nil // it keeps nothing on disk
	}
	r, err := p.Scrub(ctx, s.pace)
	s.bytes += r.Bytes
	if err != nil {
		return fmt.Errorf("scrub of the store: %w", err)
	}
	return nil
}

func (s *scrubber) log(ctx context.Context) error {
	r, err := s.running.log.Scrub(ctx, s.pace)
	s.bytes += r.Bytes
	if err != nil {
		return fmt.Errorf("scrub of the log: %w", err)
	}
	for _, d := range r.Damage {
		left, err := s.repair(ctx, d)
		if left && len(s.found) < scrubTextMax {
			s.found = append(s.found, d.Err.Error())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// repair does without what is damaged, where the store has it whole: the log then
// begins behind that segment, a follower that needs what is before gets a snapshot
// (S12), and the damaged file stays aside. It reports whether the damage is still
// part of the log. Nothing that the store does not have is given up: while it can
// still come to have it, the damage waits; else this node is not to go on.
func (s *scrubber) repair(ctx context.Context, d wal.Damage) (left bool, err error) {
	s.logger.Error("the log is damaged", "first_lsn", d.First, "last_lsn", d.Last, "err", d.Err)
	switch {
	case d.Number == 0:
		s.logger.Warn("the manifest of the log was written anew")
		return false, nil
	case s.config.Memory:
		return true, fmt.Errorf("%w: the store of this node is made from its log at every start", d.Err)
	case !d.Closed:
		return true, nil // until the segment is full
	}
	flushed, err := s.running.store.Flush(ctx)
	if err != nil {
		return true, fmt.Errorf("flush: %w", err)
	}
	if flushed < d.Last {
		return true, nil // until it is applied, which needs what is damaged, or memory still has it
	}
	if err := s.running.log.Truncate(topology.Range{First: d.Last + 1, Last: math.MaxUint64}); err != nil {
		return true, fmt.Errorf("giving up the damaged part of the log: %w", err)
	}
	s.logger.Warn("the log begins behind its damage, which the store has whole; the damaged file was put aside", "first_lsn", d.Last+1)
	return false, nil
}
