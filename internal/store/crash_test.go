package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// wreck is what a crash at one moment of a life leaves.
type wreck struct {
	fs      *vfs.MemFS
	at      string
	durable progress
}

// A crash is taken before every tenth operation that changes the disk, whoever
// does it, beginning at another one with every seed.
func TestACrashAtAnyStepKeepsWhatWasFlushed(t *testing.T) {
	const every = 10 // operations
	for seed := range uint64(every / 2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			d := newDisk(vfs.NewCrashableMem())
			rng := rand.New(rand.NewPCG(seed, 1))
			var (
				mu      sync.Mutex
				ops     int
				wrecks  []wreck
				durable atomic.Pointer[progress]
			)
			durable.Store(&progress{})
			d.on(func(op errorfs.Op) error {
				if !changes(op) {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if ops++; ops%every == int(2*seed) {
					floor := *durable.Load()
					left := d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
					wrecks = append(wrecks, wreck{left, fmt.Sprintf("%d: %s", op.Kind, op.Path), floor})
				}
				return nil
			})
			p := open(t, Options{FS: d})
			require.NoError(t, live(t, p, func(to progress) { durable.Store(&to) }))
			require.NoError(t, p.Close())
			d.off()

			require.Greater(t, len(wrecks), 20)
			for _, w := range wrecks {
				p, err := Open(small(Options{FS: w.fs}))
				require.NoError(t, err, w.at)
				half, applied := judge(t, p)
				if w.durable.half == 2 {
					require.Equal(t, "2", half, w.at)
				}
				if half != "2" || w.durable.half == 2 {
					require.GreaterOrEqual(t, int(applied), w.durable.lsn, w.at)
				}
				lifeGoesOn(t, p)
				require.NoError(t, p.Close())
			}
		})
	}
}
