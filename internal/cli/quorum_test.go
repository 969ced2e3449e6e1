package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// A line of a story's input is one argument.
func TestWhatIsSaidOfAQuorum(t *testing.T) {
	datadriven.RunTest(t, "testdata/quorum.txt", func(t *testing.T, d *datadriven.TestData) string {
		r := command(t, append([]string{"quorum"}, strings.Split(d.Input, "\n")...)...)
		if r.code != exitDone {
			require.Equal(t, exitUsage, r.code, r.errs)
			return r.errs
		}
		return r.out
	})
}

func TestAQuorumComesInEveryForm(t *testing.T) {
	var a quorumAnswer
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "quorum", "--n", "3", "--r", "1", "--w", "1", "--model", "wan", "--trials", "1000", "-o", "json")), &a))
	require.Equal(t, "may be stale", a.Reading)
	require.InDelta(t, 2./3, a.Versions.Stale, 1e-12)
	require.Len(t, a.Promises, 8)
	require.Equal(t, "wan", a.Times.Model)
	require.Equal(t, 1000, a.Times.Trials)
	require.InDelta(t, .33, a.Times.Fresh[0].Probability, .1)
	require.Contains(t, succeed(t, "quorum", "-o", "yaml"), "reading: fresh\n")
	require.NotContains(t, succeed(t, "quorum", "-o", "json"), "times", "no model, no times")
}
