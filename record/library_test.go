package record_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Pebble's dependencies ask for msgpack 5.3.5, and a go.mod without a demand of
// its own falls back to it in silence. The file lists what the build selects.
func TestModuleIsBuiltWithTheMsgpackItWasTestedWith(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	lines := regexp.MustCompile(`(?m)^.*github\.com/vmihailenco/msgpack/v5.*$`).FindAllString(string(mod), -1)
	require.Len(t, lines, 1, "one line, that no replace contradicts")
	require.Equal(t, "\tgithub.com/vmihailenco/msgpack/v5 v5.4.1", lines[0])
}
