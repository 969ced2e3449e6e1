package singleleader

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// The tests of this file show what is not promised: what a configuration, or a read
// that asks for little, does not give. In each the checker of the stronger promise
// finds the violation, and that of the promise that was made finds none.

// told is a session that writes down what it is told.
type told struct {
	*testCluster
	session load.Engine
	written *history.Recorder
}

func newTold(c *testCluster) *told {
	s := &told{testCluster: c, written: history.NewRecorder(nil)}
	s.session.At = func(id string) (topology.Engine, string) { return c.nodes[topology.NodeID(id)].engine, id }
	return s
}

func (s *told) do(op history.Op) history.Op {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	op.Client, op.Session = 1, 1
	return s.written.End(s.session.Do(ctx, s.written.Begin(op)))
}

// put writes at a node, which acknowledges it.
func (s *told) put(at, key, value string) history.Op {
	s.t.Helper()
	op := s.do(history.Op{Node: at, Kind: history.Put, Key: key, Value: value})
	require.Equal(s.t, history.Applied, op.Outcome, "%v", op)
	return op
}

// get reads at a node and returns what that shows, empty for nothing.
func (s *told) get(at, key string, want history.Request) string {
	s.t.Helper()
	op := s.do(history.Op{Node: at, Kind: history.Get, Key: key, Want: want})
	require.Equal(s.t, history.Applied, op.Outcome, "%v", op)
	v, _ := op.Only()
	return v
}

// heldTo judges what was told as if every read had asked for g; as it was asked for
// where g is empty.
func (s *told) heldTo(g history.Guarantee, rules check.Rules, finals ...check.Final) *check.Case {
	s.t.Helper()
	ops := s.written.Ops()
	for i := range ops {
		if g != "" && !ops[i].Kind.Writes() {
			ops[i].Want = history.Request{Guarantee: g}
		}
	}
	c, err := check.New(rules, ops, finals...)
	require.NoError(s.t, err)
	return c
}

// slow is a store in which nothing new shows while it is held.
type slow struct {
	topology.Store
	gate sync.RWMutex
}

func (s *slow) Apply(lsn record.LSN, edits []topology.Edit) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.Store.Apply(lsn, edits)
}

// late starts a group whose node b has shown k=first, and shows nothing newer until
// release is called.
func late(t *testing.T) (s *told, release func()) {
	c := newCluster(t, Options{Sync: quorum.First(1, "c")}, "a", "b", "c")
	gate := &slow{}
	c.nodes["b"].front = func(st topology.Store) topology.Store { gate.Store = st; return gate }
	c.startAll()
	c.leads("a")
	s = newTold(c)
	w := s.put("a", "k", "first")
	c.applied(record.LSN(w.Place.LSN), "a", "b", "c")
	eventually(t, "b has caught up, and heard so", func() bool {
		h := &c.nodes["b"].sinks.heard
		h.mu.Lock()
		defer h.mu.Unlock()
		return !h.current.IsZero()
	})
	gate.gate.Lock()
	release = sync.OnceFunc(gate.gate.Unlock)
	t.Cleanup(release)
	return s, release
}

// PS7 without a token: whatever a node holds may miss one's own write and go back in
// time. With the session's token neither happens.
func TestReadsOfWhateverANodeHoldsAreNoSession(t *testing.T) {
	s, release := late(t)
	anything := history.Request{Guarantee: history.Any}
	s.put("a", "k", "second")
	require.Equal(t, "second", s.get("a", "k", history.Request{}))
	require.Equal(t, "first", s.get("b", "k", anything))
	require.NotEmpty(t, s.heldTo(history.Session, check.Rules{}).ReadYourWrites().Broken())
	require.NotEmpty(t, s.heldTo(history.Session, check.Rules{}).MonotonicReads().Broken())
	asked := s.heldTo("", check.Rules{})
	require.Empty(t, asked.ReadYourWrites().And(asked.MonotonicReads()).And(asked.Nowhere()).Broken())

	release()
	require.Equal(t, "second", s.get("b", "k", history.Request{Guarantee: history.Session}))
	asked = s.heldTo("", check.Rules{})
	require.Empty(t, asked.ReadYourWrites().And(asked.MonotonicReads()).Broken())
}

