package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

const spaceSoon = 20 * time.Second

// From any call of a life on the disk is full. Nothing that was flushed is lost, and
// unless the call was one that nobody can do without, the store is read, says that
// space lacks, and goes on once there is some.
func TestAStoreOnAFullDiskIsReadAndGoesOnWhenThereIsSpace(t *testing.T) {
	const most = 20
	fs := crashfs.New()
	p := open(t, Options{FS: fs})
	require.NoError(t, live(t, p, func(progress) {}))
	require.NoError(t, p.Close())
	calls := fs.Calls()
	waited, failed := 0, 0
	for _, n := range crashfs.Sample(t, len(calls), most, 3) {
		x := &crashfs.Fault{Key: calls[n].Key(), Cause: syscall.ENOSPC, Lasts: true, Short: true}
		switch crowdedLife(t, x) {
		case "waits":
			waited++
		case "fails":
			failed++
			t.Logf("fails: %s", x.Key)
		}
	}
	t.Logf("%d waited, %d failed", waited, failed)
	if waited+failed > most/3 { // the race detector's share says nothing
		require.Greater(t, waited, failed)
	}
}

// crowdedLife lives a life on a disk that is full from a call on. It returns what the
// store does: waits, fails, or is not opened.
func crowdedLife(t *testing.T, x *crashfs.Fault) string {
	fs := crashfs.New()
	fs.Before(x.Hook)
	var durable progress
	p, err := Open(small(Options{FS: fs}))
	if err != nil {
		require.ErrorIs(t, err, syscall.ENOSPC, x.Key)
		return "is not opened"
	}
	err = live(t, p, func(to progress) { durable = to })
	verdict := "waits"
	if err != nil {
		require.ErrorIs(t, err, syscall.ENOSPC, x.Key)
	}
	unread := readable(p)
	x.End()
	if p.Failed() != nil { // perhaps only now: Pebble works on by itself
		verdict = "fails"
	} else {
		require.NoError(t, unread, x.Key)
		if err != nil {
			goesOn(t, p, x.Key)
		}
	}
	require.NoError(t, p.Close(), x.Key)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range []crashfs.Survival{crashfs.Killed, crashfs.Nothing, crashfs.Sectors} {
		wreck{fs.Crash(s, rng, crashfs.Call{}), x.Key + "; then " + s.String(), durable}.judge(t)
	}
	return verdict
}

// readable reads everything.
func readable(p *Pebble) error {
	snap, err := p.Snapshot()
	if err != nil {
		return err
	}
	for _, err = range snap.Scan(record.Cell{}, record.Cell{Table: 1 << 31}) {
		if err != nil {
			break
		}
	}
	return errors.Join(err, snap.Close())
}

// goesOn applies and flushes, now that there is space.
func goesOn(t *testing.T, p *Pebble, at string) {
	half, applied := judge(t, p)
	for lsn := int(applied) + 1; lsn <= int(applied)+3 && lsn <= lifeEnd; lsn++ {
		require.Eventually(t, func() bool { return p.Apply(record.LSN(lsn), lifeEdits(lsn)) == nil }, spaceSoon, time.Millisecond, at)
	}
	require.Eventually(t, func() bool { _, err := p.Flush(t.Context()); return err == nil }, spaceSoon, time.Millisecond, at)
	require.Eventually(t, func() bool { return Full(p) == nil }, spaceSoon, time.Millisecond, at)
	now, _ := judge(t, p)
	require.Equal(t, half, now, at)
}

// crammed is a store whose disk is full until end is called, and that has taken what
// memory bears.
func crammed(t *testing.T) (p *Pebble, end func()) {
	fs := crashfs.New()
	p, err := Open(small(Options{FS: fs}))
	require.NoError(t, err)
	x := &crashfs.Fault{Cause: syscall.ENOSPC}
	var over atomic.Bool
	fs.Before(func(c crashfs.Call) error {
		if !over.Load() && x.Hits(c) {
			return syscall.ENOSPC
		}
		return nil
	})
	for lsn := record.LSN(1); ; lsn++ {
		err := p.Apply(lsn, []topology.Edit{put(fmt.Sprint("fill", lsn), "", strings.Repeat("x", lifePadding))})
		if err == nil {
			require.Less(t, lsn, record.LSN(10_000), "memory has an end")
			continue
		}
		require.ErrorIs(t, err, topology.ErrDiskFull)
		require.NotErrorIs(t, err, topology.ErrStoreFailed)
		require.ErrorContains(t, err, "data/store needs ")
		require.Equal(t, lsn-1, p.Applied(), "nothing was taken")
		return p, func() { over.Store(true) }
	}
}

func TestMemoryBearsSoMuchOfAFullDiskAndNoMore(t *testing.T) {
	p, end := crammed(t)
	_, err := p.Flush(t.Context())
	require.ErrorIs(t, err, topology.ErrDiskFull)
	require.ErrorIs(t, Full(p), topology.ErrDiskFull)
	holds := func(upTo record.LSN) {
		snap, err := p.Snapshot() // beside the front that waits
		require.NoError(t, err)
		defer func() { require.NoError(t, snap.Close()) }()
		for lsn := record.LSN(1); lsn <= upTo; lsn++ {
			b, err := p.Get(cell(fmt.Sprint("fill", lsn), ""))
			require.NoError(t, err)
			require.Len(t, b, lifePadding)
			c, err := snap.Get(cell(fmt.Sprint("fill", lsn), ""))
			require.NoError(t, err)
			require.Equal(t, b, c)
		}
	}
	full := p.Applied()
	holds(full)
	end()
	require.Eventually(t, func() bool {
		return p.Apply(full+1, []topology.Edit{put(fmt.Sprint("fill", full+1), "", strings.Repeat("x", lifePadding))}) == nil
	}, spaceSoon, time.Millisecond)
	require.Eventually(t, func() bool { lsn, err := p.Flush(t.Context()); return err == nil && lsn == full+1 }, spaceSoon, time.Millisecond)
	require.NoError(t, Full(p))
	holds(full + 1)
	require.NoError(t, p.Close())
}

