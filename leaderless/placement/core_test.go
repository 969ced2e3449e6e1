package placement_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func nodes(names string) []topology.NodeID {
	var out []topology.NodeID
	for _, n := range strings.Fields(names) {
		out = append(out, topology.NodeID(n))
	}
	return out
}

func place(t *testing.T, names string, partitions, n int) *placement.Map {
	t.Helper()
	m, err := placement.New(1, nodes(names), partitions, n, 1)
	require.NoError(t, err)
	return m
}

// Data lies where this function said it does: these answers may never change.
func TestThePlacementOfEightPartitionsOnFiveNodesIsForEver(t *testing.T) {
	m := place(t, "a b c d e", 8, 3)
	var got []string
	for p := range m.Partitions() {
		got = append(got, fmt.Sprint(m.Replicas(p)))
	}
	require.Equal(t, []string{
		"[d c a]", "[a d e]", "[a d c]", "[a c b]", "[d c a]", "[e c d]", "[e b c]", "[d a e]",
	}, got)
	var of []int
	for _, key := range []string{"", "a", "user:1", "user:2", "user:3", "\x00\xff"} {
		of = append(of, m.Partition([]byte(key)))
	}
	require.Equal(t, []int{3, 0, 2, 0, 4, 3}, of)
}

func TestTheOrderOfTheListDoesNotMatter(t *testing.T) {
	a, b := place(t, "a b c d e", 8, 3), place(t, "d a e c b", 8, 3)
	require.Equal(t, a, b)
}

func TestANodeThatComesOrGoesMovesNothingElse(t *testing.T) {
	small, large := place(t, "a b c d e", 64, 3), place(t, "a b c d e f", 64, 3)
	moved := 0
	for p := range small.Partitions() {
		was, is := small.Replicas(p), large.Replicas(p)
		if !large.Holds("f", p) {
			require.Equal(t, was, is, "partition %d", p)
			continue
		}
		moved++
		stay := slices.DeleteFunc(slices.Clone(is), func(n topology.NodeID) bool { return n == "f" })
		require.Equal(t, was[:2], stay, "partition %d: the newcomer takes one place, the others keep theirs", p)
	}
	require.InDelta(t, 64*3/6, moved, 12)
}

func TestKeysAndCopiesAreSpread(t *testing.T) {
	m := place(t, "a b c d e", 256, 3)
	keys, copies := make([]int, m.Partitions()), map[topology.NodeID]int{}
	for i := range 256 * 200 {
		keys[m.Partition(fmt.Appendf(nil, "key-%d", i))]++
	}
	for p := range m.Partitions() {
		require.InDelta(t, 200, keys[p], 80)
		require.Len(t, m.Replicas(p), 3)
		for _, n := range m.Replicas(p) {
			copies[n]++
		}
	}
	for _, n := range m.Nodes() {
		require.InDelta(t, 256*3/5, copies[n], 40, n)
	}
}

func TestEveryShareHasANumberOfItsOwn(t *testing.T) {
	m, err := placement.New(1, nodes("a b c d e"), 8, 3, 100)
	require.NoError(t, err)
	seen := map[version.Origin]bool{}
	for p := range m.Partitions() {
		for _, n := range m.Nodes() {
			o := m.Origin(n, p, 7)
			require.False(t, seen[o])
			require.EqualValues(t, 7, o.Incarnation)
			require.GreaterOrEqual(t, o.ID, uint32(100))
			require.Less(t, o.ID, uint32(100+8*5))
			seen[o] = true
		}
	}
}

func TestAMapThatMeansNothingIsRefused(t *testing.T) {
	for name, x := range map[string]struct {
		nodes         string
		partitions, n int
		first         uint32
	}{
		"nobody":             {"", 8, 1, 1},
		"somebody twice":     {"a b a", 8, 1, 1},
		"more copies":        {"a b", 8, 3, 1},
		"no copies":          {"a b", 8, 0, 1},
		"no partitions":      {"a b", 0, 1, 1},
		"too many":           {"a b", placement.PartitionsMax + 1, 1, 1},
		"numbers that are 0": {"a b", 8, 1, 0},
	} {
		_, err := placement.New(1, nodes(x.nodes), x.partitions, x.n, x.first)
		require.ErrorIs(t, err, topology.ErrMalformed, name)
	}
}
