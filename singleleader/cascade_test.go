package singleleader

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// newCascade is a group in which b and e follow a, c is fed by b, and d by c.
func newCascade(t *testing.T, o Options, agrees bool) *testCluster {
	o.ReadReplicas = []topology.NodeID{"c", "d"}
	if o.FailAfter == 0 {
		o.FailAfter = 300 * time.Millisecond
	}
	c := newCluster(t, o, "a", "b", "c", "d", "e")
	if agrees {
		a := newAgreed(t, o, "a")
		c.agreed, c.opts.FailAfter = a.agreed, a.opts.FailAfter
	}
	c.nodes["c"].feeds = []topology.NodeID{"b"}
	c.nodes["d"].feeds = []topology.NodeID{"c", "b"}
	return c
}

// fed waits until a node is fed by another one, empty for its leader, and shows what the
// leader has.
func (c *testCluster) fed(id, by, leader topology.NodeID) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s is fed by %q", id, by), func() bool {
		s := c.nodes[id].Status()
		return s.Upstream == by && s.Leader == leader && s.Applied >= c.nodes[leader].Status().Commit
	})
}

// write puts a key at the leader, and waits until those show it.
func (c *testCluster) write(leader topology.NodeID, key, value string, at ...topology.NodeID) topology.Receipt {
	c.t.Helper()
	r, err := c.nodes[leader].put(key, value)
	require.NoError(c.t, err)
	c.applied(r.LSN, at...)
	for _, id := range at {
		v, err := c.nodes[id].get(key, topology.ReadOptions{Guarantee: topology.ReadSession, After: r.Token})
		require.NoError(c.t, err)
		require.Equal(c.t, value, v, id)
	}
	return r
}

func TestFollowersFeedFollowers(t *testing.T) {
	c := newCascade(t, Options{Sync: quorum.First(1, "b")}, false)
	var alone atomic.Bool
	c.dial = func(from, to topology.NodeID) bool { // the leader reaches b alone
		return !alone.Load() || from != "a" || to == "b"
	}
	c.startAll()
	c.leads("a")
	c.fed("c", "b", "a")
	c.fed("d", "c", "a")
	alone.Store(true)
	c.write("a", "k", "by three hops", "c", "d")
	v, err := c.nodes["d"].get("k")
	require.NoError(t, err, "a linearizable read is confirmed by the leader, whoever feeds the node")
	require.Equal(t, "by three hops", v)
	s := c.nodes["d"].Status()
	require.Equal(t, topology.RoleReadReplica, s.Role)
	require.False(t, s.Sync)

	eventually(t, "the leader knows who feeds whom", func() bool {
		ups := map[topology.NodeID]string{}
		for _, p := range c.nodes["a"].Status().Peers {
			ups[p.Node] = fmt.Sprintf("%s %s %v %d", p.State, p.Upstream, p.Sync, p.Lag.Records)
		}
		return ups["c"] == "cascade b false 0" && ups["d"] == "cascade c false 0" && ups["b"] == "replicate  true 0"
	})
	require.Contains(t, c.nodes["d"].Status().Upstream, "c")
}

func TestWhatACascadeAcknowledgesCountsForNothing(t *testing.T) {
	c := newCascade(t, Options{Sync: quorum.All()}, false)
	c.startAll()
	c.leads("a")
	c.fed("d", "c", "a")
	c.nodes["b"].stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := c.nodes["a"].Write(ctx, batchOf("k", "alone"), topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrTimeout, "b is waited for, whoever else has it")
	c.start("b")
	c.write("a", "k", "with b again", "c", "d")
}

func TestACascadeGoesOnWhenItsFeederIsGoneAndComesBack(t *testing.T) {
	c := newCascade(t, Options{Sync: quorum.Async()}, false)
	c.startAll()
	c.leads("a")
	c.fed("c", "b", "a")
	c.fed("d", "c", "a")
	c.nodes["c"].stop()
	c.write("a", "k", "without c", "d")
	c.fed("d", "b", "a")
	c.nodes["b"].stop()
	c.write("a", "k", "without b", "d")
	c.fed("d", "", "a")
	c.start("b", "c")
	c.write("a", "k", "all again", "b", "c", "d")
	c.fed("c", "b", "a")
	c.fed("d", "c", "a")
}

