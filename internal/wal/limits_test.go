package wal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestAppendBlocksAtTheLimitOfWhatIsUnflushed(t *testing.T) {
	blocked := func(t *testing.T, then func(t *testing.T, l *Log, g *gate, cancel func(), got chan error) error) {
		synctest.Test(t, func(t *testing.T) {
			fs := crashfs.New()
			o := small(fs)
			o.SegmentBytes, o.UnflushedBytesMax = 64<<10, 1000
			l := open(t, o)
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- l.Run(ctx) }()
			synctest.Wait()
			g := newGate(segmentSync)
			intercept(fs, g.pass)
			put(t, l, 1, 1, 1)
			for l.Offset(l.Bounds().End) <= 1000 {
				put(t, l, 1, 2, 2)
			}
			got := make(chan error, 2)
			go func() { _, err := l.Append(1, numbered(3)); got <- err }()
			go func() {
				r := numbered(4)
				b := record.NewEncoder().Append(nil, &r)
				got <- l.Copy(record.Entry{LSN: l.Bounds().End + 1, Term: 1, Sum: record.Sum(b), Bytes: b})
			}()
			synctest.Wait()
			require.Empty(t, got)
			want := then(t, l, g, cancel, got)
			first, second := <-got, <-got
			if want == nil {
				// One of the two came first, and took the other's LSN if that was the copy's.
				require.True(t, first == nil || second == nil)
			} else {
				require.ErrorIs(t, first, want)
				require.ErrorIs(t, second, want)
			}
			cancel()
			<-ran
			require.NoError(t, l.Close())
		})
	}
	t.Run("until a flush", func(t *testing.T) {
		blocked(t, func(_ *testing.T, _ *Log, g *gate, _ func(), _ chan error) error { g.open(); return nil })
	})
	t.Run("until a failure", func(t *testing.T) {
		blocked(t, func(_ *testing.T, l *Log, g *gate, _ func(), _ chan error) error {
			_ = l.fail("testing", context.DeadlineExceeded)
			g.open()
			return topology.ErrFailed
		})
	})
	t.Run("until Close", func(t *testing.T) {
		blocked(t, func(t *testing.T, l *Log, g *gate, _ func(), got chan error) error {
			closed := make(chan error, 1)
			go func() { closed <- l.Close() }()
			synctest.Wait()
			require.Len(t, got, 2, "though the sync hangs")
			g.open()
			require.NoError(t, <-closed)
			return topology.ErrClosed
		})
	})
	t.Run("until Run ends", func(t *testing.T) {
		blocked(t, func(t *testing.T, _ *Log, g *gate, cancel func(), got chan error) error {
			cancel()
			synctest.Wait()
			require.Len(t, got, 2, "though the sync hangs")
			g.open()
			return topology.ErrClosed
		})
	})
	t.Run("until a cut makes room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := small(vfs.NewMem())
			o.UnflushedBytesMax = 1000
			l := open(t, o) // it does not run: nothing is flushed
			for l.Offset(l.Bounds().End) <= 1000 {
				put(t, l, 1, 1, 1)
			}
			got := make(chan record.LSN, 1)
			go func() { got <- put(t, l, 2, 2, 2) }()
			synctest.Wait()
			require.Empty(t, got)
			require.NoError(t, l.Truncate(topology.Range{First: 1, Last: 1}))
			require.Equal(t, record.LSN(2), <-got)
			require.NoError(t, l.Close())
		})
	})
}

func TestRecordsAboveTheLimitAreRefusedAndNothingIsAppended(t *testing.T) {
	l := start(t, small(vfs.NewMem()))
	put(t, l, 1, 1, 2)
	big := sized(4, record.RecordBytesMax)
	_, err := l.Append(1, numbered(3), big)
	require.ErrorIs(t, err, topology.ErrTooLarge)
	empty := numbered(4)
	empty.Mutations = nil
	_, err = l.Append(1, numbered(3), empty)
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.ErrorIs(t, l.Copy(record.Entry{LSN: 3, Term: 1, Bytes: make([]byte, record.RecordBytesMax+1)}), topology.ErrTooLarge)
	require.Equal(t, numbers(1, 2), held(t, l))
	step(t, l, 1, 3, 5)
	require.Equal(t, numbers(1, 5), held(t, l))
}

