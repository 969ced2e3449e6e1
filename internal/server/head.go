package server

import (
	"math"
	"strconv"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// head is a key as decide finds it: the cell without a field, which has the
// key's kind and expiry. The zero head is that of a key that is not there.
type head struct {
	exists  bool
	kind    record.Kind
	value   []byte
	expires version.Timestamp
}

// headOf returns the head among the cells of a range, where it is the first.
func headOf(cells []topology.CellReading) head {
	if len(cells) == 0 || len(cells[0].Field) != 0 {
		return head{}
	}
	c := &cells[0]
	return head{exists: true, kind: c.Kind, value: c.Value, expires: c.Expires}
}

// parts reports whether the key is made of more cells than its head.
func (h head) parts() bool {
	return h.kind == record.KindMap || h.kind == record.KindSet || h.kind == record.KindRow
}

// text is what a key holds that Redis calls a string: bytes, or a counter's
// digits, which are written to room.
func (h head) text(room []byte) ([]byte, error) {
	switch h.kind {
	case record.KindBytes:
		return h.value, nil
	case record.KindCounter:
		n, err := h.counter()
		return strconv.AppendInt(room[:0], n, 10), err
	}
	return nil, errWrongType
}

func (h head) counter() (int64, error) {
	r := pack.NewReader(h.value)
	n := r.Int()
	if r.Done() != nil {
		return 0, replyError("ERR malformed counter")
	}
	return n, nil
}

// count is how many fields a map or set has.
func (h head) count() (int, error) {
	if !h.exists {
		return 0, nil
	}
	r := pack.NewReader(h.value)
	n := r.UintMax(math.MaxInt64)
	if r.Done() != nil {
		return 0, replyError("ERR malformed count of fields")
	}
	return int(n), nil
}

// typeName is what TYPE answers.
func (h head) typeName() string {
	switch {
	case !h.exists:
		return "none"
	case h.kind == record.KindMap, h.kind == record.KindRow:
		return "hash"
	case h.kind == record.KindSet:
		return "set"
	}
	return "string"
}

// packed returns the msgpack form of n in the request's own memory.
func (r *request) packed(n int64) []byte {
	from := len(r.scratch)
	w := pack.NewWriter(r.scratch)
	putInt(w, n)
	r.scratch = w.Bytes()
	return r.scratch[from:len(r.scratch):len(r.scratch)]
}

// put makes value the value of place i, and clears what it was made of before.
func (r *request) put(i int, h head, kind record.Kind, value []byte, expires version.Timestamp) {
	if h.parts() {
		r.remove(i)
	}
	r.muts = append(r.muts, record.Mutation{
		Table: r.places[i].table, Key: r.places[i].key, Op: record.OpPut, Kind: kind, Expires: expires, Value: value,
	})
}

// putField sets one field.
func (r *request) putField(i int, kind record.Kind, field, value []byte) {
	r.muts = append(r.muts, record.Mutation{
		Table: r.places[i].table, Key: r.places[i].key, Field: field, Op: record.OpPut, Kind: kind, Value: value,
	})
}

// remove removes a key, or with a field that field.
func (r *request) remove(i int, field ...[]byte) {
	m := record.Mutation{Table: r.places[i].table, Key: r.places[i].key, Op: record.OpDelete}
	if len(field) > 0 {
		m.Field = field[0]
	}
	r.muts = append(r.muts, m)
}

// born is when a key expires that begins to exist with nothing said about it.
func (r *request) born(i int) version.Timestamp {
	if ttl := r.places[i].ttl; ttl > 0 {
		return version.TimestampAt(r.now.Add(ttl))
	}
	return 0
}

// parseInt reads an integer as strictly as Redis does.
func parseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 || b[0] == '+' {
		return 0, false
	}
	if digits := b; len(digits) > 1 {
		if digits[0] == '-' {
			digits = digits[1:]
		}
		if digits[0] == '0' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// expiry is when something expires that is given in units of Unix time, or from
// now on; false if that is no time.
func expiry(n int64, unit time.Duration, relative bool, now time.Time) (version.Timestamp, bool) {
	ms := n
	if unit == time.Second {
		if n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
			return 0, false
		}
		ms *= 1000
	}
	if relative {
		base := now.UnixMilli()
		if ms > math.MaxInt64-base {
			return 0, false
		}
		ms += base
	}
	if ms > expiryMax {
		return 0, false
	}
	return version.TimestampAt(time.UnixMilli(ms)), true
}

// expiryMax is the last millisecond that a timestamp can hold.
const expiryMax = 1<<48 - 1
