package singleleader

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// counting is a control that counts what it is asked for.
type counting struct {
	topology.Control
	loads, swaps *atomic.Int64
}

func (c counting) Load(ctx context.Context, name string) (topology.Document, error) {
	c.loads.Add(1)
	return c.Control.Load(ctx, name)
}

func (c counting) Swap(ctx context.Context, d topology.Document) (topology.Document, error) {
	c.swaps.Add(1)
	return c.Control.Swap(ctx, d)
}

// A commit costs the control nothing: it is asked to change something when somebody
// comes, goes or leads, and never because somebody writes.
func TestAMillionCommitsWriteNothingToTheControl(t *testing.T) {
	const writers, each = 500, steadyWrites / 500
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.opts.FailAfter = time.Minute // nobody is away, however slow the machine is
	c.wal.SegmentBytes = 8 << 20
	var loads, swaps atomic.Int64
	c.control = func(inner topology.Control) topology.Control { return counting{inner, &loads, &swaps} }
	c.startAll()
	leader := c.nodes[c.leader()]
	c.inSync(leader.id, "a", "b")
	require.NotZero(t, swaps.Load(), "a group that begins is written down: this counts")

	beganSwaps, beganLoads, began := swaps.Load(), loads.Load(), leader.Status().Commit
	var last atomic.Uint64
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				if w == 0 && i%(each/8) == 0 {
					nudge(leader.council.counts) // as the ticker does, however quick the machine is
				}
				r, err := leader.Write(t.Context(), batchOf(fmt.Sprintf("%d/%d", w, i%16), "v"), topology.WriteOptions{})
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				for lsn := last.Load(); uint64(r.LSN) > lsn && !last.CompareAndSwap(lsn, uint64(r.LSN)); lsn = last.Load() {
				}
			}
		})
	}
	wait.Wait()
	c.applied(record.LSN(last.Load()), "a", "b", "c")
	require.GreaterOrEqual(t, leader.Status().Commit-began, record.LSN(writers*each))
	require.Equal(t, beganSwaps, swaps.Load(), "control writes in a million commits")
	require.Equal(t, beganLoads, loads.Load(), "and none was read")
	require.Equal(t, uint64(1), leader.Status().Term)
}
