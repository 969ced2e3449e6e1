package leaderless

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// growing makes a cluster of n nodes, of which the last comes later: the others do not
// know it.
func growing(t testing.TB, o Options, n int) *cluster {
	c := newCluster(t, o, n)
	for _, m := range c.list[:n-1] {
		c.nodes[m.ID].knows = c.list[:n-1]
	}
	for _, m := range c.list[:n-1] {
		c.nodes[m.ID].start()
	}
	c.settled()
	return c
}

// seat is a node as it is added.
func (c *cluster) seat(id topology.NodeID) topology.RingNode {
	m, _ := topology.View{Members: c.list}.Find(id)
	return topology.RingNode{ID: id, Addr: m.Addr}
}

// writing are writers, each of a key of its own, until they are stopped.
type writing struct {
	c    *cluster
	all  []written
	stop chan struct{}
	wait sync.WaitGroup
}

func (c *cluster) write(n int) *writing {
	w := &writing{c: c, all: make([]written, n), stop: make(chan struct{})}
	up := c.running()
	for i := range w.all {
		at, k := up[i%len(up)], &w.all[i]
		w.wait.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
				}
				k.tried++
				if _, err := at.put(fmt.Sprint("k", i), fmt.Sprint(k.tried)); err == nil {
					k.acked = k.tried
				} else if errors.Is(err, topology.ErrClosed) {
					return
				}
			}
		})
	}
	return w
}

// ended stops the writers, and wants what was acknowledged to be read at every node that
// runs.
func (w *writing) ended() {
	w.c.t.Helper()
	close(w.stop)
	w.wait.Wait()
	for i := range w.all {
		require.Positive(w.c.t, w.all[i].acked, "key %d", i)
		for _, n := range w.c.running() {
			var got int
			eventually(w.c.t, fmt.Sprintf("a read of key %d is answered at %s", i, n.id), func() bool {
				v, err := n.get(fmt.Sprint("k", i), topology.ReadOptions{})
				if err == nil {
					_, err = fmt.Sscan(v, &got)
				}
				return err == nil
			})
			require.GreaterOrEqual(w.c.t, got, w.all[i].acked, "key %d at %s", i, n.id)
			require.LessOrEqual(w.c.t, got, w.all[i].tried)
		}
	}
}

func (n *node) change(ch topology.RingChange) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := n.ChangeRing(ctx, ch, 0)
	return err
}

// moved waits until nothing moves any more, by the maps of all nodes that run.
func (c *cluster) moved() {
	c.t.Helper()
	up := c.running()
	var at string
	defer func() {
		if c.t.Failed() {
			c.t.Log(at)
		}
	}()
	eventually(c.t, "all has moved", func() bool {
		at = ""
		epoch := up[0].place.Epoch()
		for _, n := range up {
			if _, moving := n.place.Current().Target(); moving || n.place.Epoch() != epoch {
				g, err := n.Ring(context.Background())
				at += fmt.Sprintf("%s: %+v %v\n", n.id, g, err)
			}
		}
		return at == ""
	})
}

// fill writes keys that stay.
func (c *cluster) fill(n int) {
	for i := range n {
		_, err := c.nodes["a"].put(fmt.Sprint("stays", i), fmt.Sprint(i))
		require.NoError(c.t, err)
	}
}

func (c *cluster) stay(n int) {
	c.t.Helper()
	for i := range n {
		for _, m := range c.running() {
			v, err := m.get(fmt.Sprint("stays", i), topology.ReadOptions{})
			require.NoError(c.t, err, "key %d at %s", i, m.id)
			require.Equal(c.t, fmt.Sprint(i), v)
		}
	}
}

