package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/examples/clusters"
	"github.com/triad-kv/triad/internal/config/strict"
)

func readCluster(t *testing.T, text string) *Cluster {
	t.Helper()
	c, err := ReadCluster("cluster.yaml", []byte(text))
	require.NoError(t, err)
	return c
}

func example(t *testing.T, name string) *Cluster {
	t.Helper()
	text, file, err := clusters.Read(name)
	require.NoError(t, err)
	c, err := ReadCluster(file, text)
	require.NoError(t, err)
	return c
}

// placed are the nodes of a cluster with directories and addresses.
func placed(c *Cluster) []Node {
	ns := c.Nodes()
	Place(ns, func(n *Node) (string, Listen) {
		return "data/" + n.Self.ID, Listen{Peers: n.Self.ID + ":7400"}
	})
	return ns
}

func TestEveryExampleIsTakenWithoutAWarning(t *testing.T) {
	require.Subset(t, clusters.Names(), []string{"geo-readers", "payments", "semi-sync-trio", "single-leader"})
	for _, name := range clusters.Names() {
		c := example(t, name)
		require.Equal(t, name, c.Cluster)
		require.Empty(t, c.Warnings(), name)
		for _, n := range placed(c) {
			_, err := n.Open()
			require.NoError(t, err)
		}
	}
}

func TestAClusterBecomesItsNodes(t *testing.T) {
	ns := placed(example(t, "payments"))
	require.Len(t, ns, 4)
	for _, n := range ns {
		require.Equal(t, "payments", n.Cluster)
		require.Equal(t, "leader", n.Control.Leader)
		require.Len(t, n.Members, 4)
		require.Equal(t, "standby:7400", n.Members[1].Addr)
		require.Equal(t, "first 1 (standby)", n.Options().Sync.String())
		require.Equal(t, Durability(2), n.Topology.Durability)
	}
	require.Equal(t, Self{ID: "delayed", Dir: "data/delayed", Role: RoleDelayed, ApplyDelay: Duration(30 * time.Second)}, ns[3].Self)
	require.Equal(t, RoleReadReplica, ns[0].Members[2].Role)
	require.Equal(t, 30*time.Second, ns[3].Options().ApplyDelay)
}

func TestADelayHoldsForTheWayBackUnlessItSaysOtherwise(t *testing.T) {
	c := readCluster(t, `
sites:
  us: {nodes: [a], delay: {eu: 10ms, ap: 1ms}}
  eu: {nodes: [b], delay: {us: 20ms}}
  ap: {nodes: [c]}
`)
	require.Equal(t, 10*time.Millisecond, c.Delay("us", "eu"))
	require.Equal(t, 20*time.Millisecond, c.Delay("eu", "us"))
	require.Equal(t, time.Millisecond, c.Delay("ap", "us"))
	require.Zero(t, c.Delay("us", "us"))
}

func TestTheFirstNodeLeadsWhereNobodyWasNamed(t *testing.T) {
	require.Equal(t, "b", readCluster(t, "nodes: {a: read-replica, b: {}, c: {}}").Leader())
	require.Equal(t, "c", readCluster(t, "nodes: {a: {}, b: {}, c: leader}").Leader())
	require.Equal(t, "c", readCluster(t, "{control: {leader: c}, nodes: {a: {}, b: {}, c: {}}}").Leader())
}

func TestAPolicyWithoutAListCountsVotersAlone(t *testing.T) {
	ns := placed(readCluster(t, "{topology: {sync: all}, nodes: {a: leader, b: standby, c: read-replica}}"))
	require.Equal(t, "all (a, b)", ns[0].Options().Sync.String())
}

func TestTheFilesOfAClusterAreReadWithPositions(t *testing.T) {
	_, err := ReadCluster("x.yaml", []byte("cluster: shop\ntopology:\n  sync: first 1 (b, d)\nnodes: {a: leader, b: standby}\n"))
	var refused *strict.Refused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "x.yaml:3:9: topology.sync: first 1 (b, d) names d, which is no member; members are a, b", err.Error())
}
