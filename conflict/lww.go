package conflict

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Held reads what a cell holds before a change; nothing is the zero State.
type Held func(record.Cell) (record.State, error)

// Change is what one cell holds after a change, and what that cost. Slices
// alias the record, the state and what was held.
type Change struct {
	Cell  record.Cell
	State record.State
	Gone  []record.Version // superseded: the writer of their successor had seen them
	Lost  []record.Version // lost to a concurrent version; the record's own may be among them
	// Covers is what a delta accounts for, where it is one: what a key's context takes in
	// besides the record's dot, in place of the record's own context (rule X). Else nil.
	Covers *version.Set
}

// CheckLWW says whether ApplyLWW can take m: puts and deletes of cells without
// a field, and marks, which change no cell. Errors wrap [record.ErrInvalid].
//
// Fields need one cell more, for the delete of the whole key, and deltas need
// the data type they belong to; a table that has either is settled otherwise.
func CheckLWW(m *record.Mutation) error {
	switch {
	case m.Op == record.OpMark:
		return nil
	case m.Op != record.OpPut && m.Op != record.OpDelete:
		return fmt.Errorf("%w mutation of %q: operation %d is no put or delete, and the last writer can not win", record.ErrInvalid, m.Key, m.Op)
	case len(m.Field) > 0:
		return fmt.Errorf("%w mutation of %q: field %q: the last writer wins whole keys, not fields", record.ErrInvalid, m.Key, m.Field)
	}
	return nil
}

// ApplyLWW returns the changes of the cells that r writes, in the order of its
// mutations; where r writes a cell twice, its last word counts. seen and covers
// are those of the topology (package comment). The states keep the context that
// was held: what it becomes is the caller's.
//
// Errors wrap [ErrForked], [record.ErrInvalid] or are held's; then nothing is
// to be changed.
func ApplyLWW(r *record.Record, seen, covers version.Seen, held Held) ([]Change, error) {
	var out []Change
	for i := range r.Mutations {
		m := &r.Mutations[i]
		if err := CheckLWW(m); err != nil {
			return nil, err
		}
		if m.Op == record.OpMark || slices.ContainsFunc(r.Mutations[i+1:], func(n record.Mutation) bool { return sameCell(m, &n) }) {
			continue
		}
		cell := record.Cell{Table: m.Table, Key: m.Key}
		local, err := held(cell)
		if err != nil {
			return nil, err
		}
		c, err := JoinLWW(local.Siblings, seen, []record.Version{VersionOf(r, m)}, covers)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", m.Key, err)
		}
		c.Cell, c.State.Context = cell, local.Context
		out = append(out, c)
	}
	return out, nil
}

// JoinLWW is Merge and SettleLWW of one cell. The change names no cell and its
// state no context: both are the caller's.
func JoinLWW(local []record.Version, seen version.Seen, in []record.Version, covers version.Seen) (Change, error) {
	kept, gone, err := Merge(local, seen, in, covers)
	if err != nil {
		return Change{}, err
	}
	stays, lost := SettleLWW(kept)
	return Change{State: record.State{Siblings: stays}, Gone: gone, Lost: lost}, nil
}

// VersionOf returns what mutation m of r makes of its cell. A delete that names a time in
// its Expires is the removal of what has expired: it is ranked by that time, which is the
// one after that of what it removes, and not by the time at which somebody came to write
// it. So what would have lost to what has expired loses to its removal, and nothing else.
func VersionOf(r *record.Record, m *record.Mutation) record.Version {
	if m.Op == record.OpDelete && m.Expires != 0 {
		return record.Version{Dot: r.Dot, Time: m.Expires, Kind: m.Kind, Absent: true, Value: m.Value}
	}
	return record.Version{Dot: r.Dot, Time: r.Time, Expires: m.Expires, Kind: m.Kind, Absent: m.Op == record.OpDelete, Value: m.Value}
}

func sameCell(m, n *record.Mutation) bool {
	return n.Op != record.OpMark && m.Table == n.Table && bytes.Equal(m.Key, n.Key) && bytes.Equal(m.Field, n.Field)
}
