package crdt

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// ORSet is a set in which adding wins: an element that somebody adds and somebody
// else removes without having seen that stays. What is removed leaves nothing but
// the dots that were seen, which fold into one number for each origin (the
// optimised OR-Set of Bieniusa et al. 2012). Elements are any bytes, at most
// [ElementBytesMax]. The zero ORSet is empty.
type ORSet struct {
	causal
	recorder[*ORSet]
	elements map[string]dotted[struct{}]
}

// Add puts elements in the set for o, and returns the delta.
func (s *ORSet) Add(o version.Origin, elements ...string) (*ORSet, error) {
	for _, e := range elements {
		if err := checkName(e); err != nil {
			return nil, err
		}
	}
	delta := &ORSet{elements: make(map[string]dotted[struct{}], len(elements))}
	if len(elements) == 0 {
		return delta, nil
	}
	dot, err := s.next(o)
	if err == nil && dot.Seq > math.MaxUint64-uint64(len(elements)) {
		err = fmt.Errorf("%v has no more dots: %w", o, ErrRange)
	}
	if err != nil {
		return nil, err
	}
	if s.elements == nil {
		s.elements = map[string]dotted[struct{}]{}
	}
	for _, e := range elements {
		one := dotted[struct{}]{{dot: dot}}
		cover(delta.context(), s.elements[e])
		delta.seen.Add(dot)
		s.context().Add(dot)
		s.elements[e], delta.elements[e] = one, one
		dot.Seq++
	}
	return s.tell(delta), nil
}

// Remove takes elements out of the set as far as they are seen here, and returns
// the delta.
func (s *ORSet) Remove(elements ...string) *ORSet {
	delta := &ORSet{}
	for _, e := range elements {
		cover(delta.context(), s.elements[e])
		delete(s.elements, e)
	}
	return s.tell(delta)
}

// Clear takes out all elements that are seen here, and returns the delta.
func (s *ORSet) Clear() *ORSet {
	delta := &ORSet{}
	for _, dots := range s.elements {
		cover(delta.context(), dots)
	}
	clear(s.elements)
	return s.tell(delta)
}

// Contains reports whether element is in the set.
func (s *ORSet) Contains(element string) bool { return len(s.elements[element]) > 0 }

// Elements returns the elements in their order.
func (s *ORSet) Elements() []string { return slices.Sorted(maps.Keys(s.elements)) }

// Len returns how many elements there are.
func (s *ORSet) Len() int { return len(s.elements) }

// Join takes in what other holds. It looks at every element of both; where many
// deltas are to be joined into a large set, join them first to one another.
func (s *ORSet) Join(other *ORSet) {
	s.merge(other, s.seen, other.seen)
	s.context().Union(other.seen)
}

// Clone returns a copy.
func (s *ORSet) Clone() *ORSet { return s.copied(s.seen.Clone()).(*ORSet) }

// AppendBinary appends the encoding of s.
func (s *ORSet) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formORSet, 3)
	putSet(w, s.seen)
	s.put(w)
	return written(w, len(dst), s.origins())
}

// UnmarshalBinary decodes a set. Errors wrap [pack.ErrMalformed].
func (s *ORSet) UnmarshalBinary(b []byte) error {
	r := open(b, formORSet, 3)
	seen := getSet(r)
	t := readSet(r, seen)
	if err := finish(r, "OR-Set"); err != nil {
		return err
	}
	s.seen, s.elements = seen, t.elements
	return nil
}

func readSet(r *pack.Reader, seen *version.Set) *ORSet {
	s := &ORSet{causal: causal{seen}, elements: map[string]dotted[struct{}]{}}
	before := ""
	for n := records(r, 2); n > 0 && r.Err() == nil; n-- {
		before = getName(r, len(s.elements) == 0, before)
		dots := getDotted(r, seen, 3, none)
		if len(dots) == 0 {
			r.Fail("an element that nobody added")
		}
		s.elements[before] = dots
	}
	return s
}

func (s *ORSet) merge(other store, seen, theirs *version.Set) {
	t := other.(*ORSet)
	for e, dots := range s.elements {
		if _, both := t.elements[e]; !both && dots.anyIn(theirs) {
			s.keep(e, dots.join(nil, seen, theirs, same))
		}
	}
	for e, dots := range t.elements {
		s.keep(e, s.elements[e].join(dots, seen, theirs, same))
	}
}

func (s *ORSet) keep(element string, dots dotted[struct{}]) {
	if len(dots) == 0 {
		delete(s.elements, element)
		return
	}
	if s.elements == nil {
		s.elements = map[string]dotted[struct{}]{}
	}
	s.elements[element] = dots
}

func (s *ORSet) dots(yield func(version.Dot)) {
	for _, dots := range s.elements {
		dots.each(yield)
	}
}

func (s *ORSet) copied(seen *version.Set) store {
	return &ORSet{causal: causal{seen}, elements: maps.Clone(s.elements)}
}

func (s *ORSet) put(w *pack.Writer) {
	w.Array(2 * len(s.elements))
	for _, e := range s.Elements() {
		w.Bin([]byte(e))
		putDotted(w, s.elements[e], 3, nothing)
	}
}

func (s *ORSet) isEmpty() bool { return len(s.elements) == 0 }
