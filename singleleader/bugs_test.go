package singleleader

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// The tests of this file are what went wrong in others that have one leader;
// docs/testing.md has the whole list, with the tests that stand elsewhere.

// A leader does not go with its session at the control (patroni#2070), and needs none to
// write (patroni#3550, #3572): while nobody reaches the control, writes and reads go on
// in the term that there is, and nobody else leads.
func TestWritesGoOnWhileTheControlIsAway(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	lead := c.nodes[c.leader()]
	c.inSync(lead.id, "a", "b")
	term := lead.Status().Term
	for _, m := range c.list {
		c.agreed.Cut(m.ID, true)
	}
	for end := time.Now().Add(4 * lead.o.FailAfter); time.Now().Before(end); { // longer than anybody is waited for
		_, err := lead.put("k", "v")
		require.NoError(t, err)
		v, err := lead.get("k", topology.ReadOptions{Guarantee: topology.ReadLinearizable})
		require.NoError(t, err)
		require.Equal(t, "v", v)
	}
	for _, m := range c.list {
		s := c.nodes[m.ID].Status()
		require.Equal(t, term, s.Term)
		require.Equal(t, lead.id, s.Leader)
	}
}

// A write whose caller gives up while it waits for a standby is not shown for that
// (patroni#1412): it is shown once the standby has it, and not before.
func TestAWriteThatIsGivenUpIsShownByNobodyUntilItIsCommitted(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b")}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	a := c.nodes["a"]
	c.nodes["b"].stop()
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	before := a.Status().Flushed
	go func() {
		_, err := a.Write(ctx, batchOf("k", "v"), topology.WriteOptions{})
		answered <- err
	}()
	eventually(t, "it is on the leader's own disk", func() bool { return a.Status().Flushed > before })
	cancel()
	require.Equal(t, topology.Unknown, topology.OutcomeOf(<-answered))
	_, err := a.get("k", topology.ReadOptions{Guarantee: topology.ReadAny})
	require.ErrorIs(t, err, topology.ErrNotFound, "whatever a reader asks for")
	c.start("b")
	eventually(t, "it is committed, and shown", func() bool {
		v, err := a.get("k")
		return err == nil && v == "v"
	})
}

// A leader that stood still, and finds by its own clock that the leases of others have
// ended, ends none of them (etcd#15247): what it takes for due is judged in its log, which
// nobody commits once another leads.
func TestALeaderThatWasReplacedEndsNoLease(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b", "c")}, "a", "b", "c")
	var ahead atomic.Int64
	c.nodes["a"].wall = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	c.startAll()
	c.leads("a")
	a, lock := c.nodes["a"], record.Cell{Table: record.TableDefault, Key: []byte("lock")}
	take := func(ctx context.Context, n *testNode, who string) error {
		m := putOf("lock", "", who)
		m.Expires = version.TimestampAt(time.Now().Add(time.Hour))
		_, err := n.Write(ctx, record.Batch{Mutations: []record.Mutation{m}, Conditions: []record.Condition{{Cell: lock, Absent: true}}}, topology.WriteOptions{})
		return err
	}
	require.NoError(t, take(t.Context(), a, "holder"))
	require.ErrorIs(t, take(t.Context(), a, "thief"), topology.ErrConditionFailed)

	c.nodes["b"].stop()
	c.nodes["c"].stop()
	ahead.Store(int64(2 * time.Hour))
	before := a.Status().Flushed
	a.expiries.wake()
	eventually(t, "it takes the lease for ended, and logs that", func() bool { return a.Status().Flushed > before })
	a.stop()
	ahead.Store(0)

	c.start("b", "c")
	_, err := c.nodes["b"].Promote(t.Context(), false)
	require.NoError(t, err)
	c.start("a")
	r, err := c.nodes["b"].put("k", "v")
	require.NoError(t, err)
	c.applied(r.LSN, "a", "b", "c")
	kept, err := a.side.List()
	require.NoError(t, err)
	require.Len(t, kept, 1, "what it logged is kept aside")
	for _, n := range c.nodes {
		v, err := n.get("lock")
		require.NoError(t, err)
		require.Equal(t, "holder", v, n.id)
	}
	require.ErrorIs(t, take(t.Context(), c.nodes["b"], "thief"), topology.ErrConditionFailed)
}
