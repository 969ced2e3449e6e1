package bench

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T, text string) Options {
	t.Helper()
	s, err := scenario.Read("s.yaml", []byte(text))
	require.NoError(t, err)
	return Options{Scenario: s, Name: "s.yaml", Text: []byte(text), Command: "triad bench -c s.yaml", Dir: t.TempDir(), Err: new(bytes.Buffer)}
}

const short = `
about: every kind of subject and of work, and a fault
repeats: 1
warm: 50ms
time: 600ms
timeout: 2s
probes: {sessions: 3, keys: 3}
subjects:
  one: {topology: single-leader, sync: [any 1], read: [session]}
  sites: {topology: multi-leader, conflicts: [lww, siblings, crdt]}
  quorum: {topology: leaderless, w: [1], r: [1]}
workloads:
  a: {kind: ycsb-a, keys: 200, clients: 3, rate: 300}
  counters: {kind: counter, keys: 2, clients: 6}
faults:
  slow: {do: slow-disk, who: [b], at: 100ms, for: 200ms, by: 5ms}
`

func TestAScenarioIsMeasuredAndJudged(t *testing.T) {
	o := options(t, short)
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, r.Partial)
	require.Empty(t, r.Checks)
	require.Equal(t, []string{"one", "sites lww", "sites siblings", "sites crdt", "quorum"}, r.Subjects())
	require.Len(t, r.Cells, 10)
	for _, c := range r.Cells {
		require.Len(t, c.Runs, 1)
		run := c.Runs[0]
		require.Positive(t, run.Ops, "%s with %s", c.Subject, c.Workload)
		require.Positive(t, run.Latency["write"].P99)
		require.Positive(t, run.Acked)
		require.Zero(t, run.Lost)
		require.Positive(t, run.Converged)
		require.Positive(t, run.Cost.Syncs)
		require.Positive(t, run.Cost.WireBytes)
		require.Positive(t, run.Cost.DiskBytes)
		require.Equal(t, []string{"b-1"}, run.Faults[0].Hit)
		require.Len(t, run.Series, 6)
		require.Equal(t, c.Workload == "counters", run.Sums != nil)
		require.Equal(t, c.Topology == "single-leader", len(run.Leaders) > 0)
		require.Equal(t, c.Workload == "a", c.OpenLoop)
	}
	require.Zero(t, r.Find("sites crdt", "counters").Runs[0].Sums.Lost)
	require.Zero(t, r.Find("sites siblings", "counters").Runs[0].Sums.Lost, "clients bring together what was kept")
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "nothing of the nodes is left")

	var text, markdown bytes.Buffer
	require.NoError(t, Text(&text, r))
	require.NoError(t, Markdown(&markdown, r))
	for _, word := range []string{"sites crdt", "stale reads", "what faults cost", "slow (slow-disk b)"} {
		require.Contains(t, strings.ToLower(text.String()), word)
		require.Contains(t, markdown.String(), word[:5])
	}
	dir := filepath.Join(t.TempDir(), "out")
	paths, err := Save(r, dir)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, FileJSON), filepath.Join(dir, FileHTML)}, paths)
	again, err := result.Read(paths[0])
	require.NoError(t, err)
	require.Equal(t, r, again)
}

func TestAnInterruptedRunKeepsWhatItMeasuredAndSaysThatItIsPartial(t *testing.T) {
	o := options(t, `
repeats: 50
warm: 1ms
time: 20ms
probes: {sessions: 0}
subjects: {one: {topology: single-leader, sync: [async]}}
workloads: {w: {kind: counter, keys: 2, clients: 1}}
`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Err = writer(func(b []byte) { cancel() }) // at the first word of progress
	r, err := Run(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Contains(t, r.Partial, "of 50 runs were measured; one with w: it was interrupted")
	runs := len(r.Find("one", "w").Runs)
	require.Positive(t, runs)
	require.Less(t, runs, 50)
	var text bytes.Buffer
	require.NoError(t, Text(&text, r))
	require.Contains(t, text.String(), "PARTIAL")
}

// writer calls a function with what is written.
type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestWhatAPromiseForbidsAndWhatMustShowAreChecks(t *testing.T) {
	o := options(t, `
subjects: {one: {topology: single-leader}, sites: {topology: multi-leader}}
workloads: {w: {kind: counter}}
shows: {sites: [lost-updates, stale-reads]}
`)
	anomaly := func(what scenario.Anomaly, level scenario.Level, found int, forbidden bool) result.Anomaly {
		return result.Anomaly{What: what, Level: level, Judged: 10, Found: found, Forbidden: forbidden, Example: "the example"}
	}
	b := &bench{o: o, report: result.Report{Cells: []result.Cell{
		{Subject: "one", Workload: "w", Anomalies: []result.Anomaly{
			anomaly(scenario.StaleReads, scenario.LevelAny, 3, false), anomaly(scenario.StaleReads, scenario.LevelLinearizable, 2, true),
			anomaly(scenario.LostWrites, "", 0, true),
		}},
		{Subject: "sites", Workload: "w", Anomalies: []result.Anomaly{anomaly(scenario.StaleReads, scenario.LevelAny, 1, false)}},
	}}}
	b.check()
	require.Equal(t, []result.Check{
		{What: "one with w, reads linearizable: stale reads, 2 of 10, which it promises not to happen", Example: "the example"},
		{What: "sites: no lost updates were found, which it allows and this scenario brings about"},
	}, b.report.Checks)
}

func TestWhatIsNotBuiltIsLeftOutAndSaidSo(t *testing.T) {
	o := options(t, `
subjects: {quorum: {topology: leaderless, conflicts: [siblings]}}
workloads: {w: {kind: counter}}
`)
	r, err := Run(t.Context(), o)
	require.ErrorContains(t, err, "nothing to measure")
	require.Equal(t, []string{"quorum: siblings of a leaderless subject are not measured yet"}, r.LeftOut)
}

func TestAnOpenLoopHasAsManyClientsAsWaitAtWorst(t *testing.T) {
	s := &scenario.Scenario{Timeout: 500e6}
	require.Equal(t, 10, workers(s, scenario.Workload{Clients: 10}))
	require.Equal(t, 1000, workers(s, scenario.Workload{Clients: 10, Rate: 1000}))
	require.Equal(t, workersMax, workers(s, scenario.Workload{Clients: 10, Rate: 100_000}))
	require.Equal(t, time.Duration(s.Timeout), 500*time.Millisecond)
}

func TestAScenarioEndsByTheClock(t *testing.T) {
	r, err := Run(t.Context(), options(t, `
repeats: 3
within: 1ms
warm: 1ms
time: 20ms
probes: {sessions: 0}
subjects: {one: {topology: single-leader, sync: [async]}}
workloads: {w: {kind: counter, keys: 2, clients: 1}}
`))
	require.NoError(t, err)
	require.Len(t, r.Find("one", "w").Runs, 1, "the first is always made")
	require.Equal(t, "1 of 3 repeats were made: one more would have taken it beyond 1ms", r.Fewer)
	require.Empty(t, r.Partial)
	var text bytes.Buffer
	require.NoError(t, Text(&text, r))
	require.Contains(t, text.String(), r.Fewer)
}
