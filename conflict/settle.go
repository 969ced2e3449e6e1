package conflict

import (
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Compare is the total order of versions in which the last writer wins: time,
// then origin, then sequence, of the versions themselves (rule C4). It is 0 for
// one and the same write alone.
func Compare(v, w record.Version) int {
	return version.CompareWrites(v.Time, v.Dot, w.Time, w.Dot)
}

// SettleLWW settles what [Merge] kept by letting the last writer win: the
// greatest by [Compare] stays, alone, and the others are lost. A delete wins
// like any other version, and stays as a tombstone.
//
// The losers may be forgotten only because time extends causal order (rule C3):
// whatever covers a version sorts after it, so the winner of a part is never
// needed again once a greater one is there. No other resolver may forget its
// inputs before they are stable (rule X2).
//
// Each lost version is a write that somebody was told had succeeded and that
// nobody overwrote: callers count it and keep it in the side log (rule C10).
func SettleLWW(kept []record.Version) (stays, lost []record.Version) {
	if len(kept) < 2 {
		return kept, nil
	}
	w := 0
	for i := range kept {
		if Compare(kept[i], kept[w]) > 0 {
			w = i
		}
	}
	return kept[w : w+1 : w+1], slices.Concat(kept[:w], kept[w+1:])
}
