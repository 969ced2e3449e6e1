package triad

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// asCells is what a store holds after the mutations of one Put.
func asCells(ms []record.Mutation) []topology.CellReading {
	var cells []topology.CellReading
	for _, m := range ms {
		if m.Op == record.OpPut {
			cells = append(cells, topology.CellReading{Key: m.Key, Field: m.Field, Version: record.Version{Dot: dot, Kind: m.Kind, Value: m.Value}})
		}
	}
	return cells
}

func TestARowComesBackAsItWasPut(t *testing.T) {
	d := definition{Table: users, id: 20}
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.MapOf(rapid.StringMatching(`[a-zA-Zé]{1,40}`), rapid.OneOf(
			rapid.Int().AsAny(), rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Float64Range(-1e9, 1e9).AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(),
		)).Draw(t, "row")
		b, err := msgpack.Marshal(row)
		require.NoError(t, err)
		ms, err := d.put(key, b, 0, time.Time{})
		require.NoError(t, err)
		require.Len(t, ms, len(row)+2)
		for i := 2 + 1; i < len(ms); i++ {
			require.Negative(t, bytes.Compare(ms[i-1].Field, ms[i].Field), "columns are in order")
		}
		got, err := d.value(asCells(ms))
		require.NoError(t, err)
		var want, back map[string]any
		require.NoError(t, msgpack.Unmarshal(b, &want))
		require.NoError(t, msgpack.Unmarshal(got, &back))
		require.Equal(t, want, back)
		again, err := d.put(key, got, 0, time.Time{})
		require.NoError(t, err)
		require.Equal(t, ms, again, "one row has one form")
	})
}

func TestARowReplacesTheWholeKey(t *testing.T) {
	n, _ := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), users))
	put := func(m map[string]any) {
		b, err := msgpack.Marshal(m)
		require.NoError(t, err)
		_, err = n.Put(t.Context(), "users", key, b)
		require.NoError(t, err)
	}
	read := func() (m map[string]any) {
		r, err := n.Get(t.Context(), "users", key)
		require.NoError(t, err)
		require.NoError(t, msgpack.Unmarshal(r.Value, &m))
		return m
	}
	put(map[string]any{"name": "Alice", "age": int8(7)})
	put(map[string]any{"name": "Bob"})
	require.Equal(t, map[string]any{"name": "Bob"}, read())
	put(map[string]any{})
	require.Empty(t, read(), "a row without columns is there")
	_, err := n.Delete(t.Context(), "users", key)
	require.NoError(t, err)
	_, err = n.Get(t.Context(), "users", key)
	require.ErrorIs(t, err, topology.ErrNotFound)
}

func TestACellOfAnotherKindIsNotBytes(t *testing.T) {
	for _, c := range []topology.CellReading{
		{Version: record.Version{Kind: record.KindSet}},
		{Field: []byte("f"), Version: record.Version{Kind: record.KindBytes}},
	} {
		_, err := defaultDefinition.value([]topology.CellReading{c})
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
}

func TestTheVersionOfAKeyIsThatOfItsOwnCell(t *testing.T) {
	own := topology.CellReading{Version: record.Version{Time: 1}}
	old := topology.CellReading{Field: []byte("a"), Version: record.Version{Time: 2}}
	late := topology.CellReading{Field: []byte("b"), Version: record.Version{Time: 3}}
	require.Equal(t, own, *newest([]topology.CellReading{own, late, old}))
	require.Equal(t, late, *newest([]topology.CellReading{old, late}))
	require.Equal(t, late, *newest([]topology.CellReading{late, old}))
}
