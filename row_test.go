package triad

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
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
		ms, err := d.put(key, b)
		require.NoError(t, err)
		require.Len(t, ms, len(row)+rowCells)
		for i := rowCells + 1; i < len(ms); i++ {
			require.Negative(t, bytes.Compare(ms[i-1].Field, ms[i].Field), "columns are in order")
		}
		got, err := d.value(asCells(ms))
		require.NoError(t, err)
		var want, back map[string]any
		require.NoError(t, msgpack.Unmarshal(b, &want))
		require.NoError(t, msgpack.Unmarshal(got, &back))
		require.Equal(t, want, back)
		again, err := d.put(key, got)
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

func TestWhatIsNoRowIsRefused(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":                     "",
		"an array":                    "\x90",
		"nil":                         "\xc0",
		"a column twice":              "\x82\xa1a\x01\xa1a\x02",
		"a column twice, other form":  "\x82\xa1a\x01\xd9\x01a\x02",
		"a number for a name":         "\x81\x01\x01",
		"bytes for a name":            "\x81\xc4\x01a\x01",
		"a name without a letter":     "\x81\xa0\x01",
		"a name that is not UTF-8":    "\x81\xa1\xff\x01",
		"bytes after the end":         "\x80\x80",
		"fewer columns than claimed":  "\x82\xa1a\x01",
		"4 G columns in five bytes":   "\xdf\xff\xff\xff\xff",
		"a value longer than is left": "\x81\xa1a\xc6\xff\xff\xff\xff",
		"a value that begins nothing": "\x81\xa1a\xc1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := columnsOf([]byte(b))
			require.ErrorIs(t, err, topology.ErrMalformed)
		})
	}
}

func TestNamesOfAnyFormAreTaken(t *testing.T) {
	columns, err := columnsOf([]byte("\x83\xd9\x01b\x01\xda\x00\x01a\x02\xdb\x00\x00\x00\x01c\x03"))
	require.NoError(t, err)
	require.Equal(t, []column{{[]byte("a"), []byte{2}}, {[]byte("b"), []byte{1}}, {[]byte("c"), []byte{3}}}, columns)
}

func TestCellsThatMakeNoRowAreRefused(t *testing.T) {
	for name, c := range map[string]topology.CellReading{
		"a name that is not UTF-8": {Field: []byte{0xff}, Version: record.Version{Value: []byte{1}}},
		"a value that is none":     {Field: []byte("a"), Version: record.Version{Value: []byte{0xc1}}},
		"a value and more":         {Field: []byte("a"), Version: record.Version{Value: []byte{1, 1}}},
		"no value":                 {Field: []byte("a")},
		"a value that claims more": {Field: []byte("a"), Version: record.Version{Value: []byte{0xdd, 0xff, 0xff, 0xff, 0xff}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rowOf([]topology.CellReading{c})
			require.ErrorIs(t, err, topology.ErrMalformed)
		})
	}
}

func TestACellOfAnotherKindIsNotBytes(t *testing.T) {
	for _, c := range []topology.CellReading{
		{Version: record.Version{Kind: record.KindCounter}},
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

func FuzzColumns(f *testing.F) {
	f.Add([]byte("\x82\xa1a\x01\xa1b\xc4\x01x"))
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		columns, err := columnsOf(b)
		if err != nil {
			return
		}
		for _, c := range columns {
			require.NoError(t, pack.Walk(c.value))
		}
	})
}
