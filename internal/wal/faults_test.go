package wal

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// gate makes changes of the file system that match wait until it is opened.
type gate struct {
	match   func(op, name string) bool
	shut    atomic.Bool
	through chan struct{}
}

func newGate(match func(op, name string) bool) *gate {
	g := &gate{match: match, through: make(chan struct{})}
	g.shut.Store(true)
	return g
}

func (g *gate) pass(op, name string) error {
	if g.match(op, name) && g.shut.Load() {
		<-g.through
	}
	return nil
}

func (g *gate) open() {
	g.shut.Store(false)
	close(g.through)
}

func isSegment(name string) bool { return strings.HasSuffix(name, segmentExt) }

// segmentSync matches the syncs of segments by the writer, whose file still has
// the name it had as a spare.
func segmentSync(op, name string) bool {
	return op == "sync" && (isSegment(name) || strings.HasPrefix(name, "00000001"+spareExt))
}

func TestNothingIsReportedFlushedBeforeTheSyncHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		l := start(t, small(fs))
		synctest.Wait()
		g := newGate(segmentSync)
		intercept(fs, g.pass)
		last := put(t, l, 1, 1, 3)
		got := make(chan error, 1)
		go func() { got <- l.Flushed(t.Context(), last) }()
		synctest.Wait()
		require.Empty(t, got)
		require.Zero(t, l.Bounds().Flushed)
		require.Equal(t, numbers(1, 3), held(t, l), "but it can be read")
		require.Equal(t, record.LSN(4), put(t, l, 1, 4, 4), "and appended to")
		g.open()
		require.NoError(t, <-got)
	})
}

func TestEveryFlushThatIsToldWasSyncedBefore(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	told := 0
	l.Notify(func(b topology.Bounds, err error) {
		// Only the writer writes segments, and this is its goroutine.
		told++
		number, _ := newest(l.Log)
		for n := uint64(1); n <= number; n++ {
			if fs.Dirty(fs.PathJoin(testDir, segmentName(n))) {
				t.Errorf("LSN %d was told while %s was not synced", b.Flushed, segmentName(n))
			}
		}
	})
	step(t, l, 1, 1, 100)
	require.NoError(t, l.stop())
	require.GreaterOrEqual(t, told, 100)
}

func TestASegmentIsTurnedInTheOrderRecoveryReliesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		l := start(t, small(fs))
		synctest.Wait() // the spare is there, and the reserve
		for i := uint64(1); ; i++ {
			if number, _ := newest(l.Log); number > 1 {
				break
			}
			traced(fs)
			put(t, l, 1, i, i)
			synctest.Wait()
		}
		trace := traced(fs)
		trace = slices.DeleteFunc(trace, func(s string) bool { return strings.Contains(s, "3"+spareExt) }) // the next spare
		require.Equal(t, []string{
			"write 00000002.spare.tmp", // the header of the new segment, under the name its file was opened by
			"sync 00000002.spare.tmp",
			"rename 0000000000000002.seg",
			"syncdir log",
			"write 00000001.spare.tmp", // the footer of the old one
			"sync 00000001.spare.tmp",
		}, trace[:6])
		require.Contains(t, trace[6:], "write 00000002.spare.tmp")
		synced := slices.DeleteFunc(trace, func(s string) bool { return s != "syncdir log" })
		require.Len(t, synced, 2, "of the new name, and of the next spare, which may come between")
	})
}

func TestTheFirstFailedSyncEndsTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		op   string
		err  error
		want error
	}{
		"a sync":               {"sync", syscall.EIO, topology.ErrFailed},
		"a write":              {"write", syscall.EIO, topology.ErrFailed},
		"a write to a full fs": {"write", syscall.ENOSPC, topology.ErrDiskFull},
		"a read-only disk":     {"write", syscall.EROFS, topology.ErrFailed},
		"a short write":        {"write", io.ErrShortWrite, topology.ErrFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := crashfs.New()
				fs := mem
				o := small(fs)
				o.SegmentBytes, o.UnflushedBytesMax = 64<<10, 2000
				l := open(t, o)
				var told []error
				l.Notify(func(_ topology.Bounds, err error) { told = append(told, err) })
				ran := make(chan error, 1)
				go func() { ran <- l.Run(t.Context()) }()
				step(t, l, 1, 1, 3)
				synctest.Wait()
				told = nil
				var syncs atomic.Int32
				inner := func(op, name string) error {
					switch {
					case !strings.HasPrefix(name, "00000001"):
						return nil
					case syncs.Load() > 0:
						syncs.Add(1)
					case op == c.op:
						syncs.Add(1)
						return c.err
					}
					return nil
				}
				waiting := make(chan error, 3)
				go func() { waiting <- l.Flushed(t.Context(), 10) }()
				go func() { waiting <- l.Wait(t.Context(), 1000) }()
				g := newGate(func(string, string) bool { return true })
				intercept(fs, func(op, name string) error { _ = g.pass(op, name); return inner(op, name) })
				go func() {
					_, err := l.Append(1, sized(4, 3000))
					for err == nil { // until it blocks, as too much is unflushed
						_, err = l.Append(1, sized(5, 3000))
					}
					waiting <- err
				}()
				synctest.Wait()
				g.open()

				for range 3 {
					err := <-waiting
					require.ErrorIs(t, err, c.want)
					require.ErrorIs(t, err, c.err)
				}
				require.ErrorIs(t, <-ran, c.want)
				require.ErrorIs(t, l.Failed(), c.want)
				require.Equal(t, record.LSN(3), l.Bounds().Flushed)
				require.NoError(t, l.Flushed(t.Context(), 3), "what was durable stays so")
				require.ErrorIs(t, l.Truncate(topology.Range{First: 1, Last: 1}), c.want)
				require.ErrorIs(t, l.Copy(), c.want)
				require.ErrorIs(t, l.Run(t.Context()), c.want)
				require.Equal(t, int32(1), syncs.Load(), "nothing is written or synced after it")
				require.Len(t, told, 1)
				require.ErrorIs(t, told[0], c.want)
				require.NoError(t, l.Close())

				intercept(fs, nil)
				again := open(t, small(mem.PowerCut()))
				require.Equal(t, numbers(1, 3), held(t, again))
				require.NoError(t, again.Close())
			})
		})
	}
}

