package crdt_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record/pack"
)

const fuzzBytesMax = 64 << 10 // of an input; larger ones find nothing that smaller do not

// decode fuzzes one decoder. What it takes is what its encoder writes, and joins
// with itself and with what the samples hold.
func decode[T crdt.Lattice[T]](f *testing.F, fresh func() T, samples ...T) {
	for _, s := range samples {
		f.Add(must(s.AppendBinary(nil)))
	}
	for _, hostile := range [][]byte{nil, {0x92}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0x93, 0x08, 0xdd, 0xff, 0xff, 0xff, 0xff}, {0x93, 0x0a, 0x92, 0x90, 0x90, 0xdd, 0x7f, 0xff, 0xff, 0xff}} {
		f.Add(hostile)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > fuzzBytesMax {
			return
		}
		s := fresh()
		if err := s.UnmarshalBinary(b); err != nil {
			require.ErrorIs(t, err, pack.ErrMalformed)
			return
		}
		again, err := s.AppendBinary(nil)
		require.NoError(t, err)
		require.Equal(t, b, again, "one state, one encoding")
		twice := s.Clone()
		twice.Join(s)
		require.True(t, crdt.Equal(s, twice))
		for _, other := range samples {
			left, right := s.Clone(), other.Clone()
			left.Join(other)
			right.Join(s)
			x, errX := left.AppendBinary(nil)
			y, errY := right.AppendBinary(nil)
			require.Equal(t, errors.Is(errX, crdt.ErrLimit), errors.Is(errY, crdt.ErrLimit))
			require.Equal(t, x, y, "a forged state converges too")
		}
	})
}

func fresh[T any]() *T { return new(T) }

func FuzzGCounter(f *testing.F)    { decode(f, fresh[crdt.GCounter], sampleGCounter()) }
func FuzzPNCounter(f *testing.F)   { decode(f, fresh[crdt.PNCounter], samplePNCounter()) }
func FuzzMax(f *testing.F)         { decode(f, fresh[crdt.Max], new(crdt.Max), new(crdt.Max).Observe(-7)) }
func FuzzMin(f *testing.F)         { decode(f, fresh[crdt.Min], new(crdt.Min), new(crdt.Min).Observe(700)) }
func FuzzLWWRegister(f *testing.F) { decode(f, fresh[crdt.LWWRegister], sampleLWWRegister()) }
func FuzzMVRegister(f *testing.F)  { decode(f, fresh[crdt.MVRegister], sampleMVRegister()) }
func FuzzFlag(f *testing.F)        { decode(f, fresh[crdt.Flag], sampleFlag()) }
func FuzzORSet(f *testing.F)       { decode(f, fresh[crdt.ORSet], sampleORSet()) }
func FuzzLWWMap(f *testing.F)      { decode(f, fresh[crdt.LWWMap], sampleLWWMap()) }
func FuzzORMap(f *testing.F)       { decode(f, fresh[crdt.ORMap], sampleORMap()) }
func FuzzDotCounter(f *testing.F)  { decode(f, fresh[crdt.DotCounter], sampleDotCounter()) }
func FuzzHLL(f *testing.F)         { decode(f, fresh[crdt.HLL], sampleHLL(20), sampleHLL(5000)) }
