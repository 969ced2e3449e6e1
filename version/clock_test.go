package version_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/version"
)

// wall is a wall clock that a test moves.
type wall struct{ at time.Time }

func (w *wall) now() time.Time { return w.at }

func (w *wall) move(d time.Duration) { w.at = w.at.Add(d) }

func newWall() *wall { return &wall{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func TestTimestampHoldsMillisecondsAndACounter(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123_999_999, time.UTC)
	ts := version.TimestampAt(at)
	require.Equal(t, at.Truncate(time.Millisecond), ts.Time().UTC())
	require.Zero(t, ts.Counter())
	require.EqualValues(t, 7, (ts + 7).Counter())
	require.Equal(t, ts.Time(), (ts + math.MaxUint16).Time())
	require.Equal(t, "2026-11-23T12:00:00.123Z+7", (ts + 7).String())
}

func TestTimestampsSortAsTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := time.UnixMilli(rapid.Int64Range(0, 1<<48-1).Draw(t, "a"))
		b := time.UnixMilli(rapid.Int64Range(0, 1<<48-1).Draw(t, "b"))
		require.Equal(t, a.Before(b), version.TimestampAt(a) < version.TimestampAt(b))
	})
}

func TestTimestampStaysWithinItsRange(t *testing.T) {
	require.Zero(t, version.TimestampAt(time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)))
	require.Zero(t, version.TimestampAt(time.Time{}))
	last := version.TimestampAt(time.UnixMilli(1<<48 - 1))
	require.Equal(t, version.Timestamp(math.MaxUint64), last|math.MaxUint16)
	require.Equal(t, last, version.TimestampAt(time.UnixMilli(1<<48)))
	require.Equal(t, last, version.TimestampAt(time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func TestClockFollowsTheWallClock(t *testing.T) {
	w := newWall()
	c := version.NewClock(w.now, 0)
	require.Zero(t, c.Last())
	require.Equal(t, version.TimestampAt(w.at), c.Now())
	w.move(time.Second)
	require.Equal(t, version.TimestampAt(w.at), c.Now())
	require.Equal(t, version.TimestampAt(w.at), c.Last())
}

func TestClockNeverGoesBackWithTheWallClock(t *testing.T) {
	w := newWall()
	c := version.NewClock(w.now, 0)
	first := c.Now()
	w.move(-time.Hour)
	require.Equal(t, first+1, c.Now())
	w.move(-100 * 365 * 24 * time.Hour) // before 1970
	require.Equal(t, first+2, c.Now())
}

func TestClockCarriesAFullCounterIntoTheNextMillisecond(t *testing.T) {
	w := newWall()
	c := version.NewClock(w.now, 0)
	first := c.Now()
	c.Raise(first + math.MaxUint16)
	next := c.Now()
	require.Zero(t, next.Counter())
	require.Equal(t, first.Time().Add(time.Millisecond), next.Time())
	w.move(time.Millisecond)
	require.Equal(t, next+1, c.Now(), "the wall clock has reached it")
}

func TestObserveRaisesTheClock(t *testing.T) {
	w := newWall()
	c := version.NewClock(w.now, time.Second)
	ts := version.TimestampAt(w.at.Add(900*time.Millisecond)) + 41
	require.NoError(t, c.Observe(ts))
	require.Equal(t, ts, c.Last())
	require.Equal(t, ts+1, c.Now())
}

func TestObserveOfThePastChangesNothing(t *testing.T) {
	w := newWall()
	c := version.NewClock(w.now, 0)
	now := c.Now()
	for _, ts := range []version.Timestamp{0, 1, now - 1, now} {
		require.NoError(t, c.Observe(ts))
		require.Equal(t, now, c.Last())
	}
}

func TestObserveRefusesATimeTooFarAheadAndLeavesTheClock(t *testing.T) {
	w := newWall()
	for _, most := range []time.Duration{time.Millisecond, version.MaxSkewDefault, time.Hour} {
		c := version.NewClock(w.now, most)
		now := c.Now()
		require.NoError(t, c.Observe(version.TimestampAt(w.at.Add(most))|math.MaxUint16), "just as far as is allowed")
		c = version.NewClock(w.now, most)
		c.Raise(now)
		for _, ahead := range []time.Duration{most + time.Millisecond, 10 * 365 * 24 * time.Hour} {
			ts := version.TimestampAt(w.at.Add(ahead))
			err := c.Observe(ts)
			var skew *version.SkewError
			require.ErrorAs(t, err, &skew)
			require.Equal(t, version.SkewError{Time: ts, Ahead: ahead, Max: most}, *skew)
			require.Equal(t, now, c.Last())
		}
		require.Error(t, c.Observe(math.MaxUint64))
		require.Equal(t, now, c.Last())
	}
}

func TestObserveAllowsTheDefaultSkewUnlessToldOtherwise(t *testing.T) {
	w := newWall()
	c := version.NewClock(w.now, 0)
	require.NoError(t, c.Observe(version.TimestampAt(w.at.Add(version.MaxSkewDefault))))
	require.ErrorContains(t, c.Observe(version.TimestampAt(w.at.Add(version.MaxSkewDefault+time.Millisecond))),
		"time 2026-11-23T12:00:00.501Z+0 is 501ms ahead of the local clock, more than the allowed 500ms")
}

func TestRaiseBelievesWhatItIsGiven(t *testing.T) {
	w := newWall()
	c := version.NewClock(w.now, 0)
	ts := version.TimestampAt(w.at.Add(time.Hour))
	c.Raise(ts)
	require.Equal(t, ts, c.Last())
	require.Equal(t, ts+1, c.Now())
	c.Raise(ts)
	require.Equal(t, ts+1, c.Last(), "never back")
}

func TestClockAtTheEndOfItsRangeDoesNotGoBack(t *testing.T) {
	c := version.NewClock(newWall().now, 0)
	c.Raise(math.MaxUint64 - 1)
	require.EqualValues(t, uint64(math.MaxUint64), c.Now())
	require.EqualValues(t, uint64(math.MaxUint64), c.Now())
}

func TestClockIsMonotoneWhateverTheWallClockAndPeersDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWall()
		c := version.NewClock(w.now, version.MaxSkewDefault)
		var last version.Timestamp // the greatest handed out, taken or raised to
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			ts := version.TimestampAt(w.at.Add(time.Duration(rapid.Int64Range(-2000, 2000).Draw(t, "ms")) * time.Millisecond))
			ts += version.Timestamp(rapid.Uint16().Draw(t, "counter"))
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				w.move(time.Duration(rapid.Int64Range(-5_000, 5_000).Draw(t, "jump")) * time.Millisecond)
			case 1:
				if c.Observe(ts) == nil {
					last = max(last, ts)
				}
			case 2:
				c.Raise(ts)
				last = max(last, ts)
			case 3:
				now := c.Now()
				require.Greater(t, now, last)
				require.GreaterOrEqual(t, now, version.TimestampAt(w.at))
				last = now
			}
			require.Equal(t, last, c.Last())
		}
	})
}

