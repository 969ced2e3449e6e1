package core

import (
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Fate is what becomes of a cell that was noted because it says absent.
type Fate uint8

// The fates.
const (
	Stays   Fate = iota // it may be needed yet
	Goes                // everybody has it, and all it could be needed against
	Settled             // it says something else by now: there is nothing to be done
)

// FateOf says what becomes of a cell, where stable is what all replicas of its partition
// are known to have ([Stable], rule L9). A cell that covers writes which some replica may
// lack stays, as they would come back.
func FateOf(s *record.State, stable version.Vector) Fate {
	if len(s.Siblings) == 0 {
		return Settled
	}
	for _, v := range s.Siblings {
		if !v.Absent || !stable.Has(v.Dot) {
			return Settled // written to since; a later delete is noted itself
		}
	}
	if !covered(s.Context, stable) {
		return Stays
	}
	return Goes
}

// covered reports whether all replicas are known to have all that a context knows.
func covered(context *version.Set, stable version.Vector) bool {
	if context == nil {
		return true
	}
	lacks := func(d version.Dot) bool { return !stable.Has(d) }
	return stable.Descends(context.Prefix) && !slices.ContainsFunc(context.Dots, lacks)
}

// FateUnder says what becomes of a cell of a key whose delete goes: one that the delete
// hides has to go before it, or it would show again; if it may not yet, the delete stays.
func FateUnder(s, head *record.State, stable version.Vector) Fate {
	fate := Settled
	for _, v := range s.Siblings {
		switch {
		case v.Absent || Visible(v, head):
		case !stable.Has(v.Dot) || !covered(s.Context, stable):
			return Stays
		default:
			fate = Goes
		}
	}
	return fate
}

// Overtaken reports whether what a replica holds of a cell is overtaken by what another
// one knows, that has applied all writes of a set and holds nothing of the cell: it had
// the same once, and has seen it deleted, if it has collected deletes as late as that.
// Else it may have lost it.
func Overtaken(s *record.State, applied *version.Set, collected version.Timestamp) bool {
	for _, v := range s.Siblings {
		if v.Absent || !applied.Has(v.Dot) || v.Time > collected {
			return false
		}
	}
	return len(s.Siblings) > 0
}
