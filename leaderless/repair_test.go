package leaderless

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// spoil makes the store of a node hold what nobody wrote, as a fault of a disk or of a
// program would, behind the back of its log.
func (n *node) spoil(t *testing.T, key string, vs ...record.Version) {
	t.Helper()
	ed := topology.Edit{Cell: record.Cell{Table: record.TableDefault, Key: []byte(key)}}
	if len(vs) > 0 {
		ed.State = record.NewEncoder().AppendState(nil, &record.State{Siblings: vs})
	}
	require.NoError(t, n.loop.call(func() { require.NoError(t, n.store.Apply(n.machine.at.LSN, []topology.Edit{ed})) }))
}

// holds returns the versions that a node holds of a key.
func (n *node) holds(t *testing.T, key string) []record.Version {
	t.Helper()
	s, err := n.machine.look(record.Cell{Table: record.TableDefault, Key: []byte(key)})
	require.NoError(t, err)
	return s.Siblings
}

// repairAll has all nodes read again what they hold, and then compare.
func (c *cluster) repairAll(o topology.RepairOptions) (all topology.Repaired) {
	c.t.Helper()
	for _, reread := range []bool{true, false} {
		for _, n := range c.running() {
			p := o
			p.Reread = reread
			if reread {
				p.Part = -1
			}
			out, err := n.Repair(c.t.Context(), p)
			require.NoError(c.t, err)
			for _, p := range out.Peers {
				require.Empty(c.t, p.Problem, "%s with %s", n.id, p.Node)
				require.Zero(c.t, p.Undecided)
			}
			all.Corrected += out.Corrected
			all.Differ += out.Differ
			all.Mended += out.Mended
			all.Unclear += out.Unclear
			all.Leaves += out.Leaves
			all.Bytes += out.Bytes
			all.Differences = append(all.Differences, out.Differences...)
		}
	}
	return all
}

// quiet is for clusters that compare when they are told to, and at no other time.
var quiet = AntiEntropy{Every: -1, PauseAbove: -1, BytesPerSec: 1 << 30}

func TestWhatADiskHasLostOrChangedIsFoundAndMended(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet}, 3)
	c.startAll()
	a, b := c.nodes["a"], c.nodes["b"]
	var old []record.Version
	for i := range 200 {
		_, err := a.put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
		if i == 3 {
			old = a.holds(t, "k3")
		}
	}
	_, err := a.put("k3", "newer")
	require.NoError(t, err)
	_, err = a.put("k9", "")
	require.NoError(t, err)
	c.converged()
	require.Zero(t, c.repairAll(topology.RepairOptions{}).Differ)

	other := b.holds(t, "k2")[0]
	other.Value = []byte("w")
	b.spoil(t, "k1")
	b.spoil(t, "k2", other)
	b.spoil(t, "k3", old...)
	seen := c.repairAll(topology.RepairOptions{Check: true})
	require.Equal(t, 3, seen.Corrected, "what a node knows of what it holds is corrected when it reads it")
	require.Equal(t, 3, seen.Differ)
	require.Zero(t, seen.Mended, "nothing is changed where that was asked for")
	require.Len(t, b.holds(t, "k1"), 0)

	got := c.repairAll(topology.RepairOptions{})
	require.Equal(t, 3, got.Differ)
	require.Equal(t, 3, got.Mended, "%+v", got.Differences)
	require.Zero(t, got.Unclear)
	for _, n := range c.running() {
		require.Equal(t, "v", string(n.holds(t, "k1")[0].Value))
		require.Equal(t, "v", string(n.holds(t, "k2")[0].Value))
		require.Equal(t, "newer", string(n.holds(t, "k3")[0].Value))
	}
	c.converged()
	require.Zero(t, c.repairAll(topology.RepairOptions{}).Differ)
	b.stop()
	b.start()
	c.settled()
	c.converged()
}

// What is on its way is no difference, whichever node compares; and where nothing differs
// one question finds that out.
func TestWhileAllWriteNothingIsTakenForDamage(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet}, 3)
	c.startAll()
	for i := range 300 {
		_, err := c.nodes["a"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	c.converged()
	out, err := c.nodes["a"].Repair(t.Context(), topology.RepairOptions{})
	require.NoError(t, err)
	require.Zero(t, out.Leaves)
	require.Less(t, out.Bytes, uint64(1<<10), "a question and an answer for each other replica")

	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !ended.Load(); i++ {
			n := c.nodes[topology.NodeID("abc"[i%3:i%3+1])]
			value := fmt.Sprint("w", i)
			if i%7 == 0 {
				value = ""
			}
			_, _ = n.put(fmt.Sprint("k", i%50), value)
		}
	}()
	for _, n := range c.running() {
		out, err := n.Repair(t.Context(), topology.RepairOptions{})
		require.NoError(t, err)
		require.Zero(t, out.Differ, "%+v", out.Differences)
	}
	ended.Store(true)
	<-done
	c.converged()
	require.Zero(t, c.repairAll(topology.RepairOptions{}).Differ)
}

