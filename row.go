package triad

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A row is given and returned as a msgpack map of columns, and stored as cells:
//
//	(table, key)          the row itself: no value, of kind row
//	(table, key, column)  one for each column: its msgpack value, of kind row
//
// Put writes, in one record, a delete of the whole key, the row's own cell, and
// the columns in order. So the row's own cell has the dot of the last Put, which
// is what conditions on the key look at, and a row without columns is there.
const rowCells = 2 // mutations of a Put that are no column

// column is one column of a row that is being taken apart.
type column struct{ name, value []byte }

// columnsOf takes a row apart: the columns by name. They alias b. A row that is
// not a map from names to values is ErrMalformed.
func columnsOf(b []byte) ([]column, error) {
	r := pack.NewReader(b)
	n := r.Map()
	if n > record.MutationsMax-rowCells {
		return nil, fmt.Errorf("a row of %d columns, at most %d: %w", n, record.MutationsMax-rowCells, topology.ErrTooLarge)
	}
	columns := make([]column, 0, n)
	for ; n > 0 && r.Err() == nil; n-- {
		c := column{name: nameOf(&r), value: r.Skip()}
		if len(c.name) == 0 {
			r.Fail("a column without a name")
		}
		columns = append(columns, c)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("a row is a map of columns: %w: %w", topology.ErrMalformed, err)
	}
	slices.SortFunc(columns, func(a, b column) int { return bytes.Compare(a.name, b.name) })
	for i := 1; i < len(columns); i++ {
		if bytes.Equal(columns[i-1].name, columns[i].name) {
			return nil, fmt.Errorf("column %q is there twice: %w", columns[i].name, topology.ErrMalformed)
		}
	}
	return columns, nil
}

// nameOf reads the name of a column: a string in any form a writer may choose.
// It aliases the message.
func nameOf(r *pack.Reader) []byte {
	b := r.Skip()
	var name []byte
	switch {
	case len(b) == 0:
		return nil
	case b[0]&0xe0 == 0xa0:
		name = b[1:]
	case b[0] == 0xd9, b[0] == 0xda, b[0] == 0xdb:
		name = b[1+1<<(b[0]-0xd9):]
	default:
		r.Fail("a column's name is a string")
		return nil
	}
	if !utf8.Valid(name) {
		r.Fail("a column's name is not UTF-8")
	}
	return name
}

// rowOf puts a row together from its cells, which are in the order of their
// fields. What the cells hold may be anybody's bytes.
func rowOf(cells []topology.CellReading) ([]byte, error) {
	size, n := 5, 0
	for i := range cells {
		if len(cells[i].Field) == 0 {
			continue
		}
		if !utf8.Valid(cells[i].Field) {
			return nil, fmt.Errorf("the name of column %q is not UTF-8: %w", cells[i].Field, topology.ErrMalformed)
		}
		if err := pack.Walk(cells[i].Value); err != nil {
			return nil, fmt.Errorf("column %q: %w: %w", cells[i].Field, topology.ErrMalformed, err)
		}
		size += len(cells[i].Field) + len(cells[i].Value) + 5
		n++
	}
	w := pack.NewWriter(make([]byte, 0, size))
	w.Map(n)
	for i := range cells {
		if len(cells[i].Field) != 0 {
			w.Str(string(cells[i].Field))
			w.Raw(cells[i].Value)
		}
	}
	return w.Bytes(), nil
}

// put returns the mutations that make value the value of key. They alias both.
func (d definition) put(key, value []byte) ([]record.Mutation, error) {
	switch d.Kind {
	case record.KindAny, record.KindBytes:
		return []record.Mutation{{Table: d.id, Key: key, Op: record.OpPut, Kind: record.KindBytes, Value: value}}, nil
	case record.KindRow:
		columns, err := columnsOf(value)
		if err != nil {
			return nil, err
		}
		ms := make([]record.Mutation, 0, len(columns)+rowCells)
		ms = append(ms,
			record.Mutation{Table: d.id, Key: key, Op: record.OpDelete, Kind: record.KindRow},
			record.Mutation{Table: d.id, Key: key, Op: record.OpPut, Kind: record.KindRow})
		for _, c := range columns {
			ms = append(ms, record.Mutation{Table: d.id, Key: key, Field: c.name, Op: record.OpPut, Kind: record.KindRow, Value: c.value})
		}
		return ms, nil
	}
	return nil, d.unsupported()
}

// remove returns the mutation that removes key.
func (d definition) remove(key []byte) (record.Mutation, error) {
	if _, ok := kinds[d.Kind]; !ok {
		return record.Mutation{}, d.unsupported()
	}
	return record.Mutation{Table: d.id, Key: key, Op: record.OpDelete, Kind: d.stored()}, nil
}

// stored is the kind that a table's cells have.
func (d definition) stored() record.Kind {
	if d.Kind == record.KindAny {
		return record.KindBytes
	}
	return d.Kind
}

// value puts the value of a key together from its cells.
func (d definition) value(cells []topology.CellReading) ([]byte, error) {
	switch d.Kind {
	case record.KindRow:
		return rowOf(cells)
	case record.KindAny, record.KindBytes:
		if c := &cells[0]; len(c.Field) != 0 || c.Kind != record.KindBytes {
			return nil, fmt.Errorf("it holds a %s, not bytes: %w", KindName(c.Kind), topology.ErrUnsupported)
		}
		return cells[0].Value, nil
	}
	return nil, d.unsupported()
}

func (d definition) unsupported() error {
	return fmt.Errorf("table %v: this version does not know its kind: %w", d.Table, topology.ErrUnsupported)
}
