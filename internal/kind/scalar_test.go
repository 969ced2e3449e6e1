package kind

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

func TestColumnsReadAsText(t *testing.T) {
	for _, tc := range []struct {
		value any
		want  string
	}{
		{0, "0"}, {127, "127"}, {-1, "-1"}, {-32, "-32"}, {-33, "-33"}, {int16(-300), "-300"}, {int32(1 << 20), "1048576"},
		{int64(-1 << 40), "-1099511627776"}, {^uint64(0), "18446744073709551615"},
		{1.5, "1.5"}, {0.1, "0.1"}, {float32(0.1), "0.1"}, {1e100, "1e+100"}, {3.0, "3"},
		{true, "1"}, {false, "0"}, {"", ""}, {"é", "é"}, {strings.Repeat("x", 40), strings.Repeat("x", 40)},
		{strings.Repeat("x", 70000), strings.Repeat("x", 70000)}, {[]byte{0xff}, "\xff"}, {make([]byte, 300), strings.Repeat("\x00", 300)},
	} {
		b, err := msgpack.Marshal(tc.value)
		require.NoError(t, err)
		text, there, err := scalarText(b)
		require.NoError(t, err)
		require.True(t, there)
		require.Equal(t, tc.want, string(text))
	}
	_, there, err := scalarText([]byte{0xc0})
	require.NoError(t, err)
	require.False(t, there, "nil is not there")
	for _, s := range []string{"\x90", "\x80", "\xd4\x01\x01", "\xc1", "", "\x01\x01", "\xdd\xff\xff\xff\xff"} {
		_, _, err := scalarText([]byte(s))
		require.ErrorIs(t, err, topology.ErrMalformed, "%q", s)
	}
}

func TestTextKeepsTheFormOfTheColumnItIsWrittenTo(t *testing.T) {
	for _, tc := range []struct{ present, text, want any }{
		{nil, "7", "7"}, {nil, "\xff", []byte{0xff}},
		{7, "8", int64(8)}, {7, "-8", int64(-8)}, {-1, "18446744073709551615", ^uint64(0)}, {7, "x", "x"}, {7, "1.5", "1.5"},
		{1.5, "2", 2.0}, {1.5, "x", "x"}, {float32(1.5), "0.1", float32(0.1)}, {float32(1.5), "1e300", 1e300},
		{true, "0", false}, {true, "true", true}, {false, "2", "2"},
		{"s", "7", "7"}, {"s", "\xff", []byte{0xff}}, {[]byte("b"), "text", []byte("text")},
		{[]int{1}, "7", "7"},
	} {
		var present []byte
		if tc.present != nil {
			var err error
			present, err = msgpack.Marshal(tc.present)
			require.NoError(t, err)
		}
		b := textScalar([]byte(tc.text.(string)), present)
		require.NoError(t, pack.Walk(b))
		var got any
		require.NoError(t, msgpack.Unmarshal(b, &got))
		require.EqualValues(t, tc.want, got, "%v over %v", tc.text, tc.present)
	}
}

func TestACountKeepsTheFormOfItsColumn(t *testing.T) {
	row, err := msgpack.Marshal(map[string]any{"int": 1, "float": 2.0, "text": "3", "bytes": []byte("4"), "bool": true, "nil": nil, "half": 0.5, "list": []int{1}})
	require.NoError(t, err)
	m, k := newMemory(), on(record.KindRow, "k")
	ms, err := k.Assign(row)
	require.NoError(t, err)
	m.apply(t, ms)
	for _, name := range []string{"int", "float", "text", "bytes", "bool", "nil", "new"} {
		must(t, m, &MapIncr{Key: k, Name: []byte(name), By: 5})
	}
	require.ErrorIs(t, m.do(t, &MapIncr{Key: k, Name: []byte("half"), By: 1}), ErrNotInteger)
	require.ErrorIs(t, m.do(t, &MapIncr{Key: k, Name: []byte("list"), By: 1}), topology.ErrMalformed)
	b, err := k.Value(m.cells[keyID{k.Table, "k"}])
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, msgpack.Unmarshal(b, &got))
	for name, want := range map[string]any{"int": 6, "float": 7.0, "text": "8", "bytes": []byte("9"), "bool": 6, "nil": 5, "new": 5, "half": 0.5} {
		require.EqualValues(t, want, got[name], name)
	}
}

func TestAColumnThatHoldsNilIsNotThere(t *testing.T) {
	m, k := newMemory(), on(record.KindRow, "k")
	ms, err := k.Assign([]byte("\x82\xa1a\xc0\xa1b\x01"))
	require.NoError(t, err)
	m.apply(t, ms)
	get, n, all := &MapGet{Key: k, Names: list("a", "b", "")}, &MapLength{Key: k}, &MapAll{Key: k}
	must(t, m, get, n, all)
	require.Equal(t, [][]byte{nil, []byte("1"), nil}, get.Values)
	require.Equal(t, 1, n.Count)
	require.Equal(t, []Field{{[]byte("b"), []byte("1")}}, all.Fields)
	gone := &MapRemove{Key: k, Names: list("a", "", "b")}
	must(t, m, gone)
	require.Equal(t, 1, gone.Count)
	require.Empty(t, m.cells[keyID{k.Table, "k"}], "with the last column goes the row")
}

func TestARowWithoutColumnsIsThere(t *testing.T) {
	m, k := newMemory(), on(record.KindRow, "k")
	ms, err := k.Assign([]byte("\x80"))
	require.NoError(t, err)
	m.apply(t, ms)
	look := &Look{Key: k}
	must(t, m, look, &MapRemove{Key: k, Names: list("a")}, &Expire{Key: k, At: 5})
	require.True(t, look.There)
	must(t, m, look, &MapPut{Key: k, Fields: []Field{{[]byte("a"), []byte("v")}}}, look)
	require.EqualValues(t, 5, look.Expires, "writes of columns keep the expiry")
}

func TestColumnsHaveNames(t *testing.T) {
	k := on(record.KindRow, "k")
	for _, name := range []string{"", "\xff"} {
		require.ErrorIs(t, newMemory().do(t, &MapPut{Key: k, Fields: []Field{{Name: []byte(name)}}}), topology.ErrMalformed)
		require.ErrorIs(t, newMemory().do(t, &MapIncr{Key: k, Name: []byte(name)}), topology.ErrMalformed)
	}
}

func FuzzScalars(f *testing.F) {
	for _, s := range []string{"\xca\x00\x00\x00\x00", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xd0\x80", "\xa1x", "\xc4\x01x", "\xc0", "\xdd\xff\xff\xff\xff"} {
		f.Add([]byte(s), "7")
	}
	f.Fuzz(func(t *testing.T, present []byte, text string) {
		old, there, err := scalarText(present)
		if err != nil {
			require.ErrorIs(t, err, topology.ErrMalformed)
			return
		}
		require.NoError(t, pack.Walk(textScalar([]byte(text), present)))
		if !there {
			return
		}
		again, _, err := scalarText(textScalar(old, present))
		require.NoError(t, err)
		require.Equal(t, string(old), string(again), "what a column shows may be written back")
	})
}
