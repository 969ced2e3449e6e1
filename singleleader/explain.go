package singleleader

import (
	"context"
	"fmt"
	"time"

	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

var _ topology.Explainer = (*engine)(nil)

// explainWait is how long a member may take to say where it stands.
const explainWait = time.Second

// Explain implements topology.Explainer.
func (d *desk) Explain(ctx context.Context) (topology.Explanation, error) {
	e := d.e
	q := core.Inquiry{Voting: e.ballot.voting(), Group: *e.group.Load()}
	if c := e.council; c != nil {
		var version uint64
		if q.Group, version = c.known(); version == 0 {
			return topology.Explanation{}, d.order("explain", fmt.Errorf("%w: the control has shown no group yet", topology.ErrUnavailable))
		}
		c.mu.Lock()
		q.BackOff = c.changes.BackOff(time.Since(c.began), e.o.FailAfter)
		if !c.learned.IsZero() {
			q.Reign = max(0, e.o.MinReign-time.Since(c.learned))
		}
		c.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, min(explainWait, e.o.CallTimeout))
	defer cancel()
	q.Reports = e.ballot.askAll(ctx, methodPoll, nil)
	return q.Explain(), nil
}