// A replica that has lost a cell which may have been deleted is not believed, nor is one
// that holds what may have been: where there is no majority a person decides.
func TestWhereNobodyKnowsWhoIsRightAPersonDecides(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet, Partitions: 1}, 2)
	c.startAll()
	a, b := c.nodes["a"], c.nodes["b"]
	for _, key := range []string{"k", "deleted later"} {
		_, err := a.put(key, "v")
		require.NoError(t, err)
	}
	_, err := a.put("deleted later", "")
	require.NoError(t, err)
	c.converged()
	for _, n := range c.running() {
		eventually(t, "the delete goes", func() bool { return len(n.holds(t, "deleted later")) == 0 })
	}
	b.spoil(t, "k")
	got := c.repairAll(topology.RepairOptions{})
	require.Equal(t, 1, got.Unclear)
	require.Zero(t, got.Mended)
	_, err = a.Repair(t.Context(), topology.RepairOptions{From: "nobody"})
	require.ErrorIs(t, err, topology.ErrMalformed)
	got = c.repairAll(topology.RepairOptions{From: "a"})
	require.Equal(t, 1, got.Mended)
	require.Equal(t, "v", string(b.holds(t, "k")[0].Value))
}

func TestNodesCompareByThemselves(t *testing.T) {
	o := quiet
	o.Every, o.RereadEvery = 20*time.Millisecond, time.Millisecond
	c := newCluster(t, Options{AntiEntropy: o}, 3)
	c.startAll()
	_, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.converged()
	c.nodes["c"].spoil(t, "k")
	eventually(t, "it is mended", func() bool { return len(c.nodes["c"].holds(t, "k")) == 1 })
}

func TestADeleteGoesOnceAllReplicasHaveIt(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet}, 3)
	c.startAll()
	a := c.nodes["a"]
	for i := range 20 {
		_, err := a.put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	c.converged()
	c.nodes["c"].stop()
	for i := range 10 {
		_, err := a.put(fmt.Sprint("k", i), "")
		require.NoError(t, err)
	}
	x, err := a.Collection(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 10, x.Kept)
	eventually(t, "it is said who holds them back", func() bool {
		x, err := a.Collection(t.Context())
		require.NoError(t, err)
		for _, h := range x.Holds {
			if h.Node == "c" && h.Writes >= 10 && h.Why != "" {
				return true
			}
		}
		return false
	})
	require.Len(t, a.holds(t, "k0"), 1, "one that is away holds them back")
	require.True(t, a.holds(t, "k0")[0].Absent)
	a.stop()
	a.start() // where deletes stand is found again

	c.nodes["c"].start()
	c.settled()
	for _, n := range c.running() {
		eventually(t, "deletes go", func() bool {
			x, err := n.Collection(t.Context())
			require.NoError(t, err)
			return x.Kept == 0 && x.Collected == 10
		})
		for i := range 10 {
			require.Empty(t, n.holds(t, fmt.Sprint("k", i)))
		}
	}
	c.converged()
	require.Zero(t, c.repairAll(topology.RepairOptions{}).Differ)

	c.nodes["b"].wipe()
	c.nodes["b"].start()
	c.settled()
	c.converged()
	for i := range 20 {
		_, err := c.nodes["b"].get(fmt.Sprint("k", i), topology.ReadOptions{})
		if i < 10 {
			require.ErrorIs(t, err, topology.ErrNotFound)
		} else {
			require.NoError(t, err)
		}
	}
}

// A node whose disk was set back holds what was deleted since, and the others have
// forgotten the delete. It does not come back.
func TestADiskThatWasSetBackBringsNothingBack(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet, RetainBytesMax: 1}, 3)
	c.startAll()
	a, b := c.nodes["a"], c.nodes["c"]
	for _, k := range []string{"stays", "goes"} {
		_, err := a.put(k, "v")
		require.NoError(t, err)
	}
	c.converged()
	b.stop()
	was := b.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	b.start()
	c.settled()
	_, err := a.put("goes", "")
	require.NoError(t, err)
	c.converged()
	gone := map[topology.NodeID]record.LSN{}
	for _, n := range c.running() {
		gone[n.id] = n.log.Bounds().End
	}
	for _, n := range c.running() {
		eventually(t, "the delete goes", func() bool { return len(n.holds(t, "goes")) == 0 })
	}
	for i := range 150 {
		_, err := a.put(fmt.Sprint("fill", i%10), strings.Repeat(fmt.Sprint(i), 5000))
		require.NoError(t, err)
	}
	c.converged()
	b.stop()
	for _, id := range []topology.NodeID{"a", "b"} { // the delete is in nobody's log any more
		n := c.nodes[id]
		_, err := n.store.Flush(t.Context())
		require.NoError(t, err)
		end := n.log.Bounds().End
		require.NoError(t, n.log.Truncate(topology.Range{First: n.Retain(end), Last: end}))
		require.Greater(t, n.log.Bounds().First, gone[id])
	}
	b.fs = was
	b.start()
	c.settled()
	require.Len(t, b.holds(t, "goes"), 1)
	eventually(t, "it is gone again", func() bool { return len(b.holds(t, "goes")) == 0 })
	c.converged()
	require.Len(t, b.holds(t, "stays"), 1)
}

