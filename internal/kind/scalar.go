package kind

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// form is what a column's value is, by its first byte.
type form uint8

const (
	formNil form = iota
	formBool
	formInt
	formUint
	formFloat
	formString
	formBytes
	formOther
)

func formOf(c byte) form {
	switch {
	case c == 0xc0:
		return formNil
	case c == 0xc2, c == 0xc3:
		return formBool
	case c < 0x80, c >= 0xcc && c <= 0xcf:
		return formUint
	case c >= 0xe0, c >= 0xd0 && c <= 0xd3:
		return formInt
	case c == 0xca, c == 0xcb:
		return formFloat
	case c&0xe0 == 0xa0, c >= 0xd9 && c <= 0xdb:
		return formString
	case c >= 0xc4 && c <= 0xc6:
		return formBytes
	}
	return formOther
}

func isNil(b []byte) bool { return len(b) == 1 && b[0] == 0xc0 }

// scalarText returns a column's value as text: an integer in decimal, a float in
// its shortest form, a bool as 1 or 0, strings and bytes as they are. Nil is not
// there; arrays, maps and extensions have no text (topology.ErrMalformed).
func scalarText(b []byte) (text []byte, there bool, err error) {
	if err := pack.Walk(b); err != nil {
		return nil, false, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	switch c := b[0]; formOf(c) {
	case formNil:
		return nil, false, nil
	case formBool:
		return []byte{'0' + c - 0xc2}, true, nil
	case formUint:
		return strconv.AppendUint(nil, unsigned(b), 10), true, nil
	case formInt:
		return strconv.AppendInt(nil, signed(b), 10), true, nil
	case formFloat:
		if c == 0xca {
			return strconv.AppendFloat(nil, float64(math.Float32frombits(binary.BigEndian.Uint32(b[1:]))), 'g', -1, 32), true, nil
		}
		return strconv.AppendFloat(nil, math.Float64frombits(binary.BigEndian.Uint64(b[1:])), 'g', -1, 64), true, nil
	case formString:
		if c&0xe0 == 0xa0 {
			return b[1:], true, nil
		}
		return b[1+1<<(c-0xd9):], true, nil
	case formBytes:
		return b[1+1<<(c-0xc4):], true, nil
	}
	return nil, false, fmt.Errorf("a list, a map or an extension has no text: %w", topology.ErrMalformed)
}

// unsigned reads a well-formed unsigned integer of any length.
func unsigned(b []byte) (u uint64) {
	if b[0] < 0x80 {
		return uint64(b[0])
	}
	for _, c := range b[1:] {
		u = u<<8 | uint64(c)
	}
	return u
}

// signed reads a well-formed signed integer of any length.
func signed(b []byte) int64 {
	if b[0] >= 0xe0 {
		return int64(int8(b[0]))
	}
	unused := 64 - 8*(len(b)-1)
	return int64(unsigned(b)<<unused) >> unused
}

// textScalar returns the value of a column that text is written to and that holds
// present, or nothing: of the form it has, if text reads as that, else a string
// if it is UTF-8, else bytes.
func textScalar(text, present []byte) []byte {
	w := pack.NewWriter(nil)
	f := formOther
	if len(present) > 0 {
		f = formOf(present[0])
	}
	s := string(text)
	switch f {
	case formInt, formUint:
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			w.Int(i)
			return w.Bytes()
		}
		if u, err := strconv.ParseUint(s, 10, 64); err == nil {
			w.Uint(u)
			return w.Bytes()
		}
	case formFloat:
		if b := textFloat(s, present[0]); b != nil {
			return b
		}
	case formBool:
		switch s {
		case "1", "true":
			return []byte{0xc3}
		case "0", "false":
			return []byte{0xc2}
		}
	case formBytes:
		w.Bin(text)
		return w.Bytes()
	}
	if utf8.Valid(text) {
		w.Str(s)
	} else {
		w.Bin(text)
	}
	return w.Bytes()
}

// textFloat returns the float that s is, nil if it is none. One of 32 bits stays
// so while the number fits.
func textFloat(s string, code byte) []byte {
	if code == 0xca {
		if f, err := strconv.ParseFloat(s, 32); err == nil {
			return binary.BigEndian.AppendUint32([]byte{0xca}, math.Float32bits(float32(f)))
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(f))
}

// encodeField returns n as the value of a field that holds present, or nothing.
func (k *Key) encodeField(n int64, present []byte) []byte {
	text := strconv.AppendInt(nil, n, 10)
	if k.fieldKind() == record.KindMap {
		return text
	}
	if len(present) > 0 {
		switch formOf(present[0]) {
		case formFloat, formString, formBytes:
			return textScalar(text, present)
		}
	}
	return encodeNumber(n)
}

// checkColumn refuses what is no name of a column.
func checkColumn(name []byte) error {
	if len(name) == 0 || !utf8.Valid(name) {
		return fmt.Errorf("column %q: its name is UTF-8 and not empty: %w", name, topology.ErrMalformed)
	}
	return nil
}
