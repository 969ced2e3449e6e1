package kind

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Observe shows a number to a key that keeps the greatest, or the least, of all it was
// shown. One that changes nothing is not written: what the key holds says it already.
type Observe struct {
	Key Key
	Of  record.Kind // max or min
	N   int64

	Value   int64 // afterwards
	Changed bool
}

// Reads implements Op.
func (o *Observe) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Observe) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Value, o.Changed = 0, false
	h, err := joined(&o.Key, s, o.Of, "a "+Name(o.Of))
	if err != nil {
		return nil, err
	}
	if h.there() {
		n, err := h.number(&o.Key)
		if err != nil {
			return nil, err
		}
		if o.N == n || (o.N > n) != (o.Of == record.KindMax) {
			o.Value = n
			return nil, nil
		}
	}
	ms, err := joins(&o.Key, s, h, o.Of, encodeNumber(o.N), encodeNumber(o.N))
	if err == nil {
		o.Value, o.Changed = o.N, true
	}
	return ms, err
}

// joined returns the head of a key that is, or will be, of kind of.
func joined(k *Key, s topology.Sight, of record.Kind, asked string) (head, error) {
	h := headOf(s.Cells(0))
	switch {
	case h.there() && h.Kind != of:
		return h, k.wrong(h.Kind, asked)
	case scattered(s) && k.Kind == record.KindAny:
		return h, fmt.Errorf("%w: where several sites write, a key is %s in a table of kind %s alone: elsewhere one of two writes would be lost", ErrWrongKind, asked, Name(of))
	}
	return h, k.takes(asked, of)
}

// joins returns the mutation that joins asked into a key of kind of whose head is h and
// holds whole afterwards. Where several sites write, the record is made from what was
// asked.
func joins(k *Key, s topology.Sight, h head, of record.Kind, asked, whole []byte) ([]record.Mutation, error) {
	m := k.headPut(of, whole, k.expiry(h))
	if scattered(s) {
		m.Op, m.Value = record.OpMerge, asked
	}
	return bounded([]record.Mutation{m})
}

// Extreme reads the greatest, or the least, number that a key was shown.
type Extreme struct {
	Key Key
	Of  record.Kind // max or min

	There bool
	Value int64
}

// Reads implements Op.
func (o *Extreme) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Extreme) Decide(s topology.Sight) (_ []record.Mutation, err error) {
	o.There, o.Value = false, 0
	h := headOf(s.Cells(0))
	switch {
	case !h.there():
		return nil, nil
	case h.Kind != o.Of:
		return nil, o.Key.wrong(h.Kind, "a "+Name(o.Of))
	}
	o.Value, err = h.number(&o.Key)
	o.There = err == nil
	return nil, err
}
