package singleleader

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// newLossy is an asynchronous group that may lose so many records by an election.
func newLossy(t *testing.T, lag uint64, ids ...topology.NodeID) *testCluster {
	c := newAgreed(t, Options{Sync: quorum.Async(), Leases: Leases{MaxLagOnFailover: lag}}, ids...)
	return c
}

// syncsHang is a file system whose syncs hang from hang until release.
type syncsHang struct {
	mem     *vfs.MemFS
	armed   atomic.Bool
	hung    chan struct{}
	release func()
}

func newSyncsHang(n *testNode) *syncsHang {
	h := &syncsHang{mem: n.fs.(*vfs.MemFS), hung: make(chan struct{})}
	h.release = sync.OnceFunc(func() { h.armed.Store(false); close(h.hung) })
	n.fs = errorfs.Wrap(h.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if h.armed.Load() && slices.Contains([]errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, op.Kind) {
			<-h.hung
		}
		return nil
	}))
	n.c.t.Cleanup(h.release)
	return h
}

// S9: an asynchronous group elects by itself who lacks no more than it may lose; what it
// loses is counted, kept aside, and told in its history.
func TestAnAsynchronousGroupFailsOverByItselfWithinItsLag(t *testing.T) {
	const lag = 3
	c := newLossy(t, lag, "a", "b")
	c.opts.FailAfter, c.opts.DropAfter = 2*time.Second, time.Hour // nobody is let go of
	disk := newSyncsHang(c.nodes["b"])
	c.startAll()
	require.Equal(t, topology.NodeID("a"), c.leader())
	c.letIn("b")
	r, err := c.nodes["a"].put("kept", "1")
	require.NoError(t, err)
	c.applied(r.LSN, "b")

	// b makes nothing more durable: as many as may be lost are acknowledged, and no more.
	disk.armed.Store(true)
	var lost []topology.Receipt
	for range lag {
		r, err := c.nodes["a"].put("lost", "1")
		require.NoError(t, err)
		lost = append(lost, r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = c.nodes["a"].Write(ctx, batchOf("lost", "2"), topology.WriteOptions{})
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err), "it would be further ahead")
	require.Contains(t, c.explain("b").Why, "at most 3 records that were acknowledged would be lost")

	c.nodes["a"].crash()
	left := disk.mem.CrashClone(vfs.CrashCloneCfg{})
	disk.release()
	c.nodes["b"].stop()
	c.nodes["b"].fs = left
	c.start("b")
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
	_, err = c.nodes["b"].get("lost")
	require.ErrorIs(t, err, topology.ErrNotFound)
	v, err := c.nodes["b"].get("kept")
	require.NoError(t, err)
	require.Equal(t, "1", v)

	c.start("a")
	c.letIn("a")
	_, err = c.nodes["a"].get("lost")
	require.ErrorIs(t, err, topology.ErrNotFound, "what a had shown is taken back")
	var counts topology.Counts
	c.nodes["a"].Count(&counts)
	require.EqualValues(t, lag+1, counts.Rewound.Records, "with that which nobody was told of")
	require.EqualValues(t, lag+1, c.nodes["a"].Status().Rewound)
	files, err := c.nodes["a"].side.List()
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Equal(t, lost[0].LSN, files[0].First)
	require.Equal(t, lost[lag-1].LSN+1, files[0].Last)
	require.ErrorIs(t, c.nodes["a"].Wait(t.Context(), lost[0].Token), topology.ErrRewound)
	reigns, err := c.nodes["a"].Reigns(t.Context())
	require.NoError(t, err)
	require.Equal(t, "election; at most 3 records lost", reigns[len(reigns)-1].Cause)
}

// letIn waits until the leader counts a node.
func (c *testCluster) letIn(id topology.NodeID) {
	c.t.Helper()
	eventually(c.t, string(id)+" is let in", func() bool {
		lead := c.nodes[c.leader()]
		nudge(lead.council.counts)
		a := lead.group.Load().Agreed
		return a != nil && slices.ContainsFunc(a.InSync, func(m core.Counted) bool { return m.Node == id })
	})
}

