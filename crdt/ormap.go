package crdt

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Kind is what a field of an [ORMap] is.
type Kind uint8

// The kinds of fields.
const (
	KindFlag Kind = iota + 1
	KindRegister
	KindCounter
	KindSet
	KindMap
)

// Field names a field of an [ORMap]. The kind is part of the name: fields of one
// name that are made at the same time with different kinds are two fields.
type Field struct {
	Kind Kind
	Name string
}

func (f Field) compare(g Field) int {
	return cmp.Or(cmp.Compare(f.Kind, g.Kind), cmp.Compare(f.Name, g.Name))
}

// ORMap is a map of fields which are themselves causal types, maps included. A
// field is there while something is in it. [ORMap.Remove] takes away, through all
// levels, what its caller had seen in the field, and nothing else: what was done in
// it at the same time elsewhere stays, and a field that comes back comes back
// without what was removed. The zero ORMap is empty.
type ORMap struct {
	causal
	recorder[*ORMap]
	fields map[Field]store
	depth  int // of maps above
}

// fieldOf is a type T that a field may be.
type fieldOf[T any] interface {
	store
	share(seen *version.Set)
	record(log T)
	context() *version.Set
}

// UpdateFlag changes a field that is a flag by one or more of its mutators, and
// returns the delta of all of them. change is not to keep the flag, and calls nothing
// but mutators and readers: a Join would bring dots that name other changes in this
// map. An error of change is returned, with the delta of what was done before it.
func (m *ORMap) UpdateFlag(name string, change func(*Flag) error) (*ORMap, error) {
	return update(m, Field{KindFlag, name}, &Flag{}, &Flag{}, change)
}

// UpdateRegister is UpdateFlag of a field that is a register.
func (m *ORMap) UpdateRegister(name string, change func(*MVRegister) error) (*ORMap, error) {
	return update(m, Field{KindRegister, name}, &MVRegister{}, &MVRegister{}, change)
}

// UpdateCounter is UpdateFlag of a field that is a counter.
func (m *ORMap) UpdateCounter(name string, change func(*DotCounter) error) (*ORMap, error) {
	return update(m, Field{KindCounter, name}, &DotCounter{}, &DotCounter{}, change)
}

// UpdateSet is UpdateFlag of a field that is a set.
func (m *ORMap) UpdateSet(name string, change func(*ORSet) error) (*ORMap, error) {
	return update(m, Field{KindSet, name}, &ORSet{}, &ORSet{}, change)
}

// UpdateMap is UpdateFlag of a field that is a map. It refuses with [ErrLimit] a
// map that lies deeper than [DepthMax].
func (m *ORMap) UpdateMap(name string, change func(*ORMap) error) (*ORMap, error) {
	if m.depth+1 >= DepthMax {
		return nil, fmt.Errorf("maps within %d others: %w", DepthMax, ErrLimit)
	}
	return update(m, Field{KindMap, name}, &ORMap{depth: m.depth + 1}, &ORMap{depth: m.depth + 1}, change)
}

// update changes one field. fresh is used if the field is not there; log is what
// its mutators tell their deltas to.
func update[T fieldOf[T]](m *ORMap, f Field, fresh, log T, change func(T) error) (*ORMap, error) {
	if err := checkName(f.Name); err != nil {
		return nil, err
	}
	value, there := m.fields[f].(T)
	if !there {
		value = fresh
		value.share(m.context())
	}
	var zero T
	value.record(log)
	err := change(value)
	value.record(zero)
	m.keep(f, value)
	delta := &ORMap{causal: causal{log.context()}, depth: m.depth}
	delta.keep(f, log)
	return m.tell(delta), err
}

// Remove takes a field away as far as it is seen here, and returns the delta.
func (m *ORMap) Remove(f Field) *ORMap {
	delta := &ORMap{depth: m.depth}
	if value, ok := m.fields[f]; ok {
		value.dots(delta.context().Add)
		delete(m.fields, f)
	}
	return m.tell(delta)
}

// Clear takes all fields away that are seen here, and returns the delta.
func (m *ORMap) Clear() *ORMap {
	delta := &ORMap{depth: m.depth}
	m.dots(delta.context().Add)
	clear(m.fields)
	return m.tell(delta)
}

// Flag reports whether a field is a flag that is on.
func (m *ORMap) Flag(name string) bool {
	f, ok := m.fields[Field{KindFlag, name}].(*Flag)
	return ok && f.Value()
}

// Register returns the values of a field that is a register.
func (m *ORMap) Register(name string) [][]byte {
	if r, ok := m.fields[Field{KindRegister, name}].(*MVRegister); ok {
		return r.Values()
	}
	return nil
}

// Counter returns the value of a field that is a counter.
func (m *ORMap) Counter(name string) int64 {
	if c, ok := m.fields[Field{KindCounter, name}].(*DotCounter); ok {
		return c.Value()
	}
	return 0
}

// Set returns the elements of a field that is a set, in their order.
func (m *ORMap) Set(name string) []string {
	if s, ok := m.fields[Field{KindSet, name}].(*ORSet); ok {
		return s.Elements()
	}
	return nil
}

