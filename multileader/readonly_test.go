package multileader

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// readOnlyRefusal checks that an error says that a site takes no writes, and where to write.
func readOnlyRefusal(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, "site eu takes no writes")
	require.ErrorContains(t, err, "write at a node of us or ap")
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
}

// takesOver makes a node the leader of its site, once it has all that the present one has.
func (c *cluster) takesOver(id topology.NodeID) {
	c.t.Helper()
	eventually(c.t, string(id)+" takes over", func() bool {
		_, err := c.nodes[id].Promote(c.t.Context(), false)
		return err == nil
	})
	c.leads(id)
}

// Eu takes no writes, and stands between the others: it passes on what they write, shows it
// to sessions, and says what it has for good, so that deletes go; under its next leader too.
func TestAReadOnlySiteTakesNoWritesAndHoldsNothingBack(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1)), ReadOnly: []string{"eu"}, Links: Links{Shape: Star, Hub: "eu"}}), 2, "us", "eu", "ap")
	c.startAll()
	us, eu, ap := c.nodes["us1"], c.nodes["eu1"], c.nodes["ap1"]
	for i := range 20 {
		_, err := us.put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	w, err := ap.put("k0", "of ap")
	require.NoError(t, err)
	for _, id := range []topology.NodeID{"eu1", "eu2", "us2"} {
		got, err := c.nodes[id].get("k0", after(w))
		require.NoError(t, err)
		require.Equal(t, "of ap", got)
	}
	_, err = eu.put("k0", "of eu")
	readOnlyRefusal(t, err)
	b := batchOf("k0", "of eu")
	b.Conditions = []record.Condition{{Cell: record.Cell{Table: record.TableDefault, Key: []byte("none")}, Absent: true}}
	_, err = eu.Write(t.Context(), b, topology.WriteOptions{})
	readOnlyRefusal(t, err)

	c.takesOver("eu2")
	_, err = c.nodes["eu2"].put("k0", "of eu")
	readOnlyRefusal(t, err)
	for i := range 20 {
		_, err = us.remove(fmt.Sprint("k", i))
		require.NoError(t, err)
	}
	for id, n := range c.nodes {
		eventually(t, string(id)+" forgets what is deleted everywhere", func() bool { return n.held() == 0 })
	}
	c.converged()
	require.True(t, statusOf(us, "eu").ReadOnly)
	require.False(t, statusOf(us, "ap").ReadOnly)
	require.Empty(t, c.nodes["eu2"].Status().Warnings)
}