func TestASyncThatASignalInterruptedIsDoneAgain(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	step(t, l, 1, 1, 1)
	var n atomic.Int32
	intercept(fs, func(op, name string) error {
		if op == "sync" && strings.HasPrefix(name, "00000001") && n.Add(1) < interruptsMax {
			return syscall.EINTR
		}
		return nil
	})
	step(t, l, 1, 2, 2)
	require.Equal(t, int32(interruptsMax), n.Load())
	n.Store(-interruptsMax)
	put(t, l, 1, 3, 3)
	require.ErrorIs(t, l.Flushed(t.Context(), 3), syscall.EINTR)
}

func TestWhatAProcessLeftInThePageCacheIsMadeDurableByOpen(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	step(t, l, 1, 1, 3)
	intercept(fs, func(op, name string) error {
		if segmentSync(op, name) { // and not that of a spare, which is made meanwhile
			return syscall.EIO
		}
		return nil
	})
	put(t, l, 1, 4, 4)
	require.ErrorIs(t, l.Flushed(t.Context(), 4), topology.ErrFailed)
	require.ErrorIs(t, l.stop(), topology.ErrFailed)
	intercept(fs, nil)
	again := open(t, small(fs)) // the fourth record was written, though not synced
	require.Equal(t, numbers(1, 4), held(t, again))
	require.Equal(t, record.LSN(4), again.Bounds().Flushed)
	after := open(t, small(fs.PowerCut()))
	require.Equal(t, numbers(1, 4), held(t, after))
	require.NoError(t, after.Close())
	require.NoError(t, again.Close())
}

func TestRunAndCloseInAnyOrderEndCleanly(t *testing.T) {
	t.Run("Close without Run", func(t *testing.T) {
		l := open(t, small(vfs.NewMem()))
		put(t, l, 1, 1, 1)
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.Run(t.Context()), topology.ErrClosed)
		for _, err := range l.Read(t.Context(), 1) {
			require.ErrorIs(t, err, topology.ErrClosed)
		}
	})
	t.Run("Close ends Run, which writes what was appended", func(t *testing.T) {
		fs := crashfs.New()
		l := open(t, small(fs))
		ran := make(chan error, 1)
		go func() { ran <- l.Run(context.Background()) }()
		require.NoError(t, l.Wait(t.Context(), put(t, l, 1, 1, 50)-1))
		require.Eventually(t, func() bool { return l.Bounds().Flushed > 0 }, eventually, tick)
		require.NoError(t, l.Close())
		require.NoError(t, <-ran)
		again := open(t, small(fs.PowerCut()))
		require.Equal(t, numbers(1, 50), held(t, again))
		require.NoError(t, again.Close())
	})
	t.Run("a Run that comes after a failure tells it, once", func(t *testing.T) {
		l := open(t, small(vfs.NewMem()))
		told := 0
		l.Notify(func(_ topology.Bounds, err error) {
			require.ErrorIs(t, err, topology.ErrFailed)
			told++
		})
		_ = l.fail("testing", syscall.EIO)
		require.ErrorIs(t, l.Run(t.Context()), topology.ErrFailed)
		require.ErrorIs(t, l.Run(t.Context()), topology.ErrFailed)
		require.Equal(t, 1, told)
		require.NoError(t, l.Close())
	})
	t.Run("a second Run is refused", func(t *testing.T) {
		l := start(t, small(vfs.NewMem()))
		step(t, l, 1, 1, 1)
		require.ErrorIs(t, l.Run(t.Context()), topology.ErrConflict)
	})
	t.Run("after Run nothing is appended, and what waits is told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, small(vfs.NewMem()))
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- l.Run(ctx) }()
			put(t, l, 1, 1, 2)
			waiting := make(chan error, 2)
			go func() { waiting <- l.Flushed(t.Context(), 3) }()
			go func() { waiting <- l.Wait(t.Context(), 2) }()
			synctest.Wait()
			cancel()
			require.NoError(t, <-ran)
			require.ErrorIs(t, <-waiting, topology.ErrClosed)
			require.ErrorIs(t, <-waiting, topology.ErrClosed)
			_, err := l.Append(1, numbered(3))
			require.ErrorIs(t, err, topology.ErrClosed)
			require.ErrorIs(t, l.Truncate(topology.Range{Last: 1}), topology.ErrClosed)
			require.Equal(t, numbers(1, 2), held(t, l), "reading goes on until Close")
			require.NoError(t, l.Close())
		})
	})
}
