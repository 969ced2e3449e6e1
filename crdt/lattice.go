package crdt

import (
	"bytes"
	"encoding"
	"errors"

	"github.com/triad-kv/triad/version"
)

// Errors of mutators and encoders. What was refused has changed nothing.
var (
	ErrRange = errors.New("number out of range")
	ErrLimit = errors.New("over a limit")
)

// Limits of what is encoded and decoded. A mutator that would pass one of the
// first three refuses with [ErrLimit]; a state that grew over BytesMax by joins
// is refused by its encoder.
const (
	ElementBytesMax = 64 << 10 // an element of a set, a key of a map
	OriginsMax      = 1 << 14  // that one state knows of
	DepthMax        = 8        // maps within one another, the outermost included
	BytesMax        = 16 << 20 // of one encoded state; of a register's value, half of it
)

// Lattice is what every type of this package is to code that works with any of
// them: states that join, have one encoding, and are copied before they are
// shared. T is the pointer type: *[ORSet] is a Lattice[*ORSet].
//
// Join takes in what other holds; it is commutative, associative and idempotent,
// neither changes nor keeps any part of other but the values of registers, which
// nobody changes. AppendBinary fails only over a limit; UnmarshalBinary refuses
// what AppendBinary did not write, and leaves the receiver as it was.
type Lattice[T any] interface {
	Join(other T)
	Clone() T
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Equal reports whether a and b are one state: their encodings are the same
// bytes. States over a limit equal none.
func Equal[T Lattice[T]](a, b T) bool {
	x, errA := a.AppendBinary(nil)
	y, errB := b.AppendBinary(nil)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// Below reports whether b has everything of a: a ⊑ b, that is a ⊔ b = b.
func Below[T Lattice[T]](a, b T) bool {
	c := b.Clone()
	c.Join(a)
	return Equal(c, b)
}

// byOrigin joins two lists sorted by origin, none twice.
func byOrigin[E any](a, b []E, origin func(E) version.Origin, both func(E, E) E) []E {
	out := make([]E, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := origin(a[0]).Compare(origin(b[0])); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, both(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
