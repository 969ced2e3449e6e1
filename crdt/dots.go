package crdt

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// The causal types hold dots, and beside them what they have seen: every dot that
// they ever held. What was seen and is not held was removed; that is all a removal
// leaves. Joining keeps a dot that both sides hold, or that one holds and the other
// has not seen (Almeida et al. 2018, §7).
//
// What a delta has seen is the dots that it accounts for and no other: those it
// brings and those it removes. Therefore it is an exact set and not a vector, and
// deltas may be lost, doubled and joined in any order (rule X1).

// store is the dots of one causal value, at the root or in a field of a map. It
// shares what it has seen with the map it lies in.
type store interface {
	// merge joins what other, of the same type, holds, where seen and theirs is
	// what the two sides have seen. It changes neither set.
	merge(other store, seen, theirs *version.Set)
	// dots calls yield with every dot that is held, in no order.
	dots(yield func(version.Dot))
	// copied returns a copy of what is held, which has seen what it is told.
	copied(seen *version.Set) store
	put(w *pack.Writer)
	isEmpty() bool
}

// causal is what a value has seen; nil at first.
type causal struct{ seen *version.Set }

func (c *causal) context() *version.Set {
	if c.seen == nil {
		c.seen = &version.Set{}
	}
	return c.seen
}

// Seen returns every dot that was ever held here, or in the map of which this is a
// field: what a holder can tell another of what it has.
func (c *causal) Seen() *version.Set {
	if c.seen == nil {
		return &version.Set{}
	}
	return c.seen.Clone()
}

func (c *causal) share(seen *version.Set) { c.seen = seen }

// next returns the dot of the next write of o, which it does not add to what was
// seen: one more than any that was seen of o.
func (c *causal) next(o version.Origin) (version.Dot, error) {
	if c.seen == nil {
		return version.Dot{Origin: o, Seq: 1}, nil
	}
	seq := c.seen.Prefix.Get(o)
	if err := checkOrigin(len(c.seen.Prefix), seq > 0); err != nil {
		return version.Dot{}, err
	}
	for _, d := range c.seen.Dots {
		if d.Origin == o {
			seq = max(seq, d.Seq)
		}
	}
	if seq == math.MaxUint64 {
		return version.Dot{}, fmt.Errorf("%v has no more dots: %w", o, ErrRange)
	}
	return version.Dot{Origin: o, Seq: seq + 1}, nil
}

// cover adds the dots of some held ones to what was seen.
func cover[V any](seen *version.Set, held dotted[V]) {
	for _, h := range held {
		seen.Add(h.dot)
	}
}

// origins returns of how many origins something was seen, at most.
func (c *causal) origins() int {
	if c.seen == nil {
		return 0
	}
	return max(len(c.seen.Prefix), 1)
}

// recorder joins the deltas of what is done to a value, while it is changed as a field
// of a map.
type recorder[T interface {
	comparable
	Join(T)
}] struct{ log T }

func (r *recorder[T]) record(log T) { r.log = log }

// tell records a delta if deltas are recorded, and returns it.
func (r *recorder[T]) tell(delta T) T {
	var none T
	if r.log != none {
		r.log.Join(delta)
	}
	return delta
}

// dotted is dots with what they stand for, in the order of dots. A list is never
// changed once it is made, so it may be shared.
type dotted[V any] []held[V]

type held[V any] struct {
	dot version.Dot
	v   V
}

// join returns what of s and t is held after a join; both picks where one dot has
// two contents.
func (s dotted[V]) join(t dotted[V], seen, theirs *version.Set, both func(a, b V) V) dotted[V] {
	if len(t) == 0 && !s.anyIn(theirs) {
		return s
	}
	var out dotted[V]
	for len(s) > 0 || len(t) > 0 {
		switch c := s.compare(t); {
		case c < 0:
			if !theirs.Has(s[0].dot) {
				out = append(out, s[0])
			}
			s = s[1:]
		case c > 0:
			if !seen.Has(t[0].dot) {
				out = append(out, t[0])
			}
			t = t[1:]
		default:
			out = append(out, held[V]{s[0].dot, both(s[0].v, t[0].v)})
			s, t = s[1:], t[1:]
		}
	}
	return out
}

// compare says whose first dot comes first; an empty list's comes last.
func (s dotted[V]) compare(t dotted[V]) int {
	switch {
	case len(t) == 0:
		return -1
	case len(s) == 0:
		return +1
	}
	return s[0].dot.Compare(t[0].dot)
}

func (s dotted[V]) anyIn(seen *version.Set) bool {
	for _, h := range s {
		if seen.Has(h.dot) {
			return true
		}
	}
	return false
}

func (s dotted[V]) each(yield func(version.Dot)) {
	for _, h := range s {
		yield(h.dot)
	}
}

func putDotted[V any](w *pack.Writer, s dotted[V], width int, put func(V)) {
	w.Array(width * len(s))
	for _, h := range s {
		putDot(w, h.dot)
		put(h.v)
	}
}

// getDotted reads what putDotted has written: dots in their order, each of which
// was seen.
func getDotted[V any](r *pack.Reader, seen *version.Set, width int, get func() V) dotted[V] {
	var s dotted[V]
	for n := records(r, width); n > 0 && r.Err() == nil; n-- {
		h := held[V]{getDot(r), get()}
		switch {
		case r.Err() != nil:
		case len(s) > 0 && s[len(s)-1].dot.Compare(h.dot) >= 0:
			r.Fail("dots are not in their order")
		case !seen.Has(h.dot):
			r.Fail(fmt.Sprintf("dot %v is held and was never seen", h.dot))
		}
		s = append(s, h)
	}
	return s
}

func nothing(struct{}) {}

func none() (v struct{}) { return v }

func same(a, _ struct{}) struct{} { return a }
