package singleleader

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// progress is how far a leader's disk has come, and when it last did. It belongs to the
// goroutine that keeps the in-sync set.
type progress struct {
	flushed record.LSN
	when    time.Time
	asked   time.Time // when another node was last asked to lead
}

// hangs asks a member in sync to lead, where this node leads and its disk has made no
// progress for longer than it may: heartbeats do not touch the disk, so that nobody
// else would find out (S11).
func (c *council) hangs(ctx context.Context, p *progress, now time.Time) error {
	e := c.e
	var end, flushed record.LSN
	var leads bool
	e.turn.call(func() { leads, end, flushed = e.core.Role == core.Leader, e.core.End, e.core.Flushed })
	if !leads || flushed >= end || flushed != p.flushed || p.when.IsZero() {
		p.flushed, p.when = flushed, now
		return nil
	}
	if now.Sub(p.when) < e.o.HangAfter || now.Sub(p.asked) < e.o.HangAfter {
		return nil
	}
	p.asked = now
	to, ok := c.healthiest(now)
	if !ok {
		return fmt.Errorf("%w: the disk has made no progress for %v, and nobody in sync could lead instead", topology.ErrUnavailable, now.Sub(p.when).Round(time.Millisecond))
	}
	e.log.Warn("the disk hangs; another node is asked to lead", "since", p.when, "node", to)
	ctx, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
	defer cancel()
	_, err := e.env.Transport.Call(ctx, to, methodStand, nil)
	return err
}

// healthiest returns the member in sync that has most of the log.
func (c *council) healthiest(now time.Time) (topology.NodeID, bool) {
	g, _ := c.known()
	fits, _ := c.fits(now)
	fits = slices.DeleteFunc(fits, func(f core.Fit) bool { return !slices.Contains(g.Agreed.InSync, f.Counted) })
	if len(fits) == 0 {
		return "", false
	}
	has := map[topology.NodeID]record.LSN{}
	for _, s := range *c.e.reign.ships.Load() {
		s.mu.Lock()
		if s.up && now.Sub(s.contact) <= c.e.o.DropAfter {
			has[s.to] = s.ack.Flushed + 1
		}
		s.mu.Unlock()
	}
	best := slices.MaxFunc(fits, func(a, b core.Fit) int { return cmp.Compare(has[a.Node], has[b.Node]) })
	return best.Node, has[best.Node] > 0
}