func TestARecordLongerThanASegmentGetsASegmentOfItsOwn(t *testing.T) {
	fs := vfs.NewMem()
	l := start(t, small(fs))
	var want []uint64
	for i, n := range []int{10, 20000, 10, 100000, 8000, 4000, 10} {
		_, err := l.Append(1, sized(uint64(i+1), n))
		require.NoError(t, err)
		want = append(want, uint64(i+1))
	}
	flush(t, l)
	require.Equal(t, want, held(t, l))
	require.NoError(t, l.stop())
	again := open(t, small(fs))
	require.Equal(t, want, held(t, again))
	require.NoError(t, again.Close())
}

func TestAGroupIsBounded(t *testing.T) {
	o := Options{Dir: realDir(t), Cluster: testCluster, Node: "a"}
	require.NoError(t, open(t, o).Close())
	spare, err := os.Create(filepath.Join(o.Dir, spareName(9))) // so long that all fit in
	require.NoError(t, err)
	require.NoError(t, errors.Join(spare.Truncate(10*groupBytesMax), spare.Close()))
	l := open(t, o)
	var rs []record.Record
	for i := range uint64(5) {
		rs = append(rs, sized(i+1, groupBytesMax/3))
	}
	rs = append(rs, sized(6, groupBytesMax+1), sized(7, 1))
	_, err = l.Append(1, rs...)
	require.NoError(t, err)
	var sizes []uint64
	was := topology.Bounds{}
	l.Notify(func(b topology.Bounds, _ error) {
		sizes = append(sizes, uint64(b.Flushed-was.Flushed))
		was = b
	})
	live := run(t, l)
	flush(t, live)
	require.NoError(t, live.stop())
	require.Equal(t, uint64(7), uint64(was.Flushed))
	require.Equal(t, []uint64{2, 2, 1, 1, 1}, sizes)
}

func TestTheTailInMemoryIsBounded(t *testing.T) {
	o := small(vfs.NewMem())
	o.TailBytes, o.SegmentBytes = 100<<10, 1<<20
	l := start(t, o)
	for i := range uint64(60) {
		_, err := l.Append(1, sized(i+1, 10000))
		require.NoError(t, err)
		flush(t, l)
	}
	l.mu.Lock()
	bytes, chunks := l.st.tail.bytes, len(l.st.tail.chunks)
	l.mu.Unlock()
	require.LessOrEqual(t, bytes, 100<<10+chunkBytesMax)
	require.LessOrEqual(t, chunks, 3)
	require.Equal(t, numbers(1, 60), held(t, l))
}

func TestSparesAreBounded(t *testing.T) {
	fs := vfs.NewMem()
	l := start(t, small(fs))
	step(t, l, 1, 1, 300)
	require.NoError(t, l.Truncate(topology.Range{First: 300, Last: 300}))
	require.LessOrEqual(t, len(names(t, fs, spareExt)), sparesMax+2) // one in hand, one in the making
	require.NoError(t, l.stop())
	for n := uint64(100); n < 110; n++ {
		store(t, fs, spareName(n), make([]byte, segmentBytesMin))
	}
	store(t, fs, "junk"+partExt, []byte("half made"))
	again := open(t, small(fs))
	require.Len(t, names(t, fs, spareExt), sparesMax)
	require.Empty(t, names(t, fs, partExt))
	require.NoError(t, again.Close())
}

func TestAShortSpareIsNotUsed(t *testing.T) {
	fs := vfs.NewMem()
	require.NoError(t, open(t, small(fs)).Close())
	store(t, fs, spareName(5), make([]byte, 100))
	l := start(t, small(fs))
	step(t, l, 1, 1, 100)
	require.NoError(t, l.stop())
	again := open(t, small(fs))
	require.Equal(t, numbers(1, 100), held(t, again))
	require.NoError(t, again.Close())
}

