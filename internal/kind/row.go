package kind

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Column is one column of a row that is taken apart, and its msgpack value.
type Column struct{ Name, Value []byte }

// Columns takes a row apart: a msgpack map from names to values. The columns are
// in the order of their names, and alias b. What is not such a map is
// topology.ErrMalformed, what no record holds topology.ErrTooLarge.
func Columns(b []byte) ([]Column, error) {
	r := pack.NewReader(b)
	n := r.Map()
	if n > partsMax {
		return nil, fmt.Errorf("a row of %d columns, at most %d: %w", n, partsMax, topology.ErrTooLarge)
	}
	columns := make([]Column, 0, n)
	for ; n > 0 && r.Err() == nil; n-- {
		c := Column{Name: columnName(&r), Value: r.Skip()}
		if len(c.Name) == 0 {
			r.Fail("a column without a name")
		}
		columns = append(columns, c)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("a row is a map of columns: %w: %w", topology.ErrMalformed, err)
	}
	slices.SortFunc(columns, func(a, b Column) int { return bytes.Compare(a.Name, b.Name) })
	for i := 1; i < len(columns); i++ {
		if bytes.Equal(columns[i-1].Name, columns[i].Name) {
			return nil, fmt.Errorf("column %q is there twice: %w", columns[i].Name, topology.ErrMalformed)
		}
	}
	return columns, nil
}

// columnName reads the name of a column: a string in any form a writer may
// choose. It aliases the message.
func columnName(r *pack.Reader) []byte {
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

// Row puts a row together from its cells, which are in the order of their fields.
// What the cells hold may be anybody's bytes.
func Row(cells []topology.CellReading) ([]byte, error) {
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

// Assign returns the mutations that make value the value of k, whatever it holds,
// for who has not looked: in a table of rows a msgpack map, in one of counters, maxima
// or minima a decimal int64, in one of flags 1 or 0, bytes in others. They alias both.
// Sets, maps and sketches are not given whole: ErrWrongKind. Parts that the key had in a table of any kind stay in the
// store below the new head, do not show, and go with the key.
func (k *Key) Assign(value []byte) ([]record.Mutation, error) {
	switch k.Kind {
	case record.KindRow:
		return k.assignRow(value)
	case record.KindAny, record.KindBytes, record.KindCounter, record.KindFlag, record.KindMax, record.KindMin:
		m, err := k.stringPut(value, k.Expires)
		if err != nil {
			return nil, err
		}
		return []record.Mutation{m}, nil
	}
	return nil, fmt.Errorf("the table holds keys of kind %s, which are not put whole: %w", Name(k.Kind), ErrWrongKind)
}

func (k *Key) assignRow(value []byte) ([]record.Mutation, error) {
	columns, err := Columns(value)
	if err != nil {
		return nil, err
	}
	ms := make([]record.Mutation, 0, len(columns)+2)
	ms = append(ms, k.remove(record.KindRow), k.headPut(record.KindRow, nil, k.Expires))
	for _, c := range columns {
		m := k.headPut(record.KindRow, c.Value, 0)
		m.Field = c.Name
		ms = append(ms, m)
	}
	return ms, nil
}

// Removal returns the mutation that removes k, whatever it holds, for who has
// not looked.
func (k *Key) Removal() record.Mutation {
	if k.Kind == record.KindAny {
		return k.remove(record.KindBytes)
	}
	return k.remove(k.Kind)
}

// Value puts the value of k together from its cells, of which there is one at
// least and, but for a row, only the first matters: the inverse of Assign; of a sketch,
// which has none, its count in decimal. It may alias them.
func (k *Key) Value(cells []topology.CellReading) ([]byte, error) {
	if k.Kind == record.KindRow {
		return Row(cells)
	}
	h := headOf(cells)
	if !h.there() {
		return nil, k.wrong(cells[0].Kind, "bytes")
	}
	if h.Kind == record.KindHLL {
		sketch, err := h.sketch(k)
		if err != nil {
			return nil, err
		}
		return strconv.AppendUint(nil, sketch.Count(), 10), nil
	}
	b, _, err := h.text(k)
	return b, err
}
