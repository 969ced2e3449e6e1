package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/config/strict"
)

// page is docs/configuration.md without the keys that another binary has.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), "<!-- keys of triad-etcd")
	_, after, ended := strings.Cut(rest, "<!-- end of the keys of triad-etcd -->")
	require.True(t, found && ended)
	return before + after
}

// rows are the rows of the tables of keys in docs/configuration.md, by key.
func rows(t *testing.T) map[string][2]string {
	t.Helper()
	found := map[string][2]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.<>]+)` \\| ([^|]*) \\| ([^|]*) \\|").FindAllStringSubmatch(page(t), -1) {
		require.NotContains(t, found, m[1], "it stands twice")
		found[m[1]] = [2]string{m[2], strings.Trim(m[3], "` ")}
	}
	return found
}

func TestEveryKeyIsInTheDocsAndNoOther(t *testing.T) {
	found, known := rows(t), map[string]bool{}
	for _, k := range append(strict.Keys(Node{}), strict.Keys(Cluster{})...) {
		known[k.Path] = true
		want := [2]string{k.Type, k.Default}
		if k.Secret {
			want[0] = "secret"
		}
		require.Contains(t, found, k.Path)
		require.Equal(t, want, found[k.Path], k.Path)
	}
	for path := range found {
		require.True(t, known[path], "%s is no key", path)
	}
}

// TestTheFilesInTheDocsAreTaken reads every piece of YAML in the docs.
func TestTheFilesInTheDocsAreTaken(t *testing.T) {
	pieces := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	require.NotEmpty(t, pieces)
	for _, m := range pieces {
		_, err := Read("docs", []byte(m[1]))
		require.NoError(t, err, m[1])
	}
}
