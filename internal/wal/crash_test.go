package wal

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
)

// seeds is how many of them the test of crashes runs; more for a soak.
var seeds = flag.Uint64("seeds", 10, "seeds of the test of crashes")

// wreck is a disk after a crash, and the worlds it may show.
type wreck struct {
	fs     *crashfs.FS
	worlds []world
	at     string
}

// wrecks lives a life and crashes it before every call that changes the disk, with
// everything that a crash may leave; of every lot of them, it takes one.
func wrecks(t *testing.T, seed uint64, life []deed, lot int) (all []wreck) {
	o := newOrdeal(t, seed)
	n, lot := 0, crashfs.Lot(lot)
	rng := rand.New(rand.NewPCG(seed, 2)) // of the crashes alone: they come from several goroutines
	o.fs.Before(func(c crashfs.Call) error {
		o.crash(func(worlds []world) {
			for _, s := range crashfs.Survivals {
				if s == crashfs.Torn && c.Op != "write" {
					continue
				}
				if n++; n%lot != int(seed)%lot {
					continue
				}
				at := fmt.Sprintf("seed %d, %s before %v", seed, s, c)
				all = append(all, wreck{fs: o.fs.Crash(s, rng, c), worlds: worlds, at: at})
			}
		})
		return nil
	})
	o.live(life)
	require.NoError(t, o.err)
	return all
}

// found opens a crashed log, and crashes it once more while it recovers.
func (w wreck) found(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	left := rng.IntN(8)
	var twice []wreck
	w.fs.Before(func(c crashfs.Call) error {
		if left--; left == 0 {
			s := crashfs.Survivals[rng.IntN(len(crashfs.Survivals))]
			at := fmt.Sprintf("%s; then %s before %v", w.at, s, c)
			twice = append(twice, wreck{fs: w.fs.Crash(s, rng, c), worlds: w.worlds, at: at})
		}
		return nil
	})
	w.judge(t)
	for _, w := range twice {
		w.judge(t)
	}
}

// judge opens a disk and holds what is there against the worlds. All of it must
// be as durable as Open says; then the log goes on, and is opened again.
func (w wreck) judge(t *testing.T) {
	l, err := Open(small(w.fs))
	require.NoError(t, err, w.at)
	w.fs.Before(nil)
	ns := held(t, l)
	var why []string
	for _, world := range w.worlds {
		err := world.allows(l.Bounds().First, ns)
		if err == nil {
			why = nil
			break
		}
		why = append(why, err.Error())
	}
	require.Empty(t, why, w.at)
	require.Equal(t, l.Bounds().End, l.Bounds().Flushed, w.at)
	require.Equal(t, ns, holds(t, w.fs.PowerCut()), "%s; then the power fails after it was opened", w.at)

	live := run(t, l)
	step(t, l, 1000, 900001, 900004)
	image := w.fs.PowerCut()
	require.NoError(t, live.stop(), w.at)
	ns = append(ns, numbers(900001, 900004)...)
	require.Equal(t, ns, holds(t, image), "%s; then the power fails after more", w.at)
	require.Equal(t, ns, holds(t, w.fs), w.at)
}

// holds opens a log, and returns what it holds.
func holds(t *testing.T, fs *crashfs.FS) []uint64 {
	t.Helper()
	l := open(t, small(fs))
	defer func() { require.NoError(t, l.Close()) }()
	return held(t, l)
}

func TestACrashAtEveryCallLeavesAPrefixWithAllThatWasFlushed(t *testing.T) {
	const lot = 9 // of the some 500 crashes of a life
	for i, name := range slices.Sorted(maps.Keys(lives)) {
		t.Run(name, func(t *testing.T) {
			for j, w := range wrecks(t, uint64(i), lives[name], lot) {
				w.found(t, uint64(j))
			}
		})
	}
}

func TestACrashAnywhereInARandomLifeLeavesAPrefixWithAllThatWasFlushed(t *testing.T) {
	const steps, lot = 60, 37 // of the some 1,000
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			for i, w := range wrecks(t, seed, random(steps), lot) {
				w.found(t, uint64(i))
			}
		})
	}
}
