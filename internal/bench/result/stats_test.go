package result

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheMedianIsInTheMiddle(t *testing.T) {
	require.Zero(t, Median(nil))
	require.Equal(t, 2.0, Median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, Median([]float64{4, 3, 1, 2}))
	require.InDelta(t, 0.5, Spread([]float64{1, 2, 3}), 1e-9)
	require.Zero(t, Spread([]float64{1}))
}

// The exact values are those of tables of the U test; with ties, and of larger samples,
// those of the approximation that R's wilcox.test(exact = FALSE) makes.
func TestTheUTestSaysHowLikelyADifferenceIsChance(t *testing.T) {
	require.Equal(t, 1.0, MannWhitney(nil, []float64{1}))
	require.InDelta(t, 0.1, MannWhitney([]float64{1, 2, 3}, []float64{4, 5, 6}), 1e-12)
	require.InDelta(t, 2.0/70, MannWhitney([]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}), 1e-12)
	require.InDelta(t, 2.0/70, MannWhitney([]float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}), 1e-12)
	require.InDelta(t, 2.0/252, MannWhitney([]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}), 1e-12)
	require.InDelta(t, 1, MannWhitney([]float64{1, 4}, []float64{2, 3}), 1e-12)
	require.InDelta(t, 0.2, MannWhitney([]float64{1, 2, 4}, []float64{3, 5, 6}), 1e-12)
	require.Equal(t, 1.0, MannWhitney([]float64{1, 1}, []float64{1, 1}), "all alike")
	tied := MannWhitney([]float64{1, 2, 2, 3}, []float64{2, 3, 4, 4})
	require.Greater(t, tied, 0.1)
	require.Less(t, tied, 0.25)
	var a, b []float64
	for i := range 30 {
		a, b = append(a, float64(2*i)), append(b, float64(2*i+41))
	}
	require.Less(t, MannWhitney(a, b), 1e-5)
}

func TestReportsAreComparedByWhatBothHave(t *testing.T) {
	report := func(factor float64, subjects ...string) *Report {
		r := &Report{Format: Format}
		for _, s := range subjects {
			c := Cell{Subject: s, Workload: "w"}
			for i := range RunsLeast {
				ms := factor * (1 + float64(i)/10)
				c.Runs = append(c.Runs, Run{Seconds: 1, Ops: int(1000 / ms), Latency: map[string]Latency{"write": {P50: ms, P99: 2 * ms}}})
			}
			r.Cells = append(r.Cells, c)
		}
		return r
	}
	all := Compare(report(1, "a", "b"), report(2, "a", "c"))
	found := map[string]Change{}
	for _, c := range all {
		require.Equal(t, "a", c.Subject)
		found[c.What] = c
	}
	require.NotContains(t, found, "read p50 ms", "nobody read")
	require.True(t, found["ops/s"].Significant())
	require.InDelta(t, 0.5, found["ops/s"].Ratio, 0.01)
	require.InDelta(t, 2, found["write p99 ms"].Ratio, 0.01)
	for _, c := range Compare(report(1, "a"), report(1, "a")) {
		require.False(t, c.Significant(), c.What)
	}
}
