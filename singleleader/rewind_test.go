package singleleader

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A tail of two records, where one may be cut without an operator.
func TestALongTailIsCutOnceAnOperatorApprovesIt(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b", "c"), Rewinds: Rewinds{RewindRecordsMax: 1}}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	_, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	_, err = c.nodes["a"].ApproveRewind(t.Context())
	require.ErrorIs(t, err, topology.ErrNotFound)
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	var token topology.Token
	for _, key := range []string{"lost", "gone"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = c.nodes["a"].Write(ctx, record.Batch{Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte(key), Op: record.OpPut}}}, topology.WriteOptions{})
		cancel()
		var te *topology.Error
		require.ErrorAs(t, err, &te)
		token = topology.Token{Origin: te.Dot.Origin, Term: 1, LSN: record.LSN(te.Dot.Seq)}
	}
	c.nodes["a"].stop()

	c.start("b", "c")
	p, err := c.nodes["b"].Promote(t.Context(), false)
	require.NoError(t, err)
	r, err := c.nodes["b"].put("k", "w")
	require.NoError(t, err)
	c.start("a")
	waits := func() topology.Counts {
		var n topology.Counts
		c.nodes["a"].Count(&n)
		return n
	}
	require.Eventually(t, func() bool { return waits().Rewound.Waiting > 1 }, 10*time.Second, time.Millisecond)
	require.Contains(t, strings.Join(c.nodes["a"].Status().Warnings, " "), "triad rewound approve")
	kept, err := c.nodes["a"].side.List()
	require.NoError(t, err)
	require.Empty(t, kept)
	n, err := c.nodes["a"].ApproveRewind(t.Context())
	require.NoError(t, err)
	c.applied(r.LSN, "a", "b", "c")
	require.Equal(t, n, waits().Rewound.Records)
	require.NotZero(t, waits().Rewound.Bytes)
	require.Zero(t, waits().Rewound.Waiting)
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		require.ErrorIs(t, c.nodes[id].Wait(t.Context(), token), topology.ErrRewound, "%s says so", id)
		rs, err := c.nodes[id].Reigns(t.Context())
		require.NoError(t, err)
		require.Equal(t, "first start", rs[0].Cause)
		require.Equal(t, topology.Reign{Term: p.Term, Leader: "b", Cause: "failover by hand", Start: p.Start, Time: rs[len(rs)-1].Time}, rs[len(rs)-1])
	}
}

// fullCuts is a log that has no room to note what is cut off, a few times.
type fullCuts struct {
	topology.GroupLog
	left atomic.Int32
}

func (l *fullCuts) Truncate(keep topology.Range) error {
	if l.left.Add(-1) >= 0 {
		return fmt.Errorf("the manifest: %w", topology.ErrDiskFull)
	}
	return l.GroupLog.Truncate(keep)
}

// A node that has no room to cut its tail goes on, and is asked again; the tail is
// kept aside once.
func TestATailThatCanNotBeCutYetIsKeptAsideOnce(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a, b := c.nodes["a"], c.nodes["b"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	b.stop()
	c.nodes["c"].stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = a.Write(ctx, batchOf("lost", "v"), topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrTimeout)
	a.stop()
	c.start("b", "c")
	eventually(t, "b leads, once c answers it", func() bool { _, err := b.Promote(t.Context(), false); return err == nil })
	r, err := b.put("k", "w")
	require.NoError(t, err)

	log := &fullCuts{}
	log.left.Store(3)
	a.wrap = func(l topology.GroupLog) topology.GroupLog { log.GroupLog = l; return log }
	c.start("a")
	c.applied(r.LSN, "a")
	require.Negative(t, log.left.Load(), "it was asked again")
	kept, err := a.side.List()
	require.NoError(t, err)
	require.Len(t, kept, 1)
}

// What another leader lacks, and retention has taken out of the log that had it, can
// not be kept aside when it is lost: it is told, once, also over a restart, and however
// often the snapshot then fails to be installed.
func TestWhatIsLostAfterItLeftTheLogIsNoted(t *testing.T) {
	c := newBehind(t)
	a, b := c.nodes["a"], c.nodes["b"]
	first, end := a.log.Bounds().First, a.log.Bounds().End
	a.stop()
	c.start("b")
	parts := b.log.Bounds().End
	_, err := b.Promote(t.Context(), true)
	require.NoError(t, err)
	for i := range 400 { // until its log no longer has the place where the two part
		_, err := b.put(fmt.Sprint("n", i), strings.Repeat("n", 400))
		require.NoError(t, err)
	}
	c.applied(b.Status().End, "b")
	flushed, err := b.store.Flush(t.Context())
	require.NoError(t, err)
	require.NoError(t, b.log.Truncate(topology.Range{First: min(b.Retain(flushed), flushed+1), Last: math.MaxUint64}))
	require.Greater(t, b.log.Bounds().First, parts)
	c.start("a")
	c.applied(b.Status().End, "a")
	told := func() (missing, kept []topology.Kept) {
		all, err := a.side.List()
		require.NoError(t, err)
		for _, k := range all {
			if k.Records == 0 {
				missing = append(missing, k)
			} else {
				kept = append(kept, k)
			}
		}
		return missing, kept
	}
	missing, kept := told()
	require.Len(t, missing, 1)
	require.Equal(t, [2]record.LSN{parts + 1, first - 1}, [2]record.LSN{missing[0].First, missing[0].Last})
	require.Contains(t, missing[0].Why, "had left the log before")
	require.Len(t, kept, 1)
	require.Equal(t, [2]record.LSN{first, end}, [2]record.LSN{kept[0].First, kept[0].Last}, "and the rest is kept")
	require.Contains(t, strings.Join(a.Status().Warnings, "\n"), "kept nowhere")
	a.stop()
	c.start("a")
	_, err = b.put("k", "again")
	require.NoError(t, err)
	c.applied(b.Status().End, "a")
	missing, _ = told()
	require.Len(t, missing, 1)
}

// A member that is further behind than the budget gets a snapshot, but if it is made
// leader by force, what the budget holds is kept aside.
func TestAnAsynchronousLeaderKeepsWhatFitsOfWhatOthersLack(t *testing.T) {
	c := newBehind(t)
	a := c.nodes["a"]
	b := a.log.Bounds()
	most := a.log.Offset(b.End) - a.log.Offset(b.First-2)
	require.Greater(t, most, c.opts.RetainBytesMax)
	flushed, err := a.store.Flush(t.Context())
	require.NoError(t, err)
	keep := a.Retain(flushed)
	require.LessOrEqual(t, a.log.Offset(b.End)-a.log.Offset(keep-1), c.opts.RetainBytesMax)
	require.Greater(t, a.log.Offset(b.End)-a.log.Offset(keep-2), c.opts.RetainBytesMax)

	c.start("b")
	c.applied(b.End, "b")
	eventually(t, "nobody lacks anything", func() bool { return a.Retain(flushed) == b.End+1 })
}
