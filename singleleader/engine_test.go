package singleleader

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

func TestAWriteAtTheLeaderIsReadAtEveryNode(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	var last topology.Receipt
	for i := range 100 {
		r, err := c.nodes["a"].put(fmt.Sprint("k", i), fmt.Sprint("v", i))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(r.Durable), 2)
		last = r
	}
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		v, err := c.nodes[id].get("k42")
		require.NoError(t, err, id)
		require.Equal(t, "v42", v)
		_, err = c.nodes[id].get("none")
		require.ErrorIs(t, err, topology.ErrNotFound)
	}
	c.applied(last.LSN, "a", "b", "c")
}
