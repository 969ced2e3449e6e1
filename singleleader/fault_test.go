package singleleader

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// failing wraps a node's disk so that its syncs fail once armed.
func failing(n *testNode) *atomic.Bool {
	return injecting(n, "", errors.New("input/output error"), errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo)
}

// injecting wraps a node's disk so that operations of kinds on files with a
// suffix fail with err once armed.
func injecting(n *testNode, suffix string, err error, kinds ...errorfs.OpKind) *atomic.Bool {
	var armed atomic.Bool
	n.fs = errorfs.Wrap(n.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && slices.Contains(kinds, op.Kind) && strings.HasSuffix(op.Path, suffix) {
			return err
		}
		return nil
	}))
	return &armed
}

func TestADiskThatStaysFullEndsTheNodeAndLosesNothingAcknowledged(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.wal.SegmentBytes = 8 << 10
	clean := c.nodes["a"].fs
	full := injecting(c.nodes["a"], ".tmp", syscall.ENOSPC, errorfs.OpFileWriteAt) // no new segment, with the reserve or without
	c.startAll()
	c.leads("a")
	full.Store(true)
	acked := 0
	var err error
	eventually(t, "a write is refused", func() bool {
		_, err = c.nodes["a"].put(fmt.Sprint("k", acked), string(make([]byte, 512)))
		if err == nil {
			acked++
		}
		return err != nil
	})
	require.ErrorIs(t, err, topology.ErrDiskFull)
	c.nodes["a"].stop()

	c.nodes["a"].fs = clean
	c.start("a")
	c.leads("a")
	for i := range acked {
		_, err = c.nodes["a"].get(fmt.Sprint("k", i))
		require.NoError(t, err)
	}
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
