package core

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// FateOf decides what became of the write that got lsn in term, by the terms of a
// log of which everything up to settled is committed. It is false while that
// does not say: the write may be committed yet.
//
// Committed logs agree. So if settled reaches lsn, the term that stands there is
// the answer. If it does not, but ends in a newer term, then that term's start is
// committed, and every later leader has it: no log in which an older term goes on
// behind it can be committed any more.
func FateOf(h topology.History, settled, lsn record.LSN, term uint64) (topology.Resolution, bool) {
	if at, known := h.TermAt(lsn); settled >= lsn {
		switch r := (topology.Resolution{LSN: lsn, Term: at}); {
		case !known: // it is older than what the log remembers of its terms
			return topology.Resolution{}, true
		case term == 0:
			return r, true
		case at == term:
			r.Fate = topology.FateApplied
			return r, true
		default:
			r.Fate = topology.FateNotApplied
			return r, true
		}
	}
	if last, known := h.TermAt(settled); known && term != 0 && term < last {
		return topology.Resolution{Fate: topology.FateNotApplied}, true
	}
	return topology.Resolution{}, false
}
