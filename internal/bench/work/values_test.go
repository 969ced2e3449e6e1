package work

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/world"
)

func TestSiblingsAreBroughtTogetherBySharesAndUnions(t *testing.T) {
	l := New(scenario.Workload{Kind: scenario.Bank, Keys: 2, Tables: 1}, scenario.Variant{Topology: scenario.MultiLeader, Conflicts: scenario.PolicySiblings}, 1)
	held := func(values ...[]byte) (h world.Held) {
		h.Values = values
		return h
	}
	opened := l.opens(Opening)
	one := l.added(held(opened), 1, 0, -5)
	two := l.added(held(opened), 2, 0, 7)
	sum, err := l.sumOf(held(one, two))
	require.NoError(t, err)
	require.EqualValues(t, Opening-5+7, sum)
	later := l.added(held(one, two), 1, 0, -5)
	sum, err = l.sumOf(held(later, two, one)) // an older share of a client is in the newer one
	require.NoError(t, err)
	require.EqualValues(t, Opening-10+7, sum)
	_, err = l.sumOf(held([]byte("spoilt")))
	require.ErrorContains(t, err, "no share of a sum")
	sum, err = l.sumOf(held())
	require.NoError(t, err)
	require.Zero(t, sum)

	require.ElementsMatch(t, []string{"a", "b", "c"}, wordsOf(held([]byte("a b"), []byte("b c"))))
	require.Equal(t, "a c b", changed([]string{"a", "b", "c"}, "b", true))
	require.Equal(t, "a c", changed([]string{"a", "b", "c"}, "b", false))
}
