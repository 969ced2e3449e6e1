package stream

import (
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// vast is a store of any number of cells, which are made as they are read; what is
// staged in it is counted and forgotten.
type vast struct {
	topology.Store
	cells   int
	applied record.LSN
	staged  int
}

const vastState = 1000

func (v *vast) Snapshot() (topology.Snapshot, error) { return vastView{v}, nil }

func (v *vast) Stage(string) (topology.Stage, error) { return vastStage{v}, nil }

type vastView struct{ *vast }

func (v vastView) Applied() record.LSN             { return v.applied }
func (v vastView) Installed() (string, error)      { return "", nil }
func (v vastView) Get(record.Cell) ([]byte, error) { return nil, nil }
func (v vastView) Close() error                    { return nil }
func (v vastView) Scan(from, _ record.Cell) iter.Seq2[topology.Edit, error] {
	return func(yield func(topology.Edit, error) bool) {
		state := make([]byte, vastState)
		for i := range v.cells {
			e := topology.Edit{Cell: record.Cell{Table: 16, Key: fmt.Appendf(nil, "%09d", i)}, State: state}
			if !yield(e, nil) {
				return
			}
		}
	}
}

type vastStage struct{ *vast }

func (s vastStage) Resume() []byte           { return nil }
func (s vastStage) Close() error             { return nil }
func (s vastStage) Install(record.LSN) error { return nil }
func (s vastStage) Put(_ []byte, es []topology.Edit) error {
	s.staged += len(es)
	return nil
}

// weigher looks at the heap every so many messages.
type weigher struct {
	mu      sync.Mutex
	n       int
	every   int
	largest int
	peak    uint64
}

func (w *weigher) sent(m []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.largest = max(w.largest, len(m))
	if w.n++; w.n%w.every == 0 {
		w.peak = max(w.peak, heap())
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// shipped sends a snapshot of so many cells, and returns what it took of memory.
func shipped(t *testing.T, cells int) *weigher {
	w := &weigher{every: cells*vastState/(64<<10)/10 + 1}
	log, _ := testSource(t, 1000)
	require.NoError(t, log.Truncate(topology.Range{First: 900, Last: 1000}))
	from, to := &vast{cells: cells, applied: 1000}, &vast{}
	s := newTestSender(log, from, Limits{ChunkBytesMax: 64 << 10})
	k := &taker{store: store.NewMemory(), place: to}
	k.watch = w.sent
	before := heap()
	_ = connect(t, s, k, 0, k.has(1000))
	require.Equal(t, 1, k.installs)
	require.Equal(t, cells, to.staged)
	require.NoError(t, s.Close())
	w.peak -= min(before, w.peak)
	return w
}

func TestASnapshotTakesTheSameMemoryWhateverItsSize(t *testing.T) {
	small, large := shipped(t, 5_000), shipped(t, 100_000)
	require.Less(t, small.largest, 80<<10, "a chunk, and what is around it")
	require.Equal(t, small.largest/1024, large.largest/1024)
	const noise = 2 << 20
	require.Less(t, large.peak, small.peak+noise, "100 MB take as much as 5")
	require.Less(t, large.peak, uint64(16*64<<10+noise), "a few chunks")
}

func TestAReceiverThatNeverAcknowledgesHoldsTheSenderAtItsWindow(t *testing.T) {
	log, st := testSource(t, 2000)
	const window, batch, entry = 16 << 10, 2 << 10, 150
	s := newTestSender(log, st, Limits{BatchBytesMax: batch, WindowBytesMax: window, HeartbeatEvery: time.Millisecond})
	k := &taker{store: store.NewMemory(), deaf: true}
	_ = connect(t, s, k, 0, func() bool { // it sends no entries any more, and beats
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.beats > 3
	})
	require.Greater(t, k.end, record.LSN(window/entry/2))
	require.Less(t, k.end, record.LSN((window+batch)/100))
	require.NoError(t, s.Close())
}
