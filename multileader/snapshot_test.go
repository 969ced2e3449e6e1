package multileader

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// tiny has logs that keep nothing that they need not.
func tiny(c *cluster) *cluster {
	c.wal.SegmentBytes, c.wal.FirstSegmentBytes = 8<<10, 8<<10
	c.opts.RetainBytesMax = 1
	return c
}

// trim drops what the node need not keep.
func (n *node) trim() {
	at, err := n.store.Flush(n.c.t.Context())
	require.NoError(n.c.t, err)
	if keep := min(n.Retain(at), n.log.Bounds().End+1); keep > n.log.Bounds().First {
		require.NoError(n.c.t, n.log.Truncate(topology.Range{First: keep, Last: math.MaxUint64}))
	}
}

// fill writes keys k0, k1 and so on, some at once.
func (n *node) fill(keys int, value string) {
	for i := 0; i < keys; i += 100 {
		var b record.Batch
		for k := i; k < min(i+100, keys); k++ {
			b.Mutations = append(b.Mutations, batchOf(fmt.Sprint("k", k), value).Mutations...)
		}
		_, err := n.Write(n.c.t.Context(), b, topology.WriteOptions{})
		require.NoError(n.c.t, err)
	}
}

// dropped waits until the leader of a site has dropped all that its log held so far.
func (c *cluster) dropped(site string) {
	n := c.leader(site)
	end := n.log.Bounds().End
	for i := 0; n.log.Bounds().First <= end; i++ {
		_, err := n.put(fmt.Sprint("fill", i%10), fmt.Sprintf("%0512d", i))
		require.NoError(c.t, err)
		if i%10 == 9 {
			n.trim()
		}
	}
}

// settled waits until no node has a snapshot on its way.
func (c *cluster) settled() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.cancel != nil {
			eventually(c.t, string(n.id)+" has its snapshot in its place", func() bool { return n.machine.in.shown.Load().Stage == core.StageNone })
		}
	}
}

