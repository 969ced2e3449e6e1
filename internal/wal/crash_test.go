package wal

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// seeds is how many of them the test of crashes runs; more for a soak.
var seeds = flag.Uint64("seeds", 25, "seeds of the test of crashes")

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

// image is a file system after a crash, and the worlds it may show.
type image struct {
	fs     *vfs.MemFS
	worlds []world
	at     string
}

// ordeal is a log under random work, of which crashes are taken on the way.
type ordeal struct {
	t   *testing.T
	rng *rand.Rand
	fs  *traceFS
	l   *Log
	end func() error

	mu     sync.Mutex
	now    world
	then   *world // what it will be when the cut under way is done
	seq    uint64
	term   uint64
	crash  *rand.Rand // of the crashes alone: they come from several goroutines
	images []image
}

// crashed is called after every change of the file system.
func (o *ordeal) crashed(op, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.l == nil || o.crash.IntN(4) != 0 {
		return
	}
	now := o.now
	now.flushed = o.l.Bounds().Flushed // nothing more was reported
	im := image{fs: o.fs.crash(o.crash), at: op + " " + name}
	if o.then != nil {
		now.flushed = o.now.flushed
		im.worlds = append(im.worlds, *o.then)
	}
	im.worlds = append(im.worlds, now)
	o.images = append(o.images, im)
}

func (o *ordeal) open() {
	l := open(o.t, small(o.fs))
	live := run(o.t, l)
	o.mu.Lock()
	o.l, o.end = l, live.stop
	o.mu.Unlock()
}

func (o *ordeal) append(n int) {
	for range n {
		o.mu.Lock()
		o.seq++
		if o.rng.IntN(30) == 0 {
			o.term++
		}
		lsn := o.now.end + 1
		records := maps.Clone(o.now.records) // images hold the others
		records[lsn] = o.seq
		o.now.records, o.now.end = records, lsn
		got, err := o.l.Append(o.term, sized(o.seq, o.rng.IntN(600)))
		o.mu.Unlock()
		require.NoError(o.t, err)
		require.Equal(o.t, lsn, got)
	}
}

func (o *ordeal) flush() {
	require.NoError(o.t, o.l.Flushed(context.Background(), o.l.Bounds().End))
}

// truncate cuts or retires, and lets crashes on the way find either.
func (o *ordeal) truncate(keep topology.Range) {
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
	require.NoError(o.t, o.l.Truncate(keep))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now, o.then = then, nil
	o.now.lo = o.l.Bounds().First
	o.now.hi = o.now.lo
}

func (o *ordeal) reopen() {
	require.NoError(o.t, o.end())
	o.mu.Lock()
	o.l = nil
	o.mu.Unlock()
	o.open()
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Equal(o.t, o.now.end, o.l.Bounds().End) // what was appended is written when Run ends
}

func (o *ordeal) work(steps int) {
	for range steps {
		b := o.l.Bounds()
		switch k := o.rng.IntN(100); {
		case k < 60:
			o.append(1 + o.rng.IntN(8))
		case k < 85:
			o.flush()
		case k < 90 && b.End >= b.First:
			o.truncate(topology.Range{First: b.First, Last: b.End - record.LSN(o.rng.IntN(int(b.End-b.First)+1))})
		case k < 95 && b.End > b.First:
			o.truncate(topology.Range{First: b.First + record.LSN(o.rng.IntN(int(b.End-b.First))), Last: ^record.LSN(0)})
		case k < 97:
			o.truncate(topology.Range{First: b.End + 2 + record.LSN(o.rng.IntN(100)), History: o.l.History()})
		default:
			o.reopen()
		}
	}
	require.NoError(o.t, o.end())
}

// found opens a crashed log and holds it against its worlds; then it goes on
// with it, and opens it once more.
func (im image) found(t *testing.T, seed uint64) {
	what := fmt.Sprintf("seed %d, after %s", seed, im.at)
	l, err := Open(small(im.fs))
	require.NoError(t, err, what)
	ns := held(t, l)
	var why []string
	for _, w := range im.worlds {
		err := w.allows(l.Bounds().First, ns)
		if err == nil {
			why = nil
			break
		}
		why = append(why, err.Error())
	}
	require.Empty(t, why, what)
	require.Equal(t, l.Bounds().End, l.Bounds().Flushed, what)

	live := run(t, l)
	step(t, l, 1000, 900001, 900004)
	require.NoError(t, live.stop(), what)
	l = open(t, small(im.fs))
	require.Equal(t, append(ns, numbers(900001, 900004)...), held(t, l), what)
	require.NoError(t, l.Close())
}

func TestACrashAnywhereLeavesAPrefixWithAllThatWasFlushed(t *testing.T) {
	const steps = 60
	for seed := range *seeds {
		o := &ordeal{t: t, rng: rand.New(rand.NewPCG(seed, 1)), crash: rand.New(rand.NewPCG(seed, 2)), term: 1, now: world{records: map[record.LSN]uint64{}, lo: 1, hi: 1}}
		o.fs = newTraceFS(vfs.NewCrashableMem())
		o.fs.after = o.crashed
		o.open()
		o.work(steps)
		require.NotEmpty(t, o.images)
		for _, im := range o.images {
			im.found(t, seed)
		}
	}
}
