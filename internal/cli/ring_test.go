package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A fourth node joins three that all take writes, from an empty directory and by its own
// file alone; one of the three goes; and what was written is where it is asked for.
func TestANodeJoinsARingAndAnotherOneLeaves(t *testing.T) {
	ids, addrs := []string{"a", "b", "c", "d"}, free(t, 8)
	file := memberFiles(t, ids, addrs, "100ms", `{kind: leaderless, replicas: 3, partitions: 8}`)
	var servers []*process
	for i := range 3 {
		servers = append(servers, startServer(t, file(i, 3)))
	}
	t.Setenv("TRIAD_ENDPOINTS", strings.Join(addrs[4:7], ","))
	t.Setenv("TRIAD_TIMEOUT", "60s")
	ready := func(i int) {
		until(t, ids[i]+" takes writes", servers[i], func() bool { code, _ := get(addrs[i], "/readyz"); return code == 200 })
	}
	for i := range 3 {
		ready(i)
	}
	succeed(t, "put", "default", "k", "before")
	require.Contains(t, succeed(t, "ring"), "map 1: 8 partitions, 3 copies of each")
	require.Contains(t, succeed(t, "locate", "default", "k"), "written, and asked")
	require.Contains(t, succeed(t, "handoff"), "OLDEST")
	add := "d=" + addrs[7]
	require.Contains(t, succeed(t, "ring", "plan", "--add", add), "partitions move")
	require.Contains(t, succeed(t, "ring"), "map 1:", "a plan changes nothing")
	servers = append(servers, startServer(t, file(3, 4)))
	require.Contains(t, succeed(t, "ring", "apply", "--add", add), "of map 1")
	require.Contains(t, succeed(t, "ring", "-o", "json"), `"moving": false`)
	ready(3)
	require.Contains(t, failing(t, exitFailed, "ring", "apply", "--remove", "b", "--epoch", "1"), "look at it again")
	succeed(t, "ring", "apply", "--remove", "b")
	require.NotContains(t, succeed(t, "ring"), "\nb ")
	t.Setenv("TRIAD_ENDPOINTS", addrs[7])
	require.Contains(t, succeed(t, "get", "default", "k"), "before")
	for _, bad := range [][]string{
		{"ring", "plan"}, {"ring", "plan", "--add", "e"}, {"ring", "apply", "--add", "E=h:1"}, {"ring", "plan", "--add", "e=h:1,color=red"},
		{"ring", "plan", "--add", "e=h:1,weight=0"}, {"ring", "plan", "--weight", "a"}, {"ring", "plan", "--remove", "B!"}, {"ring", "plan", "--copies", "-1"}, {"locate", "k"},
	} {
		failing(t, exitUsage, bad...)
	}
}
