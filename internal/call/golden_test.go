package call

import (
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The bytes of every message of format 1: another version of this program reads
// them, so a change here is a change of the format.
func TestTheFormsOnTheWireStay(t *testing.T) {
	const path = "testdata/wire.golden"
	var b strings.Builder
	b.WriteString("# Messages of remote clients in format 1. Generated with -update; never by hand.\n")
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		fmt.Fprintf(&b, "%s %s\n", name, hex.EncodeToString(messages[name].bytes))
	}
	fmt.Fprintf(&b, "nothing %s\n", hex.EncodeToString(EncodeNothing()))
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}
