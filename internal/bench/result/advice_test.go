package result

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/bench/scenario"
)

func TestAdviceFollowsFromPromisesAndNumbersAlone(t *testing.T) {
	cell := func(subject string, ops int, p99 float64, as ...Anomaly) Cell {
		return Cell{Subject: subject, Workload: "w", Anomalies: as, Runs: []Run{{Seconds: 1, Ops: ops, Latency: map[string]Latency{"write": {P99: p99}}}}}
	}
	linear := func(found int, promised bool) Anomaly {
		return Anomaly{What: scenario.NotLinearizable, Level: scenario.LevelLinearizable, Judged: 100, Found: found, Forbidden: promised}
	}
	r := &Report{Cells: []Cell{
		cell("slow", 100, 8, linear(0, true)), cell("fast", 400, 2, linear(7, false)), cell("lucky", 200, 4, linear(0, false)), cell("broken", 300, 1, linear(1, true)),
	}}
	r.Cells[1].Disks = 2
	advice := map[string]Advice{}
	for _, a := range Advise(r) {
		advice[strings.Fields(a.Need)[0]] = a
	}
	one := advice["One"]
	require.Len(t, one.Fits, 1)
	require.Equal(t, "slow", one.Fits[0].Subject)
	require.Contains(t, one.Fits[0].Cost, "25 % of the throughput of the fastest, a write's p99 8.0 times")
	require.Len(t, one.Misfit, 3)
	require.Contains(t, strings.Join(one.Misfit, "\n"), "lucky: no order explains it did not happen here, and nothing promises that")
	order := func(need string) (names []string) {
		for _, f := range advice[need].Fits {
			names = append(names, f.Subject)
		}
		return names
	}
	require.Equal(t, []string{"fast", "broken", "lucky", "slow"}, order("As"))
	require.Equal(t, []string{"broken", "fast", "lucky", "slow"}, order("The"))
	require.Empty(t, order("Counters"), "no such work was measured")
	require.Equal(t, []string{"fast"}, order("What"), "on two disks when it is acknowledged")
	require.NotContains(t, advice, "Everybody", "nothing was broken")
	r.Faults = []Fault{{Name: "cut"}}
	r.Cells[0].Runs[0].Faults = []Suffered{{NoWrite: 3}}
	last := Advise(r)[len(Advise(r))-1]
	require.Equal(t, "slow", last.Fits[3].Subject)
	require.Contains(t, last.Fits[3].Why, "3.00 s")
}
