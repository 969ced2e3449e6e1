package pack

import "fmt"

// skip moves past one value. It recurses only into arrays and maps, at most
// depth deep, and counts every value against budget.
func (r *Reader) skip(depth int, budget *int) {
	if *budget--; *budget < 0 {
		r.Fail(fmt.Sprintf("more than %d values", ElementsMax))
		return
	}
	if r.err != nil || r.off >= len(r.b) {
		r.Fail("ends early")
		return
	}
	switch c := r.b[r.off]; {
	case c&0xf0 == 0x90 || c == 0xdc || c == 0xdd:
		r.skipAll(r.Array(), depth, budget)
	case c&0xf0 == 0x80 || c == 0xde || c == 0xdf:
		r.skipAll(2*r.Map(), depth, budget)
	case c&0xe0 == 0xa0 || c >= 0xd9 && c <= 0xdb:
		r.str()
	case c >= 0xc4 && c <= 0xc6:
		r.Bin()
	default:
		r.off++
		r.skipScalar(c)
	}
}

func (r *Reader) skipAll(n, depth int, budget *int) {
	if depth == 0 {
		r.Fail(fmt.Sprintf("nested deeper than %d", DepthMax))
		return
	}
	for ; n > 0 && r.err == nil; n-- {
		r.skip(depth-1, budget)
	}
}

func (r *Reader) skipScalar(c byte) {
	switch {
	case c < 0x80 || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3: // small integers, nil, booleans
	case c == 0xca:
		r.take(4)
	case c == 0xcb:
		r.take(8)
	case c >= 0xcc && c <= 0xcf:
		r.take(1 << (c - 0xcc))
	case c >= 0xd0 && c <= 0xd3:
		r.take(1 << (c - 0xd0))
	case c >= 0xc7 && c <= 0xc9: // ext with a length
		r.take(1 + r.length(c-0xc7))
	case c >= 0xd4 && c <= 0xd8: // fixext
		r.take(1 + 1<<(c-0xd4))
	default:
		r.Fail(fmt.Sprintf("0x%02x begins no value", c))
	}
}
