package singleleader

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