func TestACascadeFollowsTheNextLeader(t *testing.T) {
	for name, agrees := range map[string]bool{"by hand": false, "elected": true} {
		t.Run(name, func(t *testing.T) {
			c := newCascade(t, Options{Sync: quorum.First(1, "a", "b", "e")}, agrees)
			c.nodes["d"].feeds = []topology.NodeID{"c"}
			c.startAll()
			if agrees { // where all start slowly, another one may have been first
				eventually(t, "a leads", func() bool {
					lead := c.leader()
					if lead != "a" {
						_, _ = c.nodes[lead].Switchover(t.Context(), "a")
					}
					return lead == "a"
				})
			}
			c.leads("a")
			c.fed("c", "b", "a")
			c.fed("d", "c", "a")
			c.write("a", "k", "before", "c", "d")
			if agrees {
				c.inSync("a", "a", "b")
			}
			c.nodes["a"].stop()
			if !agrees {
				_, err := c.nodes["b"].Promote(t.Context(), false)
				require.NoError(t, err)
			} else {
				require.Equal(t, topology.NodeID("b"), c.leader("a"))
			}
			c.start("a")
			c.write("b", "k", "after", "a", "c", "d")
			c.fed("c", "", "b") // its upstream leads
			c.fed("d", "c", "b")
		})
	}
}

func TestAFollowerOfAFollowerCatchesUpByItsSnapshot(t *testing.T) {
	c := newCascade(t, Options{Sync: quorum.Async(), RetainBytesMax: 16 << 10}, false)
	c.wal.SegmentBytes, c.wal.FirstSegmentBytes = 16<<10, 16<<10
	var alone atomic.Bool
	c.dial = func(from, to topology.NodeID) bool { return !alone.Load() || from != "a" || to == "b" }
	c.start("a", "b", "c", "e")
	c.leads("a")
	c.fed("c", "b", "a")
	alone.Store(true)
	for i := range 200 {
		c.write("a", fmt.Sprint("k", i%50), strings.Repeat(fmt.Sprint(i, " "), 100))
	}
	r := c.write("a", "last", "one", "b", "c")
	n := c.nodes["c"]
	flushed, err := n.store.Flush(t.Context())
	require.NoError(t, err)
	require.NoError(t, n.log.Truncate(topology.Range{First: min(n.Retain(flushed), flushed+1), Last: math.MaxUint64}))
	require.Greater(t, n.log.Bounds().First, r.LSN/2)
	c.start("d")
	c.fed("d", "c", "a")
	v, err := c.nodes["d"].get("k7")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("157 ", 100), v)
	require.Greater(t, c.nodes["d"].Status().First, r.LSN/2, "it has no log from before the snapshot")
	c.write("a", "k7", "by the log again", "d")
}

// A feeder whose tail is cut as its new leader never had it has its followers cut theirs.
func TestACascadeIsRewoundWithItsFeeder(t *testing.T) {
	c := newCascade(t, Options{Sync: quorum.Async()}, false)
	c.nodes["d"].feeds = []topology.NodeID{"c"}
	var cut atomic.Bool
	c.dial = func(from, to topology.NodeID) bool { return !cut.Load() || from != "b" && to != "b" }
	c.nodes["c"].feeds = nil
	c.startAll()
	c.leads("a")
	c.fed("d", "c", "a")
	c.write("a", "k", "kept", "b", "c", "d")
	c.nodes["b"].stop()
	lost := c.write("a", "k", "lost", "c", "d")
	c.nodes["a"].stop()
	c.start("b")
	_, err := c.nodes["b"].Promote(t.Context(), true)
	require.NoError(t, err)
	c.leads("b")
	c.write("b", "k", "instead", "c", "d")
	c.fed("d", "c", "b")
	for _, id := range []topology.NodeID{"c", "d"} {
		kept, err := c.nodes[id].side.List()
		require.NoError(t, err)
		require.Len(t, kept, 1, id)
		require.Equal(t, lost.LSN, kept[0].Last, id)
		require.ErrorIs(t, c.nodes[id].Wait(t.Context(), lost.Token), topology.ErrRewound, id)
	}
}

// What a follower of a follower knows is as old as what its feeder knows.
func TestAFeederThatIsCutOffFromItsLeaderFeedsNothingNew(t *testing.T) {
	c := newCascade(t, Options{Sync: quorum.Async()}, false)
	c.startAll()
	c.leads("a")
	c.fed("c", "b", "a")
	c.write("a", "k", "v", "c")
	c.nodes["a"].stop()
	eventually(t, "c knows that it knows nothing new", func() bool {
		_, err := c.nodes["c"].get("k", topology.ReadOptions{Guarantee: topology.ReadBounded, MaxStale: 200 * time.Millisecond})
		return err != nil
	})
	v, err := c.nodes["c"].get("k", topology.ReadOptions{Guarantee: topology.ReadAny})
	require.NoError(t, err)
	require.Equal(t, "v", v)
}

