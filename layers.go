package triad

import (
	"context"
	"errors"
	"sync"
)

// work runs until its context ends, and then returns nil; or it returns why it
// cannot go on.
type work func(ctx context.Context) error

// errEnded is the reason of a work that returned nil with its context alive.
var errEnded = errors.New("a part of the node ended without a reason")

// runLayers runs all work at once, until ctx ends or the first of it fails, and
// returns that failure. It then ends the layers one after another, the last
// one first, and waits for each before it ends the one it stands on.
func runLayers(ctx context.Context, layers ...[]work) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	ends := make([]func(), len(layers))
	for i, layer := range layers {
		ends[i] = runLayer(ctx, layer, fail)
	}
	<-ctx.Done()
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i]()
	}
	var f *failure
	if errors.As(context.Cause(ctx), &f) {
		return f.err
	}
	return nil
}

// failure tells the reason of a part from the end of the caller's context: it
// wraps nothing, so that nothing in the reason is mistaken for it.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }

// runLayer runs one layer with a context of its own, which outlives ctx until
// the returned function ends it.
func runLayer(ctx context.Context, layer []work, fail context.CancelCauseFunc) (end func()) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wait sync.WaitGroup
	for _, w := range layer {
		wait.Go(func() {
			err := w(own)
			if err == nil && own.Err() == nil {
				err = errEnded
			}
			if err != nil {
				fail(&failure{err})
			}
		})
	}
	return func() { cancel(); wait.Wait() }
}
