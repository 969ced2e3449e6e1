package conflict_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
)

// The golden file holds what stands in logs already. It changes only with a line in
// the CHANGELOG.
var update = flag.Bool("update", false, "write the golden file anew")

func TestDeltasAreEncodedAsTheGoldenFileSays(t *testing.T) {
	const file = "testdata/deltas.golden"
	var out strings.Builder
	var held []record.Version
	for i, x := range []struct {
		name string
		id   uint32
		m    record.Mutation
	}{
		{"counter: 300 more at 1.1, of nothing", 1, record.Mutation{Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(300)}},
		{"counter: 2 fewer at 1.1", 1, record.Mutation{Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(-2)}},
		{"counter: 1 more at 2.1", 2, record.Mutation{Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(1)}},
		{"counter: a put of 7, having seen both", 2, record.Mutation{Op: record.OpPut, Kind: record.KindCounter, Value: numberBytes(7)}},
		{"counter: a delete, which inherits that", 1, record.Mutation{Op: record.OpDelete, Kind: record.KindCounter}},
	} {
		m := x.m
		require.NoError(t, conflict.Seal(&m, dot(x.id, uint64(i+1)), held))
		fmt.Fprintf(&out, "# %s\n%s\n", x.name, hex.EncodeToString(m.Value))
		var err error
		held, err = ask(t, held, x.id, uint64(i+1), x.m)
		require.NoError(t, err)
	}
	held = nil
	for i, x := range []struct {
		name string
		m    record.Mutation
	}{
		{"max: 5", record.Mutation{Op: record.OpMerge, Kind: record.KindMax, Value: numberBytes(5)}},
		{"max: 3, which says 5", record.Mutation{Op: record.OpMerge, Kind: record.KindMax, Value: numberBytes(3)}},
		{"hll: two elements", record.Mutation{Op: record.OpMerge, Kind: record.KindHLL, Value: elementsOf("x", "y")}},
	} {
		m := x.m
		require.NoError(t, conflict.Seal(&m, dot(1, uint64(i+1)), held))
		fmt.Fprintf(&out, "# %s\n%s\n", x.name, hex.EncodeToString(m.Value))
		var err error
		held, err = ask(t, held, 1, uint64(i+1), x.m)
		require.NoError(t, err)
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}
