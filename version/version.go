// Package version says who wrote, when, and having seen what.
//
// It holds the causal identity that every record of Triad carries, in all
// topologies: an [Origin] names who numbers writes, a [Dot] names one write, a
// [Vector] is prefix knowledge of many origins, a [Set] is exact knowledge, and
// a [Timestamp] is hybrid logical time, handed out by a [Clock].
//
// The package is pure: it imports the standard library alone, does no I/O, and
// reads no wall clock but the one a [Clock] was given. Comparisons of versions
// live here and nowhere else.
package version

import (
	"cmp"
	"fmt"
	"slices"
)

// Origin is who numbers writes: a group, a site, or one node's share of one
// partition, in one life. Numbers are given out in a control document and are
// never reused; a life that may have forgotten writes of its own takes a new
// incarnation before it writes again (rule C1).
type Origin struct {
	ID          uint32
	Incarnation uint32
}

// Compare orders origins by ID, then incarnation: the canonical order of
// vectors and sibling sets.
func (o Origin) Compare(p Origin) int { return cmp.Compare(o.key(), p.key()) }

// key is o as one number of the same order: searches compare many of them.
func (o Origin) key() uint64 { return uint64(o.ID)<<32 | uint64(o.Incarnation) }

// IsZero reports whether o names nobody.
func (o Origin) IsZero() bool { return o == Origin{} }

func (o Origin) String() string { return fmt.Sprintf("%d.%d", o.ID, o.Incarnation) }

// Dot is the identity of one write: Seq is contiguous from 1 within its origin
// (rule C2).
type Dot struct {
	Origin Origin
	Seq    uint64
}

// Compare orders dots by origin, then sequence: the canonical order of siblings.
func (d Dot) Compare(e Dot) int {
	if c := d.Origin.Compare(e.Origin); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, e.Seq)
}

// IsZero reports whether d names no write.
func (d Dot) IsZero() bool { return d == Dot{} }

func (d Dot) String() string { return fmt.Sprintf("%s:%d", d.Origin, d.Seq) }

// Seen is knowledge of writes, as a prefix ([Vector]) or exactly ([*Set]).
type Seen interface {
	Has(Dot) bool
}

// Mark is one origin's place in a [Vector]: everything up to Seq is known.
type Mark struct {
	Origin Origin
	Seq    uint64
}

// Vector is prefix knowledge: for each origin, the greatest sequence up to
// which everything is known. It is sorted by origin and holds no zero mark and
// no origin twice; the nil Vector knows nothing. A Vector is a value: methods
// never change their receiver, and callers must not either once it is shared.
type Vector []Mark

// Get returns the greatest known sequence of o, 0 if none.
func (v Vector) Get(o Origin) uint64 {
	if i, ok := v.find(o); ok {
		return v[i].Seq
	}
	return 0
}

// Has reports whether d is within the known prefix of its origin.
func (v Vector) Has(d Dot) bool { return d.Seq != 0 && d.Seq <= v.Get(d.Origin) }

// With returns v with the mark of o set to seq, whatever it was before.
// A zero seq removes the mark. The result may be v itself.
func (v Vector) With(o Origin, seq uint64) Vector {
	i, ok := v.find(o)
	switch {
	case ok && seq == 0:
		return slices.Delete(slices.Clone(v), i, i+1)
	case ok && v[i].Seq == seq, !ok && seq == 0:
		return v
	case ok:
		w := slices.Clone(v)
		w[i].Seq = seq
		return w
	}
	w := append(make(Vector, 0, len(v)+1), v[:i]...)
	return append(append(w, Mark{o, seq}), v[i:]...)
}

// Descends reports whether v knows everything that w knows.
func (v Vector) Descends(w Vector) bool {
	for _, m := range w {
		for len(v) > 0 && v[0].Origin.key() < m.Origin.key() {
			v = v[1:]
		}
		if len(v) == 0 || v[0].Origin != m.Origin || v[0].Seq < m.Seq {
			return false
		}
	}
	return true
}

// Join returns the least vector that knows all that v or w knows. The result
// may be v or w itself.
func (v Vector) Join(w Vector) Vector {
	if v.Descends(w) {
		return v
	}
	if w.Descends(v) {
		return w
	}
	out := make(Vector, 0, len(v)+len(w))
	for len(v) > 0 && len(w) > 0 {
		switch c := v[0].Origin.Compare(w[0].Origin); {
		case c < 0:
			out, v = append(out, v[0]), v[1:]
		case c > 0:
			out, w = append(out, w[0]), w[1:]
		default:
			out = append(out, Mark{v[0].Origin, max(v[0].Seq, w[0].Seq)})
			v, w = v[1:], w[1:]
		}
	}
	return append(append(out, v...), w...)
}

// Valid reports whether v is canonical: sorted, no origin twice, no zero mark.
func (v Vector) Valid() bool {
	for i, m := range v {
		if m.Seq == 0 || i > 0 && v[i-1].Origin.Compare(m.Origin) >= 0 {
			return false
		}
	}
	return true
}

// find returns where the mark of o is, or would be.
func (v Vector) find(o Origin) (int, bool) {
	i, j := 0, len(v)
	for i < j {
		if h := int(uint(i+j) >> 1); v[h].Origin.key() < o.key() {
			i = h + 1
		} else {
			j = h
		}
	}
	return i, i < len(v) && v[i].Origin == o
}
