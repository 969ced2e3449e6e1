package kind

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Field is one field of a map, or a column of a row as text.
type Field struct{ Name, Value []byte }

// show returns what a part holds: of a map its bytes, of a row its text. A column
// that holds nil is not there.
func (k *Key) show(c *topology.CellReading) (b []byte, there bool, err error) {
	if k.fieldKind() == record.KindMap {
		return c.Value, true, nil
	}
	b, there, err = scalarText(c.Value)
	if err != nil {
		return nil, false, fmt.Errorf("column %q of key %q: %w", c.Field, k.Name, err)
	}
	return b, there, nil
}

// MapPut sets fields. Of one that is named twice the last value stays. In a row a
// value is written as what its column is, if it reads as that, else as a string
// if it is UTF-8, else as bytes.
type MapPut struct {
	Key      Key
	Fields   []Field
	IfAbsent bool // only those that are not there

	New int // how many were not there
}

// Reads implements Op.
func (o *MapPut) Reads() []topology.CellRange {
	return o.Key.headAnd(len(o.Fields), func(i int) []byte { return o.Fields[i].Name })
}

// Decide implements Op.
func (o *MapPut) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.New = 0
	of := o.Key.fieldKind()
	h, err := o.Key.parted(s.Cells(0), of)
	if err == nil {
		err = o.Key.takesFields()
	}
	if err == nil && o.IfAbsent {
		err = ordered(s, "a put of a field that is not there")
	}
	if err == nil {
		err = tooMany(len(o.Fields))
	}
	if err != nil {
		return nil, err
	}
	e := o.Key.edit(h, of)
	for i := range o.Fields {
		if err := o.put(e, &o.Fields[i], s.Cells(i+1)); err != nil {
			return nil, err
		}
	}
	ms, err := e.mutations()
	if err == nil {
		o.New = e.added
	}
	return ms, err
}

func (o *MapPut) put(e *edit, f *Field, cells []topology.CellReading) error {
	field, value := o.Key.field(f.Name), f.Value
	v, there := e.present(cells)
	if of := o.Key.fieldKind(); of == record.KindRow {
		if err := checkColumn(field); err != nil {
			return err
		}
		value = textScalar(f.Value, v.Value)
		there = there && !isNil(v.Value)
	}
	if o.IfAbsent && (there || e.touched(field)) {
		return nil
	}
	e.put(field, value, there)
	return nil
}

// MapGet reads fields.
type MapGet struct {
	Key   Key
	Names [][]byte

	Values [][]byte // as Names; nil is one that is not there
}

// Reads implements Op.
func (o *MapGet) Reads() []topology.CellRange {
	return o.Key.headAnd(len(o.Names), func(i int) []byte { return o.Names[i] })
}

// Decide implements Op.
func (o *MapGet) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Values = nil
	h, err := o.Key.parted(s.Cells(0), o.Key.fieldKind())
	if err == nil {
		err = tooMany(len(o.Names))
	}
	if err != nil {
		return nil, err
	}
	values := make([][]byte, len(o.Names))
	for i := range values {
		cells := s.Cells(i + 1)
		if len(cells) == 0 || len(cells[0].Field) == 0 || !h.there() {
			continue
		}
		b, there, err := o.Key.show(&cells[0])
		if err != nil {
			return nil, err
		}
		values[i] = kept(b, there)
	}
	o.Values = values
	return nil, nil
}

// MapAll reads all fields, in the order of their names.
type MapAll struct {
	Key Key

	Fields []Field
}

// Reads implements Op.
func (o *MapAll) Reads() []topology.CellRange { return []topology.CellRange{o.Key.whole()} }

// Decide implements Op.
func (o *MapAll) Decide(s topology.Sight) (_ []record.Mutation, err error) {
	o.Fields, err = o.Key.fields(s.Cells(0))
	return nil, err
}

// fields returns copies of all fields of a key.
func (k *Key) fields(cells []topology.CellReading) ([]Field, error) {
	h, err := k.parted(cells, k.fieldKind())
	if err != nil || !h.there() {
		return nil, err
	}
	fs := make([]Field, 0, len(cells)-1)
	for i := 1; i < len(cells); i++ {
		b, there, err := k.show(&cells[i])
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		name := cells[i].Field
		if k.Kind != record.KindRow {
			name = named(name)
		}
		fs = append(fs, Field{Name: kept(name, true), Value: kept(b, true)})
	}
	return fs, nil
}

