package singleleader

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// met is the guarantee that a read of k met, which shows value.
func (n *testNode) met(t *testing.T, value string, o topology.ReadOptions) topology.Guarantee {
	t.Helper()
	r, err := n.Read(t.Context(), record.TableDefault, []byte("k"), o)
	require.NoError(t, err)
	require.Equal(t, value, string(r.Cells[0].Value))
	return r.Guarantee
}

// PS6: reads by the leader's lease, at every node.
func TestReadsAreServedFromALease(t *testing.T) {
	for _, policy := range []quorum.Policy{quorum.First(1, "a", "b", "c"), quorum.Any(1, "a", "b", "c"), quorum.All()} {
		c := newAgreed(t, Options{Sync: policy, Leases: Leases{LeaseReads: true}}, "a", "b", "c")
		c.opts.FailAfter = 10 * time.Second // nobody else leads meanwhile
		c.startAll()
		c.leader()
		_, err := c.nodes["a"].put("k", "1")
		require.NoError(t, err)
		leased := topology.ReadOptions{}
		eventually(t, "a read takes no round", func() bool { return c.nodes["a"].met(t, "1", leased) == topology.ReadLeased })
		require.Positive(t, c.nodes["a"].byLease.Load())
		eventually(t, "status says so", func() bool { return c.nodes["a"].Status().Lease > 0 })
		require.Equal(t, topology.ReadLinearizable, c.nodes["a"].met(t, "1", topology.ReadOptions{Guarantee: topology.ReadLinearizable}))
		require.Equal(t, topology.ReadLeased, c.nodes["b"].met(t, "1", leased), "who follows can not tell, and promises no more")
		require.Equal(t, topology.ReadLinearizable, c.nodes["b"].met(t, "1", topology.ReadOptions{Guarantee: topology.ReadLinearizable}))
		require.Zero(t, c.nodes["b"].Status().Lease)
	}
}

// Where the group holds no lease, who would be content with one gets a round.
func TestWithoutALeaseAReadTakesARound(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b")}, "a", "b")
	c.startAll()
	c.leader()
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	require.Equal(t, topology.ReadLinearizable, c.nodes["a"].met(t, "1", topology.ReadOptions{Guarantee: topology.ReadLeased}))
	require.Zero(t, c.nodes["a"].Status().Lease)
}

func TestANewLeaderWaitsUntilTheLeaseBeforeIsOver(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c"), Leases: Leases{LeaseReads: true}}, "a", "b", "c")
	c.opts.FailAfter, c.opts.Lease, c.opts.DropAfter = 3*time.Second, 3*time.Second, 200*time.Millisecond
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	eventually(t, "a has a lease", func() bool { return c.nodes["a"].Status().Lease > 0 })
	c.nodes["a"].stop() // its process has ended, which is known at once
	eventually(t, "b leads, and waits", func() bool {
		s := c.nodes["b"].Status()
		return s.Role == topology.RoleLeader && slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "may still answer by its lease") })
	})
	var held, settled bool
	c.nodes["b"].turn.call(func() { held, settled = c.nodes["b"].core.Lead.Held, c.nodes["b"].core.Settled() })
	require.NotEqual(t, held, settled, "nothing is committed in its term before")
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
	_, err = c.nodes["b"].put("k", "2")
	require.NoError(t, err)
}

// A switchover costs no wait: who hands over has given up his lease.
func TestWhoIsHandedOverToWaitsForNoLease(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), Leases: Leases{LeaseReads: true}}, "a", "b")
	c.opts.FailAfter, c.opts.Lease, c.opts.DropAfter = time.Minute, time.Minute, 200*time.Millisecond
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	eventually(t, "a has a lease", func() bool { return c.nodes["a"].Status().Lease > 0 })
	_, err = c.nodes["a"].Switchover(t.Context(), "b")
	require.NoError(t, err)
	_, err = c.nodes["b"].put("k", "2") // it would take a minute
	require.NoError(t, err)
}

// S11: a leader whose disk hangs has no lease, though everybody answers it.
func TestALeaderWhoseDiskHangsHasNoLease(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), Leases: Leases{LeaseReads: true}, HangAfter: time.Hour}, "a", "b")
	var armed atomic.Bool
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	c.nodes["a"].fs = errorfs.Wrap(c.nodes["a"].fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && slices.Contains([]errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, op.Kind) {
			<-hang
		}
		return nil
	}))
	t.Cleanup(release)
	c.startAll()
	require.Equal(t, topology.NodeID("a"), c.leader())
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	eventually(t, "a has a lease", func() bool { return c.nodes["a"].Status().Lease > 0 })
	armed.Store(true)
	done := make(chan error, 1)
	go func() { _, err := c.nodes["a"].put("k", "2"); done <- err }()
	eventually(t, "it has none", func() bool { return c.nodes["a"].Status().Lease == 0 })
	for range 10 { // a round, which does not touch the disk, confirms reads on
		require.Equal(t, topology.ReadLinearizable, c.nodes["a"].met(t, "1", topology.ReadOptions{}))
	}
	armed.Store(false)
	release()
	<-done
	eventually(t, "it has one again", func() bool { return c.nodes["a"].Status().Lease > 0 })
}

func TestALeaseIsWithinItsBounds(t *testing.T) {
	for says, o := range map[string]Options{
		"lease 600ms: at most 500ms":     {Leases: Leases{Lease: 600 * time.Millisecond}},
		"lease -1ns":                     {Leases: Leases{Lease: -1}},
		"clock drift 2s a second":        {Leases: Leases{ClockDrift: 2 * time.Second}},
		"lease 2m0s: at most 1m0s, afte": {Leases: Leases{Lease: 2 * time.Minute}, FailAfter: time.Hour},
	} {
		_, err := o.withDefaults()
		require.ErrorContains(t, err, says)
	}
	c := newCluster(t, Options{Leases: Leases{LeaseReads: true}}, "a")
	require.ErrorContains(t, c.nodes["a"].tryStart(), "a control that elects nobody")
}
