package core

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Sum tells what is held apart: of a cell, or of many, whose sums are added up. It is a
// sum and not an exclusive or, in which the same cell twice would vanish.
type Sum struct{ Hi, Lo uint64 }

// Add returns the sum of what both are of.
func (s Sum) Add(o Sum) Sum {
	lo, carry := bits.Add64(s.Lo, o.Lo, 0)
	hi, _ := bits.Add64(s.Hi, o.Hi, carry)
	return Sum{hi, lo}
}

// SumOf returns the sum of a cell: of what it holds with dots and times, but what
// collection may remove, and of what that is shown as (rule M8). It is zero where
// nothing lasts.
func SumOf(r conflict.Resolver, c record.Cell, s *record.State, enc *record.Encoder) Sum {
	held := conflict.Lasting(r, c, s.Siblings)
	if len(held) == 0 {
		return Sum{}
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(c.Table))
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Key)))
	b = append(append(b, c.Key...), c.Field...)
	b = enc.AppendState(b, &record.State{Siblings: held})
	for _, v := range r.Settle(c, held).Shown {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v.Bytes)))
		b = append(b, v.Bytes...)
	}
	sum := sha256.Sum256(b)
	return Sum{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}

// Verdict is what is known of a cell that two sites may hold differently.
type Verdict int

// The verdicts.
const (
	Open    Verdict = iota // another look is needed
	Alike                  // they hold the same
	Differs                // they do not, though each has all that the other's is made of
)

// Look is what two sites held of a cell when each had applied the writes of a vector.
type Look struct {
	Mine, Theirs     Sum // zero where nothing is held
	MineAt, TheirsAt version.Vector
}

// Suspect is a cell that two sites were seen to hold differently: one of them may just
// lack a write. It is looked at again, each time when either site has what the other
// had at the last look, and judged when both have stayed with what they hold.
type Suspect struct {
	last  Look
	looks int
}

// looksNeeded is how often both sites have to show the same different things. By the
// second look each has had all that the other is made of, so one of them must have seen
// something that overrules it; by the third the other has that as well, and must have
// given way. Two do not suffice: what overrules may have been a delete, which is not
// seen in what the site holds.
const looksNeeded = 3

// Next returns the writes that each site must have applied before the next look.
func (s *Suspect) Next() (mine, theirs version.Vector) { return s.last.TheirsAt, s.last.MineAt }

// Judge takes a look. One at which a site had not what [Suspect.Next] asks for begins
// anew.
func (s *Suspect) Judge(l Look) Verdict {
	if l.Mine == l.Theirs {
		return Alike
	}
	same := s.looks > 0 && l.Mine == s.last.Mine && l.Theirs == s.last.Theirs
	after := l.MineAt.Descends(s.last.TheirsAt) && l.TheirsAt.Descends(s.last.MineAt)
	if s.looks++; !same || !after {
		s.looks = 1
	}
	s.last = l
	if s.looks >= looksNeeded {
		return Differs
	}
	return Open
}
