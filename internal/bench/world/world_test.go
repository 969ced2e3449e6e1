package world

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started is a running world of the first subject of a scenario.
func started(t *testing.T, text string) *World {
	t.Helper()
	s, err := scenario.Read("s.yaml", []byte(text))
	require.NoError(t, err)
	w, err := Start(t.Context(), Options{Scenario: s, Variant: s.Variants()[0], Dir: t.TempDir(), Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Stop()) })
	return w
}

const oneSubject = `
subjects: {one: {topology: single-leader}}
workloads: {w: {kind: ycsb-a}}
timeout: 500ms
faults:
  kill: {do: kill, who: [leader], at: 1s, for: 1s}
  pause: {do: pause, who: [leader], at: 1s, for: 1s}
`

func put(ctx context.Context, w *World, site string) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	return w.Writer(site).Do(ctx, "put", func(ctx context.Context, d Door) error {
		_, err := d.Write(ctx, Change{Cell: Cell{Table: triad.DefaultTable, Kind: record.KindBytes, Key: []byte("k")}, Value: []byte("v")})
		return err
	})
}

func TestSomebodyElseLeadsOnceTheLeaderIsGone(t *testing.T) {
	for i, name := range []string{"kill", "pause"} {
		t.Run(name, func(t *testing.T) {
			w := started(t, oneSubject)
			require.NoError(t, put(t.Context(), w, "b"))
			before := w.Leader()
			mend, err := w.Break(t.Context(), w.o.Scenario.Faults[i], w.Who([]string{"leader"}))
			require.NoError(t, err)
			require.NoError(t, Until(t.Context(), func(ctx context.Context) error {
				return put(ctx, w, "b")
			}))
			require.NotEqual(t, before.ID, w.Leader().ID)
			require.Equal(t, w.Leader().ID, w.Reigns()[1].Leader)
			require.NoError(t, mend(t.Context()))
		})
	}
}

func TestMembersAndSitesComeAndGo(t *testing.T) {
	for name, text := range map[string]string{
		"a member that joins":  "subjects: {one: {topology: single-leader}}\nfaults: {f: {do: join, who: [d], at: 1s, for: 1s}}\n",
		"a member that leaves": "subjects: {one: {topology: single-leader}}\nfaults: {f: {do: leave, who: [d], at: 1s, for: 1s}}\n",
		"a site that joins":    "subjects: {sites: {topology: multi-leader}}\nfaults: {f: {do: join, who: [d], at: 1s, for: 1s}}\n",
		"a site that leaves":   "subjects: {sites: {topology: multi-leader}}\nfaults: {f: {do: leave, who: [d], at: 1s, for: 1s}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := started(t, "sites: [a, b, c, d]\nworkloads: {w: {kind: ycsb-a}}\n"+text)
			there := 4
			f := w.o.Scenario.Faults[0]
			if f.Do == scenario.Join {
				there = 3
			}
			require.Len(t, w.Present(), there)
			mend, err := w.Break(t.Context(), f, w.Who(f.Who))
			require.NoError(t, err)
			require.Len(t, w.Present(), 7-there)
			require.NoError(t, Until(t.Context(), func(ctx context.Context) error { return put(ctx, w, "b") }))
			_, err = w.Converge(t.Context(), "broken")
			require.NoError(t, err)
			require.NoError(t, mend(t.Context()))
			require.Len(t, w.Present(), there)
			_, err = w.Converge(t.Context(), "mended")
			require.NoError(t, err)
		})
	}
}