func TestASiteThatIsTooFarBehindTakesASnapshot(t *testing.T) {
	c := tiny(newCluster(t, Options{CutEvery: -1, Group: groupOf(quorum.First(1))}, 2, "us", "eu", "ap"))
	c.startAll()
	us, eu := c.nodes["us1"], c.nodes["eu1"]
	us.fill(1500, "v")
	c.converged()
	c.apart("us", "eu", true)
	c.apart("ap", "eu", true)
	for i := range 200 { // eu goes on alone, and so do the others
		_, err := eu.put(fmt.Sprint("eu", i), "mine")
		require.NoError(t, err)
		_, err = us.put(fmt.Sprint("k", i), "newer")
		require.NoError(t, err)
	}
	_, err := us.remove("k700")
	require.NoError(t, err)
	_, err = eu.put("both", "eu")
	require.NoError(t, err)
	_, err = us.put("both", "us")
	require.NoError(t, err)
	putUntil(us, "expires", "us", in(time.Hour))
	putUntil(eu, "both expire", "eu", in(2*time.Hour))
	putUntil(us, "both expire", "us", in(3*time.Hour))
	c.dropped("us")
	c.dropped("ap")
	c.apart("us", "eu", false)
	c.apart("ap", "eu", false)

	var writing atomic.Bool
	writing.Store(true)
	var wait sync.WaitGroup
	for _, n := range []*node{us, eu} {
		wait.Go(func() {
			for i := 0; writing.Load(); i++ {
				if _, err := n.put(fmt.Sprint("during-", n.site, i%50), fmt.Sprint(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	eventually(t, "eu takes a snapshot", func() bool { return eu.counts().Fetched > 0 })
	eventually(t, "eu has what us has", func() bool { v, _ := eu.get("k150", topology.ReadOptions{}); return v == "newer" })
	c.settled()
	writing.Store(false)
	wait.Wait()
	c.converged()
	v, err := us.get("eu199", topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "mine", v)
	_, err = eu.get("k700", topology.ReadOptions{})
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.NotEmpty(t, append(slices.Collect(maps.Keys(eu.ofTable(record.TableLosers))), slices.Collect(maps.Keys(us.ofTable(record.TableLosers)))...), "who lost is listed where they met")
	require.Empty(t, eu.ofTable(record.TableIncoming))
	for _, n := range c.nodes {
		list, held := listed(n)
		require.Equal(t, held, list, "what is to expire at %s", n.id)
		require.Len(t, list, 2)
	}
}

// ofTable are the cells of one of Triad's own tables.
func (n *node) ofTable(table record.TableID) map[string]string {
	all := n.cells(true)
	maps.DeleteFunc(all, func(k, _ string) bool {
		var of record.TableID
		_, err := fmt.Sscan(k, &of)
		return err != nil || of != table
	})
	return all
}

// counts are those of the core of a leader.
func (n *node) counts() core.Counts {
	n.stats.mu.Lock()
	defer n.stats.mu.Unlock()
	return n.stats.count
}

func TestAnEmptySiteTakesASnapshot(t *testing.T) {
	c := tiny(newCluster(t, Options{CutEvery: -1}, 1, "us", "eu"))
	c.startAll()
	for i := range 500 {
		_, err := c.nodes["us1"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
		_, err = c.nodes["eu1"].put(fmt.Sprint("e", i), "w")
		require.NoError(t, err)
	}
	c.converged()
	c.nodes["eu1"].stop()
	require.NoError(t, c.nodes["eu1"].fs.RemoveAll("/eu1"))
	c.dropped("us")
	c.nodes["eu1"].start()
	c.leads("eu1")
	eventually(t, "eu has everything back", func() bool { v, _ := c.nodes["eu1"].get("e499", topology.ReadOptions{}); return v == "w" })
	c.settled()
	_, err := c.nodes["eu1"].put("after", "x")
	require.NoError(t, err)
	c.converged()
}

// A failover inside the site that takes a snapshot, at whatever stage of it, loses nothing
// of what has come.
func TestASnapshotOutlivesTheLeaderThatTakesIt(t *testing.T) {
	c := tiny(newCluster(t, Options{CutEvery: -1, Group: groupOf(quorum.Any(1))}, 3, "us", "eu"))
	c.opts.Limits.PartBytes = 8 << 10
	c.startAll()
	us := c.nodes["us1"]
	us.fill(3000, strings.Repeat("v", 600))
	c.converged()
	c.apart("us", "eu", true)
	us.fill(4000, strings.Repeat("w", 601))
	var mine []topology.Receipt
	lead := c.nodes["eu1"]
	write := func() {
		r, err := lead.put(fmt.Sprint("mine", len(mine)), "x")
		require.NoError(t, err)
		mine = append(mine, r)
	}
	write()
	c.dropped("us")
	c.apart("us", "eu", false)
	begun := func(n *node) core.Incoming { return n.machine.in.shown.Load().Incoming }
	eventually(t, "parts come", func() bool { return begun(lead).Parts > 0 || begun(lead).Stage == core.StageSettling })
	met := map[core.Stage]bool{}
	for i := range 3 {
		write()
		met[begun(lead).Stage] = true
		lead.crash()
		var next *node
		told := map[string]bool{} // what kept them, once each
		promote := func(to int) bool {
			if next = c.nodes[topology.NodeID(fmt.Sprint("eu", to%3+1))]; next == lead {
				return false
			}
			_, err := next.Promote(t.Context(), false)
			if err != nil && !told[err.Error()] {
				told[err.Error()] = true
				t.Logf("leader %d: %v", i+1, err)
			}
			return err == nil
		}
		eventually(t, "eu has another leader", func() bool { return promote(i+1) || promote(i+2) || promote(i+3) }) // either of the others may have more
		c.leads(next.id)
		lead.start()
		lead = next
	}
	write()
	eventually(t, "eu has what us has", func() bool {
		v, _ := lead.get("k3999", topology.ReadOptions{})
		return len(v) == 601
	})
	require.True(t, met[core.StageComing] || met[core.StageSettling], "a leader went with a snapshot on its way")
	c.settled()
	c.converged()
	for i := range mine {
		v, err := us.get(fmt.Sprint("mine", i), topology.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, "x", v)
	}
}
