package wal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// world is a state that a log may be found in after a crash: which record each
// LSN holds, and how far it must reach. First may be anything between lo and hi,
// as retention drops whole segments.
type world struct {
	records map[record.LSN]uint64
	lo, hi  record.LSN
	end     record.LSN // it may reach to here
	flushed record.LSN // it must reach to here
}

// allows returns why a log that holds ns from first on is not of this world.
func (w world) allows(first record.LSN, ns []uint64) error {
	if first < w.lo || first > w.hi {
		return fmt.Errorf("it begins at %d, %d to %d expected", first, w.lo, w.hi)
	}
	end := first + record.LSN(len(ns)) - 1
	if end < w.flushed || end > w.end {
		return fmt.Errorf("it ends at %d, %d to %d expected", end, w.flushed, w.end)
	}
	for i, n := range ns {
		if lsn := first + record.LSN(i); w.records[lsn] != n {
			return fmt.Errorf("LSN %d holds record %d, %d expected", lsn, n, w.records[lsn])
		}
	}
	return nil
}

// ordeal is a log at work on a disk that may fail, and what it may be found to
// be after a crash at this moment.
type ordeal struct {
	t   *testing.T
	rng *rand.Rand
	fs  *crashfs.FS
	l   *Log
	end func() error

	mu   sync.Mutex
	now  world
	then *world // what it will be when the cut under way is done
	seq  uint64
	term uint64
	err  error // with which the log has ended
}

func newOrdeal(t *testing.T, seed uint64) *ordeal {
	return &ordeal{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), fs: crashfs.New(), term: 1,
		now: world{records: map[record.LSN]uint64{}, lo: 1, hi: 1},
	}
}

// crash takes crashes of this moment, and what the log may be found to be after.
func (o *ordeal) crash(take func(worlds []world)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now
	switch {
	case o.then != nil:
		take([]world{*o.then, now})
		return
	case o.l != nil:
		now.flushed = max(now.flushed, o.l.Bounds().Flushed) // nothing more was reported
	}
	take([]world{now})
}

// met notes an error, which must come from the disk and say so. It reports
// whether the log goes on.
func (o *ordeal) met(err error) bool {
	require.True(o.t, errors.Is(err, topology.ErrFailed) || errors.Is(err, topology.ErrDiskFull), "%v", err)
	require.NotErrorIs(o.t, err, topology.ErrQuarantined, "a disk that fails is no damage")
	o.err = o.l.Failed()
	return o.err == nil
}

// open begins or goes on. It reports whether that was possible.
func (o *ordeal) open() bool {
	l, err := Open(small(o.fs))
	if err != nil {
		require.True(o.t, errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC), "%v", err)
		o.err = err
		return false
	}
	live := run(o.t, l)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.l, o.end = l, live.stop
	return true
}

// append appends n records of some bytes each; 0 bytes is anything.
func (o *ordeal) append(n, size int) bool {
	for range n {
		o.mu.Lock()
		o.seq++
		if o.rng.IntN(30) == 0 {
			o.term++
		}
		lsn := o.now.end + 1
		was := o.now
		o.now.records = maps.Clone(o.now.records) // images hold the others
		o.now.records[lsn], o.now.end = o.seq, lsn
		bytes := size
		if size == 0 {
			bytes = o.rng.IntN(600)
		}
		got, err := o.l.Append(o.term, sized(o.seq, bytes))
		if err != nil {
			o.now = was // not applied: it appears nowhere
		}
		o.mu.Unlock()
		if err != nil {
			return o.met(err)
		}
		require.Equal(o.t, lsn, got)
	}
	return true
}

// flush waits until all is durable; on a full disk, for a time.
func (o *ordeal) flush() bool {
	end := o.l.Bounds().End
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	err := o.l.Flushed(ctx, end)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		_, err := o.l.Append(o.term, sized(0, 9000))
		require.ErrorIs(o.t, err, topology.ErrDiskFull, "or why does it wait")
		return o.met(err)
	case err != nil:
		return o.met(err)
	}
	require.GreaterOrEqual(o.t, o.l.Bounds().Flushed, end)
	return true
}