// A leader holds back what would be further ahead of who may be elected, and lets go of
// who does not come along; then it goes on, and nobody else is elected.
func TestALeaderLetsGoOfWhoFallsBehind(t *testing.T) {
	c := newLossy(t, 2, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	c.nodes["b"].stop()
	for range 10 {
		_, err := c.nodes["a"].put("k", "1")
		require.NoError(t, err)
	}
	c.inSync("a", "a")
	c.nodes["a"].stop()
	c.start("b")
	eventually(t, "b knows its group", func() bool { _, version := c.nodes["b"].council.known(); return version > 0 })
	_, _, stands := c.nodes["b"].council.due(time.Now().Add(time.Hour))
	require.False(t, stands)
	require.Contains(t, c.explain("b").Why, "no other node that answers is known to lack at most 2 records")
	c.start("a")
	c.inSync(c.leader("b"), "a", "b")
}

// The write lease: a leader that nobody who may be elected confirms, and that can not
// let go of them, acknowledges nothing: one of them may lead.
func TestAnAsynchronousLeaderWithoutALeaseAcknowledgesNothing(t *testing.T) {
	for _, fast := range []bool{false, true} {
		c := newLossy(t, 1000, "a", "b")
		c.opts.FailFast = fast
		c.opts.FailAfter, c.opts.DropAfter = time.Hour, time.Hour // nobody is elected
		c.opts.Lease = 100 * time.Millisecond
		c.startAll()
		require.Equal(t, topology.NodeID("a"), c.leader())
		c.letIn("b")
		var err error
		eventually(t, "b has confirmed that a leads", func() bool { _, err = c.nodes["a"].put("k", "1"); return err == nil })
		c.agreed.Cut("a", true) // b can not be let go of
		c.nodes["b"].stop()
		warns := func() string { return strings.Join(c.nodes["a"].Status().Warnings, "\n") }
		eventually(t, "its lease is over", func() bool { return strings.Contains(warns(), unleased) })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = c.nodes["a"].Write(ctx, batchOf("k", "2"), topology.WriteOptions{})
		require.Error(t, err)
		if fast {
			require.ErrorIs(t, err, topology.ErrUnavailable)
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
		} else {
			require.Equal(t, topology.Unknown, topology.OutcomeOf(err), "it may be acknowledged yet")
		}
		c.agreed.Cut("a", false)
		c.start("b")
		eventually(t, "b confirms", func() bool { return !strings.Contains(warns(), unleased) })
		eventually(t, "it goes on", func() bool { _, err = c.nodes["a"].put("k", "3"); return err == nil })
	}
}

func TestALagIsForAsynchronousGroupsThatElect(t *testing.T) {
	for says, o := range map[string]Options{
		"under first an election loses nothing": {Sync: quorum.First(1, "a"), Leases: Leases{MaxLagOnFailover: 1}},
		"at most 4294967296":                    {Leases: Leases{MaxLagOnFailover: core.LagMax + 1}},
	} {
		_, err := o.withDefaults()
		require.ErrorContains(t, err, says)
	}
	c := newCluster(t, Options{Leases: Leases{MaxLagOnFailover: 1}}, "a")
	require.ErrorContains(t, c.nodes["a"].tryStart(), "a control that elects nobody")
}

func (c *testCluster) explain(at topology.NodeID) topology.Explanation {
	c.t.Helper()
	x, err := c.nodes[at].Explain(c.t.Context())
	require.NoError(c.t, err)
	return x
}

// S3: what a node shows of a leader before is no answer to a linearizable read, however
// far it has come, until it is known to be the present leader's history.
func TestAFollowerWaitsUntilWhatItShowsIsTheLeadersHistory(t *testing.T) {
	c := newLossy(t, 3, "a", "b", "c")
	c.opts.FailAfter, c.opts.DropAfter = 2*time.Second, time.Hour
	var apart atomic.Bool
	c.dial = func(from, to topology.NodeID) bool { return !apart.Load() || from != "b" || to != "c" }
	disk := newSyncsHang(c.nodes["b"])
	c.startAll()
	require.Equal(t, topology.NodeID("a"), c.leader())
	c.letIn("b")
	c.letIn("c")
	r, err := c.nodes["a"].put("k", "kept")
	require.NoError(t, err)
	c.applied(r.LSN, "b", "c")
	disk.armed.Store(true)
	for range 3 { // further than b will have come
		r, err = c.nodes["a"].put("k", "lost")
		require.NoError(t, err)
	}
	c.applied(r.LSN, "c")

	// b, which lacks it, is told to lead, and does not reach c.
	require.NoError(t, c.nodes["a"].Pause(t.Context(), true))
	eventually(t, "everybody knows", func() bool { return c.nodes["b"].Status().Paused && c.nodes["c"].Status().Paused })
	apart.Store(true)
	left := disk.mem.CrashClone(vfs.CrashCloneCfg{})
	c.nodes["a"].stop()
	disk.release()
	c.nodes["b"].stop()
	c.nodes["b"].fs = left
	c.start("b")
	eventually(t, "b leads", func() bool {
		_, err := c.nodes["b"].Promote(t.Context(), false)
		return err == nil
	})
	_, err = c.nodes["b"].put("other", "1")
	require.NoError(t, err)
	eventually(t, "c knows", func() bool { return c.nodes["c"].Status().Leader == "b" })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	got, err := c.nodes["c"].Read(ctx, record.TableDefault, []byte("k"), topology.ReadOptions{})
	require.Error(t, err, "%v", got)

	apart.Store(false)
	eventually(t, "c follows", func() bool { v, err := c.nodes["c"].get("k"); return err == nil && v == "kept" })
	require.EqualValues(t, 3, c.nodes["c"].Status().Rewound)
}
