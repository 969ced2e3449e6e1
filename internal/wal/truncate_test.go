package wal

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// terms returns the term of every entry that a log holds.
func terms(t *testing.T, l topology.GroupLog) map[uint64]uint64 {
	t.Helper()
	m := map[uint64]uint64{}
	for e, err := range l.Read(t.Context(), l.Bounds().First) {
		require.NoError(t, err)
		m[uint64(e.LSN)] = e.Term
	}
	return m
}

func TestTruncateOverwriteCrashReopen(t *testing.T) {
	for name, c := range map[string]struct{ records, keep, more uint64 }{
		"within one segment":                 {20, 7, 3},
		"to a frame of the same place":       {20, 7, 13},
		"beyond the old end":                 {20, 7, 40},
		"back into a closed segment":         {90, 11, 2},
		"back to the end of a segment":       {90, 21, 2},
		"to nothing":                         {90, 0, 5},
		"the last entry only":                {20, 19, 1},
		"and nothing is written instead":     {90, 30, 0},
		"twice as far as there are segments": {200, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			fs := crashfs.New()
			l := start(t, small(fs))
			step(t, l, 1, 1, c.records)
			require.NoError(t, l.Truncate(topology.Range{First: 1, Last: record.LSN(c.keep)}))
			// The same numbers, so that every frame has the place and length of one that was cut.
			step(t, l, 2, c.keep+1, c.keep+c.more)
			crashed := fs.PowerCut()
			require.NoError(t, l.stop())

			again := start(t, small(crashed))
			require.Equal(t, numbers(1, c.keep+c.more), held(t, again))
			for lsn, term := range terms(t, again) {
				require.Equal(t, lsn > c.keep, term == 2, "LSN %d", lsn)
			}
			want := topology.History{{Term: 1, Start: 1}}
			if c.keep == 0 {
				want = nil
			}
			if c.more > 0 {
				want = append(want, topology.TermStart{Term: 2, Start: record.LSN(c.keep + 1)})
			}
			require.Equal(t, want, again.History())
			step(t, again, 2, c.keep+c.more+1, c.keep+c.more+100)
			require.Equal(t, numbers(1, c.keep+c.more+100), held(t, again))
		})
	}
}

// during returns what a power failure would leave after every change of the file
// system while f runs.
func during(fs *crashfs.FS, f func()) []*crashfs.FS {
	var mu sync.Mutex
	var images []*crashfs.FS
	fs.After(func(crashfs.Call) {
		mu.Lock()
		defer mu.Unlock()
		images = append(images, fs.PowerCut())
	})
	f()
	fs.After(nil)
	mu.Lock()
	defer mu.Unlock()
	return images
}

func TestACutThatHadBegunIsFinishedByOpen(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	step(t, l, 1, 1, 90)
	images := during(fs, func() { require.NoError(t, l.Truncate(topology.Range{First: 1, Last: 11})) })
	begun := 0
	for _, image := range images {
		report, err := Verify(image, testDir, nil)
		require.NoError(t, err)
		if report.Cutting {
			begun++
			require.Equal(t, record.LSN(11), report.Last)
		}
		want := numbers(1, uint64(report.Last))
		reopened(t, image, want)
		report, err = Verify(image, testDir, nil)
		require.NoError(t, err)
		require.False(t, report.Cutting)
	}
	require.GreaterOrEqual(t, begun, 5, "of %d", len(images))
	require.Less(t, begun, len(images))
}

func TestRetiredSegmentsAreUsedAgainAndTheirFramesNeverCount(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	last := uint64(0)
	for range 12 {
		step(t, l, 1, last+1, last+25) // all of one length in every round: frames fall on frames
		last += 25
		require.NoError(t, l.Truncate(topology.Range{First: record.LSN(last - 5), Last: ^record.LSN(0)}))
		b := l.Bounds()
		image := fs.PowerCut()
		again := open(t, small(image))
		require.Equal(t, b, withBytes(again.Bounds(), b.Bytes))
		require.Equal(t, numbers(uint64(b.First), last), held(t, again))
		require.NoError(t, again.Close())
	}
	require.LessOrEqual(t, len(listed(t, fs)), 4+sparesMax+2)
	number, end := newest(l.Log)
	b := content(t, fs, segmentName(number))
	require.NotContains(t, string(b[end:]), string(make([]byte, 2000)), "the file was in use before, and not zeroed again")
	require.NoError(t, l.stop())
}

