package singleleader

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// behind is a leader, a, whose log no longer has what b needs; b is down.
type behind struct {
	*testCluster
	t    *testing.T
	base *crashfs.FS // b's disk
	n    atomic.Int64
}

func newBehind(t *testing.T) *behind {
	c := newCluster(t, Options{Sync: quorum.Async(), RetainBytesMax: 64 << 10}, "a", "b")
	c.wal.SegmentBytes, c.wal.FirstSegmentBytes = 16<<10, 16<<10
	c.opts.Stream.ChunkBytesMax = 8 << 10
	b := &behind{testCluster: c, t: t}
	for _, n := range c.nodes {
		n.fs = crashfs.New()
	}
	c.startAll()
	c.leads("a")
	b.write(20)
	c.applied(c.nodes["a"].Status().End, "b")
	c.nodes["b"].stop()
	b.base = c.nodes["b"].fs.(*crashfs.FS)
	b.write(400)
	b.applied(c.nodes["a"].Status().End, "a")
	b.trim()
	require.Greater(t, c.nodes["a"].log.Bounds().First, b.end())
	return b
}

// write puts n keys, some of them again.
func (b *behind) write(n int) {
	for range n {
		i := b.n.Add(1)
		_, err := b.nodes["a"].put(fmt.Sprint("k", i%170), strings.Repeat(fmt.Sprint(i, " "), 100))
		require.NoError(b.t, err)
	}
}

// trim lets a's log go that nobody needs, or that is beyond its budget.
func (b *behind) trim() {
	a := b.nodes["a"]
	flushed, err := a.store.Flush(b.t.Context())
	require.NoError(b.t, err)
	keep := min(a.Retain(flushed), flushed+1)
	require.NoError(b.t, a.log.Truncate(topology.Range{First: keep, Last: math.MaxUint64}))
}

// end is the end of b's log as it was when it went down.
func (b *behind) end() record.LSN { return 22 }

// follow starts b on a disk, and writes on until enough.
func (b *behind) follow(disk *crashfs.FS, enough func() bool) {
	b.nodes["b"].fs = disk
	b.start("b")
	eventually(b.t, "enough", func() bool {
		b.write(1)
		return enough()
	})
}

// same waits until b has what a has, and holds the two byte for byte.
func (b *behind) same(at string) {
	end := b.nodes["a"].Status().End
	b.applied(end, "a", "b")
	require.Equal(b.t, b.cells("a"), b.cells("b"), at)
	require.Equal(b.t, end, b.nodes["b"].log.Bounds().End, at)
	for e, err := range b.nodes["b"].log.Read(b.t.Context(), b.nodes["b"].log.Bounds().First) {
		require.NoError(b.t, err, at)
		_, err := e.Record()
		require.NoError(b.t, err, at)
	}
}

// cells are all that a node's store holds.
func (b *behind) cells(id topology.NodeID) map[string]string {
	s, err := b.nodes[id].store.Snapshot()
	require.NoError(b.t, err)
	defer s.Close()
	all := map[string]string{}
	for e, err := range s.Scan(record.Cell{}, record.Cell{Table: math.MaxUint32}) {
		require.NoError(b.t, err)
		all[fmt.Sprint(e.Table, " ", string(e.Key), " ", string(e.Field))] = string(e.State)
	}
	return all
}

var errDead = errors.New("the machine has stopped")

// dying is a disk on which nothing happens any more from one call on, and what is
// found on it after.
type dying struct {
	mu     sync.Mutex
	disk   *crashfs.FS
	at     int
	kind   crashfs.Survival
	rng    *rand.Rand
	seen   int
	left   *crashfs.FS
	call   crashfs.Call
	onCall func(crashfs.Call) // told of every call; may be nil
}

func (d *dying) before(c crashfs.Call) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left != nil {
		return errDead
	}
	d.seen++
	if d.onCall != nil {
		d.onCall(c)
	}
	if d.seen != d.at {
		return nil
	}
	d.left, d.call = d.disk.Crash(d.kind, d.rng, c), c
	return errDead
}

func (d *dying) over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left != nil
}

// installed reports whether b's log was begun again by a snapshot.
func (b *behind) installed() bool { return b.nodes["b"].log.Bounds().First > b.end()+1 }

