package singleleader

import (
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// An asynchronous leader whose disk has no room for a newer term stops all the same as
// soon as it hears of it: what it acknowledged after that would be lost (S7, S9).
func TestALeaderWhoseDiskIsFullStopsWhenItHearsOfANewerTerm(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Async()}, "a", "b", "c")
	full := injecting(c.nodes["a"], "accepted.a", syscall.ENOSPC, errorfs.OpFileWrite, errorfs.OpFileWriteAt)
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.applied(r.LSN, "b", "c")
	full.Store(true)
	// What a is asked to promise it can not record; then it hears from who leads, and from
	// who refuses its stream.
	p, err := c.nodes["c"].Promote(t.Context(), true)
	require.NoError(t, err)
	eventually(t, "a leads no more", func() bool { return c.nodes["a"].Status().Role != topology.RoleLeader })
	require.Less(t, c.nodes["a"].group.Load().Term, p.Term, "its disk knows nothing of it")
	_, err = c.nodes["a"].put("k", "lost")
	require.ErrorIs(t, err, topology.ErrNotLeader)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = c.nodes["c"].put("k", "w")
	require.NoError(t, err)

	full.Store(false)
	eventually(t, "a follows", func() bool { return c.nodes["a"].Status().Leader == "c" })
	eventually(t, "a shows what c wrote", func() bool { v, err := c.nodes["a"].get("k"); return err == nil && v == "w" })
}
