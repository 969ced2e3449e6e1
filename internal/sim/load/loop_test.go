package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/history"
)

const ms = time.Millisecond

// slow is a worker whose every answer takes a time; it notes when its steps were due
// and how long they took from then.
func slow(takes time.Duration, due *[]time.Duration, all *Latencies) func(int) Step {
	began := time.Now()
	return func(int) Step {
		return func(at time.Time) (time.Duration, bool) {
			*due = append(*due, at.Sub(began))
			time.Sleep(takes)
			all.Add(time.Since(at))
			return 0, true
		}
	}
}

func TestAClosedLoopAsksAgainOnceItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 35*ms)
		defer cancel()
		var due []time.Duration
		var all Latencies
		Loop{Workers: 1}.Run(ctx, slow(10*ms, &due, &all))
		require.Equal(t, []time.Duration{0, 10 * ms, 20 * ms, 30 * ms}, due, "what was under way was waited for")
		require.Equal(t, 10*ms, all.At(1))
	})
}

func TestAClosedLoopRestsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, began := 0, time.Now()
		Loop{Workers: 1}.Run(t.Context(), func(int) Step {
			return func(time.Time) (time.Duration, bool) { n++; return 5 * ms, n < 3 }
		})
		require.Equal(t, 3, n)
		require.Equal(t, 10*ms, time.Since(began))
	})
}

// A stall of one answer is seen by everything that was due meanwhile: else a
// benchmark would leave out what its users suffer from.
func TestInAnOpenLoopAStallCountsForAllThatWasDueDuringIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 99*ms)
		defer cancel()
		var due []time.Duration
		var all Latencies
		n := 0
		began := time.Now()
		Loop{Workers: 1, Rate: 100}.Run(ctx, func(int) Step {
			return func(at time.Time) (time.Duration, bool) {
				due = append(due, at.Sub(began))
				if n++; n == 3 {
					time.Sleep(45 * ms)
				}
				all.Add(time.Since(at))
				return 0, true
			}
		})
		require.Equal(t, []time.Duration{0, 10 * ms, 20 * ms, 30 * ms, 40 * ms, 50 * ms, 60 * ms, 70 * ms, 80 * ms, 90 * ms}, due)
		require.Equal(t, 45*ms, all.At(1))
		require.Equal(t, 5*ms, all.At(0.6), "5, 15, 25, 35 and 45 ms, the others at once")
	})
}

func TestAnOpenLoopMakesNoMoreWorkersThanItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		made := 0
		Loop{Workers: 64, Rate: 100}.Run(ctx, func(int) Step {
			made++
			return func(time.Time) (time.Duration, bool) { time.Sleep(25 * ms); return 0, true }
		})
		require.Equal(t, 3, made)
	})
}

func TestAnOpenLoopShedsWhatNobodyIsFreeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 99*ms)
		defer cancel()
		var due []time.Duration
		var all Latencies
		shed := 0
		Loop{Workers: 1, Rate: 100, Shed: func() { shed++ }}.Run(ctx, slow(25*ms, &due, &all))
		require.Equal(t, []time.Duration{0, 30 * ms, 60 * ms, 90 * ms}, due)
		require.Equal(t, 6, shed)
		require.Equal(t, 25*ms, all.At(1))
	})
}

func TestAnOpenLoopEndsWithItsWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		Loop{Workers: 3, Rate: 1000}.Run(t.Context(), func(int) Step {
			return func(time.Time) (time.Duration, bool) { time.Sleep(ms); return 0, false }
		})
	})
}

func TestARunnerThatIsBehindItsRateSaysHowLateItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Runner{
			Options: Options{Mix: Mix{Once: 1}}, Sessions: 1, Rate: 100, OpsMax: 3, Recorder: history.NewRecorder(nil),
			Dial: func(uint64) Client { return waits(15 * ms) },
		}
		r.Run(t.Context())
		var late, took []time.Duration
		keys := map[string]bool{}
		for _, op := range r.Recorder.Ops() {
			late, took = append(late, op.Late), append(took, op.Took())
			keys[op.Key] = true
		}
		require.Equal(t, []time.Duration{0, 5 * ms, 10 * ms}, late)
		require.Equal(t, []time.Duration{15 * ms, 20 * ms, 25 * ms}, took)
		require.Len(t, keys, 3, "a key that is written once is written once")
	})
}

// waits is a client that answers after so long.
type waits time.Duration

func (w waits) Do(_ context.Context, op history.Op) history.Op {
	time.Sleep(time.Duration(w))
	op.Outcome = history.Applied
	return op
}
