package leaderless

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestTheLogIsKeptForWhoIsAwayAndNoLonger(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	a := c.nodes["a"]
	for i := range 20 {
		_, err := a.put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	end := func() record.LSN { return a.log.Bounds().End }
	eventually(t, "nobody needs anything", func() bool { return a.Retain(end()) == end()+1 })
	c.nodes["c"].stop()
	before := end()
	_, err := a.put("more", "v")
	require.NoError(t, err)
	eventually(t, "b has it", func() bool {
		v, err := c.nodes["b"].get("more", topology.ReadOptions{Guarantee: topology.ReadAny})
		return err == nil && v == "v"
	})
	ticks := func() (n int) {
		require.NoError(t, a.loop.call(func() { n = a.loop.keeper.ticks }))
		return n
	}
	from := ticks()
	eventually(t, "a has looked again", func() bool { return ticks() > from+3 })
	require.LessOrEqual(t, a.Retain(end()), before+1, "c lacks it")
	c.nodes["c"].start()
	eventually(t, "c has it", func() bool { return a.Retain(end()) == end()+1 })
	c.converged()
}

func TestAReplicaTakesOverWhatIsInNobodysLog(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3, RetainBytesMax: 1}, 3)
	c.startAll()
	c.nodes["c"].stop()
	for i := range 120 {
		key := fmt.Sprint("k", i%50)
		_, err := c.nodes[c.list[i%2].ID].put(key, strings.Repeat(fmt.Sprint(i), 2000))
		require.NoError(t, err)
	}
	_, err := c.nodes["a"].put("k7", "")
	require.NoError(t, err)
	for _, id := range []topology.NodeID{"a", "b"} {
		n := c.nodes[id]
		_, err := n.store.Flush(t.Context())
		require.NoError(t, err)
		end := n.log.Bounds().End
		require.NoError(t, n.log.Truncate(topology.Range{First: n.Retain(end), Last: end}))
		require.Greater(t, n.log.Bounds().First, record.LSN(1), "nothing was dropped")
	}
	c.nodes["c"].start()
	c.converged()
	mends := uint64(0)
	for _, n := range c.running() {
		mends += n.stats.mends.Load()
	}
	require.NotZero(t, mends)
	_, err = c.nodes["c"].get("k7", topology.ReadOptions{Guarantee: topology.ReadAny})
	require.ErrorIs(t, err, topology.ErrNotFound)
}

// fullLog is a log that has no room, a few times.
type fullLog struct {
	topology.GroupLog
	left atomic.Int32
}

func (l *fullLog) Copy(es ...record.Entry) error {
	if l.left.Add(-1) >= 0 {
		return fmt.Errorf("a segment: %w", topology.ErrDiskFull)
	}
	return l.GroupLog.Copy(es...)
}

// A part of what another one holds that the log has no room for is not placed, and is not
// said to be: who fills a lost disk would vote without it.
func TestAPartThatTheLogDidNotTakeIsNotPlaced(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	log := &fullLog{}
	c.nodes["a"].wrap = func(l topology.GroupLog) topology.GroupLog { log.GroupLog = l; return log }
	c.startAll()
	w, err := c.nodes["b"].put("k", "v")
	require.NoError(t, err)
	c.converged()
	var set version.Set
	set.Add(version.Dot{Origin: w.Dot.Origin, Seq: w.Dot.Seq + 1000})
	f := &filling{e: c.nodes["a"].engine}
	part := core.Part{Partition: c.nodes["a"].place.Current().Partition([]byte("k")), Applied: &set}
	log.left.Store(math.MaxInt32)
	err = f.place(t.Context(), core.Event{Kind: core.EvInstall, Node: "b", Part: part})
	log.left.Store(0)
	require.ErrorIs(t, err, topology.ErrDiskFull)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.NoError(t, f.place(t.Context(), core.Event{Kind: core.EvInstall, Node: "b", Part: part}))
}
