package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// ErrMalformed is the ground of every error of a [Reader].
var ErrMalformed = errors.New("malformed msgpack")

// Reader is a bounded cursor over one msgpack message. After the first error
// every read returns a zero value, so a caller may read a whole shape and ask
// Err, or Done, once. Slices it returns alias the message. It is not safe for
// concurrent use.
type Reader struct {
	b   []byte
	off int // len(b) once err is set: whoever finds a byte need not ask for the error
	err error
}

// NewReader returns a cursor at the start of b, which it does not copy.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first error, with its offset. It wraps [ErrMalformed].
func (r *Reader) Err() error { return r.err }

// Rest returns what was not read yet: nothing after an error.
func (r *Reader) Rest() []byte { return r.b[r.off:] }

// Offset returns how many bytes were read: all of them after an error.
func (r *Reader) Offset() int { return r.off }

// Done returns the first error, or an error if anything follows what was read.
func (r *Reader) Done() error {
	if n := len(r.Rest()); n > 0 {
		r.Fail(fmt.Sprintf("%d bytes after the end", n))
	}
	return r.err
}

// Fail makes why the error at the current offset, unless there is one already.
// It is for callers that find a value of the right form and the wrong meaning.
func (r *Reader) Fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at byte %d: %s", ErrMalformed, r.off, why)
		r.off = len(r.b)
	}
}

// take returns the next n bytes, nil if they are not there.
func (r *Reader) take(n int) []byte {
	if n < 0 || n > len(r.b)-r.off {
		r.Fail(fmt.Sprintf("%d bytes claimed, %d left", n, len(r.Rest())))
		return nil
	}
	p := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return p
}

// byte returns the next byte, or one that begins no value.
func (r *Reader) byte() byte {
	if r.off < len(r.b) {
		r.off++
		return r.b[r.off-1]
	}
	r.Fail("ends early")
	return 0xc1
}

// big is p as an integer, of 1, 2, 4 or 8 bytes; 0 for none.
func big(p []byte) uint64 {
	switch len(p) {
	case 0:
		return 0
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	case 4:
		return uint64(binary.BigEndian.Uint32(p))
	}
	return binary.BigEndian.Uint64(p)
}

// Uint reads an unsigned integer in its smallest form.
func (r *Reader) Uint() uint64 {
	if r.off < len(r.b) && r.b[r.off] < 0x80 {
		r.off++
		return uint64(r.b[r.off-1])
	}
	return r.wide()
}

// wide reads an unsigned integer of more than one byte: 0xcc to 0xcf.
func (r *Reader) wide() uint64 {
	c := r.byte()
	if c < 0xcc || c > 0xcf {
		r.Fail(fmt.Sprintf("unsigned integer expected, found 0x%02x", c))
		return 0
	}
	step := c - 0xcc
	u := big(r.take(1 << step))
	if u < [4]uint64{0x80, 1 << 8, 1 << 16, 1 << 32}[step] {
		r.Fail("integer not in its smallest form")
		return 0
	}
	return u
}

// UintMax reads an unsigned integer of at most most.
func (r *Reader) UintMax(most uint64) uint64 {
	u := r.Uint()
	if u > most {
		r.Fail(fmt.Sprintf("integer %d is more than %d", u, most))
		return 0
	}
	return u
}

// Int reads a signed integer in its smallest form.
func (r *Reader) Int() int64 {
	if r.off == len(r.b) || r.b[r.off] < 0xd0 {
		return int64(r.UintMax(math.MaxInt64))
	}
	c := r.byte()
	if c >= 0xe0 {
		return int64(int8(c))
	}
	if c > 0xd3 {
		r.Fail(fmt.Sprintf("integer expected, found 0x%02x", c))
		return 0
	}
	step := c - 0xd0
	unused := 64 - 8<<step // bits
	i := int64(big(r.take(1<<step))<<unused) >> unused
	if i > [4]int64{-33, math.MinInt8 - 1, math.MinInt16 - 1, math.MinInt32 - 1}[step] {
		r.Fail("integer not in its smallest form")
		return 0
	}
	return i
}

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	switch c := r.byte(); c {
	case 0xc2:
		return false
	case 0xc3:
		return true
	default:
		r.Fail(fmt.Sprintf("boolean expected, found 0x%02x", c))
		return false
	}
}

