package triad

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// keys returns what a scan of the default table yields.
func keys(t *testing.T, n *Node, from, to string) []string {
	t.Helper()
	got := []string{}
	for item, err := range n.Scan(t.Context(), DefaultTable, []byte(from), []byte(to)) {
		require.NoError(t, err)
		got = append(got, string(item.Key)+"="+string(item.Value))
	}
	return got
}

func TestAScanYieldsARangeInOrder(t *testing.T) {
	n, _ := start(t, Config{})
	for _, k := range []string{"b", "a", "c", "aa", "d"} {
		_, err := n.Put(t.Context(), DefaultTable, []byte(k), []byte("v"+k))
		require.NoError(t, err)
	}
	require.NoError(t, n.CreateTable(t.Context(), Table{Name: "next"}))
	_, err := n.Put(t.Context(), "next", key, value)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		from, to string
		want     []string
	}{
		"all":                 {"", "", []string{"a=va", "aa=vaa", "b=vb", "c=vc", "d=vd"}},
		"from a key":          {"b", "", []string{"b=vb", "c=vc", "d=vd"}},
		"up to a key":         {"", "b", []string{"a=va", "aa=vaa"}},
		"between two":         {"aa", "c", []string{"aa=vaa", "b=vb"}},
		"between no two":      {"e", "f", []string{}},
		"from after to":       {"c", "a", []string{}},
		"from to itself":      {"b", "b", []string{}},
		"from a key not held": {"bb", "", []string{"c=vc", "d=vd"}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, keys(t, n, tc.from, tc.to)) })
	}
}

func TestAScanPutsRowsTogether(t *testing.T) {
	n, _ := start(t, Config{})
	table := TableOf[map[string]int](n, "rows")
	want := map[string]map[string]int{"1": {"a": 1, "b": 2}, "2": {}, "3": {"c": 3}}
	for k, v := range want {
		_, err := table.Put(t.Context(), k, v)
		require.NoError(t, err)
	}
	got := map[string]map[string]int{}
	for r, err := range table.Scan(t.Context(), "", "") {
		require.NoError(t, err)
		require.False(t, r.Item.Dot.IsZero())
		got[r.Key] = r.Value
	}
	require.Equal(t, want, got)
}

func TestWhatAScanYieldedStays(t *testing.T) {
	n, _ := start(t, Config{})
	for i := range 100 {
		_, err := n.Put(t.Context(), DefaultTable, fmt.Appendf(nil, "%03d", i), fmt.Appendf(nil, "v%03d", i))
		require.NoError(t, err)
	}
	var items []Item
	for item, err := range n.Scan(t.Context(), DefaultTable, nil, nil) {
		require.NoError(t, err)
		items = append(items, item)
	}
	for i, item := range items {
		require.Equal(t, fmt.Sprintf("%03d=v%03d", i, i), string(item.Key)+"="+string(item.Value))
	}
	require.Len(t, items, 100)
}

// scanning yields fixed cells.
type scanning struct {
	*fake
	cells []topology.CellReading
	err   error
}

func (s scanning) Scan(context.Context, record.TableID, []byte, []byte, topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		for _, c := range s.cells {
			if !yield(c, nil) {
				return
			}
		}
		if s.err != nil {
			yield(topology.CellReading{}, s.err)
		}
	}
}

func TestAScanEndsWithTheFirstError(t *testing.T) {
	good := topology.CellReading{Key: []byte("a"), Version: record.Version{Kind: record.KindBytes}}
	huge := topology.CellReading{Key: []byte("h"), Field: []byte("f"), Version: record.Version{Value: make([]byte, rowBytesMax)}}
	for name, tc := range map[string]struct {
		scanning
		table string
		want  error
		items int
	}{
		"of the engine":         {scanning{cells: []topology.CellReading{good}, err: topology.ErrStale}, "default", topology.ErrStale, 0},
		"of a cell":             {scanning{cells: []topology.CellReading{good, {Key: []byte("b")}, good}}, "default", topology.ErrUnsupported, 1},
		"of the last cell":      {scanning{cells: []topology.CellReading{good, {Key: []byte("b")}}}, "default", topology.ErrUnsupported, 1},
		"of a row that is huge": {scanning{cells: []topology.CellReading{huge}}, "users", topology.ErrTooLarge, 0},
	} {
		t.Run(name, func(t *testing.T) {
			build, at := fakes()
			n, _ := start(t, Config{Topology: func(env topology.Env) (topology.Engine, error) {
				_, err := build(env)
				s := tc.scanning
				s.fake = at.Load()
				return s, err
			}})
			require.NoError(t, n.CreateTable(t.Context(), users))
			items, failures := 0, 0
			for _, err := range n.Scan(t.Context(), tc.table, nil, nil) {
				if err != nil {
					require.ErrorIs(t, err, tc.want)
					failures++
				} else {
					items++
				}
			}
			require.Equal(t, 1, failures)
			require.Equal(t, tc.items, items)
		})
	}
}

func TestABoundBeyondAKeyIsRefused(t *testing.T) {
	n, _ := start(t, Config{})
	for _, err := range n.Scan(t.Context(), DefaultTable, make([]byte, record.KeyBytesMax+2), nil) {
		require.ErrorIs(t, err, topology.ErrTooLarge)
	}
	for range n.Scan(t.Context(), DefaultTable, make([]byte, record.KeyBytesMax+1), nil) {
		require.Fail(t, "nothing is there")
	}
}
