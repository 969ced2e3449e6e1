package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const benchShort = `about: as short as it goes
repeats: 1
warm: 10ms
time: 100ms
subjects: {one: {topology: single-leader, sync: [async]}}
workloads: {w: {kind: counter, keys: 2, clients: 2}}
`

func TestBenchMeasuresAndItsReportsAreShownAndCompared(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "s.yaml"), filepath.Join(dir, "out")
	require.NoError(t, os.WriteFile(file, []byte(benchShort), 0o600))
	r := command(t, "bench", "-c", file, "--out", out, "--dir", dir, "--repeats", "2", "--seed", "7")
	require.Equal(t, exitDone, r.code, r.errs)
	require.Contains(t, r.out, "what became of acknowledged writes")
	require.Contains(t, r.out, filepath.Join(out, "report.html"))
	json := filepath.Join(out, "report.json")
	require.Contains(t, succeed(t, "bench", "show", json), "what readers met")
	require.Contains(t, succeed(t, "bench", "show", json, "--form", "markdown"), "## Who fits what")
	compared := succeed(t, "bench", "compare", json, json)
	require.Contains(t, compared, "ops/s")
	require.Contains(t, compared, "2+2")
	require.Contains(t, succeed(t, "bench", "compare", json, json, "-o", "json"), `"Workload": "w"`)
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "triad bench")
}

func TestAWrongBenchIsCode2AndSaysWhere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s.yaml")
	require.NoError(t, os.WriteFile(file, []byte(benchShort+"repeat: 5\n"), 0o600))
	var out, errs bytes.Buffer
	require.Equal(t, exitUsage, run(t.Context(), []string{"bench", file}, nil, &out, &errs))
	require.Contains(t, errs.String(), `s.yaml:7:1: unknown key "repeat"; did you mean repeats?`)
	require.Contains(t, errs.String(), "^")
	require.Contains(t, failing(t, exitUsage, "bench", "qick"), "did you mean quick?")
	require.Contains(t, failing(t, exitUsage, "bench", "zzzzzzzz"), "ready ones are conflicts,")
	require.Contains(t, failing(t, exitUsage, "bench", "quick", "-c", file), "are two scenarios")
	require.Contains(t, failing(t, exitUsage, "bench", "a", "b"), "takes one scenario")
	require.Contains(t, failing(t, exitUsage, "bench", "-c", filepath.Join(dir, "none.yaml")), "no such file")
	require.Contains(t, failing(t, exitUsage, "bench", "show", filepath.Join(dir, "none.json")), "no such file")
	require.Contains(t, failing(t, exitUsage, "bench", "compare", file, file), "is no report of triad bench")
	errs.Reset()
	require.Equal(t, exitUsage, run(t.Context(), []string{"bench", "quick", "--repeats", "0"}, nil, &out, &errs))
	require.Contains(t, errs.String(), "--repeats: repeats: 0: from 1 to 100")
}
