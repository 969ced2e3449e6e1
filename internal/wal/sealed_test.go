package wal

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// forger writes a log by hand: frames whose sums hold, whatever they say.
type forger struct {
	fs   *crashfs.FS
	h    header
	seed uint32
	b    []byte // the segment
	off  int64
	roll uint32
}

func newForger(t testing.TB) *forger {
	t.Helper()
	g := &forger{fs: crashfs.New(), off: headerBytes}
	require.NoError(t, open(t, small(g.fs)).Close())
	g.b = content(t, g.fs, segmentName(1))
	h, seed, err := parseHeader("", g.b)
	require.NoError(t, err)
	g.h, g.seed = h, seed
	return g
}

func (g *forger) entry(n uint64, lsn record.LSN, term uint64, sync int64) {
	r := numbered(n)
	body := record.NewEncoder().Append(nil, &r)
	g.frame(record.AppendEntry(make([]byte, frameHeaderBytes), record.Entry{LSN: lsn, Term: term, Sum: record.Sum(body), Bytes: body}), kindEntry, sync)
	g.roll = rolled(g.roll, g.b[g.off-int64(frameBytes+len(body)):])
}

func (g *forger) mark(k kind, lsn record.LSN, term uint64, roll uint32, sync int64) {
	g.frame(record.AppendEntry(make([]byte, frameHeaderBytes), record.Entry{LSN: lsn, Term: term, Sum: roll}), k, sync)
}

func (g *forger) frame(b []byte, k kind, sync int64) {
	seal(b, k, g.seed, g.h.number, sync)
	g.off += int64(copy(g.b[g.off:], b))
}

func (g *forger) done(t testing.TB) *crashfs.FS {
	t.Helper()
	store(t, g.fs, segmentName(1), g.b)
	return g.fs
}

func TestAForgedLogThatMakesSenseIsRead(t *testing.T) {
	g := newForger(t)
	g.entry(1, 1, 1, headerBytes)
	g.entry(2, 2, 1, g.off)
	g.mark(kindPromise, 2, 1, g.roll, g.off)
	g.entry(3, 3, 2, g.off)
	l := open(t, small(g.done(t)))
	require.Equal(t, numbers(1, 3), held(t, l))
	require.NoError(t, l.Close())
}

func TestFramesWhoseSumsHoldButWhichMakeNoSenseAreRefused(t *testing.T) {
	for name, forge := range map[string]func(g *forger){
		"a gap in the LSNs":         func(g *forger) { g.entry(3, 3, 1, g.off) },
		"an LSN twice":              func(g *forger) { g.entry(1, 1, 1, g.off) },
		"a term that falls":         func(g *forger) { g.entry(2, 2, 4, g.off); g.entry(3, 3, 3, g.off) },
		"a promise of more":         func(g *forger) { g.entry(2, 2, 1, g.off+1) },
		"a promise of nothing":      func(g *forger) { g.entry(2, 2, 1, headerBytes-1) },
		"a mark of another LSN":     func(g *forger) { g.mark(kindPromise, 2, 1, g.roll, g.off) },
		"a mark of another term":    func(g *forger) { g.mark(kindPromise, 1, 2, g.roll, g.off) },
		"a mark of other entries":   func(g *forger) { g.mark(kindPromise, 1, 1, g.roll^1, g.off) },
		"a footer of other entries": func(g *forger) { g.mark(kindFooter, 1, 1, 0, g.off) },
		"a footer with no heir":     func(g *forger) { g.mark(kindFooter, 1, 1, g.roll, g.off) },
		"an entry without a record": func(g *forger) {
			g.mark(kindEntry, 2, 1, 0, g.off)
			g.entry(2, 2, 1, g.off)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newForger(t)
			g.entry(1, 1, 1, headerBytes)
			forge(g)
			corrupted(t, g.done(t))
		})
	}
}

