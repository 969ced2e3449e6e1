package fit

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAPowerIsFoundAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slope := rapid.Float64Range(-3, 3).Draw(t, "slope")
		at := rapid.Float64Range(0.001, 1000).Draw(t, "at")
		var xs, ys []float64
		for x := 1.0; x < 2000; x *= 4 {
			xs, ys = append(xs, x), append(ys, at*math.Pow(x, slope))
		}
		p := Grows(xs, ys)
		require.InDelta(t, slope, p.Slope, 1e-9)
		require.InEpsilon(t, at, p.At1, 1e-6)
		require.InDelta(t, 0, p.Spread, 1e-6)
		require.Equal(t, len(xs), p.Points)
	})
}

func TestASlopeSaysHowSureItIs(t *testing.T) {
	xs := []float64{1, 2, 4, 8}
	p := Grows(xs, []float64{1, 2.2, 3.8, 8.1})
	require.InDelta(t, 1, p.Slope, p.Spread)
	require.Positive(t, p.Spread)
	require.Greater(t, Grows(xs, []float64{1, 5, 2, 9}).Spread, p.Spread)
	require.True(t, math.IsInf(Grows(xs[:2], []float64{1, 2}).Spread, 1), "two points lie on every line through them")
	require.True(t, math.IsNaN(Grows([]float64{3, 3}, []float64{1, 2}).Slope))
	require.Equal(t, 2, Grows(xs, []float64{0, 1, 2, 0}).Points, "0 has no logarithm")
	long := make([]float64, 40)
	for i := range long {
		long[i] = float64(i + 1)
	}
	require.InDelta(t, 1, Grows(long, long).Slope, 1e-9)
}

func TestTheKneeIsWhereACurveBends(t *testing.T) {
	clients := []float64{1, 4, 16, 64, 256, 1024}
	for name, tc := range map[string]struct {
		ys   []float64
		want int
	}{
		"it saturates":           {[]float64{100, 390, 1400, 1500, 1520, 1530}, 2},
		"it saturates and falls": {[]float64{100, 390, 1400, 1500, 900, 300}, 2},
		"it rises to the end":    {[]float64{100, 200, 300, 400, 500, 600}, -1},
		"it rises, and falls":    {[]float64{100, 200, 300, 400, 300, 200}, 3},
		"it falls":               {[]float64{5, 4, 3, 2, 1, 0}, -1},
		"it is flat":             {[]float64{5, 5, 5, 5, 5, 5}, -1},
	} {
		require.Equal(t, tc.want, Knee(clients, tc.ys), name)
	}
	require.Equal(t, -1, Knee(clients[:2], []float64{1, 2}))
}