// PS5 and PS7: a bounded read is as old as its bound allows, and no linearizable one.
func TestABoundedReadIsNotLinearizable(t *testing.T) {
	s, _ := late(t)
	s.put("a", "k", "second")
	require.Equal(t, "first", s.get("b", "k", history.Request{Guarantee: history.Bounded, Bound: time.Minute}))
	require.NotEmpty(t, s.heldTo(history.Linearizable, check.Rules{}).Linearizable(0).Broken())
	asked := s.heldTo("", check.Rules{})
	require.Empty(t, asked.Fresh().And(asked.Linearizable(0)).Broken())
}

// PS5 at a leader that was replaced and does not know it: what it holds is stale; what
// it is asked for as newest, it does not answer.
func TestALeaderThatWasReplacedShowsWhatItHolds(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	var cut sync.Map
	c.dial = func(from, to topology.NodeID) bool { _, f := cut.Load(from); _, t := cut.Load(to); return !f && !t }
	c.start("b", "c", "a") // so that a's first term counts the directories of all
	c.leads("a")
	s := newTold(c)
	first := s.put("a", "k", "first")
	c.applied(record.LSN(first.Place.LSN), "a")
	for _, n := range []topology.NodeID{"b", "c"} { // their streams end, and are not let in again
		c.nodes[n].stop()
	}
	cut.Store(topology.NodeID("a"), true)
	c.start("b", "c")
	c.promoteBest("a")
	lead := "b"
	if c.nodes["c"].leads.Load() {
		lead = "c"
	}
	s.put(lead, "k", "second")
	require.Equal(t, "first", s.get("a", "k", history.Request{Guarantee: history.Any}))
	require.NotEmpty(t, s.heldTo(history.Linearizable, check.Rules{}).Linearizable(0).Broken())
	require.Empty(t, s.heldTo("", check.Rules{}).Linearizable(0).Broken())
	refused := s.do(history.Op{Node: "a", Kind: history.Get, Key: "k"})
	require.NotEqual(t, history.Applied, refused.Outcome)
	require.Empty(t, s.heldTo("", check.Rules{}).Linearizable(0).Broken())
}

// PS2 under async: what was acknowledged and not shipped is lost with the leader. The
// loss is what the old leader puts aside when it comes back, to the record.
func TestAnAsynchronousGroupLosesItsTailAndKeepsItAside(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	s := newTold(c)
	shipped := s.put("a", "shipped", "v")
	c.applied(record.LSN(shipped.Place.LSN), "a", "b", "c")
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	lost := map[string]bool{"x": true, "y": true, "z": true}
	for key := range lost {
		s.put("a", key, "lost "+key)
	}
	c.nodes["a"].stop()
	c.start("b", "c")
	_, err := c.nodes["b"].Promote(t.Context(), true)
	require.NoError(t, err)
	c.leads("b")
	next := s.put("b", "next", "v")
	c.start("a")
	eventually(t, "a shows what was written after its tail", func() bool {
		v, err := c.nodes["a"].get("next", topology.ReadOptions{Guarantee: topology.ReadAny})
		return err == nil && v == "v"
	})
	c.applied(record.LSN(next.Place.LSN), "b", "c")
	var finals []check.Final
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		f, err := load.Final(t.Context(), string(id), c.nodes[id].engine)
		require.NoError(t, err)
		finals = append(finals, f)
	}
	judged := s.heldTo("", check.Rules{Lossy: true}, finals...)
	require.NotEmpty(t, judged.Kept().Broken())
	for _, f := range finals {
		var keys []string
		for _, op := range judged.Lost(f) {
			require.True(t, lost[op.Key], "%v", op)
			keys = append(keys, op.Key)
		}
		require.Len(t, keys, len(lost), "at %s", f.Node)
	}
	require.Empty(t, judged.Converged().And(judged.Nowhere()).Broken())
	require.EqualValues(t, len(lost), c.nodes["a"].Status().Rewound)
	kept, err := c.nodes["a"].side.List()
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.EqualValues(t, len(lost), kept[0].Records)
}
