package main

import (
	"context"
	"sync"
	"time"
)

// A test that has run for waitsAfter is taken to wait for what does not come. So
// many may wait beside those that work.
const (
	waitsAfter = 3 * time.Second
	waitingMax = 20
)

// each does all of n, jobs of them at once, and returns once all are done, or ctx
// has ended and those that were begun are done. One that waits, by its own word or
// because it takes so long, leaves its place to another.
func each(ctx context.Context, jobs, n int, do func(i int, waits func())) {
	places, waiting := make(chan struct{}, max(1, jobs)), make(chan struct{}, waitingMax)
	var all sync.WaitGroup
	for i := 0; i < n && ctx.Err() == nil; i++ {
		places <- struct{}{}
		all.Go(func() {
			waits, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				do(i, sync.OnceFunc(func() { close(waits) }))
			}()
			long := time.NewTimer(waitsAfter)
			defer long.Stop()
			select {
			case <-long.C:
			case <-waits:
			case <-done:
			}
			select {
			case waiting <- struct{}{}:
				<-places
				<-done
				<-waiting
			case <-done:
				<-places
			}
		})
	}
	all.Wait()
}
