package multileader

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
)

// overlay is a store with changes over it that are not applied yet. It is what a
// conflict.Cells reads.
type overlay struct {
	store cellStore
	held  map[string]record.State
	parts map[string]map[string]struct{} // by key: the fields of held
}

func newOverlay(store cellStore) overlay {
	return overlay{store: store, held: map[string]record.State{}, parts: map[string]map[string]struct{}{}}
}

func keyOf(table record.TableID, key []byte) string { return fmt.Sprintf("%d/%s", table, key) }

func cellOf(c record.Cell) string {
	return fmt.Sprintf("%d/%d/%s%s", c.Table, len(c.Key), c.Key, c.Field)
}

// set changes a cell. It keeps nothing that s aliases.
func (o *overlay) set(c record.Cell, s record.State) {
	s.Siblings = slices.Clone(s.Siblings)
	for i := range s.Siblings {
		s.Siblings[i].Value = bytes.Clone(s.Siblings[i].Value)
	}
	o.held[cellOf(c)] = s
	if len(c.Field) == 0 {
		return
	}
	k := keyOf(c.Table, c.Key)
	if o.parts[k] == nil {
		o.parts[k] = map[string]struct{}{}
	}
	o.parts[k][string(c.Field)] = struct{}{}
}

// raw is the store as it is.
func (o *overlay) raw() cellStore {
	if l, ok := o.store.(*lens); ok {
		return l.store
	}
	return o.store
}

// empty reports whether nothing is over the store.
func (o *overlay) empty() bool { return len(o.held) == 0 }

func (o *overlay) clear() {
	clear(o.held)
	clear(o.parts)
}

// Cell implements conflict.Cells.
func (o *overlay) Cell(c record.Cell) (record.State, error) {
	if s, ok := o.held[cellOf(c)]; ok {
		return s, nil
	}
	var s record.State
	b, err := o.store.Get(c)
	if err == nil && b != nil {
		err = record.DecodeState(b, &s)
	}
	return s, err
}

// Fields implements conflict.Cells.
func (o *overlay) Fields(table record.TableID, key []byte) (fields [][]byte, err error) {
	over := o.parts[keyOf(table, key)]
	view, err := o.store.Snapshot()
	if err != nil {
		return nil, err
	}
	for e, serr := range view.Scan(record.Cell{Table: table, Key: key}, record.AfterKey(table, key)) {
		if serr != nil {
			err = serr
			break
		}
		if _, again := over[string(e.Field)]; len(e.Field) > 0 && !again {
			fields = append(fields, bytes.Clone(e.Field))
		}
	}
	if err := errors.Join(err, view.Close()); err != nil {
		return nil, err
	}
	for f := range over {
		if s := o.held[cellOf(record.Cell{Table: table, Key: key, Field: []byte(f)})]; len(s.Siblings) > 0 {
			fields = append(fields, []byte(f))
		}
	}
	slices.SortFunc(fields, bytes.Compare)
	return fields, nil
}
