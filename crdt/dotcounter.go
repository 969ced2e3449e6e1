package crdt

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// DotCounter is the counter for fields of an [ORMap]: one dot for each increment,
// so that a reset, or the removal of its field, takes away what its maker had seen
// and nothing else, and leaves nothing behind. It grows with every increment until
// it is reset or [DotCounter.Compact]ed; where a counter stands alone, [PNCounter]
// can do the same in less. The zero DotCounter is 0.
type DotCounter struct {
	causal
	recorder[*DotCounter]
	entries dotted[tally]
}

// tally is one increment, or several of one origin that were folded into the last.
type tally struct {
	increments uint64
	sum        int64
}

// fuller is the tally that more increments were folded into. Of two with as many,
// which one dot can not have, the greater sum is taken.
func fuller(a, b tally) tally {
	if cmp.Or(cmp.Compare(a.increments, b.increments), cmp.Compare(a.sum, b.sum)) >= 0 {
		return a
	}
	return b
}

// Add counts n, which may be negative, for o, and returns the delta. It refuses
// with [ErrRange] if an int64 would not hold the value as it is seen here.
func (c *DotCounter) Add(o version.Origin, n int64) (*DotCounter, error) {
	if _, fits := sum(c.Value(), n); !fits {
		return nil, fmt.Errorf("%d more than %d: %w", n, c.Value(), ErrRange)
	}
	dot, err := c.next(o)
	if err != nil || n == 0 {
		return &DotCounter{}, err
	}
	delta := &DotCounter{entries: dotted[tally]{{dot, tally{1, n}}}}
	delta.context().Add(dot)
	c.entries = c.entries.join(delta.entries, c.seen, delta.seen, fuller)
	c.context().Add(dot)
	return c.tell(delta), nil
}

// Reset makes the value 0 as far as it is seen here, and returns the delta.
func (c *DotCounter) Reset() *DotCounter {
	delta := &DotCounter{}
	cover(delta.context(), c.entries)
	c.entries = nil
	return c.tell(delta)
}

// Value is the sum, or the end of the range of an int64 if the sum lies beyond.
func (c *DotCounter) Value() int64 {
	var up, down total
	for _, h := range c.entries {
		if h.v.sum < 0 {
			down.add(magnitude(h.v.sum))
		} else {
			up.add(magnitude(h.v.sum))
		}
	}
	return up.less(&down)
}

// Compact folds of each origin the increments that are stable into one, in the
// sense of [LWWMap.Compact]: no reset can come that has seen some of them and not
// the others.
func (c *DotCounter) Compact(stable version.Vector) {
	var out dotted[tally]
	for _, h := range c.entries {
		if k := len(out) - 1; k >= 0 && out[k].dot.Origin == h.dot.Origin && stable.Has(h.dot) {
			s, fits := sum(out[k].v.sum, h.v.sum)
			n := out[k].v.increments + h.v.increments
			if fits && n > h.v.increments {
				out[k] = held[tally]{h.dot, tally{n, s}}
				continue
			}
		}
		out = append(out, h)
	}
	c.entries = out
}

// Join takes in what other has counted and reset.
func (c *DotCounter) Join(other *DotCounter) {
	c.merge(other, c.seen, other.seen)
	c.context().Union(other.seen)
}

// Clone returns a copy.
func (c *DotCounter) Clone() *DotCounter { return c.copied(c.seen.Clone()).(*DotCounter) }

// AppendBinary appends the encoding of c.
func (c *DotCounter) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formDotCounter, 3)
	putSet(w, c.seen)
	c.put(w)
	return written(w, len(dst), c.origins())
}

// UnmarshalBinary decodes a counter. Errors wrap [pack.ErrMalformed].
func (c *DotCounter) UnmarshalBinary(b []byte) error {
	r := open(b, formDotCounter, 3)
	seen := getSet(r)
	d := readCounter(r, seen)
	if err := finish(r, "counter"); err != nil {
		return err
	}
	c.seen, c.entries = seen, d.entries
	return nil
}

func readCounter(r *pack.Reader, seen *version.Set) *DotCounter {
	entry := func() tally {
		t := tally{r.Uint(), r.Int()}
		if t.increments == 0 {
			r.Fail("no increment")
		}
		return t
	}
	return &DotCounter{causal: causal{seen}, entries: getDotted(r, seen, 5, entry)}
}

func (c *DotCounter) merge(other store, seen, theirs *version.Set) {
	c.entries = c.entries.join(other.(*DotCounter).entries, seen, theirs, fuller)
}

func (c *DotCounter) dots(yield func(version.Dot)) { c.entries.each(yield) }

func (c *DotCounter) copied(seen *version.Set) store {
	return &DotCounter{causal: causal{seen}, entries: slices.Clip(c.entries)}
}

func (c *DotCounter) put(w *pack.Writer) {
	putDotted(w, c.entries, 5, func(t tally) {
		w.Uint(t.increments)
		w.Int(t.sum)
	})
}

func (c *DotCounter) isEmpty() bool { return len(c.entries) == 0 }
