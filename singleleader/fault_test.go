package singleleader

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// failing wraps a node's disk so that its syncs fail once armed.
func failing(n *testNode) *atomic.Bool {
	var armed atomic.Bool
	n.fs = errorfs.Wrap(n.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return errors.New("input/output error")
		}
		return nil
	}))
	return &armed
}

func TestALeaderWhoseSyncFailsAcknowledgesNothingMore(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b")
	armed := failing(c.nodes["a"])
	c.startAll()
	c.leads("a")
	_, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	armed.Store(true)
	_, err = c.nodes["a"].put("k", "w")
	require.Error(t, err)
	var te *topology.Error
	require.ErrorAs(t, err, &te)
	require.Equal(t, topology.Unknown, te.Outcome, "it may be on the follower")
	eventually(t, "the node says that it failed", func() bool { return c.nodes["a"].Status().Role == topology.RoleFailed })
	_, err = c.nodes["a"].put("k", "x")
	require.ErrorIs(t, err, topology.ErrFailed)
	require.ErrorAs(t, err, &te)
	require.Equal(t, topology.NotApplied, te.Outcome)
	require.ErrorIs(t, <-c.nodes["a"].done, topology.ErrFailed, "and Run returned the reason")
	c.nodes["a"].cancel = nil
}

func TestAFollowerWhoseSyncFailsIsNotCountedAndTheOthersGoOn(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	armed := failing(c.nodes["b"])
	c.startAll()
	c.leads("a")
	armed.Store(true)
	for range 20 {
		r, err := c.nodes["a"].put("k", "v")
		require.NoError(t, err)
		require.NotContains(t, r.Durable, topology.NodeID("b"))
	}
	require.ErrorIs(t, <-c.nodes["b"].done, topology.ErrFailed)
	c.nodes["b"].cancel = nil
}
