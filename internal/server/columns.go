package server

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// textRoom is enough for the text of any number.
const textRoom = 32

// fieldText is what a field holds, as text: a map's bytes as they are, a row's
// column by its msgpack type. Text of numbers and truth values is written to
// room; a column that is no scalar is shown as its msgpack bytes.
func fieldText(c *topology.CellReading, room []byte) []byte {
	if c.Kind != record.KindRow {
		return c.Value
	}
	s := scalarOf(c.Value)
	switch s.form {
	case formText, formBytes:
		return s.bytes
	case formInt:
		return strconv.AppendInt(room[:0], s.n, 10)
	case formUint:
		return strconv.AppendUint(room[:0], uint64(s.n), 10)
	case formFloat:
		return strconv.AppendFloat(room[:0], s.f, 'g', -1, 64)
	case formBool:
		return strconv.AppendBool(room[:0], s.n != 0)
	case formNil:
		return nil
	}
	return c.Value
}

// form is what a column holds.
type form uint8

const (
	formOther form = iota
	formNil
	formBool
	formInt
	formUint // above the range of int64; n holds its bits
	formFloat
	formText
	formBytes
)

type scalar struct {
	form  form
	n     int64
	f     float64
	bytes []byte
}

// scalarOf reads a msgpack scalar in any form that a writer may choose; what is
// none, or malformed, is formOther.
func scalarOf(b []byte) scalar {
	if len(b) == 0 || pack.Walk(b) != nil {
		return scalar{}
	}
	c, body := b[0], b[1:]
	switch {
	case c < 0x80 || c >= 0xe0:
		return scalar{form: formInt, n: int64(int8(c))}
	case c&0xe0 == 0xa0:
		return scalar{form: formText, bytes: body}
	case c == 0xc0:
		return scalar{form: formNil}
	case c == 0xc2, c == 0xc3:
		return scalar{form: formBool, n: int64(c - 0xc2)}
	case c >= 0xc4 && c <= 0xc6:
		return scalar{form: formBytes, bytes: body[1<<(c-0xc4):]}
	case c == 0xca:
		return scalar{form: formFloat, f: float64(math.Float32frombits(binary.BigEndian.Uint32(body)))}
	case c == 0xcb:
		return scalar{form: formFloat, f: math.Float64frombits(binary.BigEndian.Uint64(body))}
	case c >= 0xcc && c <= 0xd3:
		return integer(c, body)
	case c >= 0xd9 && c <= 0xdb:
		return scalar{form: formText, bytes: body[1<<(c-0xd9):]}
	}
	return scalar{}
}

// integer reads the body of an integer of 1, 2, 4 or 8 bytes.
func integer(c byte, body []byte) scalar {
	var u uint64
	for _, x := range body {
		u = u<<8 | uint64(x)
	}
	if c < 0xd0 {
		if u > math.MaxInt64 {
			return scalar{form: formUint, n: int64(u)}
		}
		return scalar{form: formInt, n: int64(u)}
	}
	unused := 64 - 8*len(body)
	return scalar{form: formInt, n: int64(u<<unused) >> unused}
}

// column is text as a column's value: of the type that the column holds, if the
// text is one of that, so that a program which reads rows into its types still
// can; otherwise a string, or bytes where it is not UTF-8.
func (r *request) column(held *topology.CellReading, text []byte) []byte {
	var s scalar
	if held != nil {
		s = scalarOf(held.Value)
	}
	from := len(r.scratch)
	w := pack.NewWriter(r.scratch)
	if !s.writeLike(w, text) {
		if utf8.Valid(text) {
			w.Str(string(text))
		} else {
			w.Bin(text)
		}
	}
	r.scratch = w.Bytes()
	return r.scratch[from:len(r.scratch):len(r.scratch)]
}

// writeLike writes text as a value of the form of s, and reports whether it is one.
func (s scalar) writeLike(w *pack.Writer, text []byte) bool {
	switch s.form {
	case formInt, formUint:
		if n, ok := parseInt(text); ok {
			putInt(w, n)
			return true
		}
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err == nil {
			w.Uint(n)
		}
		return err == nil
	case formFloat:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return false
		}
		w.Raw(binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(f)))
		return true
	case formBool:
		v, err := strconv.ParseBool(string(text))
		if err == nil {
			w.Bool(v)
		}
		return err == nil
	case formBytes:
		w.Bin(text)
		return true
	}
	return false
}

func putInt(w *pack.Writer, n int64) {
	if n < 0 {
		w.Int(n)
	} else {
		w.Uint(uint64(n))
	}
}
