package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

var (
	contextUS = version.Origin{ID: 1, Incarnation: 1}
	contextEU = version.Origin{ID: 2, Incarnation: 1}
)

func dotsOf(ds ...version.Dot) *version.Set {
	s := &version.Set{}
	for _, d := range ds {
		s.Add(d)
	}
	return s
}

func TestAWriteLeavesWhatItsClientHadNotSeenOfWhatItsSiteHolds(t *testing.T) {
	a, b := version.Dot{Origin: contextUS, Seq: 7}, version.Dot{Origin: contextEU, Seq: 3}
	held := []record.Version{{Dot: a}, {Dot: b}}
	require.Nil(t, Unseen(held, dotsOf(a, b), nil), "it has seen all: it is a write like any other")
	require.Equal(t, dotsOf(b), Unseen(held, dotsOf(a), nil))
	require.Equal(t, dotsOf(a, b), Unseen(held, dotsOf(), nil))
	require.Equal(t, dotsOf(b), Unseen(held, dotsOf(a, version.Dot{Origin: contextEU, Seq: 9}), nil), "a context is exact: a later write of a site hides none before it")

	r := record.Record{Dot: version.Dot{Origin: contextUS, Seq: 9}, Deps: version.Vector{{Origin: contextEU, Seq: 5}}, Context: dotsOf(b)}
	covers := Covers(&r)
	require.True(t, covers.Has(a))
	require.False(t, covers.Has(b), "its client had not")
	require.True(t, covers.Has(version.Dot{Origin: contextEU, Seq: 4}), "what its site held no more it covers")
	require.False(t, covers.Has(version.Dot{Origin: contextEU, Seq: 6}))
}

// Of three sites one forgets a delete that all have, as each has said by a cut that it
// does; then a client who has not seen the delete writes at another, which has it still.
func TestADeleteThatWasToldIsCoveredWithAContextToo(t *testing.T) {
	gone := record.Version{Dot: version.Dot{Origin: contextUS, Seq: 7}, Absent: true}
	told := version.Vector{{Origin: contextUS, Seq: 7}}
	require.Nil(t, Unseen([]record.Version{gone}, dotsOf(), told))
	require.Equal(t, dotsOf(gone.Dot), Unseen([]record.Version{gone}, dotsOf(), told[:0]), "nobody can have forgotten it")

	w := record.Record{Dot: version.Dot{Origin: contextEU, Seq: 1}, Deps: told, Context: Unseen([]record.Version{gone}, dotsOf(), told)}
	in := []record.Version{{Dot: w.Dot}}
	had, _, err := conflict.Merge([]record.Version{gone}, told, in, Covers(&w))
	require.NoError(t, err)
	forgot, _, err := conflict.Merge(nil, told, in, Covers(&w))
	require.NoError(t, err)
	require.Equal(t, forgot, had, "who has forgotten it and who has not hold the same")

	live := record.Version{Dot: gone.Dot}
	require.Equal(t, dotsOf(live.Dot), Unseen([]record.Version{live}, dotsOf(), told), "what is no delete nobody forgets")
}
