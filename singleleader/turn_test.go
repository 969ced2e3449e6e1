package singleleader

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/singleleader/core"
)

// An owner that leaves while a poster hands over must not leave the turn taken.
func TestATurnThatIsHandedToAnOwnerWhoLeavesIsWorkedOff(t *testing.T) {
	for range 500 {
		done := 0
		tr := newTurn(func(r *round) {
			for _, f := range r.calls {
				f()
			}
		})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { tr.own(ctx) })
		for range 8 {
			wg.Go(func() {
				for range 20 {
					tr.call(func() { done++ })
				}
			})
		}
		cancel()
		ended := make(chan struct{})
		go func() { wg.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the turn stays taken")
		}
		tr.call(func() {})
		require.Equal(t, 160, done)
	}
}

// A writer that lets others go first is taken along by whoever takes a turn
// meanwhile, with those who came after him, and holds nobody up.
func TestWritersThatGatherAreOneGroup(t *testing.T) {
	var groups []int
	tr := newTurn(func(r *round) { groups = append(groups, len(r.writes)) })
	tr.gathers = true
	tr.write(&write{})
	tr.write(&write{}, &write{})
	require.Empty(t, groups)
	tr.post(core.Event{})
	require.Equal(t, []int{3}, groups)
	tr.gathers = false
	tr.write(&write{})
	require.Equal(t, []int{3, 1}, groups)
}
