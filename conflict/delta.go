package conflict

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// What a client asks for by [record.OpMerge] is a change; what a record says is the
// value that comes of it, and which writes that accounts for:
//
//	array of 2: array of 3n: origin, incarnation, seq, of what it replaces; bin: the value
//
// kind      asked for                          value                                 accounts for
// counter   int, to be added                   what the origin has counted in all    the origin's previous
// max, min  int, that was observed             the greatest, the least               all that it saw in the cell
// hll       array: bins, elements; arrays of   the sketch                            all that it saw in the cell
//           1: bin, a sketch that is joined

// Seal makes of a mutation that a client asked for what its record says, at the place
// of dot in its origin's log, where the cell holds held: what is applied, and what of
// the same origin stands before it and is not. The record covers all of held, as a
// site's does (rule X); see [SealOver] for one that does not. Merges of counters,
// maxima, minima and sketches, puts of counters, and deletes of what was one, are
// changed; the others say all there is to say. held is in canonical order.
//
// A put or a delete of a counter tells what it covers of what was counted. Whoever has
// seen a delete begins to count anew, and who has not counts on; so a delete takes away
// what its writer had seen, and nothing that was counted at the same time.
//
// Errors wrap [record.ErrInvalid] or [record.ErrTooLarge]; then m is as it was.
func Seal(m *record.Mutation, dot version.Dot, held []record.Version) error {
	return SealOver(m, dot, held, nil)
}

// SealOver is Seal for a record that covers of held what covers knows: a leaderless
// one, whose client's context may know less than its coordinator. A nil covers knows
// all of held.
func SealOver(m *record.Mutation, dot version.Dot, held []record.Version, covers version.Seen) error {
	switch {
	case m.Op == record.OpMerge:
		value, accounts, err := sealMerge(m, dot, held)
		if err != nil {
			return fmt.Errorf("merge of key %q: %w", m.Key, err)
		}
		m.Value = encodeDelta(accounts, value)
	case m.Op == record.OpPut && m.Kind == record.KindCounter, m.Op == record.OpDelete && len(m.Field) == 0 && slices.ContainsFunc(held, counts):
		n := int64(0)
		if m.Op == record.OpPut {
			r := pack.NewReader(m.Value)
			n = r.Int()
			if err := r.Done(); err != nil {
				return fmt.Errorf("%w put of counter %q: %w", record.ErrInvalid, m.Key, err)
			}
		}
		value, err := sealAssignment(covered(held, covers), n)
		if err != nil {
			return fmt.Errorf("counter %q: %w: %w", m.Key, record.ErrInvalid, err)
		}
		m.Value = value
	}
	return nil
}

// covered returns the versions of held that are covered; all of them if covers is nil.
func covered(held []record.Version, covers version.Seen) []record.Version {
	if covers == nil {
		return held
	}
	return slices.DeleteFunc(slices.Clone(held), func(v record.Version) bool { return !covers.Has(v.Dot) })
}

func sealMerge(m *record.Mutation, dot version.Dot, held []record.Version) ([]byte, []version.Dot, error) {
	r := pack.NewReader(m.Value)
	switch m.Kind {
	case record.KindCounter:
		n := r.Int()
		if err := r.Done(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", record.ErrInvalid, err)
		}
		return sealCount(dot, held, n)
	case record.KindMax, record.KindMin:
		n := r.Int()
		if err := r.Done(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", record.ErrInvalid, err)
		}
		of, accounts := ofKind(m.Kind, held)
		most, some, err := extreme(m.Kind, of)
		if some && (most > n) == (m.Kind == record.KindMax) {
			n = most
		}
		return number(n), accounts, err
	case record.KindHLL:
		of, accounts := ofKind(m.Kind, held)
		h, err := joinHLL(of)
		if err != nil {
			return nil, nil, err
		}
		for n := r.Array(); n > 0 && r.Err() == nil; n-- {
			askedOfHLL(h, &r)
		}
		if err := r.Done(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", record.ErrInvalid, err)
		}
		b, err := h.AppendBinary(nil)
		return b, accounts, err
	}
	return nil, nil, fmt.Errorf("%w: kind %d has no merge", record.ErrInvalid, m.Kind)
}

// askedOfHLL takes in one of the things that a merge of a sketch asks for: an element, or
// another sketch.
func askedOfHLL(h *crdt.HLL, r *pack.Reader) {
	const arrayOfOne = 0x91
	if rest := r.Rest(); len(rest) == 0 || rest[0] != arrayOfOne {
		h.Add(r.BinMax(crdt.ElementBytesMax))
		return
	}
	r.ArrayOf(1)
	var other crdt.HLL
	b := r.BinMax(sketchBytesMax)
	if r.Err() != nil {
		return
	}
	if err := other.UnmarshalBinary(b); err != nil {
		r.Fail(err.Error())
		return
	}
	h.Join(&other)
}

// sketchBytesMax is longer than any sketch is.
const sketchBytesMax = 1 << 15

// ofKind returns the versions of held that are of that kind and no deletes, and their
// dots.
func ofKind(kind record.Kind, held []record.Version) (of []record.Version, dots []version.Dot) {
	for _, v := range held {
		if v.Kind == kind && !v.Absent {
			of, dots = append(of, v), append(dots, v.Dot)
		}
	}
	return of, dots
}

func encodeDelta(accounts []version.Dot, value []byte) []byte {
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Array(3 * len(accounts))
	for _, d := range accounts {
		w.Uint(uint64(d.Origin.ID))
		w.Uint(uint64(d.Origin.Incarnation))
		w.Uint(d.Seq)
	}
	w.Bin(value)
	return w.Bytes()
}

// decodeDelta reads what encodeDelta wrote. The value aliases b.
func decodeDelta(b []byte) (accounts *version.Set, value []byte, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(2)
	n := r.ArrayMax(3 * record.MarksMax)
	if n%3 != 0 {
		r.Fail("dots are not whole")
	}
	accounts = &version.Set{}
	var before version.Dot
	for ; n >= 3 && r.Err() == nil; n -= 3 {
		d := version.Dot{Origin: getOrigin(&r), Seq: r.Uint()}
		if before.Compare(d) >= 0 {
			r.Fail("dots are not in canonical order")
		}
		before = d
		accounts.Add(d)
	}
	value = r.BinMax(record.ValueBytesMax)
	if err := r.Done(); err != nil {
		return nil, nil, fmt.Errorf("%w delta: %w", record.ErrInvalid, err)
	}
	return accounts, value, nil
}
