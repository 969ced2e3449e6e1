package singleleader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

var _ topology.Resigner = (*engine)(nil)

// Resign implements topology.Resigner. With control static nobody is elected, and
// nothing is done.
func (d *desk) Resign(ctx context.Context) (topology.Promotion, error) {
	c := d.e.council
	if c == nil {
		return topology.Promotion{}, nil
	}
	c.resigned.Store(true)
	var tried []error
	for d.e.leads.Load() {
		to, err := resignation{c}.successor(time.Now())
		if err == nil {
			err = resignation{c}.yield(ctx, to)
		}
		if err == nil {
			g, _ := c.known()
			p := topology.Promotion{Term: g.Term, Leader: g.Leader}
			p.Start, err = d.begun(ctx, g.Term)
			return p, d.order("resign", err)
		}
		tried = append(tried[max(0, len(tried)-1):], err) // the last two: what it was, and that time ran out
		if to == "" || ctx.Err() != nil {
			return topology.Promotion{}, d.order("resign", errors.Join(tried...))
		}
		pause := time.NewTimer(resignPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
	return topology.Promotion{}, nil
}

// resignPause is between two attempts to hand over, of which the first may fail as
// the in-sync set was just changed.
const resignPause = 10 * time.Millisecond

// resignation is a leader's way out.
type resignation struct{ *council }

// yield is a switchover that takes no more than half of what is left of ctx, so that
// another successor may be tried.
func (c resignation) yield(ctx context.Context, to topology.NodeID) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	return c.switchover(ctx, to)
}

// successor returns the member in sync that has most of the log and was heard of
// lately; of several the first in the order of voters. Empty where there is none.
func (c resignation) successor(now time.Time) (topology.NodeID, error) {
	g, _ := c.known()
	type heir struct {
		id  topology.NodeID
		has record.LSN
	}
	var heirs []heir
	for _, s := range *c.e.reign.ships.Load() {
		s.mu.Lock()
		if s.up && g.Agreed != nil && s.to != core.Leaving(&g) && now.Sub(s.contact) <= c.e.o.DropAfter && slices.Contains(g.Agreed.InSync, core.Counted{Node: s.to, Life: s.life}) {
			heirs = append(heirs, heir{s.to, s.ack.Flushed})
		}
		s.mu.Unlock()
	}
	if len(heirs) == 0 {
		return "", fmt.Errorf("%w: no other node is in sync and answers", topology.ErrUnavailable)
	}
	best := slices.MinFunc(heirs, func(a, b heir) int {
		return cmp.Or(cmp.Compare(b.has, a.has), cmp.Compare(slices.Index(g.Voters, a.id), slices.Index(g.Voters, b.id)))
	})
	return best.id, nil
}
