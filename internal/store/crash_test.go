package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/topology"
)

// wreck is what a crash at one moment of a life leaves.
type wreck struct {
	fs      *crashfs.FS
	at      string
	durable progress
}

// judge opens what is left, and ends its story. All that Open found and the story
// made durable must be there after a power failure too.
func (w wreck) judge(t *testing.T) {
	t.Helper()
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
	require.NoError(t, p.Apply(p.Applied()+1, []topology.Edit{put("late", "", "1")}))
	floor, err := p.Flush(t.Context())
	require.NoError(t, err, w.at)
	again := w.fs.PowerCut()
	require.NoError(t, p.Close())
	p, err = Open(small(Options{FS: again}))
	require.NoError(t, err, w.at)
	require.GreaterOrEqual(t, p.Applied(), floor, w.at)
	state, err := p.Get(cell("late", ""))
	require.NoError(t, err, w.at)
	require.Equal(t, "1", string(state), w.at)
	require.NoError(t, p.Close())
}

// wrecks lives a life and crashes it before calls that change the disk, whoever
// makes them, with all that a crash may leave; of each lot of them, one.
func wrecks(t *testing.T, seed uint64, lot int) (all []wreck) {
	var (
		mu      sync.Mutex
		n       int
		durable atomic.Pointer[progress]
	)
	rng := rand.New(rand.NewPCG(seed, 1))
	durable.Store(&progress{})
	fs := crashfs.New()
	fs.Before(func(c crashfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range crashfs.Survivals {
			if s == crashfs.Torn && c.Op != "write" {
				continue
			}
			if n++; n%lot == int(seed)%lot {
				floor := *durable.Load()
				all = append(all, wreck{fs.Crash(s, rng, c), fmt.Sprintf("seed %d, %s before %v", seed, s, c), floor})
			}
		}
		return nil
	})
	p := open(t, Options{FS: fs})
	require.NoError(t, live(t, p, func(to progress) { durable.Store(&to) }))
	require.NoError(t, p.Close())
	return all
}

func TestACrashAtAnyCallKeepsWhatWasFlushed(t *testing.T) {
	lot, seeds := crashfs.Lot(41), uint64(3) // of the some 2,000 crashes of a life
	if crashfs.Full() {
		lot, seeds = 8, 8 // all of them, over the seeds
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			all := wrecks(t, seed, lot)
			require.NotEmpty(t, all)
			for _, w := range all {
				w.judge(t)
			}
		})
	}
}

// faults are the ways in which a call is made to fail.
var faults = []struct {
	name  string
	cause error
	lasts bool
	short bool
}{
	{"one error", syscall.EIO, false, false},
	{"one error, half written", syscall.EIO, false, true},
	{"a broken disk", syscall.EIO, true, false},
}

func TestAFaultAtAnyCallFailsTheStoreAndLosesNothingFlushed(t *testing.T) {
	const most = 6 // of the some 600 calls of a life, by each kind of fault
	fs := crashfs.New()
	p := open(t, Options{FS: fs})
	require.NoError(t, live(t, p, func(progress) {}))
	require.NoError(t, p.Close())
	calls := fs.Calls()
	require.Greater(t, len(calls), 150, "a life is longer than that")
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			for _, n := range crashfs.Sample(t, len(calls), most, uint64(7*i)) {
				faultyLife(t, &crashfs.Fault{Key: calls[n].Key(), Cause: f.cause, Lasts: f.lasts, Short: f.short}, f.name)
			}
		})
	}
}

// faultyLife lives a life on a disk with that fault.
func faultyLife(t *testing.T, x *crashfs.Fault, kind string) {
	at := kind + " at " + x.Key
	fs := crashfs.New()
	var (
		told    tally
		durable progress
		later   later
	)
	fs.Before(later.hook(x))
	logger, log := errorLog()
	p, err := Open(small(Options{FS: fs, OnFailure: told.tell, Logger: logger}))
	if err == nil {
		err = live(t, p, func(to progress) { durable = to })
		if err != nil {
			require.ErrorIs(t, err, x.Cause, at)
		}
		failed := p.Failed()
		if failed == nil {
			x.End()
		}
		if failed == nil && err != nil {
			require.NotErrorIs(t, err, topology.ErrStoreFailed, "a stage fails alone: "+at)
			if err = p.Apply(p.Applied(), nil); x.Lasts { // what was under way beside the stage may have met the fault as well
				failed = p.Failed()
			}
			if failed == nil {
				require.NoError(t, err, at)
			}
		}
		if failed != nil {
			require.ErrorIs(t, failed, topology.ErrStoreFailed, at)
			require.ErrorIs(t, failed, x.Cause, at)
			refusesEverything(t, p)
			require.Eventually(t, func() bool { return len(told.all()) > 0 }, 10*time.Second, time.Millisecond)
			require.Equal(t, []error{failed}, told.all(), at)
		}
		if e := p.Close(); failed == nil && !x.Met() {
			require.NoError(t, e, at)
		}
	} else {
		require.ErrorIs(t, err, x.Cause, at)
	}
	require.Empty(t, log.String(), "no fault of the disk is fatal to Pebble: "+at)
	// What was under way on another goroutine may still have been begun.
	require.LessOrEqual(t, len(later.calls), 4, "%s: %v", at, later.calls)
	x.End()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range []crashfs.Survival{crashfs.Killed, crashfs.Nothing, crashfs.Sectors} {
		wreck{fs.Crash(s, rng, crashfs.Call{}), fmt.Sprintf("%s; then %s", at, s), durable}.judge(t)
	}
}

// later counts what a generation still changes on the disk once it has failed.
type later struct {
	mu     sync.Mutex
	failed string // the directory in which the fault was
	calls  []string
}

func (l *later) hook(x *crashfs.Fault) func(crashfs.Call) error {
	return func(c crashfs.Call) error {
		err := x.Hook(c)
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case c.Op == "preallocate": // a wish
		case l.failed != "" && place(c.Path) == l.failed && err == nil:
			l.calls = append(l.calls, c.String())
		case l.failed == "" && err != nil && c.Op != "remove": // what cannot be removed stays, and harms nobody
			l.failed = place(c.Path)
		}
		return err
	}
}