// MapLength counts fields.
type MapLength struct {
	Key Key

	Count int
}

// Reads implements Op.
func (o *MapLength) Reads() []topology.CellRange {
	if o.Key.Kind == record.KindRow {
		return []topology.CellRange{o.Key.whole()}
	}
	return []topology.CellRange{o.Key.headRange()}
}

// Decide implements Op.
func (o *MapLength) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	cells := s.Cells(0)
	h, err := o.Key.parted(cells, o.Key.fieldKind())
	if err != nil || !h.there() {
		return nil, err
	}
	if o.Key.Kind == record.KindRow {
		o.Count = columnsShown(cells)
		return nil, nil
	}
	n, err := h.count(&o.Key)
	o.Count = int(n)
	return nil, err
}

// columnsShown counts the columns of a row that do not hold nil.
func columnsShown(cells []topology.CellReading) (n int) {
	for i := range cells {
		if len(cells[i].Field) != 0 && !isNil(cells[i].Value) {
			n++
		}
	}
	return n
}

// MapRemove removes fields. With its last field goes the key.
type MapRemove struct {
	Key   Key
	Names [][]byte

	Count int // of those that were there
}

// Reads implements Op. Of a row all is read: its head does not count its columns.
func (o *MapRemove) Reads() []topology.CellRange {
	if o.Key.Kind == record.KindRow {
		return []topology.CellRange{o.Key.whole()}
	}
	return o.Key.headAnd(len(o.Names), func(i int) []byte { return o.Names[i] })
}

// Decide implements Op.
func (o *MapRemove) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	of := o.Key.fieldKind()
	h, err := o.Key.parted(s.Cells(0), of)
	if err == nil {
		err = tooMany(len(o.Names))
	}
	if err != nil {
		return nil, err
	}
	e := o.Key.edit(h, of)
	for i, name := range o.Names {
		field := o.Key.field(name)
		var cells []topology.CellReading
		if of != record.KindRow {
			cells = s.Cells(i + 1)
		} else if len(name) != 0 {
			cells = within(s.Cells(0), &topology.CellRange{Cell: record.Cell{Field: field}})
		}
		v, there := e.present(cells)
		if there && !e.touched(field) && (of != record.KindRow || !isNil(v.Value)) {
			e.remove(field)
		}
	}
	ms, err := e.mutations()
	if of == record.KindRow && e.removed > 0 && e.removed == columnsShown(s.Cells(0)) {
		ms, err = bounded([]record.Mutation{o.Key.remove(of)})
	}
	if err == nil {
		o.Count = e.removed
	}
	return ms, err
}

// MapIncr adds to a field that holds a decimal int64; one that is not there is 0.
// In a row the sum is written as what the column is: a number, or text of one.
type MapIncr struct {
	Key  Key
	Name []byte
	By   int64

	Value int64 // afterwards
}

// Reads implements Op.
func (o *MapIncr) Reads() []topology.CellRange {
	return o.Key.headAnd(1, func(int) []byte { return o.Name })
}

// Decide implements Op.
func (o *MapIncr) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Value = 0
	of := o.Key.fieldKind()
	h, err := o.Key.parted(s.Cells(0), of)
	if err == nil {
		err = o.Key.takesFields()
	}
	if err == nil && of == record.KindRow {
		err = checkColumn(o.Name)
	}
	if err == nil {
		err = ordered(s, "a sum in a field")
	}
	if err != nil {
		return nil, err
	}
	e := o.Key.edit(h, of)
	v, there := e.present(s.Cells(1))
	var old int64
	if there {
		var text []byte
		if text, there, err = o.Key.show(&topology.CellReading{Field: o.Name, Version: v}); err == nil && there {
			old, err = integer(text)
		}
	}
	if err != nil {
		return nil, err
	}
	n, err := sum(old, o.By)
	if err != nil {
		return nil, err
	}
	e.put(o.Key.field(o.Name), o.Key.encodeField(n, v.Value), there)
	ms, err := e.mutations()
	if err == nil {
		o.Value = n
	}
	return ms, err
}

func (o *MapPut) size() int {
	return o.Key.size(len(o.Fields), func(i int) (name, value []byte) { return o.Fields[i].Name, o.Fields[i].Value })
}
