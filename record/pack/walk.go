package pack

import (
	"encoding/binary"
	"fmt"
)

// Limits of what [Reader.Skip] and [Walk] accept.
const (
	DepthMax    = 32      // arrays and maps within one another
	ElementsMax = 1 << 20 // values of one walk: containers, elements, keys and values
)

// Walk checks that b is one well-formed msgpack value within [DepthMax] and
// [ElementsMax], and nothing more. It allocates nothing but its error, which
// wraps [ErrMalformed].
//
// It is what must stand before any decoder that believes the lengths it reads.
// It says nothing of the keys of maps: they may be of any form, and repeat.
func Walk(b []byte) error {
	r := NewReader(b)
	r.Skip()
	return r.Done()
}

// Skip reads one whole value, within [DepthMax] and [ElementsMax], and returns
// its bytes, which alias the message. Unlike the reads of a known shape it
// takes every form that a msgpack writer may choose: integers and lengths that
// are not the smallest, strings that are not UTF-8, extensions of any type. An
// extension of type −1 must be a timestamp as the format defines it.
func (r *Reader) Skip() []byte {
	from := r.off
	w := walker{r: r, budget: ElementsMax}
	w.value(DepthMax)
	if r.err != nil {
		return nil
	}
	return r.b[from:r.off:r.off]
}

// walker moves a Reader past values of any form.
type walker struct {
	r      *Reader
	budget int // values that may still follow
}

// value moves past one value. It recurses only into arrays and maps, at most
// depth deep.
func (w *walker) value(depth int) {
	if w.budget--; w.budget < 0 {
		w.r.Fail(fmt.Sprintf("more than %d values", ElementsMax))
		return
	}
	switch c := w.r.byte(); {
	case c < 0x80 || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3: // small integers, nil, booleans
	case c < 0x90:
		w.elements(2*uint64(c&0x0f), depth)
	case c < 0xa0:
		w.elements(uint64(c&0x0f), depth)
	case c < 0xc0:
		w.r.take(int(c & 0x1f))
	case c >= 0xc4 && c <= 0xc6: // bin
		w.r.take(w.length(c - 0xc4))
	case c >= 0xc7 && c <= 0xc9: // ext
		w.extension(w.length(c - 0xc7))
	case c == 0xca || c == 0xcb: // floats
		w.r.take(4 << (c - 0xca))
	case c >= 0xcc && c <= 0xd3: // unsigned and signed integers
		w.r.take(1 << (c & 3))
	case c >= 0xd4 && c <= 0xd8: // fixext
		w.extension(1 << (c - 0xd4))
	case c >= 0xd9 && c <= 0xdb: // str
		w.r.take(w.length(c - 0xd9))
	case c == 0xdc || c == 0xdd:
		w.elements(big(w.r.take(2<<(c-0xdc))), depth)
	case c == 0xde || c == 0xdf:
		w.elements(2*big(w.r.take(2<<(c-0xde))), depth)
	default:
		w.r.Fail(fmt.Sprintf("0x%02x begins no value", c))
	}
}

// length reads a length of 1, 2 or 4 bytes (step 0, 1, 2).
func (w *walker) length(step byte) int { return int(big(w.r.take(1 << step))) }

// elements moves past n values of an array or a map.
func (w *walker) elements(n uint64, depth int) {
	switch rest := len(w.r.Rest()); {
	case depth == 0:
		w.r.Fail(fmt.Sprintf("nested deeper than %d", DepthMax))
	case n > uint64(rest):
		w.r.Fail(fmt.Sprintf("%d elements claimed, %d bytes left", n, rest))
	}
	for ; n > 0 && w.r.err == nil; n-- {
		w.value(depth - 1)
	}
}

const (
	timestampType  = 0xff // −1
	nanosecondsMax = 999_999_999
)

// extension moves past the type and the n bytes of an extension.
func (w *walker) extension(n int) {
	t := w.r.byte()
	p := w.r.take(n)
	if t != timestampType || w.r.err != nil {
		return
	}
	var nsec uint64
	switch n {
	case 4: // seconds
	case 8: // 30 bits of nanoseconds, 34 of seconds
		nsec = binary.BigEndian.Uint64(p) >> 34
	case 12: // 32 bits of nanoseconds, 64 of seconds
		nsec = uint64(binary.BigEndian.Uint32(p))
	default:
		w.r.Fail(fmt.Sprintf("timestamp of %d bytes", n))
	}
	if nsec > nanosecondsMax {
		w.r.Fail(fmt.Sprintf("timestamp with %d nanoseconds", nsec))
	}
}
