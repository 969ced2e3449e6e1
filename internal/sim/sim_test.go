package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/sim/worlds"
)

var (
	seeds = flag.Int("seeds", seedsDefault, "how many seeds TestSeeds runs of each world")
	first = flag.Uint64("first", 1, "the first of them")
	seed  = flag.Uint64("seed", 1, "the seed that TestReplay runs")
	world = flag.String("world", "", "the world that runs; the first one, or all, for none")
	trace = flag.Bool("traced", false, "TestReplay writes the trace to the standard output")
)

func chosen(t *testing.T) []*sim.World {
	if *world == "" {
		return worlds.All
	}
	w, err := worlds.Named(*world)
	require.NoError(t, err)
	return []*sim.World{w}
}

// TestReplay runs one seed again, as a run that failed says.
func TestReplay(t *testing.T) {
	w, err := worlds.Named(*world)
	require.NoError(t, err)
	var r *sim.Result
	if *trace {
		r = sim.Run(w, *seed, os.Stdout)
	} else {
		r = sim.Run(w, *seed, nil)
	}
	t.Log(r)
	if r.Failure != nil {
		t.Fail()
	}
}

// sum is what many runs were.
type sum struct {
	mu              sync.Mutex
	seeds, ops      int
	virtual         time.Duration
	faults, reached map[string]int
	failed          []*sim.Result
}

func (s *sum) add(r *sim.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seeds++
	s.ops += r.Ops
	s.virtual += r.Virtual
	for k, n := range r.Faults {
		s.faults[k] += n
	}
	for k, n := range r.Reached {
		s.reached[k] += n
	}
	if r.Failure != nil {
		s.failed = append(s.failed, r)
	}
}

func (s *sum) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds, %d operations, %v of virtual time", s.seeds, s.ops, s.virtual.Round(time.Second))
	for _, m := range []struct {
		name string
		of   map[string]int
	}{{"faults", s.faults}, {"reached", s.reached}} {
		fmt.Fprintf(&b, "\n%s:", m.name)
		for _, k := range slices.Sorted(maps.Keys(m.of)) {
			fmt.Fprintf(&b, "\n%9d  %s", m.of[k], k)
		}
	}
	return b.String()
}

// failuresMax is how many failures a run of many seeds waits for.
const failuresMax = 12

// seedsForReaches is how many seeds it takes to have met all that is to be met.
const seedsForReaches = 60

// run runs n seeds from the first on, on all processors.
func run(w *sim.World, from uint64, n int) *sum {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	s := &sum{faults: map[string]int{}, reached: map[string]int{}}
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n) && failed.Load() < failuresMax; i = next.Add(1) {
				r := sim.Run(w, from+uint64(i)-1, nil)
				if s.add(r); r.Failure != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return s
}

func TestSeeds(t *testing.T) {
	for _, w := range chosen(t) {
		t.Run(w.Name, func(t *testing.T) {
			began := time.Now()
			s := run(w, *first, *seeds)
			t.Logf("%s: %v\n%.1f seeds a second", w.Name, s, float64(s.seeds)/time.Since(began).Seconds())
			for _, r := range s.failed {
				t.Error(r)
			}
			if s.seeds < seedsForReaches {
				return
			}
			for _, state := range w.Reaches {
				require.NotZero(t, s.reached[state], "%d seeds never reached: %s", s.seeds, state)
			}
		})
	}
}

// The same seed on the same commit gives the same trace.
func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	for _, w := range chosen(t) {
		for seed := uint64(101); seed <= 100+seedsTwice; seed++ {
			a, b := sim.Run(w, seed, nil), sim.Run(w, seed, nil)
			require.Equal(t, a, b)
			require.NotZero(t, a.Lines)
		}
	}
}