func TestANodeJoinsUnderLoad(t *testing.T) {
	c := growing(t, Options{Replicas: 3, Partitions: 16}, 5)
	c.fill(100)
	w := c.write(4)
	c.nodes["e"].start()
	require.NoError(t, c.nodes["b"].change(topology.RingChange{Add: []topology.RingNode{c.seat("e")}}))
	c.moved()
	c.settled()
	w.ended()
	e, holds := c.nodes["e"], 0
	for p := range 16 {
		if e.place.Shows("e", p) {
			holds++
		}
	}
	require.Positive(t, holds)
	require.Positive(t, e.filler.bytes)
	c.stay(100)
	c.converged()
	g, err := e.Ring(context.Background())
	require.NoError(t, err)
	require.Len(t, g.Nodes, 5)
	require.False(t, g.Moving)
	for _, n := range g.Nodes {
		require.True(t, n.Reached)
		require.Equal(t, g.Epoch, n.Epoch)
	}
}

func TestANodeLeavesUnderLoad(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3, Partitions: 16}, 5)
	c.startAll()
	c.fill(100)
	w := c.write(4) // at a, b, c and d
	require.NoError(t, c.nodes["a"].change(topology.RingChange{Remove: []topology.NodeID{"e"}}))
	c.moved()
	c.nodes["e"].stop()
	w.ended()
	c.stay(100)
	c.converged()
	require.NotContains(t, c.nodes["a"].place.Nodes(), topology.NodeID("e"))
}

// TestADeadNodeIsReplaced has a node that will not come back, and another in its place.
func TestADeadNodeIsReplaced(t *testing.T) {
	c := growing(t, Options{Replicas: 3, Partitions: 8}, 5)
	c.fill(50)
	c.nodes["d"].stop()
	w := c.write(3)
	c.nodes["e"].start()
	require.NoError(t, c.nodes["a"].change(topology.RingChange{Add: []topology.RingNode{c.seat("e")}, Remove: []topology.NodeID{"d"}}))
	c.moved()
	w.ended()
	c.stay(50)
	c.converged()
}

// TestAMoveGoesOnAfterCrashes crashes who steps the map, who is filled and a source.
func TestAMoveGoesOnAfterCrashes(t *testing.T) {
	c := growing(t, Options{Replicas: 3, Partitions: 16, MovesMax: 2, CallTimeout: time.Second}, 5)
	c.fill(50)
	c.nodes["e"].start()
	w := c.write(2) // at a and b
	require.NoError(t, c.nodes["c"].change(topology.RingChange{Add: []topology.RingNode{c.seat("e")}}))
	for _, id := range []topology.NodeID{"e", "c", "d"} {
		epoch := c.nodes["b"].place.Epoch()
		eventually(t, "the map goes on", func() bool {
			_, moving := c.nodes["b"].place.Current().Target()
			return c.nodes["b"].place.Epoch() > epoch || !moving
		})
		c.nodes[id].crash()
		c.nodes[id].start()
	}
	c.moved()
	c.settled()
	w.ended()
	c.stay(50)
	c.converged()
}

// TestAMoveIsTakenBack cancels what a node that never came was to have.
func TestAMoveIsTakenBack(t *testing.T) {
	c := growing(t, Options{Replicas: 3, Partitions: 8}, 5)
	c.fill(50)
	w := c.write(4)
	before := c.nodes["a"].place.Current().Layout()
	require.NoError(t, c.nodes["a"].change(topology.RingChange{Add: []topology.RingNode{c.seat("e")}}))
	g, err := c.nodes["a"].Ring(context.Background())
	require.NoError(t, err)
	require.True(t, g.Moving)
	require.Contains(t, fmt.Sprint(g.Moves), "e must hear of map")
	require.ErrorIs(t, c.nodes["b"].change(topology.RingChange{Remove: []topology.NodeID{"d"}}), topology.ErrConflict)
	eventually(t, "it is taken back", func() bool { return c.nodes["b"].change(topology.RingChange{Cancel: true}) == nil })
	c.moved()
	require.True(t, before.Equal(c.nodes["d"].place.Current().Layout()))
	w.ended()
	c.stay(50)
	c.converged()
}

