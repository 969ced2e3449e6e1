package triad

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// trace notes in which order works end.
type trace struct {
	mu    sync.Mutex
	ended []string
}

func (tr *trace) until(name string) work {
	return func(ctx context.Context) error {
		<-ctx.Done()
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.ended = append(tr.ended, name)
		return nil
	}
}

func TestLayersEndFromTheTop(t *testing.T) {
	var tr trace
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, runLayers(ctx, []work{tr.until("log")}, []work{tr.until("port")}, []work{tr.until("engine")}))
	require.Equal(t, []string{"engine", "port", "log"}, tr.ended)
}

func TestTheFirstFailureEndsAllAndIsReturned(t *testing.T) {
	for _, reason := range []error{errors.New("disk"), context.Canceled} {
		var tr trace
		fails := func(context.Context) error { return reason }
		err := runLayers(context.Background(), []work{tr.until("log")}, []work{fails, tr.until("port")}, []work{tr.until("engine")})
		require.ErrorIs(t, err, reason)
		require.Equal(t, []string{"engine", "port", "log"}, tr.ended)
	}
}

func TestAWorkThatEndsWithoutAReasonIsAFailure(t *testing.T) {
	require.ErrorIs(t, runLayers(context.Background(), []work{func(context.Context) error { return nil }}), errEnded)
}

func TestAFailureWhileEndingIsNotTheReason(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	late := func(ctx context.Context) error { <-ctx.Done(); return errors.New("late") }
	require.NoError(t, runLayers(ctx, []work{late}))
}
