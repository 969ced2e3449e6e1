package core

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// writes says whether mutations can be one record: puts and deletes of cells of one key.
// Errors wrap [record.ErrInvalid].
func writes(ms []record.Mutation) error {
	if len(ms) == 0 {
		return fmt.Errorf("%w: nothing is written", record.ErrInvalid)
	}
	for i := range ms {
		m := &ms[i]
		switch {
		case m.Op != record.OpPut && m.Op != record.OpDelete:
			return fmt.Errorf("%w mutation of %q: operation %d is no put or delete", record.ErrInvalid, m.Key, m.Op)
		case m.Table != ms[0].Table || !bytes.Equal(m.Key, ms[0].Key):
			return fmt.Errorf("%w: keys %q and %q in one record: they may have other replicas", record.ErrInvalid, ms[0].Key, m.Key)
		}
	}
	return nil
}

// headOf returns the state of the cell without a field.
func headOf(cells []Held) record.State {
	if len(cells) > 0 && len(cells[0].Field) == 0 {
		return cells[0].State
	}
	return record.State{}
}

// Visible reports whether a version of a cell with a field is shown beside what the cell
// without one holds: a delete of the key hides what is older, and not what it came with.
func Visible(v record.Version, head *record.State) bool {
	h := newest(head)
	return !v.Absent && (!h.Absent || conflict.Compare(v, h) >= 0)
}

// at returns the state of a cell among some of one key, nil if it is not there.
func at(cells []Held, field []byte) *record.State {
	i, ok := slices.BinarySearchFunc(cells, field, func(h Held, f []byte) int { return bytes.Compare(h.Field, f) })
	if !ok {
		return nil
	}
	return &cells[i].State
}

// wins returns the newest version of a cell among some of one key, zero if there is none.
func wins(cells []Held, field []byte) record.Version {
	if s := at(cells, field); s != nil {
		return newest(s)
	}
	return record.Version{}
}

// ahead reports whether a holds a version that sorts after what b holds of its cell.
func ahead(a, b []Held) bool {
	return slices.ContainsFunc(a, func(h Held) bool { return after(newest(&h.State), wins(b, h.Field)) })
}

// bare returns cells without their values.
func bare(cells []Held) []Held {
	out := make([]Held, 0, len(cells))
	for _, h := range cells {
		vs := slices.Clone(h.State.Siblings)
		for i := range vs {
			vs[i].Value = nil
		}
		out = append(out, Held{h.Cell, record.State{Siblings: vs}})
	}
	return out
}

// join merges what another replica holds into what is here, cell by cell, by the same
// rule as on any replica (X, third row).
func join(local, in []Held) ([]Held, error) {
	out := slices.Clone(local)
	for _, h := range in {
		i, ok := slices.BinarySearchFunc(out, h.Field, func(o Held, f []byte) int { return bytes.Compare(o.Field, f) })
		if !ok {
			out = slices.Insert(out, i, Held{Cell: h.Cell})
		}
		c, err := (&application{}).joinState(&out[i].State, &h.State)
		if err != nil {
			return nil, err
		}
		out[i].State = c.State
	}
	return out, nil
}

// lacking returns the cells of all that somebody who holds theirs is behind in.
func lacking(all, theirs []Held) (out []Held) {
	for _, h := range all {
		if v := newest(&h.State); !v.Dot.IsZero() && wins(theirs, h.Field).Dot != v.Dot {
			out = append(out, h)
		}
	}
	return out
}

// seenIn is the context of who has seen cells: their versions, and the greatest of their
// times (C3).
func seenIn(cells []Held) Context {
	c := Context{Seen: &version.Set{}}
	for i := range cells {
		c.Seen.Union(cells[i].State.Context)
		for _, v := range cells[i].State.Siblings {
			c.Seen.Add(v.Dot)
			c.Time = max(c.Time, v.Time)
		}
	}
	return c
}
