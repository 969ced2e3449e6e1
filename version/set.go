package version

import "slices"

// Set is exact knowledge of writes: a prefix for each origin, and single dots
// beyond it. Where records travel alone, a context must be a Set, never a plain
// vector: else a later dot that arrives first hides an earlier one (rule X1).
// The zero Set knows nothing; a nil *Set may be read.
type Set struct {
	Prefix Vector
	Dots   []Dot // sorted, none within Prefix nor next to it
}

// Has reports whether d is in the set.
func (s *Set) Has(d Dot) bool {
	if s == nil {
		return false
	}
	if s.Prefix.Has(d) {
		return true
	}
	_, ok := slices.BinarySearchFunc(s.Dots, d, Dot.Compare)
	return ok
}

// Add puts d in the set, and folds dots that became contiguous into the prefix.
func (s *Set) Add(d Dot) {
	if d.Seq == 0 || s.Has(d) {
		return
	}
	if s.Prefix.Get(d.Origin)+1 != d.Seq {
		i, _ := slices.BinarySearchFunc(s.Dots, d, Dot.Compare)
		s.Dots = slices.Insert(s.Dots, i, d)
		return
	}
	s.advance(d.Origin, d.Seq)
}

// Cover puts every dot that v knows in the set.
func (s *Set) Cover(v Vector) {
	for _, m := range v {
		if s.Prefix.Get(m.Origin) < m.Seq {
			s.advance(m.Origin, m.Seq)
		}
	}
}

// Union puts everything of t in s.
func (s *Set) Union(t *Set) {
	if t == nil {
		return
	}
	s.Cover(t.Prefix)
	for _, d := range t.Dots {
		s.Add(d)
	}
}

// Clone returns a copy that shares nothing with s.
func (s *Set) Clone() *Set {
	if s == nil {
		return nil
	}
	return &Set{Prefix: slices.Clone(s.Prefix), Dots: slices.Clone(s.Dots)}
}

// Equal reports whether s and t know the same dots.
func (s *Set) Equal(t *Set) bool {
	if s.IsEmpty() || t.IsEmpty() {
		return s.IsEmpty() && t.IsEmpty()
	}
	return slices.Equal(s.Prefix, t.Prefix) && slices.Equal(s.Dots, t.Dots)
}

// IsEmpty reports whether the set knows nothing.
func (s *Set) IsEmpty() bool { return s == nil || len(s.Prefix) == 0 && len(s.Dots) == 0 }

// Valid reports whether s is canonical.
func (s *Set) Valid() bool {
	if s == nil {
		return true
	}
	for i, d := range s.Dots {
		if d.Seq <= s.Prefix.Get(d.Origin)+1 || i > 0 && s.Dots[i-1].Compare(d) >= 0 {
			return false
		}
	}
	return s.Prefix.Valid()
}

// advance raises the prefix of o to seq and absorbs the dots it reaches.
func (s *Set) advance(o Origin, seq uint64) {
	from, _ := slices.BinarySearchFunc(s.Dots, Dot{o, 0}, Dot.Compare)
	to := from
	for to < len(s.Dots) && s.Dots[to].Origin == o && s.Dots[to].Seq <= seq+1 {
		seq = max(seq, s.Dots[to].Seq)
		to++
	}
	s.Dots = slices.Delete(s.Dots, from, to)
	s.Prefix = s.Prefix.With(o, seq)
}