func TestClockGivesEveryGoroutineItsOwnTimes(t *testing.T) {
	c := version.NewClock(newWall().now, 0) // stands still, so that all is in the counter
	const workers, each = 8, 2000
	got := make([][]version.Timestamp, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for range each {
				got[i] = append(got[i], c.Now())
				c.Raise(c.Last())
			}
		})
	}
	wg.Wait()
	seen := map[version.Timestamp]bool{}
	for _, ts := range got {
		for i, now := range ts {
			require.False(t, seen[now], "given twice")
			require.True(t, i == 0 || ts[i-1] < now)
			seen[now] = true
		}
	}
	require.Len(t, seen, workers*each)
}

func TestClockWithoutAWallClockTakesTheSystems(t *testing.T) {
	before := version.TimestampAt(time.Now())
	now := version.NewClock(nil, 0).Now()
	require.GreaterOrEqual(t, now, before)
	require.LessOrEqual(t, now, version.TimestampAt(time.Now()))
}

func TestWritesAreOrderedByTimeThenOriginThenSequence(t *testing.T) {
	for _, x := range []struct {
		t, u version.Timestamp
		d, e version.Dot
		want int
	}{
		{t: 1, u: 2, d: dot(9, 9, 9), e: dot(1, 1, 1), want: -1},
		{t: 2, u: 2, d: dot(1, 2, 9), e: dot(2, 1, 1), want: -1},
		{t: 2, u: 2, d: dot(1, 2, 1), e: dot(1, 1, 9), want: +1},
		{t: 2, u: 2, d: dot(1, 1, 1), e: dot(1, 1, 2), want: -1},
		{t: 2, u: 2, d: dot(1, 1, 1), e: dot(1, 1, 1), want: 0},
	} {
		require.Equal(t, x.want, version.CompareWrites(x.t, x.d, x.u, x.e))
		require.Equal(t, -x.want, version.CompareWrites(x.u, x.e, x.t, x.d))
	}
}
