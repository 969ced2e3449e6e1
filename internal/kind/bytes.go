package kind

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Get reads a string: bytes, a counter or an extreme in decimal, 1 for a flag.
type Get struct {
	Key Key

	There bool
	Value []byte // not nil if There
}

// Reads implements Op.
func (o *Get) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Get) Decide(s topology.Sight) ([]record.Mutation, error) {
	cells := s.Cells(0)
	if len(cells) > 0 && cells[0].Others > 0 {
		return nil, fmt.Errorf("%w: key %q holds %d values that did not know of one another: read them all, and write one in their place", topology.ErrConflict, o.Key.Name, cells[0].Others+1)
	}
	h := headOf(cells)
	v, there, err := h.text(&o.Key)
	o.There, o.Value = there, kept(v, there)
	return nil, err
}

// kept copies what a sight has shown.
func kept(v []byte, there bool) []byte {
	if !there {
		return nil
	}
	return append([]byte{}, v...)
}

// When says under which condition a Put is done.
type When uint8

// The conditions of a Put.
const (
	Always    When = iota
	IfAbsent       // no key is there, of whatever kind
	IfPresent      // one is there, of whatever kind
	IfEqual        // it holds the bytes in Equal
)

// Put makes a string the value of a key, of whatever kind that was. In a table of
// counters, of maxima or of minima the value is a decimal int64, in one of flags 1 or 0,
// which turns it off.
type Put struct {
	Key        Key
	Value      []byte
	When       When
	Equal      []byte            // with IfEqual
	Expires    version.Timestamp // 0: that of the key's table
	KeepExpiry bool              // keep the present expiry, and not Expires
	Return     bool              // answer with what was there: a key of another kind is then ErrWrongKind

	Done  bool
	There bool // with Return: whether there was a string
	Old   []byte
}

// Reads implements Op.
func (o *Put) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Put) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Done, o.There, o.Old = false, false, nil
	if o.When != Always || o.Return || o.KeepExpiry {
		if err := ordered(s, "a put that depends on what is there"); err != nil {
			return nil, err
		}
	}
	h := headOf(s.Cells(0))
	old, there, err := h.text(&o.Key)
	if err != nil && (o.Return || o.When == IfEqual) {
		return nil, err
	}
	expires := o.Expires
	if o.KeepExpiry {
		expires = h.Expires
	}
	if expires == 0 && (!o.KeepExpiry || !h.there()) {
		expires = o.Key.Expires
	}
	ms, err := o.Key.replace(h, o.Value, expires)
	if err != nil {
		return nil, err
	}
	if ms, err = bounded(ms); err != nil {
		return nil, err
	}
	if o.Return {
		o.There, o.Old = there, kept(old, there)
	}
	switch o.When {
	case IfAbsent:
		o.Done = !h.there()
	case IfPresent:
		o.Done = h.there()
	case IfEqual:
		o.Done = there && bytes.Equal(old, o.Equal)
	default:
		o.Done = true
	}
	if !o.Done {
		return nil, nil
	}
	return ms, nil
}

// replace returns the mutations that make a string the value of a key whose head
// is h. They alias value.
func (k *Key) replace(h head, value []byte, expires version.Timestamp) ([]record.Mutation, error) {
	m, err := k.stringPut(value, expires)
	if err != nil {
		return nil, err
	}
	if Parted(h.Kind) {
		return []record.Mutation{k.remove(h.Kind), m}, nil
	}
	return []record.Mutation{m}, nil
}

func (k *Key) stringPut(value []byte, expires version.Timestamp) (record.Mutation, error) {
	switch k.Kind {
	case record.KindAny, record.KindBytes:
		return k.headPut(record.KindBytes, value, expires), nil
	case record.KindCounter:
		n, err := integer(value)
		if err != nil {
			return record.Mutation{}, fmt.Errorf("key %q of a table of counters takes a decimal integer: %w", k.Name, err)
		}
		return k.headPut(record.KindCounter, encodeNumber(n), expires), nil
	case record.KindMax, record.KindMin:
		n, err := integer(value)
		if err != nil {
			return record.Mutation{}, fmt.Errorf("key %q of a table of kind %s takes a decimal integer: %w", k.Name, Name(k.Kind), err)
		}
		return k.headPut(k.Kind, encodeNumber(n), expires), nil
	case record.KindFlag:
		return flagPut(k, value, expires)
	}
	return record.Mutation{}, k.takes("bytes", record.KindBytes)
}

// Pair is one key of a PutAll, and its value.
type Pair struct {
	Key   Key
	Value []byte
}

// PutAll makes strings the values of several keys, all or nothing. Of a key that
// comes twice the last value stays.
type PutAll struct {
	Pairs    []Pair
	IfAbsent bool // only if none of the keys is there

	Done bool
}

