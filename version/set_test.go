package version_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/version"
)

func setOf(ds ...version.Dot) *version.Set {
	s := &version.Set{}
	for _, d := range ds {
		s.Add(d)
	}
	return s
}

func TestNilAndZeroSetsKnowNothing(t *testing.T) {
	var none *version.Set
	for _, s := range []*version.Set{none, {}} {
		require.False(t, s.Has(dot(1, 1, 1)))
		require.True(t, s.IsEmpty())
		require.True(t, s.Valid())
		require.True(t, s.Equal(none))
		require.True(t, s.Equal(&version.Set{}))
		require.False(t, s.Equal(setOf(dot(1, 1, 1))))
		require.False(t, setOf(dot(1, 1, 1)).Equal(s))
		require.True(t, s.Clone().IsEmpty())
	}
	require.Nil(t, none.Clone())
	s := setOf(dot(1, 1, 1))
	s.Union(none)
	require.True(t, s.Equal(setOf(dot(1, 1, 1))))
}

func TestSetFoldsWhatBecomesContiguous(t *testing.T) {
	s := setOf(dot(1, 1, 3), dot(1, 1, 2), dot(1, 1, 5))
	require.Empty(t, s.Prefix)
	require.Equal(t, []version.Dot{dot(1, 1, 2), dot(1, 1, 3), dot(1, 1, 5)}, s.Dots)
	s.Add(dot(1, 1, 1))
	require.Equal(t, vector(3), s.Prefix)
	require.Equal(t, []version.Dot{dot(1, 1, 5)}, s.Dots)
	s.Add(dot(1, 1, 4))
	require.Equal(t, vector(5), s.Prefix)
	require.Empty(t, s.Dots)
}

func TestSetKeepsALaterDotFromHidingAnEarlierOne(t *testing.T) {
	s := setOf(dot(1, 1, 2))
	require.False(t, s.Has(dot(1, 1, 1)), "rule X1")
	require.True(t, s.Has(dot(1, 1, 2)))
}

func TestSetTakesNoDotThatNamesNoWrite(t *testing.T) {
	s := setOf(dot(1, 1, 0))
	require.True(t, s.IsEmpty())
}

func TestSetHoldsAtTheEndOfTheRange(t *testing.T) {
	const last = uint64(math.MaxUint64)
	s := setOf(dot(1, 1, last), dot(1, 1, 7))
	require.True(t, s.Valid())
	s.Cover(version.Vector{{Origin: origin(1, 1), Seq: last - 1}})
	require.Equal(t, version.Vector{{Origin: origin(1, 1), Seq: last}}, s.Prefix)
	require.Empty(t, s.Dots)
	s.Add(dot(1, 1, last))
	require.True(t, s.Has(dot(1, 1, last)))

	one := setOf(dot(1, 1, last-1))
	one.Cover(version.Vector{{Origin: origin(1, 1), Seq: last}})
	require.Empty(t, one.Dots)
	require.False(t, (&version.Set{Prefix: s.Prefix, Dots: []version.Dot{dot(1, 1, 5)}}).Valid(), "a peer may claim this")
}

func TestSetValidRefusesWhatIsNotCanonical(t *testing.T) {
	for name, s := range map[string]*version.Set{
		"a dot of seq 0":             {Dots: []version.Dot{dot(1, 1, 0)}},
		"a dot that is a prefix":     {Dots: []version.Dot{dot(1, 1, 1)}},
		"a dot within the prefix":    {Prefix: vector(5), Dots: []version.Dot{dot(1, 1, 3)}},
		"a dot next to the prefix":   {Prefix: vector(5), Dots: []version.Dot{dot(1, 1, 6)}},
		"dots out of order":          {Dots: []version.Dot{dot(1, 1, 5), dot(1, 1, 3)}},
		"one dot twice":              {Dots: []version.Dot{dot(1, 1, 5), dot(1, 1, 5)}},
		"a prefix that is no vector": {Prefix: version.Vector{{Origin: origin(1, 1)}}},
	} {
		require.False(t, s.Valid(), name)
	}
	require.True(t, (&version.Set{Prefix: vector(5), Dots: []version.Dot{dot(1, 1, 7), dot(2, 1, 2)}}).Valid())
}

// facts is the model of a set: a map from each dot to true. Prefixes at the end
// of the range are left to TestSetHoldsAtTheEndOfTheRange.
type facts map[version.Dot]bool

func shortDots() *rapid.Generator[version.Dot] {
	return rapid.Custom(func(t *rapid.T) version.Dot {
		return version.Dot{Origin: origins().Draw(t, "origin"), Seq: rapid.Uint64Range(0, 9).Draw(t, "seq")}
	})
}

func shortVectors() *rapid.Generator[version.Vector] {
	return rapid.Custom(func(t *rapid.T) version.Vector {
		var v version.Vector
		for o, seq := range rapid.MapOf(origins(), rapid.Uint64Range(1, 9)).Draw(t, "vector") {
			v = v.With(o, seq)
		}
		return v
	})
}

func (f facts) add(d version.Dot) {
	if d.Seq > 0 {
		f[d] = true
	}
}

func (f facts) cover(v version.Vector) {
	for _, m := range v {
		for seq := uint64(1); seq <= m.Seq; seq++ {
			f[version.Dot{Origin: m.Origin, Seq: seq}] = true
		}
	}
}

