package singleleader

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// gathered has reads come while the round of another is under way, which nobody
// answers, and returns both groups and the number of the newest round.
func gathered(t *testing.T, a *testNode) (asked, next *index, round uint64) {
	t.Helper()
	a.turn.call(func() {
		asked, _ = a.pending.join()
		a.askReads()
		var opened bool
		next, opened = a.pending.join()
		require.True(t, opened)
		again, opened := a.pending.join()
		require.False(t, opened)
		require.Same(t, next, again)
		a.askReads()
		require.Same(t, asked, a.pending.asked, "one round at a time")
		round = a.core.Lead.Round
	})
	require.NotSame(t, asked, next, "a read is confirmed by a round that began after it")
	return asked, next, round
}

func TestReadsThatComeDuringARoundShareTheNext(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	written, err := a.put("k", "v")
	require.NoError(t, err)
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	asked, next, round := gathered(t, a)
	c.start("b")
	<-asked.done
	<-next.done
	for _, r := range []*index{asked, next} {
		require.NoError(t, r.err)
		require.GreaterOrEqual(t, r.lsn, written.LSN)
	}
	require.Equal(t, round+1, next.round)
}

func TestReadsThatWaitForARoundHearThatTheLeaderStops(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	asked, next, _ := gathered(t, a)
	a.turn.call(func() { a.pending.stop(a.engine, topology.ErrNotLeader) })
	<-asked.done
	<-next.done
	require.ErrorIs(t, asked.err, topology.ErrNotLeader)
	require.ErrorIs(t, next.err, topology.ErrNotLeader)
	late, opened := a.pending.join()
	require.True(t, opened)
	a.turn.call(func() {
		role := a.core.Role
		defer func() { a.core.Role = role }()
		a.core.Role = core.Follower
		a.askReads()
	})
	<-late.done
	require.ErrorIs(t, late.err, topology.ErrNotLeader)
}

// lateStore lets something happen between the beginning of a read and its look
// into the store.
type lateStore struct {
	topology.Store
	meanwhile atomic.Pointer[func()]
}

func (s *lateStore) Get(c record.Cell) ([]byte, error) {
	if f := s.meanwhile.Swap(nil); f != nil {
		(*f)()
	}
	return s.Store.Get(c)
}

// A session that has seen a value never sees an older one: its token covers what
// was applied while it read.
func TestATokenCoversWhatItsReadingShows(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	late := &lateStore{}
	c.nodes["a"].front = func(s topology.Store) topology.Store { late.Store = s; return late }
	c.startAll()
	c.leads("a")
	old, err := c.nodes["a"].put("k", "old")
	require.NoError(t, err)
	c.applied(old.LSN, "a")
	newer := func() {
		r, err := c.nodes["a"].put("k", "new", topology.WriteOptions{Durability: topology.Applied})
		require.NoError(t, err)
		require.Greater(t, r.LSN, old.LSN)
	}
	late.meanwhile.Store(&newer)
	r, err := c.nodes["a"].Read(t.Context(), record.TableDefault, []byte("k"), topology.ReadOptions{Guarantee: topology.ReadAny})
	require.NoError(t, err)
	require.Equal(t, "new", string(r.Cells[0].Value))
	require.EqualValues(t, r.Cells[0].Seq, r.Token.LSN)
}

// That the leader is confirmed does not commit what a look has seen.
func TestALookWaitsForWhatItSawThoughItsLeaderIsConfirmed(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	w := &write{done: make(chan struct{}, 1), durability: topology.Flushed}
	early := 0
	a.turn.call(func() {
		a.pending.asked = &index{done: make(chan struct{}), looks: []*write{w}, round: 1, seen: a.core.Commit + 1}
		a.pending.answerReads(a.engine, 1)
		early = len(w.done)
	})
	require.Zero(t, early)
	_, err := a.put("k", "v")
	require.NoError(t, err)
	<-w.done
	require.NoError(t, w.err)
}

// A distance in records or bytes says nothing behind a leader that is silent, and at
// one that nobody confirms.
func TestADistanceIsHeldToAnAge(t *testing.T) {
	for reader, others := range map[topology.NodeID][]topology.NodeID{"a": {"b", "c"}, "b": {"a", "c"}} {
		for name, o := range map[string]topology.ReadOptions{"records": {MaxLag: 1000}, "bytes": {MaxBytes: 1 << 20}} {
			t.Run(string(reader)+", "+name, func(t *testing.T) {
				o.Guarantee = topology.ReadBounded
				c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c"), FailAfter: 50 * time.Millisecond}, "a", "b", "c")
				c.opts.CallTimeout, c.opts.Stream.HeartbeatEvery = 50*time.Millisecond, 20*time.Millisecond
				c.startAll()
				c.leads("a")
				r, err := c.nodes["a"].put("k", "v")
				require.NoError(t, err)
				c.applied(r.LSN, reader)
				eventually(t, "it is within its bounds", func() bool { v, err := c.nodes[reader].get("k", o); return err == nil && v == "v" })
				for _, n := range others {
					c.nodes[n].stop()
				}
				eventually(t, "it knows that it may be any distance behind", func() bool {
					_, err := c.nodes[reader].get("k", o)
					return errors.Is(err, topology.ErrStale)
				})
			})
		}
	}
}

// A follower that shows less than its leader has is within bounds of records and bytes
// that are at least as wide as what it lacks, and no others.
func TestADistanceIsHeldToItsBound(t *testing.T) {
	s, _ := late(t)
	s.put("a", "k", "second")
	b := s.nodes["b"]
	eventually(t, "b knows of it", func() bool { return b.Status().Lag.Records > 0 })
	lacks := b.Status().Lag
	require.Positive(t, lacks.Bytes)
	for _, o := range []topology.ReadOptions{{MaxLag: lacks.Records}, {MaxBytes: lacks.Bytes}} {
		o.Guarantee = topology.ReadBounded
		v, err := b.get("k", o)
		require.NoError(t, err)
		require.Equal(t, "first", v)
	}
	s.put("a", "k", "third")
	for _, o := range []topology.ReadOptions{{MaxLag: lacks.Records}, {MaxBytes: lacks.Bytes}} {
		o.Guarantee = topology.ReadBounded
		eventually(t, "it lacks more", func() bool { _, err := b.get("k", o); return errors.Is(err, topology.ErrStale) })
	}
}
