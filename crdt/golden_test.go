package crdt_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/crdt"
)

// The golden file holds what is on disks and wires already. It changes only with a
// new form and a line in the CHANGELOG.
var update = flag.Bool("update", false, "write the golden file anew")

const goldenFile = "testdata/forms.golden"

func TestStatesAreEncodedAsTheGoldenFileSays(t *testing.T) {
	var out strings.Builder
	golden(t, &out, "GCounter", sampleGCounter(), new(crdt.GCounter))
	golden(t, &out, "PNCounter", samplePNCounter(), new(crdt.PNCounter))
	golden(t, &out, "Max", new(crdt.Max).Observe(-7), new(crdt.Max))
	golden(t, &out, "Max of nothing", new(crdt.Max), new(crdt.Max))
	golden(t, &out, "Min", new(crdt.Min).Observe(700), new(crdt.Min))
	golden(t, &out, "LWWRegister", sampleLWWRegister(), new(crdt.LWWRegister))
	golden(t, &out, "LWWRegister of nothing", new(crdt.LWWRegister), new(crdt.LWWRegister))
	golden(t, &out, "MVRegister", sampleMVRegister(), new(crdt.MVRegister))
	golden(t, &out, "Flag", sampleFlag(), new(crdt.Flag))
	golden(t, &out, "ORSet", sampleORSet(), new(crdt.ORSet))
	golden(t, &out, "LWWMap", sampleLWWMap(), new(crdt.LWWMap))
	golden(t, &out, "ORMap", sampleORMap(), new(crdt.ORMap))
	golden(t, &out, "DotCounter", sampleDotCounter(), new(crdt.DotCounter))
	golden(t, &out, "HLL, a list", sampleHLL(5), new(crdt.HLL))
	golden(t, &out, "HLL, all registers (its SHA-256)", sampleHLL(5000), new(crdt.HLL))
	if *update {
		require.NoError(t, os.WriteFile(goldenFile, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}

func golden[T crdt.Lattice[T]](t *testing.T, out *strings.Builder, name string, s, into T) {
	b := must(s.AppendBinary(nil))
	shown := b
	if len(b) > 1<<10 {
		sum := sha256.Sum256(b)
		shown = sum[:]
	}
	fmt.Fprintf(out, "# %s\n%s\n", name, hex.EncodeToString(shown))
	require.NoError(t, into.UnmarshalBinary(b))
	require.True(t, crdt.Equal(s, into), name)
}