func withBytes(b topology.Bounds, n uint64) topology.Bounds { b.Bytes = n; return b }

func TestRetentionSurvivesARestartWithItsHistory(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	for term := uint64(1); term <= 8; term++ {
		step(t, l, term, term*10-9, term*10)
	}
	require.NoError(t, l.Truncate(topology.Range{First: 60, Last: 80}))
	first, h := l.Bounds().First, l.History()
	require.Greater(t, first, record.LSN(1))
	require.Len(t, h, 8)
	offset := l.Offset(80) - l.Offset(first-1)
	require.NoError(t, l.stop())
	again := open(t, small(fs))
	require.Equal(t, first, again.Bounds().First)
	require.Equal(t, h, again.History())
	require.Equal(t, offset, again.Offset(80)-again.Offset(first-1))
	require.Equal(t, again.Offset(first-1), again.Offset(0), "what is gone has the offset of the oldest known")
	require.NoError(t, again.Close())
}

func TestATornTailTakesTheTermWithItThatBeganInIt(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	step(t, l, 1, 1, 60)
	put(t, l, 9, 61, 61)
	require.NoError(t, l.Truncate(topology.Range{First: 40, Last: ^record.LSN(0)})) // writes the manifest
	image := clone(t, fs)
	require.NoError(t, l.stop())
	report, err := Verify(image, testDir, nil)
	require.NoError(t, err)
	if report.Last == 61 {
		name := names(t, image, segmentExt)
		file := name[len(name)-1]
		b := content(t, image, file)
		clear(b[report.Promised:])
		store(t, image, file, b)
	}
	again := open(t, small(image))
	require.Equal(t, topology.History{{Term: 1, Start: 1}}, again.History())
	require.NoError(t, again.Close())
}

func TestARestartSurvivesACrashAtEveryStep(t *testing.T) {
	h := topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 400}}
	fs := crashfs.New()
	l := start(t, small(fs))
	step(t, l, 1, 1, 60)
	images := during(fs, func() { require.NoError(t, l.Truncate(topology.Range{First: 500, History: h})) })
	restarted := 0
	for _, image := range images {
		report, err := Verify(image, testDir, nil)
		require.NoError(t, err)
		if report.First == 1 {
			reopened(t, image, numbers(1, 60))
			continue
		}
		restarted++
		require.Equal(t, record.LSN(500), report.First)
		require.Equal(t, h, report.History)
		reopened(t, image, nil)
	}
	require.Positive(t, restarted)
	require.Less(t, restarted, len(images))
	require.Len(t, names(t, fs, segmentExt), 1)
	step(t, l, 3, 500, 560)
	require.NoError(t, l.stop())
	again := open(t, small(fs))
	require.Equal(t, numbers(500, 560), held(t, again))
	require.NoError(t, again.Close())
}

func TestRetentionWhileASegmentIsTurnedLosesNeither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		l := start(t, small(fs))
		step(t, l, 1, 1, 60)
		synctest.Wait()
		g := newGate(func(op, name string) bool { return name == manifestName })
		intercept(fs, g.pass)
		done := make(chan error, 1)
		go func() { done <- l.Truncate(topology.Range{First: 50, Last: ^record.LSN(0)}) }()
		synctest.Wait()
		number, _ := newest(l.Log)
		step(t, l, 1, 61, 120) // writing goes on while the manifest is written
		turned, _ := newest(l.Log)
		require.Greater(t, turned, number)
		g.open()
		require.NoError(t, <-done)
		step(t, l, 1, 121, 125)
		require.Equal(t, numbers(uint64(l.Bounds().First), 125), held(t, l))
		require.Greater(t, l.Bounds().First, record.LSN(1))
		require.NoError(t, l.Truncate(topology.Range{First: 1, Last: 100}))
		require.Equal(t, numbers(uint64(l.Bounds().First), 100), held(t, l))
	})
}

func TestAppendsWaitForACutAndGoBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		l := start(t, small(fs))
		step(t, l, 1, 1, 60)
		synctest.Wait()
		g := newGate(func(op, name string) bool { return name == manifestName })
		intercept(fs, g.pass)
		cut := make(chan error, 1)
		go func() { cut <- l.Truncate(topology.Range{First: 1, Last: 5}) }()
		synctest.Wait()
		got := make(chan record.LSN, 1)
		go func() {
			lsn, err := l.Append(2, numbered(6))
			if err != nil {
				t.Error(err)
			}
			got <- lsn
		}()
		synctest.Wait()
		require.Empty(t, got)
		g.open()
		require.NoError(t, <-cut)
		require.Equal(t, record.LSN(6), <-got)
		require.Equal(t, numbers(1, 6), held(t, l))
	})
}

// TestReadersOfACutLog lets a reader stop at a place, changes the log, and lets
// it go on.
func TestReadersSeeOnePrefixOrAnErrorWhateverBecomesOfTheLog(t *testing.T) {
	const records = 300 // several chunks in memory, many segments
	cut := func(last record.LSN) func(*testing.T, live) {
		return func(t *testing.T, l live) { require.NoError(t, l.Truncate(topology.Range{First: 1, Last: last})) }
	}
	overwrite := func(t *testing.T, l live) {
		cut(50)(t, l)
		step(t, l, 2, 51, records+50)
	}
	for name, c := range map[string]struct {
		stop   record.LSN
		change func(*testing.T, live)
		last   record.LSN // of the entries it sees
		err    error
	}{
		"cut behind the end":          {100, cut(250), 250, nil},
		"cut just behind":             {100, cut(100), 100, nil},
		"cut before what it has seen": {100, cut(40), 0, topology.ErrRewound},
		"cut and overwritten":         {100, overwrite, 0, topology.ErrRewound},
		"overwritten behind":          {10, overwrite, 50, nil},
		"retired before what it needs": {100, func(t *testing.T, l live) {
			require.NoError(t, l.Truncate(topology.Range{First: 90, Last: ^record.LSN(0)}))
		}, records, nil},
		"retired": {10, func(t *testing.T, l live) {
			require.NoError(t, l.Truncate(topology.Range{First: 290, Last: ^record.LSN(0)}))
		}, 0, topology.ErrCompacted},
		"restarted far ahead": {10, func(t *testing.T, l live) { require.NoError(t, l.Truncate(topology.Range{First: 900})) }, 0, topology.ErrCompacted},
		"restarted behind":    {100, func(t *testing.T, l live) { require.NoError(t, l.Truncate(topology.Range{First: 20, Last: 19})) }, 0, topology.ErrRewound},
		"closed":              {10, func(t *testing.T, l live) { require.NoError(t, l.stop()) }, 0, topology.ErrClosed},
		"cut again and again": {10, func(t *testing.T, l live) {
			for i := record.LSN(0); i <= cutsKept; i++ {
				cut(200-i)(t, l)
			}
		}, 0, topology.ErrRewound},
		"cut more often than once": {10, func(t *testing.T, l live) {
			cut(200)(t, l)
			step(t, l, 2, 201, 280)
			cut(240)(t, l)
		}, 200, nil},
	} {
		for _, where := range []string{"memory", "files"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				o := small(vfs.NewMem())
				o.TailBytes = map[string]int64{"memory": 1 << 20, "files": 1}[where]
				l := start(t, o)
				step(t, l, 1, 1, records)
				if where == "files" {
					require.NoError(t, l.stop())
					l = start(t, o)
				}
				next := record.LSN(1)
				var err error
				var e record.Entry
				for e, err = range l.Read(context.Background(), 1) {
					if err != nil {
						break
					}
					require.Equal(t, next, e.LSN)
					require.Equal(t, uint64(1), e.Term)
					if next++; e.LSN == c.stop {
						c.change(t, l)
					}
				}
				if c.err != nil {
					require.ErrorIs(t, err, c.err)
					require.Equal(t, c.stop, next-1, "nothing is yielded behind what is no more")
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.last, next-1)
			})
		}
	}
}
