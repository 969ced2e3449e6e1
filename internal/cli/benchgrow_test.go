package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	measured "github.com/triad-kv/triad/internal/bench/result"
)

func TestBenchGrowMeasuresAlongAnAxis(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	r := command(t, "bench", "grow", "keys", "--keys-max", "10000", "--repeats", "1", "--time", "50ms", "--out", out, "--dir", t.TempDir())
	require.Equal(t, exitDone, r.code, r.errs)
	require.Contains(t, r.out, "keys: single-leader (")
	require.Contains(t, r.out, "syncs a write")
	g, err := measured.ReadGrowth(filepath.Join(out, "grow.json"))
	require.NoError(t, err)
	require.Len(t, g.Curves, 2)
	for _, c := range g.Curves {
		require.Len(t, c.Steps, 1)
		require.Positive(t, c.Steps[0].Runs[0].Ops)
		require.Positive(t, c.Steps[0].Runs[0].Cost.Messages)
	}
	page, err := os.ReadFile(filepath.Join(out, "grow.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "as the work grows")
	require.Contains(t, failing(t, exitUsage, "bench", "grow", "nodess"), "is no axis; there are nodes,")
	require.Contains(t, failing(t, exitUsage, "bench", "grow", "--repeats", "0"), "from 1 to 100")
	require.Contains(t, failing(t, exitUsage, "bench", "grow", "--time", "1ns"), "--time")
}

func TestBenchMeasuresProcesses(t *testing.T) {
	t.Setenv(asTriad, "1")
	dir := t.TempDir()
	file, out := filepath.Join(dir, "s.yaml"), filepath.Join(dir, "out")
	require.NoError(t, os.WriteFile(file, []byte(`repeats: 1
warm: 10ms
time: 300ms
subjects:
  one: {topology: single-leader, read: [session], via: [resp]}
workloads: {w: {kind: counter, keys: 2, clients: 3}}
`), 0o600))
	r := command(t, "bench", "-c", file, "--out", out, "--dir", dir)
	require.Equal(t, exitDone, r.code, r.errs)
	report, err := measured.Read(filepath.Join(out, "report.json"))
	require.NoError(t, err)
	c := report.Cells[0]
	require.Equal(t, "resp", c.Via)
	require.Positive(t, c.Runs[0].Ops)
	require.Positive(t, c.Runs[0].Acked)
	require.Zero(t, c.Runs[0].Sums.Lost)
	require.Positive(t, c.Runs[0].Cost.CPU)
}