func TestUpstreamsThatCanNotFeedAreRefused(t *testing.T) {
	with := func(o Options, up ...topology.NodeID) Options {
		o.Upstreams = up
		return o
	}
	replica := Options{ReadReplicas: []topology.NodeID{"c"}, Witnesses: []topology.NodeID{"w"}}
	for _, bad := range []struct {
		o    Options
		self topology.NodeID
		why  string
	}{
		{with(replica, "B"), "c", `upstreams: "B" is not a node's name`},
		{with(replica, "b", "b"), "c", "upstreams: b is named twice"},
		{with(replica, "w"), "c", "upstreams: w is a witness, which keeps nothing to feed others with"},
		{with(replica, "c"), "c", "upstreams: c is this node"},
		{with(replica, "b"), "a", "upstreams: a is not among the read replicas, and whoever may be counted is fed by the leader alone"},
		{with(replica, make([]topology.NodeID, UpstreamsMax+1)...), "c", "17 upstreams: at most 16"},
	} {
		_, err := New(bad.o)(topology.Env{Self: bad.self})
		require.ErrorContains(t, err, bad.why)
	}
}

func TestAFollowerFeedsSoManyAndNoMore(t *testing.T) {
	f := &feeds{r: &reign{e: &engine{env: topology.Env{Self: "b"}}, again: make(chan struct{}, 1)}, asked: map[topology.NodeID]bool{}}
	for i := range FeedsMax {
		require.NoError(t, f.add(topology.NodeID(fmt.Sprint("n", i))))
	}
	require.ErrorIs(t, f.add("one-more"), topology.ErrOverloaded)
	require.NoError(t, f.add("n1"), "who is fed already")
	f.drop("n1")
	require.NoError(t, f.add("one-more"))
	require.Len(t, f.names(), FeedsMax)
}

// still is a log whose disk does not get on: nothing more becomes durable.
type still struct {
	topology.GroupLog
	at record.LSN
}

func (s still) Bounds() topology.Bounds {
	b := s.GroupLog.Bounds()
	b.Flushed = min(b.Flushed, s.at)
	return b
}

func TestAFollowerPassesOnWhatIsDurableAndNoMore(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	for i := range 5 {
		c.write("a", fmt.Sprint("k", i), "v", "a")
	}
	log := durable{still{c.nodes["a"].log, 3}}
	require.EqualValues(t, 3, log.Bounds().End)
	var got []record.LSN
	for e, err := range log.Read(t.Context(), 2) {
		require.NoError(t, err)
		got = append(got, e.LSN)
	}
	require.Equal(t, []record.LSN{2, 3}, got)
}

func TestHearsayIsAsOldAsItIs(t *testing.T) {
	var h heard
	h.note(&stream.Append{Term: 1, End: 5, Behind: 7, Age: time.Minute}, 5)
	at, met := h.last(1)
	require.True(t, met)
	require.GreaterOrEqual(t, time.Since(at), time.Minute)
	var r stream.Riding
	h.passOn(&r)
	require.GreaterOrEqual(t, r.Age, time.Minute, "and older at the next one")
	require.EqualValues(t, 5, r.End)
	require.EqualValues(t, 7, r.Behind)
}

// Under load a follower is always a little behind the leader that feeds its own follower
// meanwhile.
func TestAReplicaGoesBackToAnUpstreamThatIsBehindIt(t *testing.T) {
	c := newCascade(t, Options{Sync: quorum.Async()}, false)
	var hold atomic.Bool
	c.dial = func(from, to topology.NodeID) bool { return !hold.Load() || to != "b" && from != "b" }
	c.start("a", "b", "c")
	c.leads("a")
	c.fed("c", "b", "a")
	c.nodes["b"].stop()
	r := c.write("a", "k", "c has it", "c")
	c.fed("c", "", "a")
	hold.Store(true)
	c.start("b")
	require.Less(t, c.nodes["b"].Status().End, r.LSN)
	n := c.nodes["b"]
	w := core.Wish{Node: "c", Term: 1, Last: stream.Place{Term: 1, LSN: r.LSN}}
	var ahead record.LSN
	n.turn.call(func() { ahead = core.Ahead(w.Last, n.core.End, n.core.LastTerm) })
	require.Equal(t, r.LSN, ahead)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() { waited <- durable{n.log}.await(ctx, w.Last) }()
	hold.Store(false)
	require.NoError(t, <-waited)
	cancel()
	require.GreaterOrEqual(t, n.log.Bounds().Flushed, r.LSN)
	c.fed("c", "b", "a")
	kept, err := c.nodes["c"].side.List()
	require.NoError(t, err)
	require.Empty(t, kept)
}
