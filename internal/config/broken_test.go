package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/config/strict"
)

var rewrite = flag.Bool("rewrite", false, "write the golden messages anew")

// TestEveryBrokenFileIsRefusedWithItsMessage compares what is said of each file
// with the file beside it: a message is read by somebody in trouble, so a change
// of one is looked at.
func TestEveryBrokenFileIsRefusedWithItsMessage(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 40)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			_, err = Read(filepath.Base(name), text)
			var refused *strict.Refused
			require.True(t, errors.As(err, &refused), "it is taken: %v", err)
			golden := strings.TrimSuffix(name, ".yaml") + ".golden"
			got := refused.Report()
			require.NotContains(t, got, "hunter2")
			if *rewrite {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}
