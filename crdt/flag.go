package crdt

import (
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Flag is on or off, and on where somebody enabled it and somebody else disabled
// it without having seen that. The zero Flag is off.
type Flag struct {
	causal
	recorder[*Flag]
	on dotted[struct{}]
}

// Enable turns the flag on for o, and returns the delta.
func (f *Flag) Enable(o version.Origin) (*Flag, error) {
	dot, err := f.next(o)
	if err != nil {
		return nil, err
	}
	delta := &Flag{on: dotted[struct{}]{{dot: dot}}}
	cover(delta.context(), f.on)
	delta.seen.Add(dot)
	f.context().Add(dot)
	f.on = delta.on
	return f.tell(delta), nil
}

// Disable turns the flag off as far as it is on here, and returns the delta.
func (f *Flag) Disable() *Flag {
	delta := &Flag{}
	cover(delta.context(), f.on)
	f.on = nil
	return f.tell(delta)
}

// Value reports whether the flag is on.
func (f *Flag) Value() bool { return len(f.on) > 0 }

// Join takes in what other holds.
func (f *Flag) Join(other *Flag) {
	f.merge(other, f.seen, other.seen)
	f.context().Union(other.seen)
}

// Clone returns a copy.
func (f *Flag) Clone() *Flag { return f.copied(f.seen.Clone()).(*Flag) }

// AppendBinary appends the encoding of f.
func (f *Flag) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formFlag, 3)
	putSet(w, f.seen)
	f.put(w)
	return written(w, len(dst), f.origins())
}

// UnmarshalBinary decodes a flag. Errors wrap [pack.ErrMalformed].
func (f *Flag) UnmarshalBinary(b []byte) error {
	r := open(b, formFlag, 3)
	seen := getSet(r)
	g := readFlag(r, seen)
	if err := finish(r, "flag"); err != nil {
		return err
	}
	f.seen, f.on = seen, g.on
	return nil
}

func readFlag(r *pack.Reader, seen *version.Set) *Flag {
	return &Flag{causal: causal{seen}, on: getDotted(r, seen, 3, none)}
}

func (f *Flag) merge(other store, seen, theirs *version.Set) {
	f.on = f.on.join(other.(*Flag).on, seen, theirs, same)
}

func (f *Flag) dots(yield func(version.Dot)) { f.on.each(yield) }

func (f *Flag) copied(seen *version.Set) store { return &Flag{causal: causal{seen}, on: f.on} }

func (f *Flag) put(w *pack.Writer) { putDotted(w, f.on, 3, nothing) }

func (f *Flag) isEmpty() bool { return len(f.on) == 0 }