// TestWithoutASharedControlOneNodeKeepsTheMap has each node keep documents of its own.
func TestWithoutASharedControlOneNodeKeepsTheMap(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3, Partitions: 8}, 4)
	c.control = nil
	for _, m := range c.list[:3] {
		c.nodes[m.ID].knows = c.list[:3]
		c.nodes[m.ID].start()
	}
	c.settled()
	c.fill(20)
	c.nodes["d"].start()
	err := c.nodes["b"].change(topology.RingChange{Add: []topology.RingNode{c.seat("d")}})
	require.ErrorIs(t, err, topology.ErrNotLeader)
	var e *topology.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, topology.NodeID("a"), e.Leader)
	w := c.write(3)
	require.NoError(t, c.nodes["a"].change(topology.RingChange{Add: []topology.RingNode{c.seat("d")}}))
	c.moved()
	require.ErrorIs(t, c.nodes["a"].change(topology.RingChange{Remove: []topology.NodeID{"a"}}), topology.ErrMalformed)
	w.ended()
	c.nodes["a"].crash()
	c.nodes["a"].start()
	c.settled()
	require.NoError(t, c.nodes["a"].change(topology.RingChange{Weigh: []topology.RingNode{{ID: "d", Weight: 3}}}))
	c.moved()
	c.stay(20)
	c.converged()
}

// TestAPlanSaysWhatItMoves and changes nothing.
func TestAPlanSaysWhatItMoves(t *testing.T) {
	c := growing(t, Options{Replicas: 3, Partitions: 16}, 5)
	c.fill(50)
	a := c.nodes["a"]
	p, err := a.PlanRing(context.Background(), topology.RingChange{Add: []topology.RingNode{c.seat("e")}})
	require.NoError(t, err)
	require.NotEmpty(t, p.Moves)
	require.Len(t, p.Loads, 5)
	require.Positive(t, p.Loads[4].Gains)
	require.Positive(t, p.Loads[4].Receives)
	require.Equal(t, p.Epoch, a.place.Epoch(), "nothing has changed")
	_, err = a.ChangeRing(context.Background(), topology.RingChange{Add: []topology.RingNode{c.seat("e")}}, p.Epoch+1)
	require.ErrorIs(t, err, topology.ErrConflict)
	for why, ch := range map[string]topology.RingChange{
		"no node of the ring":       {Remove: []topology.NodeID{"z"}},
		"is a node of the ring":     {Add: []topology.RingNode{{ID: "b"}}},
		"is not a node's name":      {Add: []topology.RingNode{{ID: "B"}}},
		"copies on 4 nodes":         {Copies: 5},
		"z is no node of the ring":  {Weigh: []topology.RingNode{{ID: "z", Weight: 2}}},
		"all nodes stand in sites ": {Add: []topology.RingNode{{ID: "e", Site: "us"}}},
	} {
		_, err := a.PlanRing(context.Background(), ch)
		require.ErrorIs(t, err, topology.ErrMalformed)
		require.ErrorContains(t, err, why)
	}
	at, err := a.Locate(record.TableDefault, []byte("stays1"))
	require.NoError(t, err)
	require.Len(t, at.Replicas, 3)
}

// TestWhatWaitsForANodeIsTold counts what a node lacks that is away.
func TestWhatWaitsForANodeIsTold(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	c.nodes["c"].stop()
	c.fill(30)
	hs, err := c.nodes["a"].Handoff(context.Background())
	require.NoError(t, err)
	require.Len(t, hs, 2)
	require.Equal(t, topology.NodeID("c"), hs[1].To)
	require.GreaterOrEqual(t, hs[1].Records, uint64(30))
	require.Positive(t, hs[1].Bytes)
	require.False(t, hs[1].More)
	c.nodes["c"].start()
	eventually(t, "nothing waits any more", func() bool {
		hs, err := c.nodes["a"].Handoff(context.Background())
		return err == nil && hs[0].Records+hs[1].Records == 0
	})
}

