package singleleader

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// letInPause is how often a switchover looks whether its successor is in sync by now.
const letInPause = time.Millisecond

// handover is a leader's part in a switchover.
type handover struct{ *council }

// letIn has a voter that keeps up, and that the policy does not ask for, let into the
// in-sync set, as it is to lead next. Whoever can not be let in, is in sync, or was not
// heard of for as long as a leader may be silent, is left to be judged by the document.
func (c handover) letIn(ctx context.Context, to topology.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, c.e.o.CallTimeout)
	defer cancel()
	t := time.NewTicker(letInPause)
	defer t.Stop()
	heard := time.Now()
	for {
		g, _ := c.known()
		p, _, err := g.Rule()
		in := g.Agreed == nil || g.Agreed.LifeOf(to) != 0
		if now := time.Now(); c.keepsUp(to) {
			heard = now
		} else if now.Sub(heard) > c.e.o.FailAfter {
			return nil
		}
		if in || err != nil || p.Kind != quorum.KindFirst || !slices.Contains(g.Voters, to) {
			return nil
		}
		c.expect(to)
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s was not in sync, and did not catch up: %w", topology.ErrTimeout, to, ctx.Err())
		}
	}
}

// expect says who is to be let in, or that nobody is.
func (c handover) expect(heir topology.NodeID) {
	c.mu.Lock()
	c.keeper.Expect(heir)
	c.mu.Unlock()
	nudge(c.counts)
}

// keepsUp reports whether a member answers and follows.
func (c handover) keepsUp(n topology.NodeID) bool {
	fits, _ := c.fits(time.Now())
	for _, f := range fits {
		if f.Node == n {
			return f.Healthy
		}
	}
	return false
}
