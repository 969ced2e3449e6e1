package singleleader

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

func TestAReadReplicaIsServedAndNeverCounted(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.All(), ReadReplicas: []topology.NodeID{"c"}}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.applied(r.LSN, "c")
	v, err := c.nodes["c"].get("k")
	require.NoError(t, err, "a default read at a read replica is linearizable too")
	require.Equal(t, "v", v)
	require.Equal(t, topology.RoleReadReplica, c.nodes["c"].Status().Role)
	require.Equal(t, topology.RoleFollower, c.nodes["b"].Status().Role)
	s := c.nodes["a"].Status()
	require.Equal(t, "all (a, b)", s.Policy)
	for _, p := range s.Peers {
		require.Equal(t, p.Node == "b", p.Sync, p.Node)
	}
	c.nodes["c"].stop()
	_, err = c.nodes["a"].put("k", "without it")
	require.NoError(t, err, "nobody waits for a read replica")
	c.nodes["b"].stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.nodes["a"].Write(ctx, batchOf("k", "alone"), topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrTimeout, "a read replica can not stand in for b")
}

func TestAReadReplicaLeadsByForceAlone(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b"), ReadReplicas: []topology.NodeID{"c"}}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.applied(r.LSN, "b", "c")
	c.nodes["a"].stop()

	_, err = c.nodes["c"].Promote(t.Context(), false)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "c is a read replica, which is not made leader; with force")
	require.EqualValues(t, 1, c.nodes["b"].Status().Term, "a refusal changes nothing")
	p, err := c.nodes["c"].Promote(t.Context(), true)
	require.NoError(t, err)
	require.EqualValues(t, "c", p.Leader)
	c.leads("c")
	_, err = c.nodes["c"].put("k", "by force")
	require.NoError(t, err)

	_, err = c.nodes["b"].Promote(t.Context(), false)
	require.NoError(t, err)
	c.leads("b")
	eventually(t, "c follows", func() bool { return c.nodes["c"].Status().Leader == "b" })
	s := c.nodes["c"].Status()
	require.Equal(t, topology.RoleFollower, s.Role, "who led may hold what nobody else has: it stays a voter")
	require.Contains(t, s.Warnings, "this node is configured a read replica and stays a voter: it was one before, or was made leader by force")
}

func TestRolesThatContradictThePolicyAreRefused(t *testing.T) {
	_, err := Options{Sync: quorum.First(1, "b", "c"), ReadReplicas: []topology.NodeID{"c"}}.withDefaults()
	require.EqualError(t, err, "sync: first 1 (b, c) counts c, which is a read replica")
	_, err = Options{ReadReplicas: []topology.NodeID{"C"}}.withDefaults()
	require.ErrorContains(t, err, `"C" is not a node's name`)
}