func TestWhatIsDueIsDeletedOnceForAll(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet, MaxSkew: time.Millisecond}, 3)
	c.startAll()
	a := c.nodes["a"]
	expires := version.TimestampAt(time.Now().Add(200 * time.Millisecond))
	b := batchOf("k", "v")
	b.Mutations[0].Expires = expires
	_, err := a.Write(t.Context(), b, topology.WriteOptions{})
	require.NoError(t, err)
	_, err = a.put("stays", "v")
	require.NoError(t, err)
	for _, n := range c.running() {
		eventually(t, "it is deleted, and the delete goes", func() bool {
			x, err := n.Collection(t.Context())
			require.NoError(t, err)
			return len(n.holds(t, "k")) == 0 && x.Kept == 0
		})
	}
	expired := uint64(0)
	for _, n := range c.running() {
		require.NoError(t, n.loop.call(func() { expired += n.loop.core.Counts.Expired }))
	}
	require.EqualValues(t, 1, expired, "one replica writes the delete")
	c.converged()
	require.Zero(t, c.repairAll(topology.RepairOptions{}).Differ)
	require.Len(t, a.holds(t, "stays"), 1)
}

// A cell that is written to after it was looked at is left as it is, and so is one whose
// delete has been forgotten since.
func TestAMendingIsOfWhatWasSeen(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet}, 1)
	c.startAll()
	a := c.nodes["a"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	cell := record.Cell{Table: record.TableDefault, Key: []byte("k")}
	var sums merkle.Summer
	seen := a.holds(t, "k")
	other := version1(99, "other")
	mending := core.Mending{Cell: cell, Expect: sums.All(&cell, seen), State: record.State{Siblings: []record.Version{other}}}
	_, err = a.put("k", "newer")
	require.NoError(t, err)
	done, err := examined{a.engine}.mend(t.Context(), []core.Mending{mending})
	require.NoError(t, err)
	require.Zero(t, done)
	require.Equal(t, "newer", string(a.holds(t, "k")[0].Value))

	mending.Expect = 0 // it was seen to hold nothing
	_, err = a.put("k", "")
	require.NoError(t, err)
	eventually(t, "the delete goes", func() bool { return len(a.holds(t, "k")) == 0 })
	done, err = examined{a.engine}.mend(t.Context(), []core.Mending{mending})
	require.NoError(t, err)
	require.Zero(t, done, "that was before the delete, and was forgotten with it")
	require.NoError(t, a.loop.call(func() {
		mending.Collected = a.machine.deletes.collected(placement.Of(a.place, cell.Table, cell.Key))
	}))
	done, err = examined{a.engine}.mend(t.Context(), []core.Mending{mending})
	require.NoError(t, err)
	require.EqualValues(t, 1, done)
	require.Equal(t, "other", string(a.holds(t, "k")[0].Value))
}

func version1(seq uint64, value string) record.Version {
	return record.Version{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: seq}, Time: version.Timestamp(seq), Kind: record.KindBytes, Value: []byte(value)}
}

// The delete of a whole key goes with the parts that it hides, and they do not show again.
func TestTheDeleteOfAKeyTakesWhatItHides(t *testing.T) {
	c := newCluster(t, Options{AntiEntropy: quiet}, 3)
	c.startAll()
	a := c.nodes["a"]
	batch := func(op record.Op, fields ...string) {
		t.Helper()
		var b record.Batch
		for _, f := range fields {
			m := record.Mutation{Table: record.TableDefault, Key: []byte("s"), Op: op, Kind: record.KindSet}
			if f != "" {
				m.Field = []byte(f)
			}
			b.Mutations = append(b.Mutations, m)
		}
		_, _, err := a.do(t.Context(), &asked{Event: core.Event{Kind: core.EvPut, Mutations: b.Mutations}})
		require.NoError(t, err)
	}
	batch(record.OpPut, "m1", "m2", "m3")
	batch(record.OpDelete, "m3")
	batch(record.OpDelete, "")
	batch(record.OpPut, "m2")
	fields := func(n *node) (names []string) {
		cells, err := n.machine.cells(&topology.CellRange{Cell: record.Cell{Table: record.TableDefault, Key: []byte("s")}, Whole: true})
		require.NoError(t, err)
		for _, h := range cells {
			names = append(names, string(h.Field))
		}
		return names
	}
	for _, n := range c.running() {
		eventually(t, "what is deleted goes, and what came later stays", func() bool { return slices.Equal(fields(n), []string{"m2"}) })
		x, err := n.Collection(t.Context())
		require.NoError(t, err)
		require.Zero(t, x.Kept)
	}
	c.converged()
	require.Zero(t, c.repairAll(topology.RepairOptions{}).Differ)
}
