package conflict

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// Join settles cells of the kinds that are data types of several writers:
//
//	counter        the latest put, and what was counted besides; see [Seal]
//	max, min, hll  the join of all
//	flag           on, if somebody put it and nobody who had seen that deleted it
//	set            a member is there under the same condition
//	map, row       so is a field; the latest value is shown
//	others         so is a value
//
// Where versions of one cell are of several kinds, the kind of the latest counts, and
// versions of the others are lost.
func Join() Resolver { return join{} }

type join struct{}

func (join) ID() ID { return ID{Name: "crdt", Version: 1} }

func (join) Settle(cell record.Cell, kept []record.Version) Settled {
	latest := kept[best(kept, func(v, w record.Version) int {
		if v.Absent != w.Absent {
			if v.Absent {
				return -1
			}
			return +1
		}
		return Compare(v, w)
	})]
	if latest.Absent {
		return Settled{Stays: kept}
	}
	var of, lost []record.Version // of the kind, deletes among them
	for _, v := range kept {
		if v.Absent || v.Kind == latest.Kind {
			of = append(of, v)
		} else {
			lost = append(lost, v)
		}
	}
	s, err := joinKind(latest.Kind, of)
	s.Stays, s.Lost = kept, append(s.Lost, lost...)
	if err != nil {
		s = chosen(kept, best(kept, Compare))
		s.Fault = fmt.Errorf("%w crdt, key %q: the last writer won: %w", ErrResolver, cell.Key, err)
	}
	return s
}

func joinKind(kind record.Kind, of []record.Version) (Settled, error) {
	switch kind {
	case record.KindCounter:
		n, err := count(of)
		return shown(folded(kind, number(n), of)), err
	case record.KindMax, record.KindMin:
		n, some, err := extreme(kind, of)
		if err != nil || !some {
			return Settled{}, err
		}
		return shown(folded(kind, number(n), of)), nil
	case record.KindHLL:
		h, err := joinHLL(of)
		if err != nil {
			return Settled{}, err
		}
		b, err := h.AppendBinary(nil)
		return shown(folded(kind, b, of)), err
	}
	return latestPresent(of), nil
}

func shown(v Value) Settled { return Settled{Shown: []Value{v}} }

func number(n int64) []byte {
	w := pack.NewWriter(nil)
	w.Int(n)
	return w.Bytes()
}

// extreme is the greatest, or the least, of the numbers in those versions.
func extreme(kind record.Kind, of []record.Version) (n int64, some bool, err error) {
	for _, v := range of {
		if v.Absent {
			continue
		}
		r := pack.NewReader(v.Value)
		m := r.Int()
		if err := r.Done(); err != nil {
			return 0, false, fmt.Errorf("write %v: %w", v.Dot, err)
		}
		if !some || (m > n) == (kind == record.KindMax) {
			n, some = m, true
		}
	}
	return n, some, nil
}

func joinHLL(of []record.Version) (*crdt.HLL, error) {
	h := &crdt.HLL{}
	for _, v := range of {
		if v.Absent {
			continue
		}
		var g crdt.HLL
		if err := g.UnmarshalBinary(v.Value); err != nil {
			return nil, fmt.Errorf("write %v: %w", v.Dot, err)
		}
		h.Join(&g)
	}
	return h, nil
}

// count is the value of a counter: the latest put, and of each origin what it has
// counted in its present run, less what the puts and deletes had seen of that run.
func count(of []record.Version) (int64, error) {
	var put *assignment
	var at record.Version
	var assigned []*assignment
	var runs []run
	for _, v := range of {
		a, r, err := readCount(v)
		switch {
		case err != nil:
			return 0, fmt.Errorf("write %v: %w", v.Dot, err)
		case a == nil:
			runs = append(runs, r)
			continue
		}
		assigned = append(assigned, a)
		if !v.Absent && (put == nil || Compare(v, at) > 0) {
			put, at = a, v
		}
	}
	total := int128{}
	if put != nil {
		total.add(put.n)
	}
	for _, r := range runs {
		for _, a := range assigned {
			r.forget(a)
		}
		total.addUnsigned(r.up-r.zeroUp, false)
		total.addUnsigned(r.down-r.zeroDown, true)
	}
	return total.clamped(), nil
}

// int128 adds what an int64 may not hold.
type int128 struct{ high, low uint64 }

func (t *int128) add(n int64) {
	if n < 0 {
		t.addUnsigned(-uint64(n), true)
	} else {
		t.addUnsigned(uint64(n), false)
	}
}

func (t *int128) addUnsigned(n uint64, negative bool) {
	var c uint64
	if negative {
		t.low, c = bits.Sub64(t.low, n, 0)
		t.high -= c
		return
	}
	t.low, c = bits.Add64(t.low, n, 0)
	t.high += c
}

// clamped is the total, or the end of the range that it lies beyond.
func (t *int128) clamped() int64 {
	switch negative := t.high>>63 == 1; {
	case negative && (t.high != math.MaxUint64 || t.low < 1<<63):
		return math.MinInt64
	case !negative && (t.high != 0 || t.low > math.MaxInt64):
		return math.MaxInt64
	}
	return int64(t.low)
}
