package record

import (
	"fmt"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// A state is a msgpack array of three:
//
//	0  format    uint, 1
//	1  context   nil, or a set as in a record
//	2  siblings  array of 8n: origin, incarnation, seq, time, expires, kind, absent, value; by dot
const stateFormat = 1

const versionFields = 8

// SiblingsMax is how many versions one cell may hold.
const SiblingsMax = 1 << 16

// AppendState appends the encoding of s to dst. Siblings must stand in the
// order of their dots, and be at most [SiblingsMax].
func (e *Encoder) AppendState(dst []byte, s *State) []byte {
	w := e.w
	w.Reset(dst)
	w.Array(3)
	w.Uint(stateFormat)
	putSet(w, s.Context)
	w.Array(versionFields * len(s.Siblings))
	for i := range s.Siblings {
		v := &s.Siblings[i]
		w.Uint(uint64(v.Origin.ID))
		w.Uint(uint64(v.Origin.Incarnation))
		w.Uint(v.Seq)
		w.Uint(uint64(v.Time))
		w.Uint(uint64(v.Expires))
		w.Uint(uint64(v.Kind))
		w.Bool(v.Absent)
		w.Bin(v.Value)
	}
	return w.Bytes()
}

// DecodeState reads one state from b into s, whose slice of siblings is used
// again if it is large enough. Values alias b. An error wraps
// [pack.ErrMalformed] or [ErrFormat].
func DecodeState(b []byte, s *State) error {
	rd := pack.NewReader(b)
	rd.ArrayOf(3)
	if _, err := getFormat(&rd, "state", stateFormat); err != nil {
		return err
	}
	s.Context = getSet(&rd)
	s.Siblings = s.Siblings[:0]
	n := rd.ArrayMax(versionFields * SiblingsMax)
	if n%versionFields != 0 {
		rd.Fail("siblings are not whole")
	}
	for n /= versionFields; n > 0 && rd.Err() == nil; n-- {
		v := Version{
			Dot:     getDot(&rd),
			Time:    version.Timestamp(rd.Uint()),
			Expires: version.Timestamp(rd.Uint()),
			Kind:    Kind(rd.UintMax(uint64(kindEnd - 1))),
			Absent:  rd.Bool(),
			Value:   rd.BinMax(ValueBytesMax),
		}
		if k := len(s.Siblings); k > 0 && s.Siblings[k-1].Compare(v.Dot) >= 0 {
			rd.Fail("siblings are not in canonical order")
			break
		}
		s.Siblings = append(s.Siblings, v)
	}
	if err := rd.Done(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}
