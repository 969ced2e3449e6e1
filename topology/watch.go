package topology

import (
	"context"
	"fmt"
	"iter"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Watcher is the optional ability to follow what is committed (promise PS10).
type Watcher interface {
	// Watch yields what is committed and applied at this node, in the order of
	// its log, from the position that o names: every record that changes a key in
	// o's ranges, once each, none left out. It waits for more until ctx ends,
	// which is the error it ends with (ErrTimeout), as every watch ends with one
	// unless its caller has had enough:
	//
	//	ErrCompacted  what comes next is not in the log any more
	//	ErrRewound    what the position stands on, or what was yielded, was rewound
	//	ErrMalformed  the position is of another log, or o means nothing
	//	ErrTooLarge   more ranges than WatchRangesMax
	//	ErrClosed     the engine has ended
	//
	// A caller that is slow is waited for: a watch holds one bounded batch of the
	// log and nothing more. What it yields is the caller's.
	Watch(ctx context.Context, o WatchOptions) iter.Seq2[Change, error]
}

// WatchRangesMax is how many ranges one watch may have.
const WatchRangesMax = 64

// WatchOptions say what to follow, and from where.
type WatchOptions struct {
	// Ranges are what to follow; a key in any of them is.
	Ranges []PrefixRange
	// From is the position to go on after: the Token of a change that was yielded,
	// of a receipt, or of a reading. The zero token is what this node shows now.
	From Token
	// State asks for all that the ranges hold first, from one consistent view, and
	// then for what comes after that view. From is then zero.
	State bool
	// Progress asks for a ChangePosition also where a watch has passed entries of
	// which none was in its ranges, so that its caller can resume behind them.
	Progress bool
}

// PrefixRange is the keys of one table that begin with Prefix.
type PrefixRange struct {
	Table  record.TableID
	Prefix []byte
}

// Check says what is wrong with o.
func (o *WatchOptions) Check() error {
	switch {
	case len(o.Ranges) == 0:
		return fmt.Errorf("a watch of nothing: %w", ErrMalformed)
	case len(o.Ranges) > WatchRangesMax:
		return fmt.Errorf("a watch of %d ranges, at most %d: %w", len(o.Ranges), WatchRangesMax, ErrTooLarge)
	case o.State && !o.From.IsZero():
		return fmt.Errorf("a watch from a token and from the state: %w", ErrMalformed)
	}
	for _, r := range o.Ranges {
		if len(r.Prefix) > record.KeyBytesMax {
			return fmt.Errorf("a prefix of %d bytes, at most %d: %w", len(r.Prefix), record.KeyBytesMax, ErrTooLarge)
		}
	}
	return nil
}

// ChangeKind says what a change is.
type ChangeKind uint8

const (
	ChangeWrite    ChangeKind = iota // a record, or what of it is in the ranges
	ChangeState                      // a cell that was there before the watch began
	ChangePosition                   // nothing: all up to Token was yielded, the state included
)

func (k ChangeKind) String() string {
	return [...]string{"write", "state", "position", "unknown"}[min(k, ChangePosition+1)]
}

// Change is one step of a watch. A watch that does not go on from a token yields a
// ChangePosition before its first write.
type Change struct {
	Kind ChangeKind
	// Token is where to resume: a watch from it yields what comes after this
	// change. It is zero in a ChangeState: who stops there begins anew.
	Token Token
	// Dot and Time are of the record, or of the write that the cell is from.
	Dot  version.Dot
	Time version.Timestamp
	// Mutations are those of the record in the ranges, in its order: puts and
	// deletes. Of a ChangeState it is one put.
	Mutations []record.Mutation
}
