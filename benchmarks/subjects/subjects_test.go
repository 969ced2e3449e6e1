package subjects

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// all are the subjects, with files small enough for a test.
func all() []compare.Subject { return []compare.Subject{Ideal{FileBytes: 1 << 20}, Triad{}} }

// The test binary starts itself as leaders and followers.
func TestMain(m *testing.M) {
	if compare.IsChild(os.Args[1:]) {
		os.Exit(compare.Main(os.Args[1:], all()...))
	}
	os.Exit(m.Run())
}

func TestEverySubjectAnswersEveryWriter(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out.json")
	require.Zero(t, compare.Main([]string{"-writers", "1,4", "-rounds", "1", "-warm", "0s", "-time", "100ms", "-quiet", "0", "-dir", dir, "-json", out}, all()...))
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	var r compare.Report
	require.NoError(t, json.Unmarshal(b, &r))
	require.Len(t, r.Cells, 2*len(all()))
	for _, c := range r.Cells {
		require.NotZero(t, c.Writes, "%s with %d writers", c.Subject, c.Writers)
	}
}

func TestAChildWithoutItsArgumentsSaysWhatItNeeds(t *testing.T) {
	for _, s := range all() {
		require.ErrorContains(t, s.Child(t.Context(), nil, nil), "needs")
	}
}
