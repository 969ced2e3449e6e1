package shell

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/sim/history"
)

var (
	seeds = flag.Int("seeds", seedsDefault, "how many seeds TestSeeds runs, and TestSeedsOnPebble a quarter of")
	seed  = flag.Uint64("seed", 0, "the seed of TestReplay, or the first of the others")
	store = flag.String("store", "memory", "where TestReplay keeps what is applied: memory or pebble")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logger says what nodes do if TRIAD_TEST_LOG is set.
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

// replay is the command that runs a seed again.
func replay(s uint64, store string) string {
	command := fmt.Sprintf("go test ./internal/sim/shell -run Replay -seed=%d", s)
	if store != "memory" {
		command += " -store=" + store
	}
	return command + " -v"
}

func TestSeeds(t *testing.T) {
	began, ops, reached := time.Now(), 0, map[string]int{}
	for s := *seed; s < *seed+uint64(*seeds); s++ {
		r := run(t, NewPlan(s))
		ops += len(r.Ops)
		if err := r.Judge(); err != nil {
			keep(t, r)
			t.Errorf("%v\n%v\nreplay with: %s", r, err, replay(s, "memory"))
		}
		for what, n := range r.Reached {
			reached[what] += n
		}
	}
	t.Logf("%d seeds, %d operations, %.1f seeds a second", *seeds, ops, float64(*seeds)/time.Since(began).Seconds())
	for _, what := range slices.Sorted(maps.Keys(reached)) {
		t.Logf("reached: %s: %d", what, reached[what])
	}
	if *seeds >= seedsForAll {
		for _, what := range sometimes() {
			require.NotZero(t, reached[what], "%d seeds have not reached: %s", *seeds, what)
		}
	}
}

// seedsForAll is how many seeds meet everything that is to be met sometimes.
const seedsForAll = 100

func sometimes() []string {
	states := []string{
		reachedFailover, reachedDiskEnd, reachedDiskShut, reachedRewound,
		reachedCounted, reachedRotShut, reachedRotEnd, reachedMended, reachedForced, reachedLost,
	}
	for _, w := range weights {
		states = append(states, "fault: "+string(w.Kind))
	}
	for _, kinds := range lossKinds {
		for _, k := range kinds {
			states = append(states, "fault: "+string(k))
		}
	}
	return states
}

// TestSeedsOnPebble runs seeds with the store on the crashing file system, and a log
// that is trimmed. Pebble shares pools that do not bear a second bubble, so each
// has a process of its own.
func TestSeedsOnPebble(t *testing.T) {
	if testing.Short() {
		t.Skip("a process a seed: not with -short")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for s := *seed; s < *seed+uint64(max(*seeds/4, 1)); s++ {
		cmd := exec.Command(self, "-test.run=^TestReplay$", "-test.v", "-test.timeout=2m", fmt.Sprintf("-seed=%d", s), "-store=pebble")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s\n%v\nreplay with: %s", out, err, replay(s, "pebble"))
		}
	}
}

// TestReplay runs one seed again and shows its plan.
func TestReplay(t *testing.T) {
	p := NewPlan(*seed)
	p.Pebble = *store == "pebble"
	r := run(t, p)
	t.Log(r)
	if err := r.Judge(); err != nil {
		keep(t, r)
		t.Error(err)
	}
}

// keep writes the history of a failure where -artifacts keeps it.
func keep(t *testing.T, r *Result) {
	require.NoError(t, history.Save(filepath.Join(t.ArtifactDir(), fmt.Sprintf("seed-%d.jsonl", r.Plan.Seed)), r.Ops))
}

func TestAPlanIsThatOfItsSeed(t *testing.T) {
	for s := range uint64(200) {
		p := NewPlan(s)
		require.Equal(t, p, NewPlan(s))
		require.GreaterOrEqual(t, len(p.Faults), FaultsMin)
		require.NoError(t, p.Policy.Validate())
	}
}
