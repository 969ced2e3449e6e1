package wal

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// faults are the ways in which a call is made to fail.
var faults = map[string]struct {
	cause error
	lasts bool // every later call fails that can
	short bool // half of a write gets to the disk
}{
	"one I/O error":                  {cause: syscall.EIO},
	"one I/O error, half written":    {cause: syscall.EIO, short: true},
	"a broken disk":                  {cause: syscall.EIO, lasts: true},
	"a disk full for a moment":       {cause: syscall.ENOSPC, short: true},
	"a full disk":                    {cause: syscall.ENOSPC, lasts: true},
	"a full disk, with a last write": {cause: syscall.ENOSPC, lasts: true, short: true},
}

// keys are the calls of a life that meets no fault.
func keys(t *testing.T, life []deed) (keys []string) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrdeal(t, 1)
		o.live(life)
		require.NoError(t, o.err)
		for _, c := range o.fs.Calls() {
			keys = append(keys, c.Key())
		}
	})
	return keys
}

// survives checks what is left of a life that met a fault, while the process
// lives and after any end of it.
func (o *ordeal) survives(x *crashfs.Fault, at string) {
	o.claims(at)
	x.End()
	var all []wreck
	o.crash(func(worlds []world) {
		for _, s := range crashfs.Survivals {
			image := o.fs.Crash(s, rand.New(rand.NewPCG(1, 4)), crashfs.Call{})
			all = append(all, wreck{fs: image, worlds: worlds, at: fmt.Sprintf("%s; then %s", at, s)})
		}
	})
	for _, w := range all {
		w.judge(o.t)
	}
}

// claims checks that a log that has failed says of nothing that it is durable
// what it did not say before (PW4).
func (o *ordeal) claims(at string) {
	if o.l == nil || o.l.Failed() == nil {
		return
	}
	b := o.l.Bounds()
	require.NoError(o.t, o.l.Flushed(o.t.Context(), b.Flushed), at)
	for lsn := b.Flushed + 1; lsn <= b.End; lsn++ {
		require.ErrorIs(o.t, o.l.Flushed(o.t.Context(), lsn), o.l.Failed(), at)
	}
	_, err := o.l.Append(1000, numbered(1))
	require.ErrorIs(o.t, err, o.l.Failed(), at)
	require.Equal(o.t, b, o.l.Bounds(), at)
}

// recovers checks that a log which only lacked space takes more once there is some.
func (o *ordeal) recovers(at string) {
	for range 10 {
		if o.append(1, 900) && o.now.end == o.l.Bounds().End {
			if o.flush() && o.l.Bounds().Flushed == o.now.end {
				return
			}
		}
		if o.err != nil {
			return // it was more than space that lacked
		}
		time.Sleep(2 * spareRetry) // virtual
	}
	require.Fail(o.t, "it does not take anything though there is space", at)
}

func TestAFaultAtEveryCallLosesNothingThatWasFlushed(t *testing.T) {
	const most = 3 // calls of each life and kind of fault, unless all are asked for
	for i, life := range slices.Sorted(maps.Keys(lives)) {
		at := keys(t, lives[life])
		for j, kind := range slices.Sorted(maps.Keys(faults)) {
			t.Run(life+"/"+kind, func(t *testing.T) {
				for _, n := range crashfs.Sample(t, len(at), most, uint64(7*i+3*j)) {
					synctest.Test(t, func(t *testing.T) { faulty(t, lives[life], kind, at[n]) })
				}
			})
		}
	}
}

// faulty lives a life in which the call of that key fails.
func faulty(t *testing.T, life []deed, kind, key string) {
	f := faults[kind]
	x := &crashfs.Fault{Key: key, Cause: f.cause, Lasts: f.lasts, Short: f.short}
	o := newOrdeal(t, 1)
	o.fs.Before(x.Hook)
	what := kind + " at " + key
	ended := func(o *ordeal) bool {
		x.End()
		o.recovers(what)
		return o.err == nil
	}
	o.live(append(slices.Clone(life), ended))
	o.survives(x, what)
}

func TestWhatAFailedSyncDroppedIsWrittenAgainAndOnlyThenDurable(t *testing.T) {
	// The page cache shows what the disk does not have, to the next process too.
	synctest.Test(t, func(t *testing.T) {
		o := newOrdeal(t, 1)
		require.True(t, o.open())
		require.True(t, o.append(3, 300))
		require.True(t, o.flush())
		o.fs.Before(func(c crashfs.Call) error {
			if segmentSync(c.Op, c.Name()) {
				return syscall.EIO
			}
			return nil
		})
		require.True(t, o.append(2, 300))
		require.False(t, o.flush())
		require.ErrorIs(t, o.end(), topology.ErrFailed)
		killed := o.fs.Crash(crashfs.Killed, nil, crashfs.Call{})
		require.Equal(t, numbers(1, 3), holds(t, o.fs.PowerCut()))
		require.Equal(t, numbers(1, 3), holds(t, killed.PowerCut()))
		l := open(t, small(killed))
		require.Equal(t, record.LSN(5), l.Bounds().Flushed)
		require.NoError(t, l.Close())
		require.Equal(t, numbers(1, 5), holds(t, killed.PowerCut()))
	})
}
