package server

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// overlay is what one command of a transaction sees: a sight, and over it what
// the commands before it have decided.
type overlay struct {
	sight   topology.Sight
	reads   []topology.CellRange // of the whole transaction
	from    int                  // the first that is the command's own
	changed map[string][]record.Mutation
}

// Cells implements topology.Sight.
func (o *overlay) Cells(i int) []topology.CellReading {
	i += o.from
	at := &o.reads[i]
	cells := o.sight.Cells(i)
	if len(o.changed) == 0 {
		return cells
	}
	ms := o.changed[keyName(at.Table, at.Key)]
	if len(ms) == 0 {
		return cells
	}
	cells = slices.Clone(cells)
	for j := range ms {
		cells = changedBy(cells, at, &ms[j])
	}
	return cells
}

// take adds what a command has decided.
func (o *overlay) take(ms []record.Mutation) {
	if len(ms) > 0 && o.changed == nil {
		o.changed = map[string][]record.Mutation{}
	}
	for _, m := range ms {
		name := keyName(m.Table, m.Key)
		o.changed[name] = append(o.changed[name], m)
	}
}

func keyName(table record.TableID, key []byte) string {
	return string(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(key)), uint32(table)), key...))
}

// changedBy returns the cells of a range after a mutation of its key.
func changedBy(cells []topology.CellReading, at *topology.CellRange, m *record.Mutation) []topology.CellReading {
	if m.Op == record.OpDelete && len(m.Field) == 0 {
		return cells[:0]
	}
	if !at.Whole && !bytes.Equal(at.Field, m.Field) {
		return cells
	}
	i, found := slices.BinarySearchFunc(cells, m.Field, func(c topology.CellReading, field []byte) int {
		return bytes.Compare(c.Field, field)
	})
	if m.Op == record.OpDelete {
		if found {
			cells = slices.Delete(cells, i, i+1)
		}
		return cells
	}
	c := topology.CellReading{Key: m.Key, Field: m.Field, Version: record.Version{Expires: m.Expires, Kind: m.Kind, Value: m.Value}}
	if found {
		cells[i] = c
		return cells
	}
	return slices.Insert(cells, i, c)
}
