package kind

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// fieldKind is what a key of k's table that has fields is.
func (k *Key) fieldKind() record.Kind {
	if k.Kind == record.KindRow {
		return record.KindRow
	}
	return record.KindMap
}

// parted returns the head of k, which is of kind want if it is there.
func (k *Key) parted(cells []topology.CellReading, want record.Kind) (head, error) {
	h := headOf(cells)
	if h.there() && h.Kind != want {
		return h, k.wrong(h.Kind, "a "+Name(want))
	}
	return h, nil
}

// takesFields refuses fields where the table holds none.
func (k *Key) takesFields() error { return k.takes("a map", record.KindMap, record.KindRow) }

// edit gathers what one decision changes of the parts of a key.
type edit struct {
	key     *Key
	kind    record.Kind
	head    head
	parts   []record.Mutation
	at      map[string]int // where in parts a field stands
	added   int
	removed int
	stale   bool // parts stand there without a head: what has expired
}

func (k *Key) edit(h head, of record.Kind) *edit {
	return &edit{key: k, kind: of, head: h, at: map[string]int{}}
}

// present returns the cell of a part, as cells[0]. Without a head no part is
// there, whatever stands in its cell.
func (e *edit) present(cells []topology.CellReading) (record.Version, bool) {
	if len(cells) == 0 {
		return record.Version{}, false
	}
	if !e.head.there() {
		e.stale = true
		return record.Version{}, false
	}
	return cells[0].Version, true
}

// touched reports whether the edit has changed a part already.
func (e *edit) touched(field []byte) bool {
	_, ok := e.at[string(field)]
	return ok
}

// put sets a part, which was there or not.
func (e *edit) put(field, value []byte, there bool) {
	m := e.key.headPut(e.kind, value, 0)
	m.Field = field
	if i, ok := e.at[string(field)]; ok {
		e.parts[i] = m
		return
	}
	e.at[string(field)] = len(e.parts)
	e.parts = append(e.parts, m)
	if !there {
		e.added++
	}
}

// remove removes a part that is there.
func (e *edit) remove(field []byte) {
	m := e.key.remove(e.kind)
	m.Field = field
	e.at[string(field)] = len(e.parts)
	e.parts = append(e.parts, m)
	e.removed++
}

// mutations returns what the edit comes to. A key without parts is removed whole.
func (e *edit) mutations() ([]record.Mutation, error) {
	if len(e.parts) == 0 {
		return nil, nil
	}
	var value []byte
	if e.kind != record.KindRow {
		n, err := e.head.count(e.key)
		if err != nil {
			return nil, err
		}
		switch left := n + uint64(e.added); {
		case left < uint64(e.removed):
			return nil, fmt.Errorf("key %q counts %d parts, and more are there: %w", e.key.Name, n, topology.ErrMalformed)
		case left == uint64(e.removed):
			return bounded([]record.Mutation{e.key.remove(e.kind)})
		default:
			value = encodeCount(left - uint64(e.removed))
		}
	}
	ms := make([]record.Mutation, 0, len(e.parts)+2)
	if e.stale {
		ms = append(ms, e.key.remove(e.kind))
	}
	ms = append(ms, e.key.headPut(e.kind, value, e.key.expiry(e.head)))
	return bounded(append(ms, e.parts...))
}

// size is about how long the mutations of parts with those names and values are.
func (k *Key) size(parts int, part func(int) (name, value []byte)) int {
	n := len(k.Name)
	for i := range parts {
		name, value := part(i)
		n += len(k.Name) + len(name) + len(value)
	}
	return n
}
