//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"time"
)

// pollEvery is how often a state is looked for.
const pollEvery = 20 * time.Millisecond

// pause lets time pass while a fault lasts.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until polls for a state. What is not there in time is an error that names it.
func until(ctx context.Context, limit time.Duration, what string, holds func(context.Context) (bool, error)) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ok, err := holds(within)
		if ok {
			return nil
		}
		if pause(within, pollEvery) == nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: not within %v: %w", what, limit, err)
		}
		return fmt.Errorf("%s: not within %v", what, limit)
	}
}