func TestWaitersAreKeptForUseAgainUpToALimit(t *testing.T) {
	var q waitList
	var ws []*waiter
	for i := range record.LSN(3 * waitersKept) {
		ws = append(ws, q.add(i))
	}
	q.reach(waitersKept)
	for i, w := range ws {
		if i <= waitersKept {
			require.NoError(t, <-w.done)
		}
		q.leave(w)
	}
	require.Empty(t, q.ws)
	require.Len(t, q.free, waitersKept)
	w := q.add(7)
	q.all(context.Canceled)
	q.leave(w) // without having looked
	w = q.add(8)
	require.Empty(t, w.done, "an answer that nobody took is not the next one's")
}

func TestTheHistoryForgetsItsOldestTerms(t *testing.T) {
	var h topology.History
	for i := range uint64(termsMax + 10) {
		h = grown(h, i+1, record.LSN(i+1))
	}
	require.Len(t, h, termsMax)
	require.Equal(t, topology.TermStart{Term: 11, Start: 11}, h[0])
	m := manifest{node: "a", segment: 1, first: termsMax + 11, history: h}
	b := m.encode()
	require.Less(t, len(b), manifestBytesMax)
	got, err := parseManifest(manifestName, b)
	require.NoError(t, err)
	require.Equal(t, m, got)
}

func TestAPromiseIsWrittenWhenTheLogRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		l := start(t, small(fs))
		step(t, l, 1, 1, 5)
		promised := func() (offset, end int64) {
			synctest.Wait()
			r, err := Verify(fs.PowerCut(), testDir, func(s SegmentReport) { end = s.Bytes })
			require.NoError(t, err)
			return r.Promised, end
		}
		at, end := promised()
		require.Less(t, at, end-frameBytes)
		time.Sleep(2 * promiseIdle)
		at, end = promised()
		require.Equal(t, end-frameBytes, at)
		time.Sleep(10 * promiseIdle)
		again, after := promised()
		require.Equal(t, [2]int64{at, end}, [2]int64{again, after}, "once is enough")
		step(t, l, 1, 6, 6)
		require.NoError(t, l.stop())
		at, end = promised()
		require.Equal(t, end-frameBytes, at, "and when it stops")
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no directory":      func(o *Options) { o.Dir = "" },
		"no node":           func(o *Options) { o.Node = "" },
		"a bad node":        func(o *Options) { o.Node = "No" },
		"short segments":    func(o *Options) { o.SegmentBytes = segmentBytesMin - 1 },
		"long segments":     func(o *Options) { o.SegmentBytes = segmentBytesMax + 1 },
		"a short first":     func(o *Options) { o.FirstSegmentBytes = segmentBytesMin - 1 },
		"negative limit":    func(o *Options) { o.UnflushedBytesMax = -1 },
		"negative tail":     func(o *Options) { o.TailBytes = -1 },
		"negative segments": func(o *Options) { o.SegmentBytes = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			o := small(vfs.NewMem())
			change(&o)
			_, err := Open(o)
			require.Error(t, err)
		})
	}
}

func TestTheFirstSegmentsAreShort(t *testing.T) {
	o, err := Options{Dir: "x", Node: "a"}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), o.planned(1))
	require.Equal(t, int64(4<<20), o.planned(3))
	require.Equal(t, int64(64<<20), o.planned(7))
	require.Equal(t, int64(64<<20), o.planned(1<<40))
	o.SegmentBytes = 10 << 10
	require.Equal(t, int64(10<<10), o.planned(1))
	o.SegmentBytes, o.FirstSegmentBytes = 64<<20, 32<<20
	require.Equal(t, int64(32<<20), o.planned(1))
	require.Equal(t, int64(64<<20), o.planned(2))
}
