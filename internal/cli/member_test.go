package cli

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A fourth server joins three that run, from an empty directory and by its own file
// alone; one of the three goes; and what was written is where it is asked for.
func TestAServerIsAddedAndAnotherOneRemoved(t *testing.T) {
	ids, addrs := []string{"a", "b", "c", "d"}, free(t, 8)
	file := memberFiles(t, ids, addrs, "50ms", `{sync: "first 1 (a, b, c)", fail_after: 300ms}`)
	var servers []*process
	for i := range 3 {
		servers = append(servers, startServer(t, file(i, 3)))
	}
	t.Setenv("TRIAD_ENDPOINTS", strings.Join(addrs[4:7], ","))
	t.Setenv("TRIAD_TIMEOUT", "20s")
	until(t, "a leads and another is in sync", servers[0], func() bool {
		leads, _ := get(addrs[0], "/leader")
		b, _ := get(addrs[1], "/sync")
		return leads == 200 && b == 200
	})
	succeed(t, "put", "default", "k", "before")

	began := failing(t, exitNotReady, "member", "add", "d", "--addr", addrs[7], "--timeout", "300ms")
	require.Contains(t, began, "goes on by itself", "its server does not run yet")
	require.Contains(t, succeed(t, "status"), "adding d: it does not answer")
	require.Contains(t, failing(t, exitFailed, "member", "remove", "b"), "adding d is not over")
	servers = append(servers, startServer(t, file(3, 4)))
	require.Contains(t, succeed(t, "member", "add", "d", "--addr", addrs[7]), "added")
	until(t, "d is ready", servers[3], func() bool { code, _ := get(addrs[3], "/replica"); return code == 200 })
	require.Contains(t, succeed(t, "member", "remove", "b"), "removed")
	until(t, "b says so", servers[1], func() bool {
		_, why := get(addrs[1], "/readyz")
		return strings.Contains(why, "removed from its group")
	})
	require.Contains(t, succeed(t, "status"), "this node was removed from its group")
	require.Contains(t, failing(t, exitFailed, "member", "remove", "a"), "triad switchover")
	for _, bad := range [][]string{
		{"member", "add", "D!", "--addr", "h:1"}, {"member", "add", "e"}, {"member", "add", "e", "--addr", "h"},
		{"member", "add", "e", "--addr", "h:1", "--role", "king"}, {"member", "add", "e", "--addr", "h:1", "--site", "S!"}, {"member", "remove", "D!"}, {"member", "remove"},
	} {
		failing(t, exitUsage, bad...)
	}

	require.NoError(t, servers[1].cmd.Process.Signal(syscall.SIGTERM))
	requireEnd(t, servers[1], false)
	t.Setenv("TRIAD_ENDPOINTS", strings.Join([]string{addrs[4], addrs[6], addrs[7]}, ","))
	succeed(t, "put", "default", "k", "after")
	succeed(t, "switchover", "--to", syncOf(t, addrs))
	require.Contains(t, succeed(t, "get", "default", "k"), "after")
	for _, s := range []*process{servers[0], servers[2], servers[3]} {
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	}
}

// syncOf waits for c or d to be in sync.
func syncOf(t *testing.T, addrs []string) (id string) {
	require.Eventually(t, func() bool {
		for i, name := range map[int]string{2: "c", 3: "d"} {
			if code, _ := get(addrs[i], "/sync"); code == 200 {
				id = name
				return true
			}
		}
		return false
	}, 20*time.Second, 10*time.Millisecond)
	return id
}
