package conflict

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// SealAll is [Seal] of all mutations of one record, where held reads what a cell holds
// before it. The last word of a record on a cell counts, so a merge that follows
// another mutation of its cell takes that in first: two additions become their sum, an
// addition to what was just put a put of both.
//
// Errors are those of Seal, and held's; then ms may be partly sealed.
func SealAll(ms []record.Mutation, dot version.Dot, held func(record.Cell) (record.State, error)) error {
	for i := range ms {
		for p := i - 1; p >= 0 && ms[i].Op == record.OpMerge; p-- {
			if !sameCell(&ms[i], &ms[p]) {
				continue
			}
			if err := takeIn(&ms[i], &ms[p], dot); err != nil {
				return fmt.Errorf("two changes of key %q: %w", ms[i].Key, err)
			}
			break // which has taken in those before it
		}
	}
	for i := range ms {
		if ms[i].Op == record.OpMark {
			continue
		}
		s, err := held(record.Cell{Table: ms[i].Table, Key: ms[i].Key, Field: ms[i].Field})
		if err == nil {
			err = Seal(&ms[i], dot, s.Siblings)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeIn makes of m, a merge, what it and p, which stands before it, come to. One of
// another kind is not taken in: the last word counts.
func takeIn(m, p *record.Mutation, dot version.Dot) error {
	switch {
	case p.Op == record.OpMerge && p.Kind == m.Kind:
		value, err := bothAsked(m, p)
		if err == nil {
			m.Value = value
		}
		return err
	case p.Op == record.OpPut && p.Kind == m.Kind, p.Op == record.OpDelete:
		value, err := over(m, p, dot)
		if err == nil {
			m.Op, m.Value, m.Expires = record.OpPut, value, max(m.Expires, p.Expires)
		}
		return err
	}
	return nil
}

// bothAsked is what two merges of one kind ask for together.
func bothAsked(m, p *record.Mutation) ([]byte, error) {
	r, q := pack.NewReader(p.Value), pack.NewReader(m.Value)
	w := pack.NewWriter(nil)
	if m.Kind == record.KindHLL {
		n, o := r.Array(), q.Array()
		w.Array(n + o)
		w.Raw(r.Rest())
		w.Raw(q.Rest())
		return w.Bytes(), firstOf(r.Err(), q.Err())
	}
	a, b := r.Int(), q.Int()
	if err := firstOf(r.Done(), q.Done()); err != nil {
		return nil, err
	}
	switch {
	case m.Kind == record.KindCounter:
		t := int128{}
		t.add(a)
		t.add(b)
		if a, b = t.clamped(), 0; int128Of(a) != t {
			return nil, fmt.Errorf("%w: their sum is more than an integer of 64 bits", record.ErrTooLarge)
		}
		return number(a), nil
	case m.Kind == record.KindMin:
		return number(min(a, b)), nil
	}
	return number(max(a, b)), nil
}

func int128Of(n int64) (t int128) {
	t.add(n)
	return t
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%w: %w", record.ErrInvalid, err)
		}
	}
	return nil
}

// over is what merge m makes of the value that p has put, or of none where p deletes.
func over(m, p *record.Mutation, dot version.Dot) ([]byte, error) {
	var put []record.Version
	if p.Op == record.OpPut {
		put = []record.Version{{Kind: p.Kind, Value: p.Value}}
	}
	if m.Kind != record.KindCounter {
		value, _, err := sealMerge(m, dot, put)
		return value, err
	}
	if len(put) == 0 {
		return m.Value, nil
	}
	return bothAsked(m, p)
}
