package shell

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
)

func logger() *slog.Logger {
	if os.Getenv("TRIAD_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestAClusterStartsInABubble(t *testing.T) {
	for seed := range uint64(20) {
		began := time.Now()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(NewPlan(seed), logger())
			w.run(func(ctx context.Context) {
				var err error
				for range 100 {
					time.Sleep(100 * time.Millisecond)
					p := w.machines["a"].process()
					if p == nil {
						continue
					}
					ctx, cancel := context.WithTimeout(ctx, time.Second)
					err = p.do(ctx, func(ctx context.Context) error {
						_, err := p.Put(ctx, triad.DefaultTable, []byte("k"), []byte("v"))
						return err
					})
					cancel()
					if err == nil {
						break
					}
				}
				require.NoError(t, err)
			})
			require.Empty(t, w.faults)
			time.Sleep(time.Minute)
		})
		t.Log(seed, time.Since(began))
	}
}
