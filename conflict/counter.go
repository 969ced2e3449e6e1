package conflict

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// How a counter stands in its cell:
//
//	of a merge         array of 3: run, up, down: what its origin has counted in all since the run began
//	of a put           int; or array of 2: int, array of 5n: origin, incarnation, run, up, down: what of runs it had seen
//	of a delete        nothing; or as of a put, with 0
//
// A run is an origin's increments from one write that it had seen put or delete the
// counter to the next; its name is the sequence of its first. An origin's increment
// replaces its previous one, so a cell holds at most one merge of an origin. Puts and
// deletes replace what they had seen, and say what that was: for an increment of the
// same run that they had not seen repeats it in its total, and it must count once.

// run is what one origin has counted.
type run struct {
	origin           version.Origin
	first            uint64 // 0: none
	up, down         uint64
	zeroUp, zeroDown uint64 // of it, that puts and deletes had seen
}

// assignment is a put or a delete.
type assignment struct {
	n    int64
	seen []run // by origin
}

// forget takes out of r what a had seen of it.
func (r *run) forget(a *assignment) {
	for _, s := range a.seen {
		if s.origin == r.origin && s.first == r.first {
			r.zeroUp, r.zeroDown = max(r.zeroUp, min(s.up, r.up)), max(r.zeroDown, min(s.down, r.down))
		}
	}
}

// counts reports whether v is of a counter: a delete is if it tells what it had seen,
// whatever kind its writer took the key for.
func counts(v record.Version) bool {
	return v.Kind == record.KindCounter || v.Absent && len(v.Value) > 0
}

// readCount reads a version of a counter: an assignment, or a run.
func readCount(v record.Version) (*assignment, run, error) {
	r := pack.NewReader(v.Value)
	switch {
	case len(v.Value) == 0 && v.Absent:
		return &assignment{}, run{}, nil
	case len(v.Value) > 0 && v.Value[0] == 0x93:
		r.ArrayOf(3)
		out := run{origin: v.Origin, first: r.Uint(), up: r.Uint(), down: r.Uint()}
		if out.first == 0 || out.first > v.Seq || v.Absent {
			r.Fail("a run that did not begin")
		}
		return nil, out, r.Done()
	case len(v.Value) > 0 && v.Value[0] == 0x92:
		r.ArrayOf(2)
		a := &assignment{n: r.Int()}
		n := r.Array()
		if n%5 != 0 {
			r.Fail("runs are not whole")
		}
		for ; n >= 5 && r.Err() == nil; n -= 5 {
			s := run{origin: getOrigin(&r), first: r.Uint(), up: r.Uint(), down: r.Uint()}
			if k := len(a.seen); k > 0 && a.seen[k-1].origin.Compare(s.origin) >= 0 {
				r.Fail("runs are not in canonical order")
			}
			a.seen = append(a.seen, s)
		}
		return a, run{}, r.Done()
	}
	a := &assignment{n: r.Int()}
	return a, run{}, r.Done()
}

func getOrigin(r *pack.Reader) version.Origin {
	return version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}
}

// sealCount makes of an increment its origin's total, and tells which of its versions
// that replaces.
func sealCount(dot version.Dot, held []record.Version, by int64) (value []byte, accounts []version.Dot, err error) {
	now := run{origin: dot.Origin, first: dot.Seq}
	for _, v := range held {
		if v.Kind != record.KindCounter || v.Origin != dot.Origin {
			continue
		}
		a, r, err := readCount(v)
		if err != nil {
			return nil, nil, fmt.Errorf("write %v: %w", v.Dot, err)
		}
		if a == nil {
			now, accounts = r, append(accounts, v.Dot)
		}
	}
	total, change := &now.up, uint64(by)
	if by < 0 {
		total, change = &now.down, -uint64(by)
	}
	if change > math.MaxUint64-*total {
		return nil, nil, fmt.Errorf("%w: %d more than what %v has counted", record.ErrTooLarge, by, dot.Origin)
	}
	*total += change
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(now.first)
	w.Uint(now.up)
	w.Uint(now.down)
	return w.Bytes(), accounts, nil
}

// sealAssignment makes of a put or a delete of a counter one that says what it had
// seen.
func sealAssignment(held []record.Version, n int64) ([]byte, error) {
	var seen []run
	for _, v := range held {
		if !counts(v) {
			continue
		}
		a, r, err := readCount(v)
		if err != nil {
			return nil, fmt.Errorf("write %v: %w", v.Dot, err)
		}
		if a == nil {
			seen = joinRuns(seen, []run{r})
			continue
		}
		seen = joinRuns(seen, a.seen)
	}
	if len(seen) == 0 {
		return number(n), nil
	}
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Int(n)
	w.Array(5 * len(seen))
	for _, r := range seen {
		w.Uint(uint64(r.origin.ID))
		w.Uint(uint64(r.origin.Incarnation))
		w.Uint(r.first)
		w.Uint(r.up)
		w.Uint(r.down)
	}
	return w.Bytes(), nil
}

// joinRuns joins what was seen: of two runs of an origin the later, of one run the
// greater totals.
func joinRuns(a, b []run) []run {
	out := make([]run, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := a[0].origin.Compare(b[0].origin); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, laterRun(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

func laterRun(r, s run) run {
	switch {
	case r.first > s.first:
		return r
	case r.first < s.first:
		return s
	}
	r.up, r.down = max(r.up, s.up), max(r.down, s.down)
	return r
}
