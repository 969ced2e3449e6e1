package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Limits of what a [Reader] accepts.
const (
	DepthMax    = 32      // nesting of arrays and maps in [Reader.Skip]
	ElementsMax = 1 << 20 // values within one [Reader.Skip]
)

// ErrMalformed is the ground of every error of a [Reader].
var ErrMalformed = errors.New("malformed msgpack")

// Reader is a bounded cursor over one msgpack message. After the first error
// every read returns a zero value, so a caller may read a whole shape and ask
// Err, or Done, once. Slices it returns alias the message.
type Reader struct {
	b   []byte
	off int
	err error
}

// NewReader returns a cursor at the start of b, which it does not copy.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first error, with its offset.
func (r *Reader) Err() error { return r.err }

// Rest returns what was not read yet.
func (r *Reader) Rest() []byte { return r.b[r.off:] }

// Offset returns how many bytes were read.
func (r *Reader) Offset() int { return r.off }

// Done returns the first error, or an error if anything follows what was read.
func (r *Reader) Done() error {
	if r.err == nil && r.off != len(r.b) {
		r.Fail(fmt.Sprintf("%d bytes after the end", len(r.b)-r.off))
	}
	return r.err
}

// Fail records why at the current offset, unless an error is there already.
func (r *Reader) Fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at byte %d: %s", ErrMalformed, r.off, why)
		r.off = len(r.b)
	}
}

// take returns the next n bytes, nil if they are not there.
func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.off {
		r.Fail(fmt.Sprintf("%d bytes claimed, %d left", n, len(r.b)-r.off))
		return nil
	}
	p := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return p
}

func (r *Reader) byte() byte {
	if r.err == nil && r.off < len(r.b) {
		r.off++
		return r.b[r.off-1]
	}
	r.Fail("ends early")
	return 0xc1
}

func (r *Reader) big(n int) uint64 {
	p := r.take(n)
	if p == nil {
		return 0
	}
	switch n {
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
	c := r.byte()
	if c < 0x80 {
		return uint64(c)
	}
	if c < 0xcc || c > 0xcf {
		r.Fail(fmt.Sprintf("unsigned integer expected, found 0x%02x", c))
		return 0
	}
	n := 1 << (c - 0xcc)
	u := r.big(n)
	if least := [...]uint64{0xcc: 0x80, 0xcd: 1 << 8, 0xce: 1 << 16, 0xcf: 1 << 32}[c]; u < least {
		r.Fail("integer not in its smallest form")
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
	if r.off < len(r.b) {
		switch c := r.b[r.off]; {
		case c >= 0xe0:
			r.off++
			return int64(int8(c))
		case c >= 0xd0 && c <= 0xd3:
			return r.negative()
		}
	}
	u := r.Uint()
	if u > math.MaxInt64 {
		r.Fail("integer too large")
		return 0
	}
	return int64(u)
}

func (r *Reader) negative() int64 {
	n := 1 << (r.byte() - 0xd0)
	u := r.big(n)
	i := int64(u<<(64-8*n)) >> (64 - 8*n)
	most := map[int]int64{1: -33, 2: math.MinInt8 - 1, 4: math.MinInt16 - 1, 8: math.MinInt32 - 1}[n]
	if r.err == nil && i > most {
		r.Fail("integer not in its smallest form")
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
	if r.err == nil && r.off < len(r.b) && r.b[r.off] == 0xc0 {
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

// String reads a string, which must be UTF-8. It is a copy.
func (r *Reader) String() string {
	b := r.str()
	if !utf8.Valid(b) {
		r.Fail("string is not UTF-8")
		return ""
	}
	return string(b)
}

// StringMax reads a string of at most most bytes.
func (r *Reader) StringMax(most int) string {
	s := r.String()
	if len(s) > most {
		r.Fail(fmt.Sprintf("string of %d bytes is more than %d", len(s), most))
		return ""
	}
	return s
}

func (r *Reader) str() []byte {
	c := r.byte()
	switch {
	case c&0xe0 == 0xa0:
		return r.take(int(c & 0x1f))
	case c >= 0xd9 && c <= 0xdb:
		n := r.length(c - 0xd9)
		if n < 32 {
			r.Fail("string length not in its smallest form")
		}
		return r.take(n)
	}
	r.Fail(fmt.Sprintf("string expected, found 0x%02x", c))
	return nil
}

// length reads a length of 1, 2 or 4 bytes (step 0, 1, 2) in its smallest form,
// no more than what remains.
func (r *Reader) length(step byte) int {
	u := r.big(1 << step)
	if step > 0 && u < 1<<(4<<step) {
		r.Fail("length not in its smallest form")
		return 0
	}
	if r.err == nil && u > uint64(len(r.b)-r.off) {
		r.Fail(fmt.Sprintf("%d claimed, %d bytes left", u, len(r.b)-r.off))
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

func (r *Reader) elements(fix, wide byte, least int) int {
	c := r.byte()
	var n uint64
	switch {
	case c&0xf0 == fix:
		n = uint64(c & 0x0f)
	case c == wide || c == wide+1:
		n = r.big(2 << (c - wide))
		if n < 16 || c == wide+1 && n < 1<<16 {
			r.Fail("length not in its smallest form")
			return 0
		}
	default:
		r.Fail(fmt.Sprintf("header 0x%02x expected, found 0x%02x", fix, c))
		return 0
	}
	if r.err == nil && n > uint64((len(r.b)-r.off)/least) {
		r.Fail(fmt.Sprintf("%d elements claimed, %d bytes left", n, len(r.b)-r.off))
		return 0
	}
	return int(n)
}

// Skip reads one whole value of any form, within [DepthMax] and [ElementsMax],
// and returns its bytes, which alias the message.
func (r *Reader) Skip() []byte {
	from, budget := r.off, ElementsMax
	r.skip(DepthMax, &budget)
	if r.err != nil {
		return nil
	}
	return r.b[from:r.off:r.off]
}
