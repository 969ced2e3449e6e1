package triad

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Replayed is what was written again of a conflict, or would be.
type Replayed = call.Replayed

// ReplayConflict asks the present resolver of a conflict's table about all that met, and
// returns what it makes of that. With write that is written, as a new write of this
// node's site, unless the key shows it already, or holds by then a write that the
// conflict has not seen: topology.ErrConditionFailed. Only the leader of a site writes.
func (o Operator) ReplayConflict(ctx context.Context, at ConflictPlace, write bool) (Replayed, error) {
	return o.conflictOrder(ctx, "replay", func(e topology.ConflictOrders) (topology.Replayed, error) {
		return e.Replay(ctx, at.LSN, at.Change, write)
	})
}

// RevertConflict writes what lost in a conflict again, as a new write of this node's
// site, unless the key holds by then a write that the conflict has not seen:
// topology.ErrConditionFailed. loser names it where several lost; of a table whose
// resolver lets nobody lose it names any that met.
func (o Operator) RevertConflict(ctx context.Context, at ConflictPlace, loser version.Dot) (Replayed, error) {
	return o.conflictOrder(ctx, "revert", func(e topology.ConflictOrders) (topology.Replayed, error) {
		return e.Revert(ctx, at.LSN, at.Change, loser)
	})
}

func (o Operator) conflictOrder(ctx context.Context, op string, f func(topology.ConflictOrders) (topology.Replayed, error)) (out Replayed, err error) {
	err = o.with(ctx, op, func() error {
		l, err := o.lister(ctx)
		if err != nil {
			return err
		}
		e, ok := o.n.engine.(topology.ConflictOrders)
		if !ok {
			return notApplied(fmt.Errorf("this topology has no conflicts to decide again: %w", topology.ErrUnsupported))
		}
		r, err := f(e)
		out = Replayed{Values: l.rivals(r.Shown), Same: r.Same, Written: r.Written, Receipt: r.Receipt}
		return err
	})
	return out, err
}

// ReleaseTable takes back the quarantine of a table's resolver, in all sites: it is asked
// again, and shows what it makes of all that was written meanwhile. A table that is not
// quarantined is topology.ErrNotFound.
func (o Operator) ReleaseTable(ctx context.Context, table string) (r Receipt, err error) {
	err = o.with(ctx, "release", func() error {
		e, ok := o.n.engine.(topology.ConflictOrders)
		if !ok {
			return notApplied(fmt.Errorf("one leader orders all writes of this topology, so nothing is quarantined: %w", topology.ErrUnsupported))
		}
		d, err := o.n.catalogue.lookup(ctx, table, false)
		if err != nil {
			return notApplied(err)
		}
		r, err = e.Release(ctx, d.id)
		return err
	})
	return r, err
}

// conflictOrdersOf are the calls of remote operators.
func conflictOrdersOf(n remote) map[string]func(context.Context, []byte) ([]byte, error) {
	order := func(op string, f func(context.Context, call.ConflictOrder) (Replayed, error)) func(context.Context, []byte) ([]byte, error) {
		return func(ctx context.Context, req []byte) ([]byte, error) {
			o, err := call.DecodeConflictOrder(req)
			if err != nil {
				return nil, n.malformed(op, err)
			}
			r, err := f(ctx, o)
			if err != nil {
				return nil, err
			}
			cut(r.Values, call.ConflictValueBytesMax)
			return r.Encode(), nil
		}
	}
	return map[string]func(context.Context, []byte) ([]byte, error){
		call.MethodReplay: order("replay", func(ctx context.Context, o call.ConflictOrder) (Replayed, error) {
			return n.Operator().ReplayConflict(ctx, o.At, o.Write)
		}),
		call.MethodRevert: order("revert", func(ctx context.Context, o call.ConflictOrder) (Replayed, error) {
			return n.Operator().RevertConflict(ctx, o.At, o.Loser)
		}),
		call.MethodRelease: func(ctx context.Context, req []byte) ([]byte, error) {
			name, err := call.DecodeName(req)
			if err != nil {
				return nil, n.malformed("release", err)
			}
			r, err := n.Operator().ReleaseTable(ctx, name)
			if err != nil {
				return nil, err
			}
			return call.EncodeReceipt(r), nil
		},
	}
}

// WatchConflicts is [Operator.Conflicts] that does not end: it looks for more every so
// often. It ends with ctx, whose error is the last thing it yields, or with another.
func (o Operator) WatchConflicts(ctx context.Context, after ConflictPlace, every time.Duration) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		t := time.NewTicker(max(every, time.Millisecond))
		defer t.Stop()
		for {
			for c, err := range o.Conflicts(ctx, after) {
				if !yield(c, err) || err != nil {
					return
				}
				after = c.ConflictPlace
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				yield(Conflict{}, o.n.errorOf("conflicts", "", nil, notApplied(context.Cause(ctx))))
				return
			}
		}
	}
}
