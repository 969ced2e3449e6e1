package triad

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// spoil flips a bit of a file in a node's directory, behind its back.
func spoil(t *testing.T, fs vfs.FS, name string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, "test")
	require.NoError(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	require.NoError(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func scrubbing(t *testing.T, fs vfs.FS) *Node {
	n, _ := start(t, Config{FS: fs, Limits: Limits{
		LogSegmentBytes: 32 << 10, LogFirstSegmentBytes: 32 << 10, LogTailBytes: 1, RetainEvery: time.Hour,
		ScrubEvery: time.Hour, ScrubBytesPerSec: 1 << 40,
	}})
	fill(t, n)
	return n
}

func pass(t *testing.T, n *Node) error {
	t.Helper()
	return (&scrubber{running: running{n}}).pass(t.Context())
}

func TestAScrubIsShownInTheStatus(t *testing.T) {
	n := scrubbing(t, vfs.NewMem())
	require.Zero(t, n.Status().Scrub)
	require.NoError(t, pass(t, n))
	s := n.Status().Scrub
	require.EqualValues(t, 1, s.Passes)
	require.NotZero(t, s.Ended)
	require.Greater(t, s.Bytes, uint64(300_000), "most of what was filled")
	require.Empty(t, s.Damage)
}

func TestALogIsScrubbedByItself(t *testing.T) {
	n, _ := start(t, Config{Limits: Limits{ScrubEvery: time.Millisecond, ScrubBytesPerSec: 1 << 40}})
	require.Eventually(t, func() bool { return n.Status().Scrub.Passes > 2 }, patience, time.Millisecond)
}

func TestADamagedSegmentThatTheStoreHasWholeIsGivenUp(t *testing.T) {
	fs := vfs.NewMem()
	n := scrubbing(t, fs)
	const file = "data/a/log/0000000000000002.seg"
	spoil(t, fs, file, 4096+60)
	require.NoError(t, pass(t, n))
	first := n.log.Bounds().First
	require.Greater(t, first, record.LSN(10), "the log begins behind it")
	require.Empty(t, n.Status().Scrub.Damage)
	_, err := fs.Stat(file + ".damaged")
	require.NoError(t, err)
	for e, err := range n.log.Read(t.Context(), first) {
		require.NoError(t, err)
		require.GreaterOrEqual(t, e.LSN, first)
	}
	got, err := n.Get(t.Context(), DefaultTable, []byte("000"))
	require.NoError(t, err)
	require.Len(t, got.Value, 4096, "nothing is lost")
	require.NoError(t, pass(t, n))
}

func TestDamageInTheOpenSegmentIsShownUntilItIsFull(t *testing.T) {
	fs := vfs.NewMem()
	n := scrubbing(t, fs)
	names, err := fs.List("data/a/log")
	require.NoError(t, err)
	newest := ""
	for _, name := range names {
		if strings.HasSuffix(name, ".seg") && name > newest {
			newest = name
		}
	}
	spoil(t, fs, "data/a/log/"+newest, 4096+60)
	require.NoError(t, pass(t, n))
	s := n.Status()
	require.Len(t, s.Scrub.Damage, 1)
	require.Contains(t, s.Scrub.Damage[0], newest)
	require.Contains(t, strings.Join(s.Warnings, "\n"), "damaged: log file "+newest)
	fill(t, n)
	require.NoError(t, pass(t, n))
	require.Empty(t, n.Status().Scrub.Damage)
	b := n.log.Bounds()
	require.Greater(t, b.First, record.LSN(100))
	require.Greater(t, b.End, b.First)
}

func TestADamagedLogThatTheStoreIsMadeFromEndsTheNode(t *testing.T) {
	fs := vfs.NewMem()
	n, _ := start(t, Config{FS: fs, Memory: true, Limits: Limits{LogSegmentBytes: 32 << 10, LogTailBytes: 1, ScrubEvery: time.Hour, ScrubBytesPerSec: 1 << 40}})
	fill(t, n)
	spoil(t, fs, "data/a/log/0000000000000001.seg", 4096+60)
	require.ErrorIs(t, pass(t, n), topology.ErrQuarantined)
	require.Len(t, n.Status().Scrub.Damage, 1)
}

func TestADamagedStoreEndsTheNode(t *testing.T) {
	fs := vfs.NewMem()
	n, _, end := launch(t, Config{FS: fs, Limits: Limits{ScrubEvery: time.Hour, ScrubBytesPerSec: 1 << 40}})
	<-n.gate.open
	fill(t, n)
	_, err := n.store.Flush(t.Context())
	require.NoError(t, err)
	names, err := fs.List("data/a/store/store-000001")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			spoil(t, fs, "data/a/store/store-000001/"+name, 100)
		}
	}
	require.ErrorIs(t, pass(t, n), topology.ErrQuarantined)
	<-n.run.ended
	require.ErrorIs(t, end(), topology.ErrStoreFailed)
}

func TestAScrubKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, total = 1 << 20, 10 << 20
		n := &Node{}
		n.config.Limits.ScrubBytesPerSec = rate
		s := scrubber{running: running{n}}
		began := time.Now()
		for range total >> 16 {
			require.NoError(t, s.pace(t.Context(), 1<<16))
		}
		require.Equal(t, total/rate*time.Second, time.Since(began))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.pace(ctx, 1<<30), context.Canceled)
		require.Equal(t, total/rate*time.Second, time.Since(began))
	})
}
