package version_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/version"
)

func origin(id, incarnation uint32) version.Origin {
	return version.Origin{ID: id, Incarnation: incarnation}
}

func dot(id, incarnation uint32, seq uint64) version.Dot {
	return version.Dot{Origin: origin(id, incarnation), Seq: seq}
}

// vector makes a vector of origins 1.1, 2.1 … with these seqs, 0 for none.
func vector(seqs ...uint64) version.Vector {
	var v version.Vector
	for i, s := range seqs {
		v = v.With(origin(uint32(i+1), 1), s)
	}
	return v
}

// The generators draw from few origins and short histories, so that draws meet.

func origins() *rapid.Generator[version.Origin] {
	return rapid.Custom(func(t *rapid.T) version.Origin {
		return origin(rapid.Uint32Range(1, 3).Draw(t, "id"), rapid.Uint32Range(1, 2).Draw(t, "incarnation"))
	})
}

func seqs() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64Range(1, 9), rapid.Uint64Range(math.MaxUint64-2, math.MaxUint64))
}

func dots() *rapid.Generator[version.Dot] {
	return rapid.Custom(func(t *rapid.T) version.Dot {
		return version.Dot{Origin: origins().Draw(t, "origin"), Seq: seqs().Draw(t, "seq")}
	})
}

func vectors() *rapid.Generator[version.Vector] {
	return rapid.Custom(func(t *rapid.T) version.Vector {
		var v version.Vector
		for o, seq := range rapid.MapOf(origins(), seqs()).Draw(t, "vector") {
			v = v.With(o, seq)
		}
		return v
	})
}

func TestOriginsAreOrderedByNumberThenIncarnation(t *testing.T) {
	inOrder := []version.Origin{{}, origin(0, 1), origin(1, 0), origin(1, 7), origin(2, 0), origin(math.MaxUint32, math.MaxUint32)}
	for i, a := range inOrder {
		for j, b := range inOrder {
			require.Equal(t, cmp.Compare(i, j), a.Compare(b), "%v and %v", a, b)
		}
		require.Equal(t, i == 0, a.IsZero())
	}
}

func TestDotsAreOrderedByOriginThenSeq(t *testing.T) {
	inOrder := []version.Dot{{}, dot(0, 0, 5), dot(1, 0, 9), dot(1, 1, 1), dot(1, 1, math.MaxUint64), dot(2, 0, 1)}
	for i, a := range inOrder {
		for j, b := range inOrder {
			require.Equal(t, cmp.Compare(i, j), a.Compare(b), "%v and %v", a, b)
		}
		require.Equal(t, i == 0, a.IsZero())
	}
}

func TestIdentitiesPrintAsNumbers(t *testing.T) {
	require.Equal(t, "7.2", origin(7, 2).String())
	require.Equal(t, "7.2:99", dot(7, 2, 99).String())
}

func TestNilVectorKnowsNothing(t *testing.T) {
	var v version.Vector
	require.True(t, v.Valid())
	require.Zero(t, v.Get(origin(1, 1)))
	require.False(t, v.Has(dot(1, 1, 1)))
	require.True(t, v.Descends(nil))
	require.False(t, v.Descends(vector(1)))
	require.Equal(t, vector(1), v.Join(vector(1)))
	require.Empty(t, v.Join(nil))
	require.Equal(t, vector(4), v.With(origin(1, 1), 4))
	require.Empty(t, v.With(origin(1, 1), 0))
}

func TestVectorHasWhatIsWithinItsPrefix(t *testing.T) {
	v := vector(3, 0, 1)
	require.True(t, v.Has(dot(1, 1, 1)))
	require.True(t, v.Has(dot(1, 1, 3)))
	require.False(t, v.Has(dot(1, 1, 4)))
	require.False(t, v.Has(dot(1, 1, 0)), "no write has seq 0")
	require.False(t, v.Has(dot(1, 2, 1)), "another life")
	require.False(t, v.Has(dot(2, 1, 1)))
}

func TestValidRefusesWhatIsNotCanonical(t *testing.T) {
	m := func(id uint32, seq uint64) version.Mark { return version.Mark{Origin: origin(id, 1), Seq: seq} }
	for name, v := range map[string]version.Vector{
		"out of order": {m(2, 1), m(1, 1)},
		"one twice":    {m(1, 1), m(1, 2)},
		"nothing seen": {m(1, 0)},
	} {
		require.False(t, v.Valid(), name)
	}
	require.True(t, version.Vector{m(1, 1), m(2, 1)}.Valid())
}