// Map returns a copy of a field that is a map; an empty one if it is not there.
func (m *ORMap) Map(name string) *ORMap {
	if n, ok := m.fields[Field{KindMap, name}].(*ORMap); ok {
		return n.Clone()
	}
	return &ORMap{depth: m.depth + 1}
}

// Fields returns the fields that are there, in the order of kinds, then names.
func (m *ORMap) Fields() iter.Seq[Field] {
	return slices.Values(slices.SortedFunc(maps.Keys(m.fields), Field.compare))
}

// Len returns how many fields are there.
func (m *ORMap) Len() int { return len(m.fields) }

// Compact folds the counters of all levels, see [DotCounter.Compact].
func (m *ORMap) Compact(stable version.Vector) {
	for _, value := range m.fields {
		switch v := value.(type) {
		case *DotCounter:
			v.Compact(stable)
		case *ORMap:
			v.Compact(stable)
		}
	}
}

// Join takes in what other holds. It looks at everything in both.
func (m *ORMap) Join(other *ORMap) {
	m.merge(other, m.seen, other.seen)
	m.context().Union(other.seen)
}

// Clone returns a copy.
func (m *ORMap) Clone() *ORMap { return m.copied(m.seen.Clone()).(*ORMap) }

// AppendBinary appends the encoding of m.
func (m *ORMap) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formORMap, 3)
	putSet(w, m.seen)
	m.put(w)
	return written(w, len(dst), m.origins())
}

// UnmarshalBinary decodes a map; the values of its registers then alias b. Errors
// wrap [pack.ErrMalformed].
func (m *ORMap) UnmarshalBinary(b []byte) error {
	r := open(b, formORMap, 3)
	seen := getSet(r)
	n := readMap(r, seen, m.depth)
	if err := finish(r, "OR-Map"); err != nil {
		return err
	}
	m.seen, m.fields = seen, n.fields
	return nil
}

func readMap(r *pack.Reader, seen *version.Set, depth int) *ORMap {
	m := &ORMap{causal: causal{seen}, fields: map[Field]store{}, depth: depth}
	if depth >= DepthMax {
		r.Fail(fmt.Sprintf("maps within %d others", DepthMax))
	}
	var before Field
	for n := records(r, 3); n > 0 && r.Err() == nil; n-- {
		f := Field{Kind(r.UintMax(uint64(KindMap))), string(r.BinMax(ElementBytesMax))}
		if before.compare(f) >= 0 {
			r.Fail("fields are not in their order")
		}
		before = f
		value := readField(r, f.Kind, seen, depth)
		if r.Err() == nil && value.isEmpty() {
			r.Fail("a field with nothing in it")
		}
		m.fields[f] = value
	}
	return m
}

// readField reads a field of a kind that is there: 0 comes before all fields.
func readField(r *pack.Reader, k Kind, seen *version.Set, depth int) store {
	switch k {
	case KindFlag:
		return readFlag(r, seen)
	case KindRegister:
		return readRegister(r, seen)
	case KindCounter:
		return readCounter(r, seen)
	case KindSet:
		return readSet(r, seen)
	case KindMap:
		return readMap(r, seen, depth+1)
	}
	r.Fail(fmt.Sprintf("a field of kind %d", k))
	return nil
}

func (m *ORMap) keep(f Field, value store) {
	if value.isEmpty() {
		delete(m.fields, f)
		return
	}
	if m.fields == nil {
		m.fields = map[Field]store{}
	}
	m.fields[f] = value
}

func (m *ORMap) merge(other store, seen, theirs *version.Set) {
	n := other.(*ORMap)
	for f, value := range m.fields {
		if _, both := n.fields[f]; !both {
			value.merge(emptyField(f.Kind), seen, theirs)
			m.keep(f, value)
		}
	}
	for f, theirValue := range n.fields {
		value, ok := m.fields[f]
		if !ok {
			value = newField(f.Kind, m)
		}
		value.merge(theirValue, seen, theirs)
		m.keep(f, value)
	}
}

// newField returns a field of m with nothing in it, which shares what m has seen.
func newField(k Kind, m *ORMap) store {
	value := emptyField(k)
	value.(interface{ share(*version.Set) }).share(m.context())
	if n, ok := value.(*ORMap); ok {
		n.depth = m.depth + 1
	}
	return value
}

func emptyField(k Kind) store {
	switch k {
	case KindFlag:
		return &Flag{}
	case KindRegister:
		return &MVRegister{}
	case KindCounter:
		return &DotCounter{}
	case KindSet:
		return &ORSet{}
	}
	return &ORMap{}
}

func (m *ORMap) dots(yield func(version.Dot)) {
	for _, value := range m.fields {
		value.dots(yield)
	}
}

func (m *ORMap) copied(seen *version.Set) store {
	if seen == nil {
		seen = &version.Set{}
	}
	n := &ORMap{causal: causal{seen}, fields: make(map[Field]store, len(m.fields)), depth: m.depth}
	for f, value := range m.fields {
		n.fields[f] = value.copied(seen)
	}
	return n
}

func (m *ORMap) put(w *pack.Writer) {
	w.Array(3 * len(m.fields))
	for f := range m.Fields() {
		w.Uint(uint64(f.Kind))
		w.Bin([]byte(f.Name))
		m.fields[f].put(w)
	}
}

func (m *ORMap) isEmpty() bool { return len(m.fields) == 0 }
