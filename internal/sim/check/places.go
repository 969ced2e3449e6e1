package check

import (
	"cmp"
	"slices"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/version"
)

// Places judges what acknowledged writes are told of where they stand, in one
// log: no two have one place, so that each is counted once; who is asked after
// another was acknowledged stands behind it; and terms grow along the log, with
// no acknowledgement of an older term to a write that was asked after one of a
// newer (PS1). In a lossy group that holds within a term only.
func (c *Case) Places() (r Report) {
	var acked []history.Op
	for _, op := range c.ops {
		if op.Kind.Writes() && op.Outcome == history.Applied && op.Place.LSN != 0 {
			acked = append(acked, op)
		}
	}
	r.Judged = len(acked)
	onePlace(&r, acked, c.rules.Lossy)
	if !c.rules.Lossy {
		inOrder(&r, acked)
		slices.SortStableFunc(acked, func(a, b history.Op) int { return cmp.Compare(a.Place.LSN, b.Place.LSN) })
		for i := 1; i < len(acked); i++ {
			if a, b := acked[i-1], acked[i]; a.Place.Term > b.Place.Term {
				r.broke(PromisePlaces, "", []history.Op{a, b}, "the later place is of an earlier term")
			}
		}
		return r
	}
	byTerm := map[uint64][]history.Op{}
	for _, op := range acked {
		byTerm[op.Place.Term] = append(byTerm[op.Place.Term], op)
	}
	for _, ops := range byTerm {
		inOrder(&r, ops)
	}
	return r
}

func onePlace(r *Report, acked []history.Op, lossy bool) {
	type place struct{ term, lsn uint64 }
	type dot struct {
		version.Dot
		term uint64
	}
	places, dots := map[place]history.Op{}, map[dot]history.Op{}
	for _, op := range acked {
		p, d := place{op.Place.Term, op.Place.LSN}, dot{op.Place.Dot, op.Place.Term}
		if !lossy {
			p.term, d.term = 0, 0
		}
		if other, taken := places[p]; taken {
			r.broke(PromisePlaces, "", []history.Op{other, op}, "two acknowledged writes have one place, LSN %d", p.lsn)
		}
		places[p] = op
		if other, taken := dots[d]; taken && !d.Dot.IsZero() {
			r.broke(PromisePlaces, "", []history.Op{other, op}, "two acknowledged writes have one dot, %v", d.Dot)
		}
		dots[d] = op
	}
}

// inOrder judges that places respect real time.
func inOrder(r *Report, acked []history.Op) {
	asked, answered := slices.Clone(acked), slices.Clone(acked)
	slices.SortStableFunc(asked, func(a, b history.Op) int { return cmp.Compare(a.Invoke, b.Invoke) })
	slices.SortStableFunc(answered, func(a, b history.Op) int { return cmp.Compare(a.Return, b.Return) })
	var far history.Op // the farthest place that had been acknowledged
	for _, op := range asked {
		for len(answered) > 0 && answered[0].Return < op.Invoke {
			if answered[0].Place.LSN > far.Place.LSN {
				far = answered[0]
			}
			answered = answered[1:]
		}
		if far.Place.LSN >= op.Place.LSN {
			r.broke(PromisePlaces, "", []history.Op{far, op}, "the second was asked after the first was acknowledged, and stands before it")
		}
	}
}
