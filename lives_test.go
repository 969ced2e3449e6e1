package triad

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/singleleader"
)

// use is what the process holds.
type use struct {
	goroutines, files int
	heapBytes         uint64
}

// used counts once what has ended is gone.
func used(t *testing.T) use {
	t.Helper()
	debug.FreeOSMemory() // collects, finalizers included
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := use{goroutines: runtime.NumGoroutine(), heapBytes: m.HeapAlloc}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil { // elsewhere nobody counts them
		u.files = len(open)
	}
	return u
}

// heapSlackBytes is what the heap may be larger by: pools that are bounded and
// filled by now. A thousand lives that left 1 KiB each behind would pass it.
const heapSlackBytes = 512 << 10

// A node that was opened, run and closed leaves nothing behind, be it a thousand
// times.
func TestAThousandLivesLeaveNothingBehind(t *testing.T) {
	life := func(c Config) {
		n, err := Open(c)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- n.Run(context.Background()) }()
		_, err = n.Put(t.Context(), DefaultTable, key, value)
		require.NoError(t, err)
		require.NoError(t, errors.Join(n.Close(), <-done))
	}
	inMemory := func() Config {
		return Config{
			Dir: "data", FS: vfs.NewMem(), Memory: true, Listen: "127.0.0.1:0", Topology: singleleader.New(singleleader.Options{}),
			Limits: Limits{LogSegmentBytes: 8 << 10, LogFirstSegmentBytes: 8 << 10},
		}
	}
	dir := filepath.Join(t.TempDir(), "a")
	onDisk := func() Config {
		return Config{
			Dir: dir, Topology: singleleader.New(singleleader.Options{}),
			Limits: Limits{LogSegmentBytes: 64 << 10, LogFirstSegmentBytes: 64 << 10, StoreCacheBytes: 1 << 20},
		}
	}
	for name, c := range map[string]struct {
		config func() Config
		lives  int
	}{"in memory": {inMemory, 970}, "on disk": {onDisk, 30}} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // what is made once is made
				life(c.config())
			}
			before := used(t)
			for range c.lives {
				life(c.config())
			}
			after := used(t)
			require.LessOrEqual(t, after.goroutines, before.goroutines)
			require.LessOrEqual(t, after.files, before.files)
			require.LessOrEqual(t, after.heapBytes, before.heapBytes+heapSlackBytes, "%d lives", c.lives)
			t.Logf("%d lives: %+v, before %+v", c.lives, after, before)
		})
	}
}
