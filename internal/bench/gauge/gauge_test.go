package gauge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/work"
)

func TestWhatIsNotedIsCountedByClassSiteAndTime(t *testing.T) {
	g := New([]string{"us", "eu"}, time.Second, Phase{100 * time.Millisecond, 200 * time.Millisecond}, Phase{time.Second, time.Hour})
	began := time.Now()
	g.Begin(began)
	us, eu := g.Hand(0), g.Hand(1)
	note := func(h *Hand, class work.Class, at, took int, e Ending) {
		due := began.Add(time.Duration(at) * time.Millisecond)
		h.Note(class, due, due.Add(time.Duration(took)*time.Millisecond), e)
	}
	note(us, work.Write, -1, 5, Answered) // of the warm-up
	for i := range 99 {
		note(us, work.Write, i, 2, Answered)
	}
	note(us, work.Write, 100, 50, Answered)
	note(eu, work.Read, 500, 1, Answered)
	note(eu, work.Write, 990, 30, Answered) // answered after the end
	note(eu, work.Write, 1000, 1, Answered) // due after the end
	note(eu, work.Write, 10, 1, Failed)
	note(eu, work.Write, 10, 1, Unknown)
	require.Equal(t, Counts{102, 1, 1}, g.Counts())
	l := g.Latency()
	require.Len(t, l, 2)
	require.Equal(t, 101, l["write"].Count)
	require.InDelta(t, 2, l["write"].P50, 0.01)
	require.InDelta(t, 30, l["write"].P99, 0.1)
	require.InDelta(t, 50, l["write"].Max, 0.1)
	curve := l["write"].Curve
	require.Equal(t, 1.0, curve[len(curve)-1].Share)
	for i := 1; i < len(curve); i++ {
		require.GreaterOrEqual(t, curve[i].MS, curve[i-1].MS)
		require.Greater(t, curve[i].Share, curve[i-1].Share)
	}
	require.Equal(t, 1, g.Apart(0).Count)
	require.InDelta(t, 50, g.Apart(0).P99, 0.1)
	require.Zero(t, g.Apart(1))
	s := g.Series()
	require.Len(t, s, 10)
	require.Equal(t, result.Point{At: 0, Writes: 98, Sites: map[string]int{"us": 98, "eu": 0}}, s[0])
	require.Equal(t, 1, s[5].Reads)
}

func TestALongTimeWithoutAnAnswerIsFoundForTheSiteThatFaresWorst(t *testing.T) {
	g := New([]string{"us", "eu"}, time.Second)
	began := time.Now()
	g.Begin(began)
	us, eu := g.Hand(0), g.Hand(1)
	for i := range 100 {
		at := began.Add(time.Duration(i) * 10 * time.Millisecond)
		if i < 30 || i >= 40 {
			us.Note(work.Write, at, at, Answered)
		}
		if i < 20 || i >= 70 {
			eu.Note(work.Write, at, at, Answered)
		}
		eu.Note(work.Read, at, at, Answered)
		us.Note(work.Read, at, at, Answered)
	}
	s := g.Suffered(100*time.Millisecond, time.Hour)
	require.InDelta(t, 0.5, s.NoWrite, 1e-9)
	require.Equal(t, "eu", s.Worst)
	require.Zero(t, s.NoRead)
	require.InDelta(t, 0.1, s.Anywhere, 1e-9)
	require.InDelta(t, 0.4, g.Suffered(300*time.Millisecond, time.Second).NoWrite, 1e-9, "only from when the fault began")
}
