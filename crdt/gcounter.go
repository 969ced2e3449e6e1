package crdt

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/version"
)

// GCounter is a counter that only grows: each origin's own total, which only that
// origin raises. Its value is their sum. The zero GCounter is 0.
//
// An origin that forgets what it has counted must come back under a new
// incarnation: the greater of two totals wins, and would swallow the other's.
type GCounter struct{ totals version.Vector }

// Add counts n for o, and returns the delta: the new total of o. It refuses with
// [ErrRange] what the total can not hold.
func (c *GCounter) Add(o version.Origin, n uint64) (*GCounter, error) {
	was := c.totals.Get(o)
	if n > math.MaxUint64-was {
		return nil, fmt.Errorf("%d more than %d: %w", n, was, ErrRange)
	}
	if err := checkOrigin(len(c.totals), was > 0); err != nil {
		return nil, err
	}
	c.totals = c.totals.With(o, was+n)
	return &GCounter{version.Vector(nil).With(o, was+n)}, nil
}

// Value is the sum, or the greatest uint64 if the sum is greater.
func (c *GCounter) Value() uint64 {
	var t total
	for _, m := range c.totals {
		t.add(m.Seq)
	}
	return t.capped()
}

// Retire gives what was counted by an origin that will never count again to the
// zero origin, so that the counter forgets its name; the value stays. All holders
// must do so at one point on which they agree, each knowing the last total of o,
// before they join again: a state that still names o would count it twice.
// It refuses with [ErrRange] what the total of the zero origin can not hold.
func (c *GCounter) Retire(o version.Origin) error {
	n, pool := c.totals.Get(o), c.totals.Get(version.Origin{})
	switch {
	case o.IsZero():
		return nil
	case n > math.MaxUint64-pool:
		return fmt.Errorf("%d more than %d: %w", n, pool, ErrRange)
	}
	c.totals = c.totals.With(o, 0).With(version.Origin{}, pool+n)
	return nil
}

// Join takes in what other has counted.
func (c *GCounter) Join(other *GCounter) { c.totals = c.totals.Join(other.totals) }

// Clone returns a copy.
func (c *GCounter) Clone() *GCounter { return &GCounter{c.totals} } // vectors are values

// AppendBinary appends the encoding of c.
func (c *GCounter) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formGCounter, 2)
	putVector(w, c.totals)
	return written(w, len(dst), len(c.totals))
}

// UnmarshalBinary decodes a counter. Errors wrap [pack.ErrMalformed].
func (c *GCounter) UnmarshalBinary(b []byte) error {
	r := open(b, formGCounter, 2)
	totals := getVector(r)
	if err := finish(r, "G-Counter"); err != nil {
		return err
	}
	c.totals = totals
	return nil
}
