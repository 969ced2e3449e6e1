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
	if !s.Prefix.Descends(v) {
		s.Prefix, s.Dots = fold(s.Prefix.Join(v), s.Dots)
	}
}

// Union puts everything of t in s.
func (s *Set) Union(t *Set) {
	switch {
	case t == nil:
	case len(t.Dots) == 0:
		s.Cover(t.Prefix)
	case !s.includes(t):
		s.Prefix, s.Dots = fold(s.Prefix.Join(t.Prefix), merge(s.Dots, t.Dots))
	}
}

func (s *Set) includes(t *Set) bool {
	for _, d := range t.Dots {
		if !s.Has(d) {
			return false
		}
	}
	return s.Prefix.Descends(t.Prefix)
}

// Missing returns the dots of s that t lacks, in canonical order, at most most
// of them.
func (s *Set) Missing(t *Set, most int) []Dot {
	var out []Dot
	if s == nil {
		return nil
	}
	for _, m := range s.Prefix {
		from := uint64(1)
		if t != nil {
			from += t.Prefix.Get(m.Origin)
		}
		for seq := from; seq <= m.Seq && seq >= from && len(out) < most; seq++ {
			if d := (Dot{m.Origin, seq}); !t.Has(d) {
				out = append(out, d)
			}
		}
	}
	for _, d := range s.Dots {
		if len(out) < most && !t.Has(d) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, Dot.Compare)
	return out
}

// Without returns the dots of s that t lacks, as a set; nil if there are none.
// Only dots beyond the prefix of s can be taken away one by one, so s keeps its
// prefix unless t has all of it.
func (s *Set) Without(t *Set) *Set {
	if s.IsEmpty() {
		return nil
	}
	out := &Set{}
	for _, m := range s.Prefix {
		if t == nil || t.Prefix.Get(m.Origin) < m.Seq {
			out.Prefix = append(out.Prefix, m)
		}
	}
	for _, d := range s.Dots {
		if !t.Has(d) {
			out.Dots = append(out.Dots, d)
		}
	}
	if out.IsEmpty() {
		return nil
	}
	return out
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
		if reaches(s.Prefix.Get(d.Origin), d.Seq) || i > 0 && s.Dots[i-1].Compare(d) >= 0 {
			return false
		}
	}
	return s.Prefix.Valid()
}

// advance raises the prefix of o to seq and absorbs the dots it reaches.
func (s *Set) advance(o Origin, seq uint64) {
	from, _ := slices.BinarySearchFunc(s.Dots, Dot{o, 0}, Dot.Compare)
	to := from
	for to < len(s.Dots) && s.Dots[to].Origin == o && reaches(seq, s.Dots[to].Seq) {
		seq = max(seq, s.Dots[to].Seq)
		to++
	}
	s.Dots = slices.Delete(s.Dots, from, to)
	s.Prefix = s.Prefix.With(o, seq)
}

// reaches reports whether a prefix up to last takes in seq, or is next to it.
// It holds at the end of the range, too, which a peer may claim to have reached.
func reaches(last, seq uint64) bool { return seq <= last || seq-1 == last }

// fold makes a set canonical: it raises the marks of prefix over the sorted
// dots they reach, and keeps the rest. It changes dots, not prefix, and takes
// one pass, however many there are.
func fold(prefix Vector, dots []Dot) (Vector, []Dot) {
	if len(dots) == 0 {
		return prefix, dots
	}
	out, kept := make(Vector, 0, len(prefix)+1), dots[:0]
	for len(dots) > 0 {
		o, seq := dots[0].Origin, uint64(0)
		for len(prefix) > 0 && prefix[0].Origin.Compare(o) < 0 {
			out, prefix = append(out, prefix[0]), prefix[1:]
		}
		if len(prefix) > 0 && prefix[0].Origin == o {
			seq, prefix = prefix[0].Seq, prefix[1:]
		}
		for ; len(dots) > 0 && dots[0].Origin == o; dots = dots[1:] {
			if reaches(seq, dots[0].Seq) {
				seq = max(seq, dots[0].Seq)
			} else {
				kept = append(kept, dots[0])
			}
		}
		if seq > 0 {
			out = append(out, Mark{o, seq})
		}
	}
	if out = append(out, prefix...); len(out) == 0 {
		return nil, kept
	}
	return out, kept
}

// merge returns all of two sorted lists of dots, each dot once, in a new list.
func merge(a, b []Dot) []Dot {
	out := make([]Dot, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := a[0].Compare(b[0]); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
