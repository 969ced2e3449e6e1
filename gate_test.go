package triad

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestAGateLetsCallsWaitForTheStart(t *testing.T) {
	g := newGate()
	done := make(chan error, 1)
	go func() { done <- g.enter(context.Background()) }()
	g.start()
	require.NoError(t, <-done)
	g.leave()
	g.stop(topology.ErrClosed)
	g.drain()
}

func TestAWaitingCallEndsWithItsContext(t *testing.T) {
	g := newGate()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.enter(ctx) }()
	cancel()
	err := <-done
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.ErrorIs(t, err, context.Canceled)
	g.stop(topology.ErrClosed)
	g.drain()
}

func TestAnEndedContextIsNotLetIn(t *testing.T) {
	g := newGate()
	g.start()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, g.enter(ctx), topology.ErrTimeout)
}

func TestAStoppedGateGivesItsReason(t *testing.T) {
	g := newGate()
	reason := errors.New("because")
	waiting := make(chan error, 1)
	go func() { waiting <- g.enter(context.Background()) }()
	g.stop(reason)
	require.ErrorIs(t, <-waiting, reason)
	g.start()
	require.ErrorIs(t, g.enter(context.Background()), reason)
	g.stop(errors.New("another"))
	require.ErrorIs(t, g.enter(context.Background()), reason)
	g.drain()
}

func TestDrainWaitsForTheLastCall(t *testing.T) {
	g := newGate()
	g.start()
	require.NoError(t, g.enter(t.Context()))
	g.stop(topology.ErrClosed)
	drained := make(chan struct{})
	go func() { g.drain(); close(drained) }()
	select {
	case <-drained:
		require.FailNow(t, "drained with a call in flight")
	default:
	}
	g.leave()
	<-drained
}

func TestNoCallIsInFlightAfterDrain(t *testing.T) {
	for range 50 {
		g := newGate()
		g.start()
		var in sync.WaitGroup
		var closed bool // written after drain, read by calls: the race detector watches
		for range 8 {
			in.Go(func() {
				for range 100 {
					if g.enter(context.Background()) != nil {
						return
					}
					if closed {
						t.Error("let in after drain")
					}
					g.leave()
				}
			})
		}
		g.stop(topology.ErrClosed)
		g.drain()
		closed = true
		in.Wait()
	}
}
