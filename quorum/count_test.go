package quorum_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
)

func TestAConsistencyNeeds(t *testing.T) {
	for _, x := range []struct{ n, one, quorum, all int }{
		{1, 1, 1, 1}, {2, 1, 2, 2}, {3, 1, 2, 3}, {4, 1, 3, 4}, {5, 1, 3, 5},
	} {
		require.Equal(t, x.one, quorum.AtOne.Needed(x.n))
		require.Equal(t, x.quorum, quorum.AtQuorum.Needed(x.n))
		require.Equal(t, x.all, quorum.AtAll.Needed(x.n))
		require.Greater(t, quorum.AtQuorum.Needed(x.n)*2, x.n, "two quorums intersect")
	}
	require.Equal(t, "quorum one all Consistency(9)", quorum.AtQuorum.String()+" "+quorum.AtOne.String()+" "+quorum.AtAll.String()+" "+quorum.Consistency(9).String())
}

func TestACountIsReachedByAnyOfItsMembers(t *testing.T) {
	tally, err := quorum.CountTally(2, []string{"a", "b", "c"})
	require.NoError(t, err)
	require.Equal(t, quorum.Pending, tally.No("a", errors.New("slow")))
	require.Equal(t, quorum.Pending, tally.Yes("b"))
	require.Equal(t, quorum.Pending, tally.Yes("b"), "twice is once")
	require.Equal(t, quorum.Pending, tally.Yes("z"), "a stranger counts nothing")
	require.Equal(t, quorum.Reached, tally.Yes("c"))

	tally, err = quorum.CountTally(2, []string{"a", "b", "c"})
	require.NoError(t, err)
	tally.No("a", nil)
	require.Equal(t, quorum.Unreachable, tally.No("c", nil))
}

func TestACountThatMeansNothingIsRefused(t *testing.T) {
	for _, x := range []struct {
		needed  int
		members []string
	}{
		{0, []string{"a"}}, {2, []string{"a"}}, {1, nil}, {1, []string{"a", "a"}}, {1, []string{"a b"}},
	} {
		_, err := quorum.CountTally(x.needed, x.members)
		require.ErrorIs(t, err, quorum.ErrPolicy)
	}
}
