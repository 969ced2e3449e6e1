package shell

import (
	"flag"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

var (
	seeds = flag.Int("seeds", 20, "how many seeds TestSeeds runs")
	seed  = flag.Uint64("seed", 0, "the seed of TestReplay, or the first of TestSeeds")
	store = flag.String("store", "memory", "where TestReplay keeps what is applied: memory or pebble")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func logger() *slog.Logger {
	if os.Getenv("TRIAD_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// run runs one seed in a bubble of its own.
func run(t *testing.T, p Plan) *Result {
	var r *Result
	synctest.Test(t, func(*testing.T) { r = Run(p, logger()) })
	return r
}

func TestSeeds(t *testing.T) {
	began, ops := time.Now(), 0
	for s := *seed; s < *seed+uint64(*seeds); s++ {
		r := run(t, NewPlan(s))
		ops += len(r.Ops)
		if err := r.Judge(); err != nil {
			t.Errorf("%v\n%v\nreplay with: go test ./internal/sim/shell -run Replay -seed=%d", r, err, s)
		}
	}
	t.Logf("%d seeds, %d operations, %.1f seeds a second", *seeds, ops, float64(*seeds)/time.Since(began).Seconds())
}

func TestReplay(t *testing.T) {
	p := NewPlan(*seed)
	p.Pebble = *store == "pebble"
	r := run(t, p)
	t.Log(r)
	if err := r.Judge(); err != nil {
		t.Error(err)
	}
}