func TestAStoreIsClosedOnAFullDisk(t *testing.T) {
	p, _ := crammed(t)
	done := make(chan error, 1)
	go func() { done <- p.Close() }()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(spaceSoon):
		require.FailNow(t, "it waits for space")
	}
}

// The reserve is what a manifest takes that finds no room; no table is begun before
// it has been made again.
func TestAManifestThatFindsNoRoomTakesTheReserve(t *testing.T) {
	fs := crashfs.New()
	p, err := Open(small(Options{FS: fs}))
	require.NoError(t, err)
	require.NoError(t, p.Apply(1, lifeEdits(1)))
	has := func() bool { _, err := fs.Stat("data/store/" + reserveName); return err == nil }
	require.True(t, has())
	var full, begun atomic.Bool
	full.Store(true)
	fs.Before(func(c crashfs.Call) error {
		switch {
		case !full.Load():
		case c.Op == "write" && strings.HasPrefix(c.Name(), "MANIFEST-") && has(), c.Op == "create" && c.Name() == reserveTempName:
			return syscall.ENOSPC // a file that is removed makes room for the manifest, and not for another
		case c.Op == "create" && strings.HasSuffix(c.Name(), tableExt) && !has():
			begun.Store(true)
		}
		return nil
	})
	if _, err := p.Flush(t.Context()); err != nil {
		require.ErrorIs(t, err, topology.ErrDiskFull)
	}
	require.NoError(t, p.Failed())
	require.Eventually(t, func() bool { return !has() }, spaceSoon, time.Millisecond)
	require.ErrorIs(t, Full(p), topology.ErrDiskFull)
	require.NoError(t, p.Apply(2, lifeEdits(2)))
	_, err = p.Flush(t.Context())
	require.ErrorIs(t, err, topology.ErrDiskFull)
	require.NoError(t, p.Failed())
	require.False(t, begun.Load(), "a table was begun without the reserve")
	full.Store(false)
	goesOn(t, p, "after the reserve was given up")
	require.True(t, has(), "it is made again")
	require.NoError(t, p.Close())
}

// A manifest has its room before it needs it: whatever fills the disk then, and takes
// what the reserve has left, keeps nobody from writing it.
func TestAManifestIsWrittenInTheRoomThatItHas(t *testing.T) {
	fs := crashfs.New()
	var full atomic.Bool
	var room, beyond atomic.Int64 // of the newest manifest; writes of it past that
	var name atomic.Value
	name.Store("")
	fs.Before(func(c crashfs.Call) error {
		if !strings.HasPrefix(c.Name(), manifestPrefix) {
			return nil
		}
		if name.Swap(c.Path) != c.Path {
			room.Store(0)
		}
		end := c.Off + int64(c.Bytes)
		switch {
		case c.Op == "preallocate" && full.Load():
			return syscall.ENOSPC
		case c.Op == "preallocate":
			room.Store(max(room.Load(), end))
		case c.Op == "write" && full.Load() && end > room.Load():
			beyond.Add(1)
			return syscall.ENOSPC
		}
		return nil
	})
	p, err := Open(small(Options{FS: fs}))
	require.NoError(t, err)
	full.Store(true)
	require.NoError(t, fs.Remove("data/store/"+reserveName))
	for lsn := record.LSN(1); lsn <= 20; lsn++ {
		require.NoError(t, p.Apply(lsn, lifeEdits(int(lsn))))
		_, err := p.Flush(t.Context())
		require.NoError(t, err)
	}
	require.NoError(t, p.Failed())
	require.Zero(t, beyond.Load())
	require.NoError(t, p.Close())
}

func TestAManifestGetsMoreRoomBeforeItNeedsIt(t *testing.T) {
	fs := crashfs.New()
	room, least := int64(0), int64(manifestAhead)
	fs.Before(func(c crashfs.Call) error {
		switch end := c.Off + int64(c.Bytes); c.Op {
		case "preallocate":
			require.True(t, room == 0 || c.Off == room)
			room = end
		case "write":
			if c.Off > 0 {
				least = min(least, room-end)
			}
		}
		return nil
	})
	f := newFence(fs, func(error) {})
	for _, file := range []string{manifestPrefix + "000001", "marker.manifest.000001.MANIFEST-000001"} {
		room = 0
		m, err := f.Create(file, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		for range 100 {
			_, err := m.Write(make([]byte, manifestAhead/50))
			require.NoError(t, err)
		}
		require.NoError(t, m.Close())
		if strings.HasPrefix(file, manifestPrefix) {
			require.Positive(t, least)
			require.Less(t, room, int64(4*manifestAhead))
		} else {
			require.Zero(t, room)
		}
	}
	require.NoError(t, f.err())
}