// truncate cuts or retires, and lets crashes on the way find either.
func (o *ordeal) truncate(keep topology.Range) bool {
	o.mu.Lock()
	b := o.l.Bounds()
	then := o.now
	switch {
	case keep.First > b.End+1:
		then = world{records: map[record.LSN]uint64{}, lo: keep.First, hi: keep.First, end: keep.First - 1, flushed: keep.First - 1}
		o.seq = uint64(keep.First)
	case keep.Last < b.End:
		then.end, then.flushed = keep.Last, min(b.Flushed, keep.Last)
		o.now.flushed = then.flushed // what was flushed behind it may go at any time
	default:
		then.hi, then.flushed = max(keep.First, b.First), b.Flushed
		o.now.flushed = b.Flushed
	}
	o.then = &then
	o.mu.Unlock()
	if err := o.l.Truncate(keep); err != nil {
		if !o.met(err) {
			return false // it is unknown which of the two
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.then, o.now.flushed = nil, o.l.Bounds().Flushed
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now, o.then = then, nil
	o.now.lo = o.l.Bounds().First
	o.now.hi = o.now.lo
	return true
}

func (o *ordeal) reopen() bool {
	if err := o.end(); err != nil {
		return o.met(err)
	}
	o.mu.Lock()
	o.now.flushed, o.l = o.now.end, nil // what was appended is written when Run ends
	o.mu.Unlock()
	if !o.open() {
		return false
	}
	require.Equal(o.t, o.now.end, o.l.Bounds().End)
	return true
}

// step does one thing at random.
func (o *ordeal) step() bool {
	b := o.l.Bounds()
	switch k := o.rng.IntN(100); {
	case k < 60:
		return o.append(1+o.rng.IntN(8), 0)
	case k < 85:
		return o.flush()
	case k < 90 && b.End >= b.First:
		return o.truncate(topology.Range{First: b.First, Last: b.End - record.LSN(o.rng.IntN(int(b.End-b.First)+1))})
	case k < 95 && b.End > b.First:
		return o.truncate(topology.Range{First: b.First + record.LSN(o.rng.IntN(int(b.End-b.First))), Last: ^record.LSN(0)})
	case k < 97:
		return o.truncate(topology.Range{First: b.End + 2 + record.LSN(o.rng.IntN(100)), History: o.l.History()})
	default:
		return o.reopen()
	}
}

// A deed is one step of a life that is written down.
type deed func(*ordeal) bool

func adding(n, size int) deed  { return func(o *ordeal) bool { return o.append(n, size) } }
func flushing(o *ordeal) bool  { return o.flush() }
func reopening(o *ordeal) bool { return o.reopen() }

// cuttingTo drops all but the first keep entries.
func cuttingTo(keep record.LSN) deed {
	return func(o *ordeal) bool { return o.truncate(topology.Range{First: o.l.Bounds().First, Last: keep}) }
}

// retiringTo drops what is below first.
func retiringTo(first record.LSN) deed {
	return func(o *ordeal) bool { return o.truncate(topology.Range{First: first, Last: ^record.LSN(0)}) }
}

// restartingAt lets the log begin again behind a snapshot.
func restartingAt(first record.LSN) deed {
	return func(o *ordeal) bool { return o.truncate(topology.Range{First: first, History: o.l.History()}) }
}

// live lives a life up to its end or that of the log.
func (o *ordeal) live(life []deed) {
	if !o.open() {
		return
	}
	for _, do := range life {
		if !do(o) {
			break
		}
	}
	if err := o.end(); err != nil {
		o.met(err)
	}
}

// random is a life of n steps.
func random(n int) (life []deed) {
	for range n {
		life = append(life, (*ordeal).step)
	}
	return life
}

// lives are what a log goes through between a beginning and an end. Segments
// hold some twenty records of 300 bytes.
var lives = map[string][]deed{
	"groups and segments":                      {adding(3, 300), flushing, adding(25, 300), flushing, adding(1, 3000), adding(30, 200), flushing},
	"retention":                                {adding(30, 300), flushing, adding(30, 300), flushing, retiringTo(25), adding(10, 300), flushing, retiringTo(60), adding(40, 300), flushing},
	"a cut, overwritten by the same length":    {adding(10, 300), flushing, cuttingTo(6), adding(4, 300), flushing, reopening, adding(2, 300), flushing},
	"a cut, overwritten by more":               {adding(10, 300), flushing, cuttingTo(6), adding(2, 900), flushing, reopening},
	"a cut, overwritten by less":               {adding(10, 300), flushing, cuttingTo(4), adding(1, 20), flushing, reopening},
	"a cut back over segments":                 {adding(70, 300), flushing, cuttingTo(15), adding(30, 300), flushing, reopening, cuttingTo(15), reopening, adding(1, 300)},
	"a cut to the beginning":                   {adding(30, 300), flushing, cuttingTo(0), adding(5, 300), flushing},
	"a cut of what is not flushed":             {adding(5, 300), flushing, adding(20, 300), cuttingTo(10), adding(3, 300), flushing},
	"cut after cut":                            {adding(12, 300), flushing, cuttingTo(9), cuttingTo(6), adding(1, 300), cuttingTo(3), adding(9, 300), flushing},
	"a snapshot, and the log begins behind it": {adding(30, 300), flushing, restartingAt(500), adding(5, 300), flushing, restartingAt(900), reopening, adding(30, 300), flushing},
}
