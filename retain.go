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

// retain trims the log every RetainEvery: what the store has durable and no
// member needs goes.
func (n running) retain(ctx context.Context) error {
	if n.config.Memory { // the store is made from the log at the next start
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(n.config.Limits.RetainEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if err := n.trim(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, topology.ErrFailed) || errors.Is(err, topology.ErrStoreFailed) {
				return err
			}
			n.logger.Warn("the log was not trimmed", "err", err)
		}
	}
}

// trim makes the store durable and drops what the log need not keep.
func (n running) trim(ctx context.Context) error {
	flushed, err := n.store.Flush(ctx)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	keep := flushed + 1
	if r, ok := n.engine.(Retainer); ok {
		keep = min(keep, r.Retain(flushed))
	} else {
		keep = min(keep, n.withinBudget())
	}
	// Beyond its end a log would begin anew.
	b := n.log.Bounds()
	if keep = min(keep, b.End+1); keep <= b.First {
		return nil
	}
	return n.log.Truncate(topology.Range{First: keep, Last: math.MaxUint64})
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
