package store

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/topology/topologytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryStore(t *testing.T) {
	topologytest.TestStore(t, func(*testing.T) topologytest.StoreUnderTest {
		return topologytest.StoreUnderTest{Store: NewMemory()}
	})
}

func TestPebbleStore(t *testing.T) {
	topologytest.TestStore(t, func(t *testing.T) topologytest.StoreUnderTest {
		return crashable(t, crashfs.New(), rand.New(rand.NewPCG(7, 7)))
	})
}

// crashable is a store that loses at a crash half of what was not synced.
func crashable(t *testing.T, fs *crashfs.FS, rng *rand.Rand) topologytest.StoreUnderTest {
	p := open(t, Options{FS: fs})
	return topologytest.StoreUnderTest{Store: p, Crash: func(t *testing.T) topologytest.StoreUnderTest {
		left := fs.Crash(crashfs.Sectors, rng, crashfs.Call{})
		require.NoError(t, p.Close())
		return crashable(t, left, rng)
	}}
}

// open opens a store with small buffers, and closes it with the test.
func open(t testing.TB, o Options) *Pebble {
	t.Helper()
	p, err := Open(small(o))
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := p.Close(); p.Failed() == nil {
			require.NoError(t, err)
		}
	})
	return p
}

func small(o Options) Options {
	if o.Dir == "" {
		o.Dir = "data/store"
	}
	o.CacheBytes, o.MemTableBytes = 1<<20, memTableBytesMin
	return o
}

var errDisk = errors.New("the disk is broken")