func TestWithSetsOneMarkAndLeavesTheReceiver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := vectors().Draw(t, "v")
		o, seq := origins().Draw(t, "o"), rapid.OneOf(rapid.Just(uint64(0)), seqs()).Draw(t, "seq")
		before := slices.Clone(v)
		w := v.With(o, seq)
		require.True(t, w.Valid())
		require.Equal(t, seq, w.Get(o))
		for _, m := range v {
			if m.Origin != o {
				require.Equal(t, m.Seq, w.Get(m.Origin))
			}
		}
		for _, m := range w {
			require.True(t, m.Origin == o || v.Get(m.Origin) == m.Seq, "nothing else is added")
		}
		require.True(t, slices.Equal(before, v))
		_ = append(w, version.Mark{}) // room beyond w is not v's
		require.True(t, slices.Equal(before, v))
	})
}

func TestGetEqualsAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.MapOf(origins(), seqs()).Draw(t, "model")
		var v version.Vector
		for o, seq := range model {
			v = v.With(o, seq)
		}
		require.True(t, v.Valid())
		require.Len(t, v, len(model))
		d := dots().Draw(t, "dot")
		require.Equal(t, model[d.Origin], v.Get(d.Origin))
		require.Equal(t, d.Seq <= model[d.Origin], v.Has(d))
	})
}

func TestDescendsMeansThatNoMarkIsGreater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := vectors().Draw(t, "v"), vectors().Draw(t, "w")
		want := true
		for _, m := range w {
			want = want && v.Get(m.Origin) >= m.Seq
		}
		require.Equal(t, want, v.Descends(w))
	})
}

func TestDescendsIsAPartialOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, v, w := vectors().Draw(t, "u"), vectors().Draw(t, "v"), vectors().Draw(t, "w")
		require.True(t, v.Descends(v))
		if v.Descends(w) && w.Descends(v) {
			require.True(t, slices.Equal(v, w))
		}
		below := u.Join(v) // so that the chain is not empty by chance
		require.True(t, below.Join(w).Descends(below))
		if u.Descends(v) && v.Descends(w) {
			require.True(t, u.Descends(w))
		}
	})
}

func TestJoinIsTheLeastUpperBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := vectors().Draw(t, "v"), vectors().Draw(t, "w")
		beforeV, beforeW := slices.Clone(v), slices.Clone(w)
		j := v.Join(w)
		require.True(t, j.Valid())
		require.True(t, j.Descends(v) && j.Descends(w), "it is above both")
		for _, m := range j {
			require.False(t, j.With(m.Origin, m.Seq-1).Descends(v) && j.With(m.Origin, m.Seq-1).Descends(w), "and nothing less is")
		}
		upper := v.Join(w).Join(vectors().Draw(t, "more"))
		require.True(t, upper.Descends(j))
		require.True(t, slices.Equal(beforeV, v) && slices.Equal(beforeW, w))
	})
}

func TestJoinIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, v, w := vectors().Draw(t, "u"), vectors().Draw(t, "v"), vectors().Draw(t, "w")
		require.True(t, slices.Equal(v.Join(w), w.Join(v)))
		require.True(t, slices.Equal(u.Join(v).Join(w), u.Join(v.Join(w))))
		require.True(t, slices.Equal(v.Join(v), v))
		require.True(t, slices.Equal(v.Join(w).Join(w), v.Join(w)))
	})
}

func TestJoinWithWhatIsKnownAllocatesNothing(t *testing.T) {
	v, w := vector(9, 9, 9), vector(3, 0, 9)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if len(v.Join(w)) != 3 || len(w.Join(v)) != 3 {
			panic("not joined")
		}
	}))
}

func TestVectorAndSetAreKnowledge(t *testing.T) {
	s := &version.Set{}
	s.Add(dot(1, 1, 1))
	for _, seen := range []version.Seen{vector(1), s} {
		require.True(t, seen.Has(dot(1, 1, 1)))
		require.False(t, seen.Has(dot(1, 1, 2)))
	}
}
