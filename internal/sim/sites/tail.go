package sites

import (
	"bytes"
	"maps"
	"slices"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// tail is what a site's log comes to up to its end, committed or not: what its leader
// decides over.
type tail struct {
	x      *state
	over   map[keyID]map[string]record.State
	vector version.Vector
	told   version.Vector
	stuck  bool // a snapshot counts in it, which is not applied yet
}

// from makes the tail anew.
func (t *tail) from(x *state, items []core.Item) error {
	*t = tail{x: x, over: map[keyID]map[string]record.State{}, vector: x.vector, told: x.told}
	for i := range items {
		if err := t.add(items[i].Entry); err != nil {
			return err
		}
	}
	return nil
}

// add takes the next entry.
func (t *tail) add(e record.Entry) error {
	r, err := e.Record()
	if err != nil {
		return err
	}
	c := core.CutOf(&r)
	switch {
	case r.IsNote():
		t.stuck = t.stuck || core.Raises(&r)
		return nil
	case c != nil:
		if r.Origin.ID == t.x.own.ID {
			t.told = t.told.Join(c.Has)
		}
	case !t.stuck:
		changes, err := core.Apply(&r, t.x.c.keeper, t.vector, t)
		if err != nil {
			return err
		}
		for _, c := range changes {
			k := keyID{c.Cell.Table, string(c.Cell.Key)}
			if t.over[k] == nil {
				t.over[k] = map[string]record.State{}
			}
			t.over[k][string(c.Cell.Field)] = c.State
		}
	}
	t.vector = t.vector.With(r.Origin, r.Seq)
	return nil
}

// Cell implements conflict.Cells.
func (t *tail) Cell(c record.Cell) (record.State, error) {
	if s, ok := t.over[keyID{c.Table, string(c.Key)}][string(c.Field)]; ok {
		return s, nil
	}
	return t.x.Cell(c)
}

// Fields implements conflict.Cells.
func (t *tail) Fields(id record.TableID, key []byte) ([][]byte, error) {
	k := keyID{id, string(key)}
	all := map[string]bool{}
	for f := range t.x.keys[k] {
		all[f] = f != ""
	}
	for f, s := range t.over[k] {
		all[f] = f != "" && len(s.Siblings) > 0
	}
	var fields [][]byte
	for _, f := range slices.Sorted(maps.Keys(all)) {
		if all[f] {
			fields = append(fields, []byte(f))
		}
	}
	slices.SortFunc(fields, bytes.Compare)
	return fields, nil
}