// TestAStreamCountsInItsSessionAlone asks a source, and gives a new replica, parts of a
// session that is over.
func TestAStreamCountsInItsSessionAlone(t *testing.T) {
	c := newCluster(t, Options{Replicas: 2, Partitions: 4}, 3)
	c.startAll()
	asked := pageAsked{partitions: []int{0}, sets: true, session: 7}
	_, err := c.nodes["b"].env.Transport.Call(context.Background(), "a", methodCells, asked.encode())
	require.ErrorIs(t, err, topology.ErrStale)
	f := &filling{e: c.nodes["a"].engine}
	part := 0
	for !c.nodes["a"].place.Holds("a", part) {
		part++
	}
	err = f.place(context.Background(), core.Event{Kind: core.EvInstall, Node: "b", Part: core.Part{Partition: part, Session: 7}})
	require.ErrorIs(t, err, topology.ErrStale)
}

// TestANodeStartsWithTheMapThatItHasHeardOf starts one that reaches no control.
func TestANodeStartsWithTheMapThatItHasHeardOf(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	require.NoError(t, c.nodes["a"].change(topology.RingChange{Weigh: []topology.RingNode{{ID: "b", Weight: 2}}}))
	c.moved()
	epoch := c.nodes["b"].place.Epoch()
	require.Greater(t, epoch, uint64(1))
	for _, m := range c.list {
		c.control.Cut(m.ID, true)
		c.nodes[m.ID].crash()
	}
	b := c.nodes["b"]
	b.start()
	require.Equal(t, epoch, b.place.Epoch())
	c.nodes["a"].start()
	c.nodes["c"].start()
	c.settled()
	_, err := b.put("k", "v")
	require.NoError(t, err)
}

// TestWhoHasNotHeardHoldsAStepUp asks what a move waits for.
func TestWhoHasNotHeardHoldsAStepUp(t *testing.T) {
	ids := []topology.NodeID{"a", "b", "c"}
	m, err := placement.New(1, ids, 1, 3, 1)
	require.NoError(t, err)
	l := m.Layout()
	l.Nodes = []placement.Node{l.Nodes[0], l.Nodes[1], {ID: "d", Weight: 1, Numbers: placement.Free(m)}}
	p, err := m.Plan(l)
	require.NoError(t, err)
	m, err = p.Begin().Step(0)
	require.NoError(t, err)
	session := m.Part(0).Epoch
	v := &mover{e: &engine{o: Options{}}}
	all := func() map[topology.NodeID]stand {
		out := map[topology.NodeID]stand{}
		for _, id := range m.Nodes() {
			out[id] = stand{reached: true, epoch: m.Epoch(), votes: true, filled: map[int]uint64{0: session}}
		}
		return out
	}
	for want, change := range map[string]func(map[topology.NodeID]stand){
		"":                     func(map[topology.NodeID]stand) {},
		"a must hear of map 3": func(s map[topology.NodeID]stand) { s["a"] = stand{reached: true, epoch: 2, votes: true} },
		"b must hear of map 3": func(s map[topology.NodeID]stand) { s["b"] = stand{} },
		"d must hear of map 3": func(s map[topology.NodeID]stand) { s["d"] = stand{} },
		"d is being filled": func(s map[topology.NodeID]stand) {
			s["d"] = stand{reached: true, epoch: 3, votes: true, filled: map[int]uint64{0: 1}}
		},
		"d does not vote yet": func(s map[topology.NodeID]stand) { s["d"] = stand{reached: true, epoch: 3} },
	} {
		s := all()
		change(s)
		require.Equal(t, want, v.unready(m, m.Part(0), s))
	}
	s := all()
	s["c"] = stand{}
	require.Empty(t, v.unready(m, m.Part(0), s), "c leaves for good, and a and b meet every write")
	v.e.o.Read = quorum.AtOne
	require.Contains(t, v.unready(m, m.Part(0), s), "c can not be reached, and without them too few have heard of map 3", "a read of c alone would be enough")
	s["c"] = stand{reached: true, epoch: 2}
	require.Equal(t, "c must hear of map 3", v.unready(m, m.Part(0), s), "who can be reached must hear")
}
