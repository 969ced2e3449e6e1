package crdt

import (
	"math"
	"math/bits"
)

// total adds what does not fit into 64 bits: the counts of many origins.
type total struct{ high, low uint64 }

func (t *total) add(n uint64) {
	var carry uint64
	t.low, carry = bits.Add64(t.low, n, 0)
	t.high += carry
}

// capped is the total, at most what a uint64 holds.
func (t *total) capped() uint64 {
	if t.high > 0 {
		return math.MaxUint64
	}
	return t.low
}

// less returns t − u as an int64, at the end of its range if it lies beyond.
func (t *total) less(u *total) int64 {
	low, borrow := bits.Sub64(t.low, u.low, 0)
	high, negative := bits.Sub64(t.high, u.high, borrow)
	switch {
	case negative == 0 && (high > 0 || low > math.MaxInt64):
		return math.MaxInt64
	case negative == 1 && (high != math.MaxUint64 || low < 1<<63):
		return math.MinInt64
	}
	return int64(low)
}

// magnitude is |n|, which of the least int64 only a uint64 holds.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// sum is a + b, if an int64 holds it.
func sum(a, b int64) (int64, bool) {
	c := a + b
	return c, (a >= 0) != (b >= 0) || (c >= 0) == (a >= 0)
}