func TestEverySegmentDependsOnAllBeforeIt(t *testing.T) {
	// Two logs whose records differ in nothing but one byte of the second
	// segment: the second's second segment fits in the first's place by its
	// header, its LSNs, its length and its terms, but not before the third.
	logOf := func(odd uint64) *crashfs.FS {
		fs := crashfs.New()
		l := start(t, small(fs))
		for i := uint64(1); i <= 80; i++ {
			r := sized(i, 100)
			if i == odd {
				r.Mutations[0].Value[50] ^= 1
			}
			_, err := l.Append(1, r)
			require.NoError(t, err)
			flush(t, l)
		}
		image := clone(t, fs)
		require.NoError(t, l.stop())
		return image
	}
	plain, odd := logOf(0), logOf(30)
	var second SegmentReport
	_, err := Verify(plain, testDir, func(s SegmentReport) {
		if s.Number == 2 {
			second = s
		}
	})
	require.NoError(t, err)
	require.True(t, second.First <= 30 && 30 <= second.Last)
	require.Equal(t, content(t, plain, segmentName(1)), content(t, odd, segmentName(1)))
	store(t, plain, segmentName(2), content(t, odd, segmentName(2)))
	c := corrupted(t, plain)
	require.Equal(t, segmentName(3), c.File)
}

func TestOpenWritesAgainWhatNoFramePromises(t *testing.T) {
	// After a failed sync the page cache may take pages for written that are
	// not: to read them proves nothing, and to sync them does nothing.
	fs := unclean(t, small(nil), 3)
	report, err := Verify(fs, testDir, nil)
	require.NoError(t, err)
	var from, to atomic.Int64
	fs.After(func(c crashfs.Call) {
		if c.Op == "write" && c.Name() == segmentName(1) {
			from.Store(c.Off)
			to.Store(c.Off + int64(c.Bytes))
		}
	})
	l := open(t, small(fs))
	require.Equal(t, report.Promised, from.Load())
	_, end := newest(l)
	require.Equal(t, end, to.Load())
	require.NoError(t, l.Close())
}

func TestTheLogEndsByItselfWhenASpareFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		intercept(fs, func(op, name string) error {
			if op == "sync" && strings.HasPrefix(name, "00000002") {
				return vfs.ErrUnsupported
			}
			return nil
		})
		l := open(t, small(fs))
		began := time.Now()
		require.ErrorIs(t, l.Run(t.Context()), topology.ErrFailed) // nobody ends its context
		require.Zero(t, time.Since(began), "at once")
		require.NoError(t, l.Close())
	})
}

// FuzzFrames lets arbitrary frames stand in a segment, each with sums that hold.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{'E', 1, 0, 'E', 1, 0, 'P', 0, 0})
	f.Add([]byte{'E', 1, 0, 'F', 0, 0})
	f.Add([]byte{'E', 1, 1, 'E', 2, 0, 'Z', 0, 0, 'E', 1, 0})
	f.Fuzz(func(t *testing.T, plan []byte) {
		g := newForger(t)
		last, term := record.LSN(0), uint64(1)
		for ; len(plan) >= 3 && g.off < segmentBytesMin-1000; plan = plan[3:] {
			sync := g.off - int64(int8(plan[2]))
			switch plan[0] {
			case 'E':
				last += record.LSN(plan[1] & 3)
				term += uint64(plan[1]>>2) % 3
				g.entry(uint64(last), last, term, sync)
			case 'P', 'F':
				g.mark(kind(plan[0]), last, term, g.roll^uint32(plan[1]), sync)
			default:
				g.off += int64(plan[1]) // a hole
			}
		}
		fs := g.done(t)
		l, err := Open(small(fs))
		if err != nil {
			return
		}
		ns := held(t, l)
		require.Equal(t, numbers(1, uint64(len(ns))), ns)
		require.NoError(t, l.Close())
		again := open(t, small(fs))
		require.Equal(t, ns, held(t, again))
		require.NoError(t, again.Close())
	})
}