// Reads implements Op.
func (o *PutAll) Reads() []topology.CellRange {
	return headsOf(len(o.Pairs), func(i int) *Key { return &o.Pairs[i].Key })
}

// Decide implements Op.
func (o *PutAll) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Done = false
	if o.IfAbsent {
		if err := ordered(s, "a put that depends on what is there"); err != nil {
			return nil, err
		}
	}
	if err := tooMany(len(o.Pairs)); err != nil {
		return nil, err
	}
	ms := make([]record.Mutation, 0, len(o.Pairs))
	for i := range o.Pairs {
		p := &o.Pairs[i]
		h := headOf(s.Cells(i))
		if o.IfAbsent && h.there() {
			return nil, nil
		}
		puts, err := p.Key.replace(h, p.Value, p.Key.Expires)
		if err != nil {
			return nil, err
		}
		ms = append(ms, puts...)
	}
	ms, err := bounded(ms)
	o.Done = err == nil
	return ms, err
}

// Append adds bytes to the end of a string. One that is not there is empty; a
// counter becomes bytes.
type Append struct {
	Key   Key
	Value []byte

	Length int // afterwards, in bytes
}

// Reads implements Op.
func (o *Append) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Append) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Length = 0
	h := headOf(s.Cells(0))
	old, _, err := h.text(&o.Key)
	if err == nil {
		err = o.Key.takes("bytes", record.KindBytes)
	}
	if err == nil {
		err = ordered(s, "an append")
	}
	if err != nil {
		return nil, err
	}
	if n := len(old) + len(o.Value); n > record.ValueBytesMax {
		return nil, fmt.Errorf("value of %d bytes, at most %d: %w", n, record.ValueBytesMax, topology.ErrTooLarge)
	}
	value := append(append(make([]byte, 0, len(old)+len(o.Value)), old...), o.Value...)
	ms, err := bounded([]record.Mutation{o.Key.headPut(record.KindBytes, value, o.Key.expiry(h))})
	if err == nil {
		o.Length = len(value)
	}
	return ms, err
}

// Incr adds to a counter, or to bytes that hold a decimal int64. What is not
// there is 0, and becomes bytes in a table of bytes and a counter in others.
type Incr struct {
	Key Key
	By  int64

	Value int64 // afterwards
}

// Reads implements Op.
func (o *Incr) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Incr) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Value = 0
	if err := o.Key.takes("a counter", record.KindCounter, record.KindBytes); err != nil {
		return nil, err
	}
	h := headOf(s.Cells(0))
	old, of, err := o.present(&h)
	if err != nil {
		return nil, err
	}
	n, err := sum(old, o.By)
	if err != nil {
		return nil, err
	}
	value := encodeNumber(n)
	switch {
	case scattered(s) && (of == record.KindBytes || o.Key.Kind != record.KindCounter):
		return nil, fmt.Errorf("%w: where several sites write, a key is counted in a table of counters alone: elsewhere one of two sums would be lost", ErrWrongKind)
	case scattered(s):
		m := o.Key.mutation(record.OpMerge, of)
		m.Value, m.Expires, o.Value = encodeNumber(o.By), o.Key.expiry(h), n
		return []record.Mutation{m}, nil
	case of == record.KindBytes:
		value = strconv.AppendInt(nil, n, 10)
	}
	ms, err := bounded([]record.Mutation{o.Key.headPut(of, value, o.Key.expiry(h))})
	if err == nil {
		o.Value = n
	}
	return ms, err
}

// Count reads a counter, or bytes that hold a decimal int64; what is not there is 0.
type Count struct {
	Key Key

	There bool
	Value int64
}

// Reads implements Op.
func (o *Count) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Count) Decide(s topology.Sight) ([]record.Mutation, error) {
	h := headOf(s.Cells(0))
	n, _, err := (&Incr{Key: o.Key}).present(&h)
	o.There, o.Value = err == nil && h.there(), n
	return nil, err
}

// present returns the number that is there, and the kind that it has or gets.
func (o *Incr) present(h *head) (int64, record.Kind, error) {
	switch h.Kind {
	case record.KindAny:
		if o.Key.Kind == record.KindBytes {
			return 0, record.KindBytes, nil
		}
		return 0, record.KindCounter, nil
	case record.KindCounter:
		n, err := h.number(&o.Key)
		return n, record.KindCounter, err
	case record.KindBytes:
		n, err := integer(h.Value)
		return n, record.KindBytes, err
	}
	return 0, 0, o.Key.wrong(h.Kind, "a counter")
}

func (o *Put) size() int    { return len(o.Key.Name) + len(o.Value) }
func (o *Append) size() int { return len(o.Key.Name) + len(o.Value) }

func (o *PutAll) size() (n int) {
	for i := range o.Pairs {
		n += len(o.Pairs[i].Key.Name) + len(o.Pairs[i].Value)
	}
	return n
}
