package multileader

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestAConflictIsRevertedUnlessSomethingNewerIsThere(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "lww")
	c.meet("k")
	eu := c.nodes["eu1"]
	x := eu.conflicts()[0]
	require.Len(t, x.Losers, 1)
	r, err := eu.Revert(t.Context(), x.LSN, x.Change, version.Dot{})
	require.NoError(t, err)
	require.True(t, r.Written)
	c.converged()
	got, err := c.nodes["us1"].user("k")
	require.NoError(t, err)
	require.Equal(t, "of us", got)
	require.NotEqual(t, x.Losers[0].Dot, r.Receipt.Dot, "it is a new write")

	_, err = eu.Revert(t.Context(), x.LSN, x.Change, version.Dot{})
	require.ErrorIs(t, err, topology.ErrConditionFailed, "the key holds a write that the conflict has not seen")
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = eu.Revert(t.Context(), x.LSN, x.Change, version.Dot{Origin: x.By.Origin, Seq: 999})
	require.ErrorIs(t, err, topology.ErrNotFound)
	_, err = eu.Revert(t.Context(), x.LSN+1000, 0, version.Dot{})
	require.ErrorIs(t, err, topology.ErrNotFound)
}

func TestAConflictIsReplayedByThePresentResolver(t *testing.T) {
	c := newCluster(t, Options{Resolvers: registryOf(t, joinedText(1))}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "joined")
	c.meet("k")
	us := c.nodes["us1"]
	all := us.conflicts()
	x := all[len(all)-1]
	r, err := us.Replay(t.Context(), x.LSN, x.Change, true)
	require.NoError(t, err)
	require.True(t, r.Same, "it is what is shown")
	require.False(t, r.Written)
	require.Equal(t, "of us+of eu", string(r.Shown[0].Value))

	_, err = us.write("k", "newer", topology.Context{})
	require.NoError(t, err)
	_, err = us.Replay(t.Context(), x.LSN, x.Change, true)
	require.ErrorIs(t, err, topology.ErrConditionFailed)
	r, err = us.Replay(t.Context(), x.LSN, x.Change, false)
	require.NoError(t, err)
	require.False(t, r.Same)
	require.Equal(t, "of us+of eu", string(r.Shown[0].Value))
}

func TestTheListOfConflictsIsBoundedByBytes(t *testing.T) {
	c := newCluster(t, Options{CutEvery: 20 * time.Millisecond, ConflictsBytesMax: 400}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "lww")
	for i := range 10 {
		c.meet(fmt.Sprint("k", i))
	}
	for _, n := range c.nodes {
		eventually(t, "the oldest are dropped", func() bool {
			all := n.conflicts()
			return len(all) < 8 && slices.ContainsFunc(all, func(x topology.Conflict) bool { return string(x.Cell.Key) == "k9" })
		})
		require.LessOrEqual(t, n.ConflictCounts().Bytes, uint64(800))
	}
}

func TestALoserIsCountedOnce(t *testing.T) {
	for _, resolver := range []string{"lww", "first-writer"} {
		c := newCluster(t, Options{}, 1, "us", "eu", "ap")
		c.startAll()
		c.define("us1", resolver)
		c.meet("k")
		for _, n := range c.nodes {
			lost, met := uint64(0), uint64(0)
			for _, x := range n.ConflictCounts().Counts {
				require.Equal(t, topology.InsertInsert, x.Type)
				require.Equal(t, "users", x.Table)
				lost, met = lost+x.Lost, met+x.Met
			}
			require.Equal(t, uint64(2), lost, "%s at %s: of three writes two lost", resolver, n.id)
			require.Equal(t, uint64(2), met)
			require.NotZero(t, n.ConflictCounts().Bytes)
		}
	}
}
