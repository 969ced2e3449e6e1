package cli

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const quorumNode = `
cluster: triad
node: {id: %s, dir: %s}
listen: {peers: %s}
members: {a: %s, b: %s, c: %s}
topology: {kind: leaderless, tick_every: 5ms, partitions: 4}
tables: {users: bytes}
`

// serveQuorum runs three nodes without a leader as their files say.
func serveQuorum(t *testing.T) (addrs map[string]string) {
	t.Helper()
	ids := []string{"a", "b", "c"}
	n := newInside(t, ids...)
	addrs = n.addrs
	for _, id := range ids {
		n.start(id, fmt.Sprintf(quorumNode, id, n.place(id), addrs[id], addrs["a"], addrs["b"], addrs["c"]))
	}
	t.Setenv("TRIAD_ENDPOINTS", addrs["a"])
	require.Eventually(t, func() bool {
		for _, id := range ids {
			if command(t, "put", "users", "1", "v", "-e", addrs[id]).code != exitDone {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)
	return addrs
}

func TestReplicasAreComparedAndDeletesExplained(t *testing.T) {
	serveQuorum(t)
	for i := range 20 {
		succeed(t, "put", "users", fmt.Sprint(i), "v")
	}
	succeed(t, "del", "users", "7")
	var v repaired
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "repair", "users", "-o", "json")), &v))
	require.Len(t, v.Nodes, 3)
	parts := 0
	for _, n := range v.Nodes {
		require.Empty(t, n.Problem)
		require.Zero(t, n.Differ+n.Corrected+n.Unclear)
		require.GreaterOrEqual(t, n.Reread, uint64(19))
		parts += n.Parts
	}
	require.Positive(t, parts)
	require.Empty(t, v.Differences)
	succeed(t, "repair", "--check", "--reread=false")
	require.Contains(t, failing(t, exitUsage, "repair", "users", "carts"), "takes one table")
	require.Contains(t, failing(t, exitUsage, "repair", "--from", "B"), "is not a node's name")
	require.Contains(t, failing(t, exitFailed, "repair", "nowhere"), "nowhere")

	require.Eventually(t, func() bool {
		var all []keptDeletes
		require.NoError(t, json.Unmarshal([]byte(succeed(t, "gc", "explain", "-o", "json")), &all))
		require.Len(t, all, 3)
		for _, k := range all {
			if k.Kept != 0 || k.Collected == 0 {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)
	require.Regexp(t, `(?m)^a +0 deletes +\d+ cells +b +`, succeed(t, "gc", "explain"))
}

func TestARepairThatLeavesSomethingSaysSo(t *testing.T) {
	v := repaired{Nodes: []repairedNode{{Node: "a", Differ: 3, Mended: 3}}}
	require.NoError(t, v.verdict())
	v.Nodes[0].Differ = 5
	require.ErrorIs(t, v.verdict(), errDiffers)
	require.ErrorContains(t, v.verdict(), "2 cells")
	v.Nodes[0] = repairedNode{Node: "b", Problem: "down"}
	require.ErrorContains(t, v.verdict(), "b was not compared")
}
