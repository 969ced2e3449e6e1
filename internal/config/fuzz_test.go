package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/config/strict"
)

// FuzzRead holds that any text is either taken, and can then be opened, or
// refused with findings that stand in the file and can be shown.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "../../examples/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, name := range files {
			text, err := os.ReadFile(name)
			require.NoError(f, err)
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		read, err := Read("f", text)
		if err == nil {
			openable(t, read)
			return
		}
		var refused *strict.Refused
		require.True(t, errors.As(err, &refused), "%v", err)
		require.NotEmpty(t, refused.Findings)
		lines := strings.Count(string(text), "\n") + 1
		for _, x := range refused.Findings {
			require.NotEmpty(t, x.Why)
			require.LessOrEqual(t, x.At.Line, lines)
			require.GreaterOrEqual(t, x.At.Line, 0)
			require.Less(t, len(x.Excerpt()), 4<<10)
			require.NotContains(t, strings.TrimSuffix(x.Excerpt(), "\n"), "\x1b")
			require.False(t, strings.ContainsFunc(strings.ReplaceAll(x.Excerpt(), "\n", ""), unicode.IsControl), "%q", x.Excerpt())
		}
	})
}

// openable holds that what was taken is complete.
func openable(t *testing.T, read File) {
	t.Helper()
	require.NotEmpty(t, read.Describe())
	require.NotEmpty(t, read.Values())
	switch read := read.(type) {
	case *Node:
		_, err := read.Open()
		require.NoError(t, err)
	case *Cluster:
		for _, n := range placed(read) {
			_, err := n.Open()
			require.NoError(t, err)
		}
	}
}
