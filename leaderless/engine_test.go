package leaderless

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestAnyNodeTakesWritesAndReads(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 5)
	c.startAll()
	for i := range 20 {
		n := c.nodes[c.list[i%5].ID]
		r, err := n.put(fmt.Sprint("k", i), fmt.Sprint("v", i))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(r.Durable), 2)
		for _, m := range c.list {
			v, err := c.nodes[m.ID].get(fmt.Sprint("k", i), topology.ReadOptions{})
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint("v", i), v)
		}
	}
	_, err := c.nodes["a"].get("none", topology.ReadOptions{})
	require.ErrorIs(t, err, topology.ErrNotFound)
	c.converged()
}

func TestANodeThatWasDownGetsWhatItMissed(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	_, err := c.nodes["a"].put("k", "old")
	require.NoError(t, err)
	c.nodes["c"].stop()
	for i := range 200 {
		_, err := c.nodes[c.list[i%2].ID].put(fmt.Sprint("k", i), "new")
		require.NoError(t, err)
	}
	_, err = c.nodes["a"].put("k", "new")
	require.NoError(t, err)
	_, err = c.nodes["b"].put("gone", "")
	require.NoError(t, err)
	c.nodes["c"].start()
	c.converged()
	v, err := c.nodes["c"].get("k", topology.ReadOptions{Guarantee: topology.ReadAny})
	require.NoError(t, err)
	require.Equal(t, "new", v)
}

func TestAWipedReplicaIsRebuiltAndResurrectsNothing(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	for i := range 50 {
		_, err := c.nodes["a"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	c.nodes["b"].stop()
	for i := range 25 {
		_, err := c.nodes["c"].put(fmt.Sprint("k", i), "")
		require.NoError(t, err)
	}
	before := c.nodes["c"].life.incarnation
	c.nodes["c"].wipe()
	c.nodes["b"].start()
	c.nodes["c"].start()
	c.settled()
	require.GreaterOrEqual(t, c.nodes["c"].life.incarnation, before)
	c.converged()
	for i := range 50 {
		for _, m := range c.list {
			_, err := c.nodes[m.ID].get(fmt.Sprint("k", i), topology.ReadOptions{Consistency: topology.ConsistencyAll})
			if i < 25 {
				require.ErrorIs(t, err, topology.ErrNotFound, "key %d at %s", i, m.ID)
			} else {
				require.NoError(t, err)
			}
		}
	}
}

func TestTooFewReplicasIsUnavailableAndNothingHasHappened(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	eventually(t, "a knows that it is alone", func() bool { return len(c.nodes["a"].alive()) == 0 })
	_, err := c.nodes["a"].put("k", "v")
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = c.nodes["a"].get("k", topology.ReadOptions{})
	require.ErrorIs(t, err, topology.ErrUnavailable)
	_, err = c.nodes["a"].put("k", "v", topology.WriteOptions{Consistency: topology.ConsistencyOne})
	require.NoError(t, err)
	v, err := c.nodes["a"].get("k", topology.ReadOptions{Consistency: topology.ConsistencyOne})
	require.NoError(t, err)
	require.Equal(t, "v", v)
}

func TestASessionReadsItsWritesAtAnyNode(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 5)
	c.startAll()
	for i := range 20 {
		r, err := c.nodes["a"].put("k", fmt.Sprint(i), topology.WriteOptions{Consistency: topology.ConsistencyOne})
		require.NoError(t, err)
		for _, m := range c.list {
			v, err := c.nodes[m.ID].get("k", topology.ReadOptions{Guarantee: topology.ReadSession, After: r.Token})
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), v)
		}
	}
}

func TestNodesOfOtherConfigurationsTakeNothingOfEachOther(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	c.nodes["c"].stop()
	c.opts.Partitions = 8
	require.ErrorIs(t, c.nodes["c"].tryStart(), topology.ErrConflict)
	c.opts.Partitions = 4
	c.nodes["c"].start()
	c.converged()
}

func TestAWipedNodeVotesOnNothingBeforeItIsFilled(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	_, err := c.nodes["a"].put("k", "v", topology.WriteOptions{Consistency: topology.ConsistencyAll})
	require.NoError(t, err)
	c.nodes["b"].stop()
	n := c.nodes["c"]
	n.wipe()
	n.start()
	eventually(t, "c and a reach each other", func() bool { return len(n.alive()) == 1 && len(c.nodes["a"].alive()) == 1 })
	eventually(t, "c has taken over what a holds", func() bool {
		v, err := n.get("k", topology.ReadOptions{Guarantee: topology.ReadAny})
		return err == nil && v == "v"
	})
	votes, why := n.life.voting()
	require.False(t, votes, "one other is too few: a write may be at b and at what c was")
	require.NotEmpty(t, why)
	require.Equal(t, topology.RoleCandidate, n.Status().Role)
	_, err = n.put("l", "v", topology.WriteOptions{Consistency: topology.ConsistencyOne})
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = c.nodes["a"].put("l", "v", topology.WriteOptions{Consistency: topology.ConsistencyQuorum})
	require.Error(t, err, "c counts for nothing")
	c.nodes["b"].start()
	c.settled()
	c.converged()
	_, err = n.put("l", "w")
	require.NoError(t, err)
}

func TestAWipedNodeThatReachesAllIsFilledBeforeItVotes(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	_, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.nodes["c"].wipe()
	c.nodes["c"].start()
	c.settled()
	require.NotZero(t, c.nodes["c"].stats.fills.Load())
	c.converged()
}
