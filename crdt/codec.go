package crdt

import (
	"fmt"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Every state is a msgpack array whose first element, the form, says what it is;
// a new layout takes a new form. Numbers and lengths stand in their smallest
// forms, lists in their order, and nothing follows, so a state has one encoding.
//
//	form            then
//	 1 GCounter     totals   array of 3n: origin, incarnation, total; by origin
//	 2 PNCounter    entries  array of 6n: origin, incarnation, up, down, up and down when it was last reset; by origin
//	 3 Max, 4 Min   nil, or int
//	 5 LWWRegister  nil, or array of 6: time, origin, incarnation, seq, absent, value
//	 6 MVRegister   seen, values    array of 4n: origin, incarnation, seq, value; by dot
//	 7 Flag         seen, dots      array of 3n: origin, incarnation, seq; by dot
//	 8 ORSet        seen, elements  array of 2n: element, dots; by element
//	 9 LWWMap       entries  array of 7n: key, time, origin, incarnation, seq, absent, value; by key
//	10 ORMap        seen, fields    array of 3n: kind, name, the field without its seen; by kind and name
//	11 HLL          array of 2n: register, rank; by register; or, of more than 2,048 registers, bin of them all
//	12 DotCounter   seen, entries   array of 5n: origin, incarnation, seq, increments, sum; by dot
//
// seen is an array of two: the prefixes of origins, 3n, and the dots beyond, 3n.
const (
	formGCounter uint64 = iota + 1
	formPNCounter
	formMax
	formMin
	formLWWRegister
	formMVRegister
	formFlag
	formORSet
	formLWWMap
	formORMap
	formHLL
	formDotCounter
)

// open begins to read a state of that form and number of elements.
func open(b []byte, form uint64, elements int) *pack.Reader {
	if len(b) > BytesMax {
		r := pack.NewReader(nil)
		r.Fail(fmt.Sprintf("a state of %d bytes is more than %d", len(b), BytesMax))
		return &r
	}
	r := pack.NewReader(b)
	r.ArrayOf(elements)
	if f := r.Uint(); f != form && r.Err() == nil {
		r.Fail(fmt.Sprintf("form %d expected, found %d", form, f))
	}
	return &r
}

// finish is the end of a decoder of what: where a state is read, and nothing else.
func finish(r *pack.Reader, what string) error {
	if err := r.Done(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// write begins a state of that form and number of elements.
func write(dst []byte, form uint64, elements int) *pack.Writer {
	w := pack.NewWriter(dst)
	w.Array(elements)
	w.Uint(form)
	return w
}

// written ends what was begun behind from bytes: a state that its decoder takes.
func written(w *pack.Writer, from int, origins int) ([]byte, error) {
	b := w.Bytes()
	switch {
	case len(b)-from > BytesMax:
		return nil, fmt.Errorf("a state of %d bytes is more than %d: %w", len(b)-from, BytesMax, ErrLimit)
	case origins > OriginsMax:
		return nil, fmt.Errorf("a state of %d origins is more than %d: %w", origins, OriginsMax, ErrLimit)
	}
	return b, nil
}

func putOrigin(w *pack.Writer, o version.Origin) {
	w.Uint(uint64(o.ID))
	w.Uint(uint64(o.Incarnation))
}

func getOrigin(r *pack.Reader) version.Origin {
	return version.Origin{ID: uint32(r.UintMax(1<<32 - 1)), Incarnation: uint32(r.UintMax(1<<32 - 1))}
}

func putDot(w *pack.Writer, d version.Dot) {
	putOrigin(w, d.Origin)
	w.Uint(d.Seq)
}

func getDot(r *pack.Reader) version.Dot {
	return version.Dot{Origin: getOrigin(r), Seq: r.Uint()}
}

// records reads the header of a list whose records are of width values each.
func records(r *pack.Reader, width int) int {
	n := r.Array()
	if n%width != 0 {
		r.Fail(fmt.Sprintf("%d values are no list of %d each", n, width))
		return 0
	}
	return n / width
}

func putVector(w *pack.Writer, v version.Vector) {
	w.Array(3 * len(v))
	for _, m := range v {
		putDot(w, version.Dot(m))
	}
}

func getVector(r *pack.Reader) version.Vector {
	n := records(r, 3)
	if n > OriginsMax {
		r.Fail(fmt.Sprintf("%d origins are more than %d", n, OriginsMax))
	}
	var v version.Vector
	for ; n > 0 && r.Err() == nil; n-- {
		v = append(v, version.Mark(getDot(r)))
	}
	if r.Err() == nil && !v.Valid() {
		r.Fail("origins are not in their order")
	}
	return v
}

func putSet(w *pack.Writer, s *version.Set) {
	w.Array(2)
	if s == nil {
		s = &version.Set{}
	}
	putVector(w, s.Prefix)
	w.Array(3 * len(s.Dots))
	for _, d := range s.Dots {
		putDot(w, d)
	}
}

func getSet(r *pack.Reader) *version.Set {
	r.ArrayOf(2)
	s := &version.Set{Prefix: getVector(r)}
	for n := records(r, 3); n > 0 && r.Err() == nil; n-- {
		s.Dots = append(s.Dots, getDot(r))
	}
	if r.Err() == nil && !s.Valid() {
		r.Fail("what was seen is not in its canonical form")
	}
	return s
}

// getName reads an element or a key, which must come after the one before it.
func getName(r *pack.Reader, first bool, before string) string {
	name := string(r.BinMax(ElementBytesMax))
	if r.Err() == nil && !first && name <= before {
		r.Fail("elements are not in their order")
	}
	return name
}

// checkName refuses a name that no decoder takes.
func checkName(name string) error {
	if len(name) > ElementBytesMax {
		return fmt.Errorf("an element or key of %d bytes is more than %d: %w", len(name), ElementBytesMax, ErrLimit)
	}
	return nil
}

// checkValue refuses a register's value that no decoder takes.
func checkValue(value []byte) error {
	if len(value) > BytesMax/2 {
		return fmt.Errorf("a value of %d bytes is more than %d: %w", len(value), BytesMax/2, ErrLimit)
	}
	return nil
}

// checkOrigin refuses one origin more than a state may know of.
func checkOrigin(known int, there bool) error {
	if !there && known >= OriginsMax {
		return fmt.Errorf("%d origins are known already: %w", known, ErrLimit)
	}
	return nil
}
