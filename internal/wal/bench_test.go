package wal

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// groupNotifier keeps a record of the groups that a log flushes, for the bare loop; with a
// relay it also wakes the writers, as an engine does.
type groupNotifier struct {
	mu      sync.Mutex
	waiting []parked
	head    int
	flushed record.LSN
	groups  []record.LSN // the Flushed of every group
	relay   chan record.LSN
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
	n.groups = append(n.groups, b.Flushed)
	if n.relay == nil {
		return
	}
	select { // the newest alone counts
	case <-n.relay:
	default:
	}
	n.relay <- b.Flushed
}

// relayed wakes writers from a goroutine of its own, as the core of an engine
// does, until the relay is closed.
func (n *groupNotifier) relayed() {
	for lsn := range n.relay {
		n.mu.Lock()
		n.reached(lsn)
		n.mu.Unlock()
	}
}

func (n *groupNotifier) reached(flushed record.LSN) {
	n.flushed = max(n.flushed, flushed)
	for n.head < len(n.waiting) && n.waiting[n.head].lsn <= flushed {
		n.waiting[n.head].c <- struct{}{}
		n.head++
	}
	if n.head == len(n.waiting) {
		n.waiting, n.head = n.waiting[:0], 0
	}
}

// put appends and waits until the record is durable: through the log, or, with
// a relay, until that says so. Appending under the mutex keeps waiting in order.
func (n *groupNotifier) put(l *Log, r record.Record, c chan struct{}) error {
	if n.relay == nil {
		lsn, err := l.Append(1, r)
		if err != nil {
			return err
		}
		return l.Flushed(context.Background(), lsn)
	}
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
	f   vfs.File
	off int64
	buf []byte
}

const bareBytes = 64 << 20

func newBareFile(b *testing.B) *bareFile {
	f, err := folder{fs: vfs.Default, dir: b.TempDir()}.zeros("bare", bareBytes)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, f.Close()) })
	return &bareFile{f: f, buf: make([]byte, 16<<20)}
}

func (w *bareFile) write(b *testing.B, n int64) {
	if w.off+n > bareBytes {
		w.off = 0
	}
	if _, err := w.f.WriteAt(w.buf[:n], w.off); err != nil {
		b.Fatal(err)
	}
	if err := w.f.SyncData(); err != nil { // fdatasync, on Linux
		b.Fatal(err)
	}
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
// of-halves is against the same loop with groups of half the writers, which is
// what writers that nobody gathers fall into.
func BenchmarkAppendFlushed(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchFlushed(b, writers, nil) })
		b.Run(fmt.Sprintf("writers=%d/relay", writers), func(b *testing.B) { benchFlushed(b, writers, make(chan record.LSN, 1)) })
	}
}

func benchFlushed(b *testing.B, writers int, relay chan record.LSN) {
	l, bare := benchLog(b, Options{SegmentBytes: 16 << 20}), newBareFile(b)
	settle(b, l)
	n := &groupNotifier{relay: relay}
	if relay != nil {
		go n.relayed()
		defer close(relay)
	}
	l.Notify(n.told)
	defer l.Notify(nil)
	const rounds = 41
	var same, halves []float64
	var groups, puts int
	var spent time.Duration
	b.ResetTimer()
	for range rounds {
		each := max(b.N/rounds/writers, 1)
		took, sizes := benchRound(b, l, n, writers, each)
		b.StopTimer()
		same = append(same, bare.run(b, sizes)/took.Seconds())
		one := bytesOf(sizes) / int64(each*writers)
		half := slices.Repeat([]int64{one * int64(max(writers/2, 1))}, each*min(writers, 2))
		halves = append(halves, bare.run(b, half)/took.Seconds())
		retire(b, l)
		groups, puts, spent = groups+len(sizes), puts+each*writers, spent+took
		b.StartTimer()
	}
	slices.Sort(same)
	slices.Sort(halves)
	b.ReportMetric(same[rounds/2], "of-bare")
	b.ReportMetric(halves[rounds/2], "of-halves")
	b.ReportMetric(float64(puts)/float64(groups), "records/group")
	b.ReportMetric(float64(puts)/spent.Seconds(), "records/s")
}

func bytesOf(sizes []int64) (n int64) {
	for _, s := range sizes {
		n += s
	}
	return n
}

// run writes groups of those sizes, and returns the seconds it took.
func (w *bareFile) run(b *testing.B, sizes []int64) float64 {
	t := time.Now()
	for _, s := range sizes {
		w.write(b, s)
	}
	return time.Since(t).Seconds()
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
	last := n.groups[len(n.groups)-1]
	size := int64(l.Offset(last)-l.Offset(n.groups[0])) / int64(last-n.groups[0])
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
