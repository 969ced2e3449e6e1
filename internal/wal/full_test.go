package wal

import (
	"context"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// fullDisk is a disk without space for new files, until the reserve is given up
// or somebody makes room.
type fullDisk struct {
	fs   *crashfs.FS
	full atomic.Bool
	hard atomic.Bool // even the reserve does not help
}

func newFullDisk() *fullDisk {
	d := &fullDisk{fs: crashfs.New()}
	intercept(d.fs, func(op, name string) error {
		switch {
		case op == "remove" && name == reserveName && !d.hard.Load():
			d.full.Store(false)
		case op == "write" && strings.HasSuffix(name, partExt) && !strings.HasPrefix(name, "00000001") && !strings.HasPrefix(name, "00000002") && d.full.Load():
			return syscall.ENOSPC
		}
		return nil
	})
	return d
}

// fill appends until the log refuses, and returns how much it took.
func fill(t *testing.T, l topology.Log, from uint64) uint64 {
	t.Helper()
	for i := from; ; i++ {
		if _, err := l.Append(1, numbered(i)); err != nil {
			require.ErrorIs(t, err, topology.ErrDiskFull)
			require.NotErrorIs(t, err, topology.ErrFailed)
			return i - 1
		}
		synctest.Wait()
	}
}

func TestAFullDiskOnlyRefusesWhatTheOpenSegmentDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk()
		d.hard.Store(true)
		o := small(d.fs)
		logger, said := logged()
		o.Logger = logger
		l := start(t, o)
		synctest.Wait()
		d.full.Store(true)
		n := fill(t, l, 1)
		number, _ := newest(l.Log)
		require.Greater(t, number, uint64(1), "the segment that was ready was used")
		flush(t, l) // all that was accepted
		require.NoError(t, l.Failed())
		require.Equal(t, numbers(1, n), held(t, l), "and it can be read")
		time.Sleep(10 * spareRetry) // virtual: it tries again, and says so once
		synctest.Wait()
		require.Equal(t, 1, strings.Count(said.String(), "no spare segment"))
		require.ErrorIs(t, l.Copy(record.Entry{LSN: record.LSN(n + 1), Term: 1, Bytes: make([]byte, 5000)}), topology.ErrDiskFull)
		d.full.Store(false)
		time.Sleep(2 * spareRetry)
		synctest.Wait()
		step(t, l, 1, n+1, n+50) // it recovers alone
		require.NoError(t, l.stop())
	})
}

func TestRetentionMakesRoomOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk()
		l := start(t, small(d.fs))
		synctest.Wait()
		d.full.Store(true)
		n := fill(t, l, 1)
		// The manifest that retention writes needs space too: the reserve's.
		require.Contains(t, listed(t, d.fs), reserveName)
		require.NoError(t, l.Truncate(topology.Range{First: record.LSN(n), Last: ^record.LSN(0)}))
		require.Contains(t, traced(d.fs), "remove "+reserveName)
		d.full.Store(true)
		synctest.Wait()
		step(t, l, 1, n+1, n+5) // in the segment that was retired, with no time gone
		require.NoError(t, l.stop())
	})
}

func TestTruncateOnAFullDiskWithoutReserveChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk()
		d.hard.Store(true)
		l := start(t, small(d.fs))
		step(t, l, 1, 1, 80)
		synctest.Wait()
		d.full.Store(true)
		for _, keep := range []topology.Range{{First: 70, Last: 80}, {First: 1, Last: 20}, {First: 500}} {
			err := l.Truncate(keep)
			require.ErrorIs(t, err, topology.ErrDiskFull)
			require.NotErrorIs(t, err, topology.ErrFailed)
			require.NoError(t, l.Failed())
			require.Equal(t, numbers(1, 80), held(t, l))
		}
		d.full.Store(false)
		step(t, l, 1, 81, 82)
		image := clone(t, d.fs)
		require.NoError(t, l.stop())
		reopened(t, image, numbers(1, 82))
	})
}

// stuck returns a log that has accepted more than fits on its disk: it did not
// know yet that it is full.
func stuck(t *testing.T, d *fullDisk) (l *Log, end func() error) {
	t.Helper()
	l = open(t, small(d.fs))
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	synctest.Wait()
	d.full.Store(true)
	var rs []record.Record
	for i := uint64(1); i <= 100; i++ {
		rs = append(rs, numbered(i))
	}
	_, err := l.Append(1, rs...) // at once, while the spare is there
	require.NoError(t, err)
	synctest.Wait()
	_, err = l.Append(1, numbered(101))
	require.ErrorIs(t, err, topology.ErrDiskFull)
	require.Less(t, l.Bounds().Flushed, record.LSN(100))
	return l, func() error { cancel(); return <-ran }
}

func TestTheReserveLetsAFullDiskShutDownCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk()
		l, end := stuck(t, d)
		require.NoError(t, end())
		require.Equal(t, record.LSN(100), l.Bounds().Flushed)
		require.NoError(t, l.Close())
		reopened(t, clone(t, d.fs), numbers(1, 100))
	})
}

func TestAFullDiskWithoutReserveEndsWithWhatWasDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk()
		d.hard.Store(true)
		l, end := stuck(t, d)
		flushed := l.Bounds().Flushed
		require.ErrorIs(t, end(), topology.ErrDiskFull)
		require.Equal(t, flushed, l.Bounds().Flushed)
		require.ErrorIs(t, l.Flushed(t.Context(), flushed+1), topology.ErrDiskFull)
		require.NoError(t, l.Close())
		d.full.Store(false)
		reopened(t, clone(t, d.fs), numbers(1, uint64(flushed)))
	})
}

func TestWhatWasAcceptedIsWrittenOnceSpaceReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk()
		d.hard.Store(true)
		l, end := stuck(t, d)
		d.full.Store(false)
		require.NoError(t, l.Flushed(t.Context(), 100))
		require.NoError(t, end())
		require.NoError(t, l.Close())
	})
}

func TestASpareThatCannotBeMadeEndsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		intercept(fs, func(op, name string) error {
			if op == "sync" && strings.HasPrefix(name, "00000002") {
				return syscall.EIO
			}
			return nil
		})
		l := start(t, small(fs))
		synctest.Wait()
		require.ErrorIs(t, l.Failed(), syscall.EIO)
		require.ErrorIs(t, l.stop(), topology.ErrFailed)
	})
}

func TestNoReserveIsOnlyAWarning(t *testing.T) {
	fs := crashfs.New()
	intercept(fs, func(op, name string) error {
		if op == "write" && strings.HasPrefix(name, reserveName) {
			return syscall.ENOSPC
		}
		return nil
	})
	o := small(fs)
	logger, said := logged()
	o.Logger = logger
	l := start(t, o)
	step(t, l, 1, 1, 100)
	require.NoError(t, l.stop())
	require.Contains(t, said.String(), "no reserve")
}

func listed(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List(testDir)
	require.NoError(t, err)
	return names
}
