package crdt

import (
	"bytes"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// MVRegister holds every value that no later one has replaced: several, where some
// were written without knowing of each other. The zero MVRegister holds none.
type MVRegister struct {
	causal
	recorder[*MVRegister]
	values dotted[[]byte]
}

// Set writes value for o in place of all that are seen here, and returns the
// delta. The register keeps value, which is not to be changed.
func (m *MVRegister) Set(o version.Origin, value []byte) (*MVRegister, error) {
	if err := checkValue(value); err != nil {
		return nil, err
	}
	dot, err := m.next(o)
	if err != nil {
		return nil, err
	}
	delta := &MVRegister{values: dotted[[]byte]{{dot, value}}}
	cover(delta.context(), m.values)
	delta.seen.Add(dot)
	m.context().Add(dot)
	m.values = delta.values
	return m.tell(delta), nil
}

// Clear removes all values that are seen here, and returns the delta.
func (m *MVRegister) Clear() *MVRegister {
	delta := &MVRegister{}
	cover(delta.context(), m.values)
	m.values = nil
	return m.tell(delta)
}

// Values returns the values, which are not to be changed, in the order of their
// dots. Two that are equal were written by two.
func (m *MVRegister) Values() [][]byte {
	var out [][]byte
	for _, h := range m.values {
		out = append(out, h.v)
	}
	return out
}

// Join takes in what other holds.
func (m *MVRegister) Join(other *MVRegister) {
	m.merge(other, m.seen, other.seen)
	m.context().Union(other.seen)
}

// Clone returns a copy.
func (m *MVRegister) Clone() *MVRegister { return m.copied(m.seen.Clone()).(*MVRegister) }

// AppendBinary appends the encoding of m.
func (m *MVRegister) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formMVRegister, 3)
	putSet(w, m.seen)
	m.put(w)
	return written(w, len(dst), m.origins())
}

// UnmarshalBinary decodes a register, whose values then alias b. Errors wrap
// [pack.ErrMalformed].
func (m *MVRegister) UnmarshalBinary(b []byte) error {
	r := open(b, formMVRegister, 3)
	seen := getSet(r)
	n := readRegister(r, seen)
	if err := finish(r, "MV-Register"); err != nil {
		return err
	}
	m.seen, m.values = seen, n.values
	return nil
}

func readRegister(r *pack.Reader, seen *version.Set) *MVRegister {
	value := func() []byte { return r.BinMax(BytesMax / 2) }
	return &MVRegister{causal: causal{seen}, values: getDotted(r, seen, 4, value)}
}

// greater is what holders agree on where one dot has two values, which two lives
// wrote under one name.
func greater(a, b []byte) []byte {
	if bytes.Compare(a, b) >= 0 {
		return a
	}
	return b
}

func (m *MVRegister) merge(other store, seen, theirs *version.Set) {
	m.values = m.values.join(other.(*MVRegister).values, seen, theirs, greater)
}

func (m *MVRegister) dots(yield func(version.Dot)) { m.values.each(yield) }

func (m *MVRegister) copied(seen *version.Set) store {
	return &MVRegister{causal: causal{seen}, values: m.values}
}

func (m *MVRegister) put(w *pack.Writer) {
	putDotted(w, m.values, 4, func(v []byte) { w.Bin(v) })
}

func (m *MVRegister) isEmpty() bool { return len(m.values) == 0 }
