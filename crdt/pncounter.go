package crdt

import (
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/version"
)

// PNCounter is a counter that goes up and down, and may be reset: of each origin
// how much it went up and down in all, and how much of that the last reset had
// seen. The zero PNCounter is 0.
//
// [PNCounter.Reset] undoes what its caller has seen, exactly: what is counted at
// the same time elsewhere stays, and two resets at the same time are one. That
// takes no tombstone and no dot for each increment, because what anybody has seen
// of one origin is always a beginning of what that origin did.
//
// An origin that forgets what it has counted must come back under a new
// incarnation, as with [GCounter].
type PNCounter struct{ entries []pnEntry } // by origin, none zero

// pnEntry is one origin's. zeroUp ≤ up and zeroDown ≤ down.
type pnEntry struct {
	origin                     version.Origin
	up, down, zeroUp, zeroDown uint64
}

func (e pnEntry) join(f pnEntry) pnEntry {
	return pnEntry{e.origin, max(e.up, f.up), max(e.down, f.down), max(e.zeroUp, f.zeroUp), max(e.zeroDown, f.zeroDown)}
}

func (c *PNCounter) find(o version.Origin) (int, bool) {
	return slices.BinarySearchFunc(c.entries, o, func(e pnEntry, o version.Origin) int { return e.origin.Compare(o) })
}

// Add counts n, which may be negative, for o, and returns the delta: the new
// totals of o. It refuses with [ErrRange] what a total, or the value as it is seen
// here, can not hold.
func (c *PNCounter) Add(o version.Origin, n int64) (*PNCounter, error) {
	i, there := c.find(o)
	e := pnEntry{origin: o}
	if there {
		e = c.entries[i]
	}
	by := &e.up
	if n < 0 {
		by = &e.down
	}
	if _, fits := sum(c.Value(), n); !fits || magnitude(n) > math.MaxUint64-*by {
		return nil, fmt.Errorf("%d more than %d: %w", n, c.Value(), ErrRange)
	}
	if err := checkOrigin(len(c.entries), there); err != nil || n == 0 {
		return &PNCounter{}, err
	}
	*by += magnitude(n)
	delta := &PNCounter{[]pnEntry{e}}
	c.Join(delta)
	return delta, nil
}

// Reset makes the value 0 as far as it is seen here, and returns the delta.
func (c *PNCounter) Reset() *PNCounter {
	delta := c.Clone()
	for i := range delta.entries {
		e := &delta.entries[i]
		e.zeroUp, e.zeroDown = e.up, e.down
	}
	c.Join(delta)
	return delta
}

// Value is the sum, or the end of the range of an int64 if the sum lies beyond.
func (c *PNCounter) Value() int64 {
	var up, down total
	for _, e := range c.entries {
		up.add(e.up - e.zeroUp)
		down.add(e.down - e.zeroDown)
	}
	return up.less(&down)
}

// Retire gives what was counted by an origin that will never count again to the
// zero origin; the value stays. What [GCounter.Retire] asks for holds here too, of
// resets as well.
func (c *PNCounter) Retire(o version.Origin) error {
	i, there := c.find(o)
	if !there || o.IsZero() {
		return nil
	}
	e, pool := c.entries[i], pnEntry{}
	if j, ok := c.find(version.Origin{}); ok {
		pool = c.entries[j]
	}
	if e.up > math.MaxUint64-pool.up || e.down > math.MaxUint64-pool.down {
		return fmt.Errorf("the totals of %v and of all that are retired: %w", o, ErrRange)
	}
	pool.up, pool.down = pool.up+e.up, pool.down+e.down
	pool.zeroUp, pool.zeroDown = pool.zeroUp+e.zeroUp, pool.zeroDown+e.zeroDown
	c.entries = slices.Delete(slices.Clone(c.entries), i, i+1)
	c.Join(&PNCounter{[]pnEntry{pool}})
	return nil
}

// Join takes in what other has counted and reset.
func (c *PNCounter) Join(other *PNCounter) {
	c.entries = byOrigin(c.entries, other.entries, func(e pnEntry) version.Origin { return e.origin }, pnEntry.join)
}

// Clone returns a copy.
func (c *PNCounter) Clone() *PNCounter { return &PNCounter{slices.Clone(c.entries)} }

// AppendBinary appends the encoding of c.
func (c *PNCounter) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formPNCounter, 2)
	w.Array(6 * len(c.entries))
	for _, e := range c.entries {
		putOrigin(w, e.origin)
		for _, n := range []uint64{e.up, e.down, e.zeroUp, e.zeroDown} {
			w.Uint(n)
		}
	}
	return written(w, len(dst), len(c.entries))
}

// UnmarshalBinary decodes a counter. Errors wrap [pack.ErrMalformed].
func (c *PNCounter) UnmarshalBinary(b []byte) error {
	r := open(b, formPNCounter, 2)
	n := records(r, 6)
	if n > OriginsMax {
		r.Fail(fmt.Sprintf("%d origins are more than %d", n, OriginsMax))
	}
	var entries []pnEntry
	for ; n > 0 && r.Err() == nil; n-- {
		e := pnEntry{getOrigin(r), r.Uint(), r.Uint(), r.Uint(), r.Uint()}
		switch k := len(entries); {
		case k > 0 && entries[k-1].origin.Compare(e.origin) >= 0:
			r.Fail("origins are not in their order")
		case e.up == 0 && e.down == 0:
			r.Fail("an origin that counted nothing")
		case e.zeroUp > e.up || e.zeroDown > e.down:
			r.Fail("a reset of more than was counted")
		}
		entries = append(entries, e)
	}
	if err := finish(r, "PN-Counter"); err != nil {
		return err
	}
	c.entries = entries
	return nil
}
