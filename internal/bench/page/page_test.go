package page

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
)

func TestThePageHoldsEverythingAndAsksNobody(t *testing.T) {
	r := &result.Report{
		Format: result.Format, Scenario: "</script><b>evil", Text: "about: <i>x</i>", Began: time.Unix(0, 0), Partial: "1 of 2 runs",
		LeftOut: []string{"quorum: not built"}, Checks: []result.Check{{What: "one: broken"}},
		Cells: []result.Cell{{
			Subject: "one", Workload: "w", Promise: "much",
			Anomalies: []result.Anomaly{{What: scenario.LostWrites, Judged: 5, Forbidden: true}},
			Runs:      []result.Run{{Seconds: 1, Ops: 10, Latency: map[string]result.Latency{"write": {P99: 2}}}},
		}},
	}
	b, err := HTML(r)
	require.NoError(t, err)
	text := string(b)
	for _, want := range []string{"uPlot", "Permission is hereby granted", "1 of 2 runs", "quorum: not built", "one: broken", `"subject":"one"`, "about: &lt;i&gt;x"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "</script><b>evil", "what a report says ends no element")
	require.NotContains(t, text, "<i>x</i>")
	require.Empty(t, regexp.MustCompile(`(?:src|href)="(?:https?:)?//[^"]*"|@import|url\(`).FindAllString(text, -1), "nothing is fetched")
	require.Contains(t, text, "10 operations a second")
}
