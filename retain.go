package triad

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// replayBytesMax is how much of the log may grow until the store is made durable,
// and so what a start after a crash replays: about a second's worth.
const replayBytesMax = 64 << 20

// replayBytes is that, but not more than a segment: a log is trimmed by whole
// ones.
func (l *Limits) replayBytes() uint64 {
	if l.LogSegmentBytes == 0 {
		return replayBytesMax
	}
	return uint64(min(l.LogSegmentBytes, replayBytesMax))
}

// retain trims the log every RetainEvery: what the store has durable and no
// member, watch or slot needs goes.
func (n running) retain(ctx context.Context) error {
	if n.config.Memory { // the store is made from the log at the next start
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(n.config.Limits.RetainEvery)
	defer t.Stop()
	tr := trimmer{running: n}
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if err := tr.trim(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, topology.ErrFailed) || errors.Is(err, topology.ErrStoreFailed) {
				return err
			}
			n.logger.Warn("the log was not trimmed", "err", err)
		}
	}
}

// trimmer keeps a log short.
type trimmer struct {
	running
	flushed record.LSN // what the store is known to have durable
}

// trim drops what the log need not keep. It makes the store durable first if the
// log has grown enough since for that to be worth its while.
func (t *trimmer) trim(ctx context.Context) error {
	b := t.log.Bounds()
	if t.log.Offset(b.End)-t.log.Offset(t.flushed) >= t.config.Limits.replayBytes() {
		flushed, err := t.store.Flush(ctx)
		if err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		t.flushed = flushed
	}
	keep := t.flushed + 1
	if r, ok := t.engine.(Retainer); ok {
		keep = min(keep, r.Retain(t.flushed))
	} else {
		keep = min(keep, t.withinBudget())
	}
	need, err := t.catalogue.slots.need(ctx)
	if err != nil {
		return err
	}
	keep = min(keep, need)
	// Beyond its end a log would begin anew.
	b = t.log.Bounds()
	if keep = min(keep, b.End+1); keep <= b.First {
		return nil
	}
	return t.log.Truncate(topology.Range{First: keep, Last: math.MaxUint64})
}

// withinBudget returns the first LSN from which on the log has at most
// LogRetainBytes.
func (n running) withinBudget() record.LSN {
	b := n.log.Bounds()
	end := n.log.Offset(b.End)
	lo, hi := b.First, b.End+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		if end-n.log.Offset(mid-1) > n.config.Limits.LogRetainBytes {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
