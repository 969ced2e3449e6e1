package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Restored is the answer to a restore, and to the question what one would come to.
type Restored struct {
	Done    bool            `json:"done"` // else it says what would be given up
	Leader  topology.NodeID `json:"leader"`
	Term    uint64          `json:"term,omitempty"`
	KeepLSN uint64          `json:"keep_lsn"` // the last entry that is kept
	Kept    time.Time       `json:"kept,omitzero"`
	LastLSN uint64          `json:"last_lsn"` // the last that is given up
	From    time.Time       `json:"given_up_from,omitzero"`
	To      time.Time       `json:"given_up_to,omitzero"`
	Records uint64          `json:"given_up_records"`
}

// RestoredOf is what a restore at node id came to, or would, with names for JSON.
func RestoredOf(id topology.NodeID, p topology.Restoration) Restored {
	return Restored{
		Done: p.Term > 0, Leader: id, Term: p.Term, KeepLSN: uint64(p.At), Kept: p.Time,
		LastLSN: uint64(p.Last), From: p.First, To: p.Newest, Records: p.Records,
	}
}

// restore has the node that is asked lead from a point of the past. It must be named: an
// order that gives up what was acknowledged is not to reach another by mistake.
func restore(ctx context.Context, a *Admin, o order) (any, error) {
	self := a.o.Status().Node
	switch {
	case !o.To.Valid():
		return nil, fmt.Errorf("%w: to: %q is not a node's name", topology.ErrMalformed, o.To)
	case o.To != self:
		return nil, fmt.Errorf("%w: this is the port of %s: ask that of %s, which is to lead", errElsewhere, self, o.To)
	case (o.At == 0) == o.Time.IsZero():
		return nil, fmt.Errorf("%w: at or time: one of them says where to go on from", topology.ErrMalformed)
	}
	r, ok := a.o.Orders.(topology.Restorer)
	if !ok {
		return nil, &topology.Error{Op: "restore", Node: self, Outcome: topology.NotApplied, Err: fmt.Errorf("this port restores nothing: %w", topology.ErrUnsupported)}
	}
	p, err := r.Restore(ctx, topology.Point{LSN: record.LSN(o.At), Time: o.Time}, o.GiveUp)
	return RestoredOf(self, p), err
}
