package triad_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func ExampleCounterOf() {
	ctx := context.Background()
	node, end := run()
	defer end()

	likes := triad.CounterOf(node, "likes")
	for range 3 {
		if _, _, err := likes.Add(ctx, "post-7", 1); err != nil {
			fmt.Println(err)
			return
		}
	}
	n, err := likes.Get(ctx, "post-7")
	fmt.Println(n, err)
	// Output: 3 <nil>
}

func ExampleSetOf() {
	ctx := context.Background()
	node, end := run()
	defer end()

	tags := triad.SetOf[string](node, "tags")
	added, receipt, err := tags.Add(ctx, "post-7", []string{"go", "logs", "go"})
	if err != nil {
		fmt.Println(err)
		return
	}
	has, _ := tags.Has(ctx, "post-7", "logs", triad.After(receipt.Token))
	all, err := tags.Members(ctx, "post-7")
	fmt.Println(added, has, all, err)
	// Output: 2 true [go logs] <nil>
}

func ExampleMapOf() {
	ctx := context.Background()
	node, end := run()
	defer end()

	carts := triad.MapOf[int](node, "carts")
	if _, err := carts.Put(ctx, "alice", "apples", 3); err != nil {
		fmt.Println(err)
		return
	}
	added, _, err := carts.PutAll(ctx, "alice", map[string]int{"apples": 4, "pears": 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	all, err := carts.All(ctx, "alice")
	fmt.Println(added, all, err)
	// Output: 1 map[apples:4 pears:1] <nil>
}

func ExampleFlagOf() {
	ctx := context.Background()
	node, end := run()
	defer end()

	online := triad.FlagOf(node, "online")
	was, _, err := online.Enable(ctx, "alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	alice, _ := online.Get(ctx, "alice")
	bob, err := online.Get(ctx, "bob")
	fmt.Println(was, alice, bob, err)
	// Output: false true false <nil>
}

func ExampleMaxOf() {
	ctx := context.Background()
	node, end := run()
	defer end()

	best := triad.MaxOf(node, "best")
	for _, score := range []int64{310, 1200, 870} {
		now, _, err := best.Observe(ctx, "alice", score)
		fmt.Println(now, err)
	}
	// Output:
	// 310 <nil>
	// 1200 <nil>
	// 1200 <nil>
}

func ExampleMinOf() {
	ctx := context.Background()
	node, end := run()
	defer end()

	since := triad.MinOf(node, "since")
	for _, year := range []int64{2019, 2024, 2012} {
		if _, _, err := since.Observe(ctx, "alice", year); err != nil {
			fmt.Println(err)
			return
		}
	}
	first, err := since.Get(ctx, "alice")
	fmt.Println(first, err)
	// Output: 2012 <nil>
}

func ExampleSketchOf() {
	ctx := context.Background()
	node, end := run()
	defer end()

	visitors := triad.SketchOf[string](node, "visitors")
	for _, name := range []string{"alice", "bob", "alice"} {
		changed, _, err := visitors.Add(ctx, "2026-05-01", []string{name})
		fmt.Println(changed, err)
	}
	if _, _, err := visitors.Add(ctx, "2026-05-02", []string{"bob", "carol"}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := visitors.Merge(ctx, "2026-05", []string{"2026-05-01", "2026-05-02"}); err != nil {
		fmt.Println(err)
		return
	}
	n, err := visitors.Count(ctx, "2026-05")
	fmt.Println(n, err)
	// Output:
	// true <nil>
	// true <nil>
	// false <nil>
	// 3 <nil>
}

func alone(t *testing.T) *triad.Node {
	t.Helper()
	n, end := run()
	t.Cleanup(end)
	return n
}

func TestNothingIsLostWhenManyCountAtOnce(t *testing.T) {
	n := alone(t)
	c, s := triad.CounterOf(n, "likes"), triad.SetOf[int](n, "voters")
	const writers, each = 8, 20
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				_, _, err := c.Add(t.Context(), "k", 1)
				if err == nil {
					_, _, err = s.Add(t.Context(), "k", []int{w*each + i})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	got, err := c.Get(t.Context(), "k")
	require.NoError(t, err)
	require.EqualValues(t, writers*each, got)
	size, err := s.Len(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, writers*each, size)
	_, _, err = c.Add(t.Context(), "k", math.MaxInt64)
	require.ErrorContains(t, err, "the integer would overflow")
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
}

func TestSetsMapsAndCountersThatAreNotThereAreEmpty(t *testing.T) {
	n := alone(t)
	for range 2 { // before the tables are there, and after
		c, s, m := triad.CounterOf(n, "c"), triad.SetOf[string](n, "s"), triad.MapOf[string](n, "m")
		count, err := c.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Zero(t, count)
		members, err := s.Members(t.Context(), "k")
		require.NoError(t, err)
		require.Empty(t, members)
		has, err := s.Has(t.Context(), "k", "a")
		require.NoError(t, err)
		require.False(t, has)
		size, err := s.Len(t.Context(), "k")
		require.NoError(t, err)
		require.Zero(t, size)
		_, err = m.Get(t.Context(), "k", "f")
		require.ErrorIs(t, err, topology.ErrNotFound)
		all, err := m.All(t.Context(), "k")
		require.NoError(t, err)
		require.Empty(t, all)
		size, err = m.Len(t.Context(), "k")
		require.NoError(t, err)
		require.Zero(t, size)
		for _, t2 := range []triad.Table{{Name: "c", Kind: record.KindCounter}, {Name: "s", Kind: record.KindSet}, {Name: "m", Kind: record.KindMap}} {
			require.NoError(t, n.CreateTable(t.Context(), t2))
		}
	}
}

func TestPartsAreRemovedAndTheKeyWithTheLast(t *testing.T) {
	n := alone(t)
	s, m := triad.SetOf[[]byte](n, "s"), triad.MapOf[time.Time](n, "m")
	_, r, err := s.Add(t.Context(), "k", [][]byte{{0xff}, {}})
	require.NoError(t, err)
	require.NotZero(t, r.Dot)
	removed, _, err := s.Remove(t.Context(), "k", [][]byte{{0xff}, {1}})
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	members, err := s.Members(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, [][]byte{{}}, members)
	_, r, err = s.Remove(t.Context(), "k", [][]byte{{1}})
	require.NoError(t, err)
	require.Zero(t, r.Dot, "it changed nothing")

	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	_, err = m.Put(t.Context(), "k", "", noon)
	require.NoError(t, err)
	got, err := m.Get(t.Context(), "k", "")
	require.NoError(t, err)
	require.True(t, noon.Equal(got))
	size, err := m.Len(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, 1, size)
	removed, _, err = m.Remove(t.Context(), "k", []string{"", "x"})
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	_, err = n.Get(t.Context(), "m", []byte("k"))
	require.ErrorIs(t, err, topology.ErrNotFound)
	_, err = s.Delete(t.Context(), "k")
	require.NoError(t, err)
}

func TestACallForAnotherKindNamesTheRightOne(t *testing.T) {
	n := alone(t)
	ctx := t.Context()
	_, _, err := triad.SetOf[string](n, "tags").Add(ctx, "k", []string{"a"})
	require.NoError(t, err)
	_, err = n.Get(ctx, "tags", []byte("k"))
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, "holds a set, not bytes: of another kind: unsupported; triad.SetOf is for it")
	_, err = n.Put(ctx, "tags", []byte("k"), nil)
	require.ErrorContains(t, err, "triad.SetOf is for it")
	_, _, err = triad.CounterOf(n, "tags").Add(ctx, "k", 1)
	var c *triad.Contradiction
	require.True(t, errors.As(err, &c), "%v", err)

	_, err = triad.MapOf[string](n, triad.DefaultTable).Put(ctx, "k", "f", "text")
	require.NoError(t, err, "a table of any kind takes each")
	_, _, err = triad.CounterOf(n, triad.DefaultTable).Add(ctx, "k", 1)
	require.ErrorContains(t, err, `key "k" holds a map, not a counter`)
	_, err = n.Get(ctx, triad.DefaultTable, []byte("k"))
	require.ErrorContains(t, err, "triad.MapOf is for it")
	_, err = triad.MapOf[int](n, triad.DefaultTable).All(ctx, "k")
	require.ErrorIs(t, err, topology.ErrMalformed)
	for item, err := range n.Scan(ctx, triad.DefaultTable, nil, nil) {
		require.NoError(t, err)
		require.Equal(t, record.KindMap, item.Kind)
		require.Empty(t, item.Value)
	}
	_, _, err = triad.SetOf[chan int](n, "tags").Add(ctx, "k", []chan int{nil})
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, _, err = triad.SetOf[string](n, "tags").Add(ctx, "", []string{"a"})
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, _, err = triad.SetOf[string](n, "tags").Add(ctx, "k", []string{"a"}, triad.IfAbsent())
	require.ErrorIs(t, err, topology.ErrUnsupported)
}

func TestKeysOfATableWithATTLEndWithIt(t *testing.T) {
	n := alone(t)
	ctx := t.Context()
	for _, table := range []triad.Table{{Name: "s", Kind: record.KindSet, TTL: time.Millisecond}, {Name: "r", Kind: record.KindRow, TTL: time.Millisecond}} {
		require.NoError(t, n.CreateTable(ctx, table))
	}
	_, _, err := triad.SetOf[string](n, "s").Add(ctx, "k", []string{"a"})
	require.NoError(t, err)
	_, err = n.Put(ctx, "r", []byte("k"), []byte("\x81\xa1a\x01"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		size, err := triad.SetOf[string](n, "s").Len(ctx, "k")
		require.NoError(t, err)
		_, gone := n.Get(ctx, "r", []byte("k"))
		return size == 0 && errors.Is(gone, topology.ErrNotFound)
	}, 10*time.Second, time.Millisecond)
}
