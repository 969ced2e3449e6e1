package leaderless

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestTreesAreThereAfterARestart(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet}, 3)
	c.startAll()
	a := c.nodes["a"]
	for i := range 500 {
		_, err := a.put(fmt.Sprint("k", i%300), fmt.Sprint("v", i))
		require.NoError(t, err)
	}
	c.converged()
	truth := a.counted(t)
	require.Equal(t, truth, a.roots())
	for _, how := range []func(){a.stop, a.crash} {
		how()
		a.start()
		require.Empty(t, a.machine.trees.why, "they are read, and not made again")
		c.settled()
		require.Equal(t, truth, a.roots())
	}

	require.NoError(t, a.loop.call(func() {
		view := snapshot(t, a)
		defer view.Close()
		var page record.Cell
		var b []byte
		for i := 0; b == nil; i++ {
			page = pageCell(0, i)
			var err error
			b, err = valueOf(view, page)
			require.NoError(t, err)
		}
		b[3]++
		s := record.State{Siblings: []record.Version{{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1}, Kind: record.KindBytes, Value: b}}}
		require.NoError(t, a.store.Apply(a.machine.at.LSN, []topology.Edit{{Cell: page, State: record.NewEncoder().AppendState(nil, &s)}}))
	}))
	a.stop()
	a.start()
	c.settled()
	eventually(t, "a damaged tree is made again", func() bool {
		whole := false
		return a.loop.call(func() { whole = a.machine.trees.why == "" }) == nil && whole
	})
	require.Equal(t, truth, a.roots())
	require.Zero(t, c.repairAll(topology.RepairOptions{}).Differ)
	a.stop()
	a.start()
	require.Empty(t, a.machine.trees.why)
	c.settled()
	require.Equal(t, truth, a.roots())
}

func snapshot(t *testing.T, n *node) topology.Snapshot {
	s, err := n.store.Snapshot()
	require.NoError(t, err)
	return s
}

// roots are the sums of the trees of a node, by partition.
func (n *node) roots() map[int]uint64 {
	m := map[int]uint64{}
	_ = n.loop.call(func() {
		for p := range n.place.Partitions() {
			if r := n.machine.trees.root(p); r != 0 {
				m[p] = r
			}
		}
	})
	return m
}

// counted are the sums of what the store of a node holds, added up anew.
func (n *node) counted(t *testing.T) map[int]uint64 {
	m := map[int]uint64{}
	var sums merkle.Summer
	view := snapshot(t, n)
	defer view.Close()
	for e, err := range view.Scan(record.Cell{}, record.Cell{Table: 1 << 31}) {
		require.NoError(t, err)
		var s record.State
		if local(e.Table) {
			continue
		}
		require.NoError(t, record.DecodeState(e.State, &s))
		p := placement.Of(n.place, e.Table, e.Key)
		if m[p] += sums.Sum(&e.Cell, s.Siblings); m[p] == 0 {
			delete(m, p)
		}
	}
	return m
}

// A comparison stops while requests are slow, but not for ever.
func TestAComparisonStopsWhileRequestsAreSlow(t *testing.T) {
	x := newEntropy(&engine{o: Options{AntiEntropy: AntiEntropy{PauseAbove: time.Second}.withDefaults()}})
	now := time.Now()
	for range 98 {
		x.pulse.note(now)
	}
	require.Zero(t, x.pulse.p99(time.Now()), "too few say nothing")
	for range 2 {
		x.pulse.note(now.Add(-time.Minute))
	}
	require.Greater(t, x.pulse.p99(time.Now()), 59*time.Second)
	require.Zero(t, x.pulse.p99(time.Now().Add(2*pulseOld)), "nor do old ones")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, x.pace(1<<30).spend(ended, 1), topology.ErrTimeout, "it waits")
	for range pulseMax {
		x.pulse.note(time.Now())
	}
	require.NoError(t, x.pace(1<<30).spend(t.Context(), 1))
	require.ErrorIs(t, x.pace(1).spend(ended, 1000), topology.ErrTimeout, "nor does it read or send more than is due")
	require.EqualValues(t, 1002, x.told.bytes.Load())
}
