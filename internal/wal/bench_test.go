package wal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// groupNotifier wakes waiting writers by group, in the order of their LSNs, as
// an engine does.
type groupNotifier struct {
	mu      sync.Mutex
	waiting []parked
	head    int
	flushed record.LSN
	groups  []record.LSN // the Flushed of every group, for the bare loop
}

type parked struct {
	lsn record.LSN
	c   chan struct{}
}

func (n *groupNotifier) told(b topology.Bounds, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		return
	}
	n.flushed = b.Flushed
	n.groups = append(n.groups, b.Flushed)
	for n.head < len(n.waiting) && n.waiting[n.head].lsn <= b.Flushed {
		n.waiting[n.head].c <- struct{}{}
		n.head++
	}
	if n.head == len(n.waiting) {
		n.waiting, n.head = n.waiting[:0], 0
	}
}

// put appends and waits. Appending under the mutex keeps waiting in order.
func (n *groupNotifier) put(l *Log, r record.Record, c chan struct{}) error {
	n.mu.Lock()
	lsn, err := l.Append(1, r)
	if err == nil {
		n.waiting = append(n.waiting, parked{lsn: lsn, c: c})
	}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	<-c
	return nil
}

func benchRecord(value int) record.Record {
	return record.Record{
		Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1 << 20}, Time: 1 << 60, Term: 1,
		Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte("k000000000012345"), Op: record.OpPut, Kind: record.KindBytes, Value: make([]byte, value)}},
	}
}

func benchLog(b *testing.B, o Options) *Log {
	o.Dir, o.Node, o.Cluster = filepath.Join(b.TempDir(), "log"), "a", [16]byte{1}
	l, err := Open(o)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		require.NoError(b, <-done)
		require.NoError(b, l.Close())
	})
	return l
}

// bareFile writes and syncs as fast as the machine does: what the log is held
// against. Its file is written once before, like a segment, and then used round
// and round.
type bareFile struct {
	f   *os.File
	off int64
	buf []byte
}

const bareBytes = 64 << 20

func newBareFile(b *testing.B) *bareFile {
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	require.NoError(b, err)
	z := make([]byte, 1<<20)
	for range bareBytes >> 20 {
		_, err := f.Write(z)
		require.NoError(b, err)
	}
	require.NoError(b, f.Sync())
	b.Cleanup(func() { f.Close() })
	return &bareFile{f: f, buf: make([]byte, 16<<20)}
}

func (w *bareFile) write(b *testing.B, n int64) {
	if w.off+n > bareBytes {
		w.off = 0
	}
	_, err := w.f.WriteAt(w.buf[:n], w.off)
	require.NoError(b, err)
	require.NoError(b, syscall.Fdatasync(int(w.f.Fd())))
	w.off += n
}

// settle brings a new log to where it uses retired segments again, so that no
// zeros are written beside what is measured.
func settle(b *testing.B, l *Log) {
	r := benchRecord(16 << 10)
	for number, _ := newest(l); number < 11; number, _ = newest(l) {
		lsn, err := l.Append(1, r, r, r, r, r, r, r, r)
		require.NoError(b, err)
		require.NoError(b, l.Flushed(b.Context(), lsn))
		retire(b, l)
	}
}

// retire lets go of all segments but the newest.
func retire(b *testing.B, l *Log) {
	require.NoError(b, l.Truncate(topology.Range{First: l.Bounds().End, Last: ^record.LSN(0)}))
}

// BenchmarkAppendFlushed measures writers that each append a record and wait
// until it is durable, in a log whose segments are used again. of-bare is the
// time that a bare loop of WriteAt and fdatasync takes for the same bytes in the
// same groups, in rounds between those of the log, over the log's; the median of
// the rounds.
func BenchmarkAppendFlushed(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l, bare := benchLog(b, Options{SegmentBytes: 16 << 20}), newBareFile(b)
			settle(b, l)
			n := &groupNotifier{}
			l.Notify(n.told)
			rounds := 41
			var ratios []float64
			var groups, puts int
			var spent time.Duration
			b.ResetTimer()
			for range rounds {
				each := max(b.N/rounds/writers, 1)
				took, sizes := benchRound(b, l, n, writers, each)
				b.StopTimer()
				t := time.Now()
				for _, s := range sizes {
					bare.write(b, s)
				}
				ratios = append(ratios, time.Since(t).Seconds()/took.Seconds())
				retire(b, l)
				groups, puts, spent = groups+len(sizes), puts+each*writers, spent+took
				b.StartTimer()
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[rounds/2], "of-bare")
			b.ReportMetric(float64(puts)/float64(groups), "records/group")
			b.ReportMetric(float64(puts)/spent.Seconds(), "records/s")
		})
	}
}

// benchRound lets the writers put that many records each, and returns how long
// it took and how many bytes each group had.
func benchRound(b *testing.B, l *Log, n *groupNotifier, writers, each int) (time.Duration, []int64) {
	n.mu.Lock()
	n.groups = append(n.groups[:0], l.Bounds().Flushed)
	n.mu.Unlock()
	t := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			r, c := benchRecord(128), make(chan struct{}, 1)
			for range each {
				if err := n.put(l, r, c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(t)
	n.mu.Lock()
	defer n.mu.Unlock()
	size := int64(l.Offset(n.flushed)-l.Offset(n.groups[0])) / int64(n.flushed-n.groups[0])
	var sizes []int64
	for i := 1; i < len(n.groups); i++ {
		sizes = append(sizes, int64(n.groups[i]-n.groups[i-1])*size)
	}
	return took, sizes
}

// BenchmarkAppend measures Append alone, of groups of 32 records.
func BenchmarkAppend(b *testing.B) {
	l := benchLog(b, Options{UnflushedBytesMax: 1 << 30})
	rs := make([]record.Record, 32)
	for i := range rs {
		rs[i] = benchRecord(128)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, err := l.Append(1, rs...)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rs)), "ns/record")
}

// BenchmarkRead measures reading: a log that is all in memory, and catching up
// from files in the page cache.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name string
		tail int64
	}{{"memory", 1 << 30}, {"files", 1}} {
		b.Run(c.name, func(b *testing.B) {
			const records = 200_000
			l := benchLog(b, Options{TailBytes: c.tail})
			r := benchRecord(128)
			var last record.LSN
			for range records {
				var err error
				last, err = l.Append(1, r)
				require.NoError(b, err)
			}
			require.NoError(b, l.Flushed(b.Context(), last))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for e, err := range l.Read(b.Context(), 1) {
					if err != nil {
						b.Fatal(err)
					}
					n += min(1, len(e.Bytes))
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkOpen measures recovery, which reads and checks all of the log.
func BenchmarkOpen(b *testing.B) {
	o := Options{Dir: filepath.Join(b.TempDir(), "log"), Node: "a", Cluster: [16]byte{1}}
	l, err := Open(o)
	require.NoError(b, err)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- l.Run(ctx) }()
	r := benchRecord(128)
	for range 1_000_000 {
		_, err := l.Append(1, r)
		require.NoError(b, err)
	}
	cancel()
	require.NoError(b, <-done)
	b.SetBytes(int64(l.Offset(l.Bounds().End)))
	require.NoError(b, l.Close())
	for b.Loop() {
		l, err := Open(o)
		require.NoError(b, err)
		require.NoError(b, l.Close())
	}
}
