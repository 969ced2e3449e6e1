package conflict

import (
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Prune returns what a cell must go on holding once all of stable is known to be known
// everywhere and to be covered by all that may still come (rules M6, L9): what is
// shown, what is not stable, and what a value is still folded from. Deletes go, and
// versions that lost; what a reader is shown does not change, now or by anything that
// may come.
//
// Live siblings never go: a write that nobody has replaced is somebody's. Nor does
// anything of a custom resolver, whose value is made of all that is held; nor a put or
// delete of a counter while a run is held of which it had seen a part.
func Prune(r Resolver, cell record.Cell, held []record.Version, stable version.Seen) []record.Version {
	if len(held) == 0 {
		return nil
	}
	if !Built(r) {
		return held
	}
	s := r.Settle(cell, held)
	if s.Fault != nil {
		return held
	}
	_, joins := r.(join)
	nothing := !slices.ContainsFunc(held, present)
	return slices.DeleteFunc(slices.Clone(held), func(v record.Version) bool {
		lost := slices.ContainsFunc(s.Lost, func(l record.Version) bool { return l.Dot == v.Dot })
		return has(stable, v.Dot) && (lost || v.Absent && (nothing || joins)) && !counterNeeds(held, v)
	})
}

// counterNeeds reports whether a put or a delete of a counter had seen part of a run
// that is held.
func counterNeeds(held []record.Version, v record.Version) bool {
	if !counts(v) {
		return false
	}
	a, _, err := readCount(v)
	if err != nil || a == nil {
		return false
	}
	for _, w := range held {
		if !counts(w) {
			continue
		}
		if b, r, err := readCount(w); err == nil && b == nil {
			r.forget(a)
			if r.zeroUp > 0 || r.zeroDown > 0 {
				return true
			}
		}
	}
	return false
}
