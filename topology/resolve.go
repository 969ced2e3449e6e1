package topology

import (
	"context"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Resolver is the optional ability to find out what became of a write whose
// outcome was Unknown (rule C9).
type Resolver interface {
	// Resolve asks after the write that got dot in term, as its error or its
	// receipt says. It answers Applied or NotApplied, which then stays so, and
	// waits within ctx until it can; once ctx ends it fails with [ErrTimeout],
	// and nothing is known that was not. It changes nothing itself.
	//
	// Where a dot may be given out again (one leader: the write was cut from a
	// log before it was committed) only dot and term together name a write. With
	// a term of 0 it is answered what stands there, if that is settled: a
	// resolution of Unknown with the Term that has it.
	Resolve(ctx context.Context, dot version.Dot, term uint64) (Resolution, error)
}

// Fate is what became of a write.
type Fate uint8

const (
	FateUnknown Fate = iota
	FateApplied
	FateNotApplied // and it never will be
)

func (f Fate) String() string {
	switch f {
	case FateApplied:
		return "applied"
	case FateNotApplied:
		return "not applied"
	}
	return "unknown"
}

// Resolution is what became of a write. LSN and Term are where it stands if it
// was applied, and else whose write stands in its place, if one does.
type Resolution struct {
	Fate Fate
	LSN  record.LSN
	Term uint64
}
