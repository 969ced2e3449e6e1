package kind

import (
	"fmt"
	"math"
	"strconv"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// head is the cell of a key without a field; its zero value, of kind any, is
// that of a key that is not there.
type head struct{ record.Version }

func headOf(cells []topology.CellReading) head {
	if len(cells) == 0 || len(cells[0].Field) != 0 {
		return head{}
	}
	return head{cells[0].Version}
}

// there reports whether the key is: a head's kind is never any.
func (h *head) there() bool { return h.Kind != record.KindAny }

// Parted reports whether a key of kind k has cells beside its head.
func Parted(k record.Kind) bool {
	return k == record.KindRow || k == record.KindMap || k == record.KindSet
}

// expiry is that of k after a change that does not put it whole. A head that is absent
// stands in for one that nobody has written: of a key that is new, where several sites
// write, or that never expires.
func (k *Key) expiry(h head) version.Timestamp {
	if h.there() && !h.Absent {
		return h.Expires
	}
	return k.Expires
}

func (k *Key) mutation(op record.Op, of record.Kind) record.Mutation {
	return record.Mutation{Table: k.Table, Key: k.Name, Op: op, Kind: of}
}

// headPut returns the mutation that makes value the head of k.
func (k *Key) headPut(of record.Kind, value []byte, expires version.Timestamp) record.Mutation {
	m := k.mutation(record.OpPut, of)
	m.Value, m.Expires = value, expires
	return m
}

// remove returns the mutation that removes k whole.
func (k *Key) remove(of record.Kind) record.Mutation { return k.mutation(record.OpDelete, of) }

// count returns how many parts a map or a set has.
func (h *head) count(k *Key) (uint64, error) {
	if !h.there() {
		return 0, nil
	}
	r := pack.NewReader(h.Value)
	n := r.UintMax(math.MaxInt64)
	if err := r.Done(); err != nil {
		return 0, fmt.Errorf("the count of key %q: %w: %w", k.Name, topology.ErrMalformed, err)
	}
	return n, nil
}

func encodeCount(n uint64) []byte {
	w := pack.NewWriter(nil)
	w.Uint(n)
	return w.Bytes()
}

func encodeNumber(n int64) []byte {
	w := pack.NewWriter(nil)
	w.Int(n)
	return w.Bytes()
}

// number returns the value of a counter.
func (h *head) number(k *Key) (int64, error) {
	r := pack.NewReader(h.Value)
	n := r.Int()
	if err := r.Done(); err != nil {
		return 0, fmt.Errorf("the number of key %q: %w: %w", k.Name, topology.ErrMalformed, err)
	}
	return n, nil
}

// text returns the value of a key as a string: bytes as they are, a counter or an
// extreme in decimal, 1 for a flag that is on. It may alias the head.
func (h *head) text(k *Key) (b []byte, there bool, err error) {
	switch h.Kind {
	case record.KindAny:
		return nil, false, nil
	case record.KindBytes:
		return h.Value, true, nil
	case record.KindCounter, record.KindMax, record.KindMin:
		n, err := h.number(k)
		return strconv.AppendInt(nil, n, 10), err == nil, err
	case record.KindFlag:
		return []byte(flagOn), true, nil
	}
	return nil, false, k.wrong(h.Kind, "bytes")
}

// integer reads a decimal int64 in its only form: no sign but a minus, no zero
// that leads, as Redis wants it.
func integer(b []byte) (int64, error) {
	const digitsMax = 20
	if len(b) == 0 || len(b) > digitsMax {
		return 0, ErrNotInteger
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(b) {
		return 0, ErrNotInteger
	}
	return n, nil
}

// sum is a + b, or ErrOverflow.
func sum(a, b int64) (int64, error) {
	if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
		return 0, ErrOverflow
	}
	return a + b, nil
}

// field returns the field of the cell in which a part of that name stands.
func (k *Key) field(name []byte) []byte {
	if k.Kind == record.KindRow || !zeros(name) {
		return name
	}
	return append(name[:len(name):len(name)], 0)
}

// named is the inverse of field, for maps and sets.
func named(field []byte) []byte {
	if zeros(field) {
		return field[:max(len(field), 1)-1]
	}
	return field
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// PartName returns the name of a part, as its user calls it, from the field that
// it is stored at in a table of that kind.
func PartName(table record.Kind, field []byte) []byte {
	if table == record.KindRow {
		return field
	}
	return named(field)
}
