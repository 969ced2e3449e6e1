package triad

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// fill writes enough for many segments of the log.
func fill(t *testing.T, n *Node) {
	t.Helper()
	for i := range 100 {
		_, err := n.Put(t.Context(), DefaultTable, fmt.Appendf(nil, "%03d", i), make([]byte, 4096))
		require.NoError(t, err)
	}
}

func TestTheLogIsTrimmedToItsBudget(t *testing.T) {
	n, _ := start(t, Config{Limits: Limits{LogSegmentBytes: 32 << 10, LogRetainBytes: 64 << 10, RetainEvery: time.Hour}})
	fill(t, n)
	require.Equal(t, record.LSN(1), n.log.Bounds().First)
	require.NoError(t, (&trimmer{running: running{n}}).trim(t.Context()))
	b := n.log.Bounds()
	require.Greater(t, b.First, record.LSN(1))
	require.Equal(t, record.LSN(100), b.End, "the tail is not touched")
	require.GreaterOrEqual(t, n.log.Offset(b.End)-n.log.Offset(b.First-1), uint64(64<<10), "the budget is kept")
	got, err := n.Get(t.Context(), DefaultTable, []byte("000"))
	require.NoError(t, err)
	require.Len(t, got.Value, 4096)
	require.NoError(t, (&trimmer{running: running{n}}).trim(t.Context()), "and again, with nothing to do")
}

func TestTheLogIsTrimmedByItself(t *testing.T) {
	n, _ := start(t, Config{Limits: Limits{LogSegmentBytes: 32 << 10, LogRetainBytes: 1, RetainEvery: time.Millisecond}})
	fill(t, n)
	require.Eventually(t, func() bool { return n.log.Bounds().First > 50 }, patience, time.Millisecond)
}

// retainer says what of the log its followers need.
type retainer struct {
	*fake
	need *atomic.Uint64
}

func (r retainer) Retain(flushed record.LSN) record.LSN { return record.LSN(r.need.Load()) }

func TestWhatTheEngineRetainsIsKept(t *testing.T) {
	var need atomic.Uint64
	build, at := fakes()
	n, _ := start(t, Config{
		Limits: Limits{LogSegmentBytes: 32 << 10, LogRetainBytes: 1, RetainEvery: time.Hour},
		Topology: func(env topology.Env) (topology.Engine, error) {
			_, err := build(env)
			return retainer{at.Load(), &need}, err
		},
	})
	fill(t, n)
	for _, tc := range []struct {
		need        uint64
		least, most record.LSN
	}{{1, 1, 1}, {0, 1, 1}, {50, 30, 50}, {1 << 40, 90, 101}} {
		need.Store(tc.need)
		require.NoError(t, (&trimmer{running: running{n}}).trim(t.Context()))
		first := n.log.Bounds().First
		require.GreaterOrEqual(t, first, tc.least, "need %d", tc.need)
		require.LessOrEqual(t, first, tc.most, "need %d", tc.need)
		require.Equal(t, record.LSN(100), n.log.Bounds().End)
	}
}

// ahead is a store that is further than the log, as after a snapshot that has
// just replaced both.
type ahead struct{ topology.Store }

func (ahead) Flush(context.Context) (record.LSN, error) { return 1 << 40, nil }

func TestALogIsNotBegunAnewByATrim(t *testing.T) {
	n, f := start(t, Config{Limits: Limits{LogSegmentBytes: 32 << 10, RetainEvery: time.Hour}})
	fill(t, n)
	var all atomic.Uint64
	all.Store(1 << 50)
	trimmed := &Node{config: n.config, log: n.log, store: ahead{n.store}, engine: retainer{f, &all}, catalogue: n.catalogue}
	require.NoError(t, (&trimmer{running: running{trimmed}}).trim(t.Context()))
	require.Equal(t, record.LSN(100), n.log.Bounds().End)
}

func TestALogThatTheStoreIsMadeFromIsNotTrimmed(t *testing.T) {
	n, _, end := launch(t, Config{Memory: true, Limits: Limits{LogSegmentBytes: 32 << 10, LogRetainBytes: 1, RetainEvery: time.Millisecond}})
	fill(t, n)
	require.NoError(t, end())
	require.Equal(t, record.LSN(1), n.log.Bounds().First)
}

func TestTheBudgetIsFoundInAnEmptyLog(t *testing.T) {
	n, _ := start(t, Config{Limits: Limits{RetainEvery: time.Hour}})
	require.NoError(t, (&trimmer{running: running{n}}).trim(t.Context()))
	require.Equal(t, record.LSN(1), n.log.Bounds().First)
}