// Nil reads a nil if one is next, and reports whether it was.
func (r *Reader) Nil() bool {
	if r.off < len(r.b) && r.b[r.off] == 0xc0 {
		r.off++
		return true
	}
	return false
}

// Bin reads a bin. The slice aliases the message; it is nil if empty.
func (r *Reader) Bin() []byte {
	c := r.byte()
	if c < 0xc4 || c > 0xc6 {
		r.Fail(fmt.Sprintf("bin expected, found 0x%02x", c))
		return nil
	}
	n := r.length(c - 0xc4)
	if n == 0 {
		return nil
	}
	return r.take(n)
}

// BinMax reads a bin of at most most bytes.
func (r *Reader) BinMax(most int) []byte {
	b := r.Bin()
	if len(b) > most {
		r.Fail(fmt.Sprintf("bin of %d bytes is more than %d", len(b), most))
		return nil
	}
	return b
}

// Str reads a string, which must be UTF-8. It is a copy.
func (r *Reader) Str() string { return r.StrMax(math.MaxInt) }

// StrMax reads a string of at most most bytes, which must be UTF-8. It is a copy.
func (r *Reader) StrMax(most int) string {
	var n int
	switch c := r.byte(); {
	case c&0xe0 == 0xa0:
		n = int(c & 0x1f)
	case c >= 0xd9 && c <= 0xdb:
		if n = r.length(c - 0xd9); n < 32 {
			r.Fail("string length not in its smallest form")
			return ""
		}
	default:
		r.Fail(fmt.Sprintf("string expected, found 0x%02x", c))
		return ""
	}
	if n > most {
		r.Fail(fmt.Sprintf("string of %d bytes is more than %d", n, most))
		return ""
	}
	b := r.take(n)
	if !utf8.Valid(b) {
		r.Fail("string is not UTF-8")
		return ""
	}
	return string(b)
}

// length reads a length of 1, 2 or 4 bytes (step 0, 1, 2) in its smallest form.
func (r *Reader) length(step byte) int {
	u := big(r.take(1 << step))
	if step > 0 && u < 1<<(4<<step) {
		r.Fail("length not in its smallest form")
		return 0
	}
	return int(u)
}

// Array reads the header of an array and returns its length, which is never
// more than the bytes that remain.
func (r *Reader) Array() int { return r.elements(0x90, 0xdc, 1) }

// Map reads the header of a map and returns its number of pairs, of which each
// has at least two bytes left.
func (r *Reader) Map() int { return r.elements(0x80, 0xde, 2) }

// ArrayOf reads the header of an array that must have n elements.
func (r *Reader) ArrayOf(n int) {
	if m := r.Array(); r.err == nil && m != n {
		r.Fail(fmt.Sprintf("array of %d expected, found %d", n, m))
	}
}

// ArrayMax reads the header of an array of at most most elements.
func (r *Reader) ArrayMax(most int) int {
	n := r.Array()
	if n > most {
		r.Fail(fmt.Sprintf("array of %d is more than %d", n, most))
		return 0
	}
	return n
}

// elements reads the header of a container whose elements take at least least
// bytes each: in the byte fix, or after wide or wide+1.
func (r *Reader) elements(fix, wide byte, least int) int {
	c := r.byte()
	var n uint64
	switch {
	case c&0xf0 == fix:
		n = uint64(c & 0x0f)
	case c == wide || c == wide+1:
		n = big(r.take(2 << (c - wide)))
		if n < 16 || c == wide+1 && n < 1<<16 {
			r.Fail("length not in its smallest form")
			return 0
		}
	default:
		r.Fail(fmt.Sprintf("header 0x%02x expected, found 0x%02x", fix, c))
		return 0
	}
	if rest := len(r.Rest()); n > uint64(rest/least) {
		r.Fail(fmt.Sprintf("%d elements claimed, %d bytes left", n, rest))
		return 0
	}
	return int(n)
}