// setAndFacts draws a set together with its model, by way of random operations.
func setAndFacts(t *rapid.T, label string) (*version.Set, facts) {
	s, f := &version.Set{}, facts{}
	for range rapid.IntRange(0, 12).Draw(t, label) {
		if rapid.IntRange(0, 3).Draw(t, "op") > 0 {
			d := shortDots().Draw(t, "dot")
			s.Add(d)
			f.add(d)
		} else {
			v := shortVectors().Draw(t, "vector")
			s.Cover(v)
			f.cover(v)
		}
		requireFacts(t, f, s)
	}
	return s, f
}

// requireFacts fails unless s is canonical and knows f, no more and no less.
func requireFacts(t *rapid.T, f facts, s *version.Set) {
	require.True(t, s.Valid(), "%v", s)
	known := 0
	for _, m := range s.Prefix {
		known += int(m.Seq)
	}
	require.Equal(t, len(f), known+len(s.Dots), "%v", s)
	for d := range f {
		require.True(t, s.Has(d), "%v in %v", d, s)
	}
}

func TestSetEqualsAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, f := setAndFacts(t, "set")
		d := shortDots().Draw(t, "asked")
		require.Equal(t, f[d], s.Has(d))
	})
}

func TestUnionEqualsTheUnionOfTheModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, f := setAndFacts(t, "s")
		u, g := setAndFacts(t, "u")
		before := u.Clone()
		s.Union(u)
		for d := range g {
			f[d] = true
		}
		requireFacts(t, f, s)
		require.Equal(t, before, u)
	})
}

func TestSetHasOneFormHoweverItCameToBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, f := setAndFacts(t, "set")
		ds := make([]version.Dot, 0, len(f))
		for d := range f {
			ds = append(ds, d)
		}
		slices.SortFunc(ds, version.Dot.Compare)
		one := setOf(rapid.Permutation(ds).Draw(t, "order")...)
		require.True(t, s.Equal(one), "%v and %v", s, one)
		require.True(t, slices.Equal(s.Prefix, one.Prefix) && slices.Equal(s.Dots, one.Dots))
	})
}

func TestUnionIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	union := func(sets ...*version.Set) *version.Set {
		out := &version.Set{}
		for _, s := range sets {
			out.Union(s)
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		a, _ := setAndFacts(t, "a")
		b, _ := setAndFacts(t, "b")
		c, _ := setAndFacts(t, "c")
		require.True(t, union(a, b).Equal(union(b, a)))
		require.True(t, union(union(a, b), c).Equal(union(a, union(b, c))))
		require.True(t, union(a, a).Equal(a))
	})
}

func TestEqualTellsSetsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, f := setAndFacts(t, "a")
		d := shortDots().Draw(t, "dot")
		b := a.Clone()
		b.Add(d)
		require.Equal(t, f[d] || d.Seq == 0, a.Equal(b))
		require.Equal(t, a.Equal(b), b.Equal(a))
	})
}

func TestCloneSharesNothing(t *testing.T) {
	s := setOf(dot(1, 1, 1), dot(1, 1, 5), dot(2, 1, 3))
	before := setOf(dot(1, 1, 1), dot(1, 1, 5), dot(2, 1, 3))
	c := s.Clone()
	c.Add(dot(1, 1, 2))
	c.Add(dot(1, 1, 3))
	c.Add(dot(1, 1, 4))
	c.Dots[0].Seq = 99
	c.Prefix[0].Seq = 99
	require.Equal(t, before, s)
}

func TestSetChangesNoVectorThatItWasGiven(t *testing.T) {
	v := vector(3, 4)
	s := &version.Set{}
	s.Cover(v)
	s.Add(dot(1, 1, 4))
	s.Add(dot(2, 1, 6))
	s.Cover(vector(9, 9))
	require.Equal(t, vector(3, 4), v)
}

func TestUnionWithWhatIsKnownAllocatesNothing(t *testing.T) {
	s := setOf(dot(1, 1, 1), dot(1, 1, 3), dot(2, 1, 4))
	u := setOf(dot(1, 1, 1), dot(2, 1, 4))
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Union(u) }))
}

func TestMissingIsWhatTheOtherLacks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawnSet(t, "a"), drawnSet(t, "b")
		all := a.Missing(b, math.MaxInt)
		require.True(t, slices.IsSortedFunc(all, version.Dot.Compare))
		for id := uint32(1); id <= 3; id++ {
			for seq := uint64(1); seq <= 8; seq++ {
				d := dot(id, 1, seq)
				require.Equal(t, a.Has(d) && !b.Has(d), slices.Contains(all, d))
				if w := a.Without(b); !a.Has(d) || !b.Has(d) {
					require.Equal(t, a.Has(d), w.Has(d), "only what the other has may go")
				}
			}
		}
		require.True(t, a.Without(b).Valid())
		require.True(t, a.Without(a).IsEmpty())
		require.LessOrEqual(t, len(a.Missing(b, 2)), 2)
	})
	var none *version.Set
	require.Empty(t, none.Missing(setOf(dot(1, 1, 1)), 9))
	require.Equal(t, []version.Dot{dot(1, 1, 1)}, setOf(dot(1, 1, 1)).Missing(none, 9))
	require.Nil(t, none.Without(none))
}

func drawnSet(t *rapid.T, label string) *version.Set {
	s := &version.Set{}
	for range rapid.IntRange(0, 12).Draw(t, label) {
		s.Add(dot(rapid.Uint32Range(1, 3).Draw(t, "origin"), 1, rapid.Uint64Range(1, 8).Draw(t, "seq")))
	}
	return s
}
