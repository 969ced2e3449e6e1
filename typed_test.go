package triad

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

type user struct {
	Name  string `msgpack:"name"`
	Age   int    `msgpack:"age"`
	Email string `msgpack:"email,omitempty"`
	Tags  []string
}

type asArray struct {
	_msgpack struct{} `msgpack:",as_array"`
	A, B     int
}

var _ = asArray{}._msgpack // msgpack alone reads it

func TestATypedTableKeepsItsValues(t *testing.T) {
	n, _ := start(t, Config{})
	table := TableOf[user](n, "users")
	alice := user{Name: "Alice", Age: 33, Tags: []string{"x", "y"}}
	r, err := table.Put(t.Context(), "1001", alice)
	require.NoError(t, err)
	got, err := table.Get(t.Context(), "1001", After(r.Token))
	require.NoError(t, err)
	require.Equal(t, alice, got)
	got, reading, err := table.Read(t.Context(), "1001")
	require.NoError(t, err)
	require.Equal(t, alice, got)
	require.Equal(t, r.Dot, reading.Dot)
	_, err = table.Delete(t.Context(), "1001", IfVersion(reading.Dot))
	require.NoError(t, err)
	_, err = table.Get(t.Context(), "1001")
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.Equal(t, "users", table.Name())
}

func TestAStructIsOneCellAColumn(t *testing.T) {
	n, f := start(t, Config{})
	_, err := TableOf[user](n, "users").Put(t.Context(), "1", user{Name: "Alice"})
	require.NoError(t, err)
	var columns []string
	for _, m := range f.writes[len(f.writes)-1].Mutations[2:] {
		columns = append(columns, string(m.Field))
	}
	require.Equal(t, []string{"Tags", "age", "name"}, columns)
}

func TestTheKindFollowsTheType(t *testing.T) {
	for name, tc := range map[string]struct{ got, want record.Kind }{
		"a struct":                       {typed.KindOf[user](), record.KindRow},
		"a pointer to one":               {typed.KindOf[*user](), record.KindRow},
		"an empty struct":                {typed.KindOf[struct{}](), record.KindRow},
		"a map from strings":             {typed.KindOf[map[string]int](), record.KindRow},
		"a map from numbers":             {typed.KindOf[map[int]string](), record.KindBytes},
		"a time":                         {typed.KindOf[time.Time](), record.KindBytes},
		"a struct that is an array":      {typed.KindOf[asArray](), record.KindBytes},
		"a string":                       {typed.KindOf[string](), record.KindBytes},
		"bytes":                          {typed.KindOf[[]byte](), record.KindBytes},
		"anything":                       {typed.KindOf[any](), record.KindBytes},
		"a struct that cannot be a cell": {typed.KindOf[struct{ C chan int }](), record.KindBytes},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, tc.got) })
	}
}

func roundTrip[T any](t *testing.T, n *Node, name string, v T) {
	t.Helper()
	table := TableOf[T](n, name)
	_, err := table.Put(t.Context(), "k", v)
	require.NoError(t, err)
	got, err := table.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, v, got)
}

func TestValuesOfManyTypesComeBack(t *testing.T) {
	n, _ := start(t, Config{})
	roundTrip(t, n, "strings", "hello")
	roundTrip(t, n, "bytes", []byte{0, 1, 2})
	roundTrip(t, n, "ints", -7)
	roundTrip(t, n, "slices", []float64{1.5, 2})
	roundTrip(t, n, "maps", map[string]int{"b": 1, "a": 2})
	roundTrip(t, n, "pointers", &user{Name: "P"})
	roundTrip(t, n, "arrays", asArray{A: 1, B: 2})
	roundTrip(t, n, "default", user{Name: "in a table of any kind, as bytes"})
}

func TestATypedTableOfAnotherKindIsRefused(t *testing.T) {
	n, _ := start(t, Config{})
	_, err := TableOf[user](n, "users").Put(t.Context(), "k", user{})
	require.NoError(t, err)
	other := TableOf[string](n, "users")
	var c *Contradiction
	_, err = other.Put(t.Context(), "k", "v")
	require.ErrorAs(t, err, &c)
	_, err = other.Get(t.Context(), "k")
	require.ErrorAs(t, err, &c)
	_, err = other.Delete(t.Context(), "k")
	require.ErrorAs(t, err, &c)
	for _, err := range other.Scan(t.Context(), "", "") {
		require.ErrorAs(t, err, &c)
	}
}

