package triad

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/triad-kv/triad/topology"
)

// gate lets calls through to the engine: none before it runs, none after the
// node has ended, and it knows when the last one has left, so that nothing is
// closed under a call.
type gate struct {
	calls atomic.Int64  // in flight, and shutBit
	open  chan struct{} // closed when the engine is about to run
	shut  chan struct{} // closed by stop
	idle  chan struct{} // closed when it is shut and the last call has left

	opened, stopped, drained sync.Once
	reason                   error // why it is shut; set before shut is closed

	counts counts // what became of the calls

	answers atomic.Pointer[func(context.Context, []byte) ([]byte, error)] // who answers what nodes forward here; nil: nobody
}

const shutBit = 1 << 62

func newGate() *gate {
	return &gate{open: make(chan struct{}), shut: make(chan struct{}), idle: make(chan struct{})}
}

// enter admits a call, or says why not. Until the engine runs it waits, as long
// as ctx lasts. Who was admitted must leave.
func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	if g.calls.Add(1)&shutBit != 0 {
		g.leave()
		<-g.shut
		return g.reason
	}
	select {
	case <-g.open:
		return nil
	default:
	}
	select {
	case <-g.open:
		return nil
	case <-g.shut:
		g.leave()
		return g.reason
	case <-ctx.Done():
		g.leave()
		return fmt.Errorf("%w: this node does not run yet: %w", topology.ErrTimeout, ctx.Err())
	}
}

func (g *gate) leave() {
	if g.calls.Add(-1) == shutBit {
		g.drained.Do(func() { close(g.idle) })
	}
}

// start lets the calls through that wait, and those to come.
func (g *gate) start() { g.opened.Do(func() { close(g.open) }) }

// stop refuses every later call with reason, and those that still wait for the
// start.
func (g *gate) stop(reason error) {
	g.stopped.Do(func() {
		g.reason = reason
		if g.calls.Or(shutBit) == 0 {
			g.drained.Do(func() { close(g.idle) })
		}
		close(g.shut)
	})
}

// drain waits, after stop, for the calls that were let through.
func (g *gate) drain() { <-g.idle }
