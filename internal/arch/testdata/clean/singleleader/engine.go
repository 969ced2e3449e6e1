package singleleader

import (
	"context"
	"sync"
	"time"
)

// The shell may do what a core may not.
func run(ctx context.Context, m map[string]int) {
	var g sync.WaitGroup
	g.Go(func() { time.Sleep(0) })
	for range m {
	}
	select {
	case <-ctx.Done():
	case <-time.After(0):
	}
	g.Wait()
}

var _ = run
