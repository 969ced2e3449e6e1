package client

import (
	"context"
	"iter"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/version"
)

// Replayed is what was written again of a conflict, or would be.
type Replayed = call.Replayed

// ReplayConflict asks the node at addr, which must lead its site to write, what the
// present resolver of a conflict's table makes of all that met; with write that is
// written as a new write. It is refused with topology.ErrConditionFailed where the key
// holds by then what the conflict has not seen. Places are those of that site's list.
func (o Operator) ReplayConflict(ctx context.Context, addr string, at ConflictPlace, write bool) (Replayed, error) {
	return o.conflictOrder(ctx, addr, call.MethodReplay, "replay", call.ConflictOrder{At: at, Write: write})
}

// RevertConflict has the node at addr, which must lead its site, write again what lost in
// a conflict, under the same condition. A zero loser is the only one there was.
func (o Operator) RevertConflict(ctx context.Context, addr string, at ConflictPlace, loser version.Dot) (Replayed, error) {
	return o.conflictOrder(ctx, addr, call.MethodRevert, "revert", call.ConflictOrder{At: at, Write: true, Loser: loser})
}

func (o Operator) conflictOrder(ctx context.Context, addr, method, op string, m call.ConflictOrder) (Replayed, error) {
	answer, err := o.c.askAt(ctx, addr, method, m.Encode())
	var r Replayed
	if err == nil {
		r, err = call.DecodeReplayed(answer)
	}
	if err != nil {
		return Replayed{}, errorOf(op, "", nil, err)
	}
	return r, nil
}

// ReleaseTable has the node at addr, which must lead its site, take back the quarantine of
// a table's resolver, in all sites.
func (o Operator) ReleaseTable(ctx context.Context, addr, table string) (Receipt, error) {
	answer, err := o.c.askAt(ctx, addr, call.MethodRelease, call.EncodeName(table))
	var r Receipt
	if err == nil {
		r, err = call.DecodeReceipt(answer)
	}
	if err != nil {
		return Receipt{}, errorOf("release", table, nil, err)
	}
	return r, nil
}

// WatchConflicts is [Operator.Conflicts] that does not end: it looks for more every so
// often. It ends with ctx, whose error is the last thing it yields, or with another.
func (o Operator) WatchConflicts(ctx context.Context, addr string, after ConflictPlace, valueBytesMax int, every time.Duration) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		t := time.NewTicker(max(every, time.Millisecond))
		defer t.Stop()
		for {
			for c, err := range o.Conflicts(ctx, addr, after, valueBytesMax) {
				if !yield(c, err) || err != nil {
					return
				}
				after = c.ConflictPlace
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				yield(Conflict{}, errorOf("conflicts", "", nil, call.NotApplied(context.Cause(ctx))))
				return
			}
		}
	}
}