func TestATypedTableThatNobodyDefinedHoldsNothing(t *testing.T) {
	n, f := start(t, Config{})
	table := TableOf[user](n, "users")
	_, err := table.Get(t.Context(), "k")
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.ErrorIs(t, err, topology.ErrNoTable)
	for range table.Scan(t.Context(), "", "") {
		require.Fail(t, "nothing is there")
	}
	require.Empty(t, f.writes, "a read defines nothing")
	f.follows.Store(true)
	_, err = table.Put(t.Context(), "k", user{})
	require.ErrorIs(t, err, topology.ErrNotLeader, "only the leader defines it")
}

func TestHostileBytesAreMalformedWithTableAndKey(t *testing.T) {
	n, _ := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), Table{Name: "b", Kind: record.KindBytes}))
	for name, b := range map[string]string{
		"4 G elements in five bytes": "\xdd\xff\xff\xff\xff",
		"a string of 2 GB":           "\xdb\x7f\xff\xff\xff",
		"nested without end":         string(repeat(0x91, 1<<20)),
		"another type":               "\xa1x",
		"bytes after the end":        "\x01\x01",
		"nothing":                    "",
		"begins nothing":             "\xc1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.Put(t.Context(), "b", key, []byte(b))
			require.NoError(t, err)
			_, err = TableOf[int](n, "b").Get(t.Context(), "k")
			require.ErrorIs(t, err, topology.ErrMalformed)
			var e *topology.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "b", e.Table)
			require.Equal(t, key, e.Key)
			for r, err := range TableOf[int](n, "b").Scan(t.Context(), "", "") {
				require.ErrorIs(t, err, topology.ErrMalformed)
				require.Equal(t, "k", r.Key)
			}
		})
	}
}

func repeat(b byte, n int) []byte {
	s := make([]byte, n)
	for i := range s {
		s[i] = b
	}
	return s
}

func TestWhatCannotBeEncodedIsRefused(t *testing.T) {
	n, f := start(t, Config{})
	table := TableOf[chan int](n, "channels")
	_, err := table.Put(t.Context(), "k", make(chan int))
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = n.Batch(t.Context(), table.Add(NewBatch(), "k", make(chan int)))
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.Empty(t, f.writes)
}

func TestTypedPutsJoinABatch(t *testing.T) {
	n, _ := start(t, Config{Tables: []Table{users}})
	require.NoError(t, n.CreateTable(t.Context(), users))
	table := TableOf[user](n, "users")
	b := table.Add(table.Add(NewBatch(), "1", user{Name: "A"}), "2", user{Name: "B"})
	_, err := n.Batch(t.Context(), b)
	require.NoError(t, err)
	var names []string
	for r, err := range table.Scan(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, r.Key+r.Value.Name)
	}
	require.Equal(t, []string{"1A", "2B"}, names)
}

func TestATypedScanMayStopAndPassesErrors(t *testing.T) {
	n, _ := start(t, Config{})
	table := TableOf[int](n, "ints")
	for i, k := range []string{"a", "b", "c", "d"} {
		_, err := table.Put(t.Context(), k, i)
		require.NoError(t, err)
	}
	seen := 0
	for r, err := range table.Scan(t.Context(), "b", "d") {
		require.NoError(t, err)
		require.Equal(t, "b", r.Key)
		seen++
		break
	}
	require.Equal(t, 1, seen)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range table.Scan(ctx, "", "") {
		require.ErrorIs(t, err, topology.ErrTimeout)
		seen++
	}
	require.Equal(t, 2, seen)
	for _, err := range table.Scan(t.Context(), "", "", IfAbsent()) {
		require.ErrorIs(t, err, topology.ErrUnsupported)
		require.False(t, errors.Is(err, topology.ErrNotFound))
		seen++
	}
	require.Equal(t, 3, seen)
}

func TestATopologyThatDecidesNothingRefusesToCount(t *testing.T) {
	n, _ := start(t, Config{})
	_, _, err := CounterOf(n, "likes").Add(t.Context(), "k", 1)
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, "decides no write from what it finds")
	_, _, err = CounterOf(n, "likes").Add(t.Context(), "k", 1, Request(1, 1))
	require.ErrorIs(t, err, topology.ErrUnsupported)
}