func TestAFollowerThatDiesAnywhereInASnapshotEndsByteEqual(t *testing.T) {
	b := newBehind(t)
	// A life that is not disturbed says which calls there are.
	whole := &dying{disk: b.base.Crash(crashfs.Killed, nil, crashfs.Call{}), at: math.MaxInt}
	var calls []string
	whole.onCall = func(c crashfs.Call) { calls = append(calls, c.Key()) }
	whole.disk.Before(whole.before)
	b.follow(whole.disk, b.installed)
	whole.mu.Lock()
	n := len(calls)
	whole.mu.Unlock()
	b.same("undisturbed")
	b.nodes["b"].stop()
	require.Greater(t, n, 60)

	for i, at := range crashfs.Sample(t, n, 12, 3) {
		kind := crashfs.Survivals[i%len(crashfs.Survivals)]
		d := &dying{disk: b.base.Crash(crashfs.Killed, nil, crashfs.Call{}), at: at + 1, kind: kind, rng: rand.New(rand.NewPCG(uint64(at), 1))}
		d.disk.Before(d.before)
		if !b.dies(d) {
			continue // it came to its end in fewer calls this time
		}
		what := fmt.Sprintf("%s before %v", kind, d.call)
		b.follow(d.left, func() bool { return b.nodes["b"].Status().Applied > b.end() })
		b.same(what)
		b.trim()
		b.nodes["b"].stop()
	}
}

// dies starts b on a disk that dies. It reports whether it did.
func (b *behind) dies(d *dying) bool {
	b.nodes["b"].fs = d.disk
	if b.nodes["b"].tryStart() != nil {
		return d.over()
	}
	eventually(b.t, "the disk died, or b has all", func() bool {
		b.write(1)
		return d.over() || b.installed() && b.nodes["b"].Status().Applied > b.end()
	})
	if !d.over() {
		b.nodes["b"].stop()
		return false
	}
	b.nodes["b"].stop()
	return true
}

func TestALeaderThatDiesAnywhereInASnapshotLeavesAByteEqualFollower(t *testing.T) {
	b := newBehind(t)
	for _, at := range []int{1, 5, 12, 20, 30, 45, 60} {
		d := &dying{disk: b.base.Crash(crashfs.Killed, nil, crashfs.Call{}), at: math.MaxInt}
		reached := make(chan struct{})
		d.onCall = func(crashfs.Call) {
			if d.seen == at {
				close(reached)
			}
		}
		d.disk.Before(d.before)
		b.nodes["b"].fs = d.disk
		b.start("b")
		<-reached
		image := b.nodes["a"].fs.(*crashfs.FS).PowerCut()
		b.nodes["a"].stop()
		b.nodes["a"].fs = image
		b.start("a")
		b.leads("a")
		eventually(t, "b follows", func() bool {
			b.write(1)
			return b.nodes["b"].Status().Applied > b.end()
		})
		b.same(fmt.Sprint("a died at call ", at, " of b"))
		b.trim()
		b.nodes["b"].stop()
	}
}

func TestAFollowerThatFallsBehindAgainAndAgainCatchesUpWhileWritesGoOn(t *testing.T) {
	b := newBehind(t)
	b.opts.Stream.SnapshotBytesMax = 200 << 10 // a second: some hundred milliseconds a snapshot
	var stop atomic.Bool
	var wait sync.WaitGroup
	wait.Go(func() {
		for !stop.Load() {
			b.write(5)
			b.trim()
			time.Sleep(time.Millisecond) // it leaves the machine to others
		}
	})
	for range 3 {
		b.nodes["b"].fs = b.base.Crash(crashfs.Killed, nil, crashfs.Call{})
		b.start("b")
		eventually(t, "b came by a snapshot", func() bool { return b.installed() && b.nodes["b"].Status().Applied > b.end() })
		b.nodes["b"].stop()
	}
	b.nodes["b"].fs = b.base.Crash(crashfs.Killed, nil, crashfs.Call{})
	b.start("b")
	eventually(t, "b came by a snapshot", func() bool { return b.installed() })
	stop.Store(true)
	wait.Wait()
	b.same("after all")
}

// A snapshot was noted and never came into the store. The log of another leader has
// brought the node to the same position since: that is not the snapshot.
func TestASnapshotThatNeverCameDoesNotReplaceTheLog(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Async()}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	for i := range 5 {
		_, err := a.put("k", fmt.Sprint(i))
		require.NoError(t, err)
	}
	c.applied(a.Status().End, "a")
	at := a.Status().End
	a.stop()

	h, err := home.Open(home.Options{FS: a.fs, Dir: a.dir, Cluster: "test", Node: "a"})
	require.NoError(t, err)
	i := core.Install{ID: "t9-l6-1", LSN: at, History: topology.History{{Term: 9, Start: 1}}}
	require.NoError(t, h.Save(stableInstall, i.Encode()))
	require.NoError(t, h.Close())
	own := a.log.History().Until(at)

	a.start()
	require.Equal(t, record.LSN(1), a.log.Bounds().First)
	require.Equal(t, own, a.log.History().Until(at))
	c.leads("a")
	got, err := a.get("k")
	require.NoError(t, err)
	require.Equal(t, "4", got)
}
