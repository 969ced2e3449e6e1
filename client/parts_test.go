package client_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestCountersSetsAndMapsAreDecidedByTheLeaderWhomeverIsAsked(t *testing.T) {
	nodes, c, ctx := seeded(t, 2) // who follows
	likes, tags, carts := client.CounterOf(c, "likes"), client.SetOf[string](c, "tags"), client.MapOf[int](c, "carts")

	n, _, err := likes.Add(ctx, "post", 3)
	require.NoError(t, err)
	require.Equal(t, int64(3), n)
	n, r, err := likes.Add(ctx, "post", -5, client.Durability(topology.Applied))
	require.NoError(t, err)
	require.Equal(t, int64(-2), n)
	require.Equal(t, topology.Applied, r.Durability)
	_, _, err = likes.Add(ctx, "post", math.MinInt64)
	require.Error(t, err)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))

	added, _, err := tags.Add(ctx, "post", []string{"go", "logs", "go", ""})
	require.NoError(t, err)
	require.Equal(t, 3, added)
	removed, _, err := tags.Remove(ctx, "post", []string{"", "none"})
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	fresh, _, err := carts.PutAll(ctx, "alice", map[string]int{"apples": 3, "pears": 1})
	require.NoError(t, err)
	require.Equal(t, 2, fresh)
	_, err = carts.Put(ctx, "alice", "apples", 4)
	require.NoError(t, err)
	removed, r, err = carts.Remove(ctx, "alice", []string{"pears", "plums"})
	require.NoError(t, err)
	require.Equal(t, 1, removed)

	by, err := c.ReaderBy(client.Routing{Route: client.RouteRoundRobin})
	require.NoError(t, err)
	for _, opts := range [][]client.Option{nil, {client.After(r.Token)}, {client.Linearizable()}} {
		for range 3 { // every node
			n, err := client.CounterOf(by, "likes").Get(ctx, "post", opts...)
			require.NoError(t, err)
			require.Equal(t, int64(-2), n)
			members, err := client.SetOf[string](by, "tags").Members(ctx, "post", opts...)
			require.NoError(t, err)
			require.Equal(t, []string{"go", "logs"}, members)
			has, err := client.SetOf[string](by, "tags").Has(ctx, "post", "go", opts...)
			require.NoError(t, err)
			require.True(t, has)
			size, err := client.SetOf[string](by, "tags").Len(ctx, "post", opts...)
			require.NoError(t, err)
			require.Equal(t, 2, size)
			m := client.MapOf[int](by, "carts")
			apples, err := m.Get(ctx, "alice", "apples", opts...)
			require.NoError(t, err)
			require.Equal(t, 4, apples)
			all, err := m.All(ctx, "alice", opts...)
			require.NoError(t, err)
			require.Equal(t, map[string]int{"apples": 4}, all)
			size, err = m.Len(ctx, "alice", opts...)
			require.NoError(t, err)
			require.Equal(t, 1, size)
		}
	}
	local, err := triad.MapOf[int](nodes[0].Node, "carts").All(ctx, "alice")
	require.NoError(t, err)
	require.Equal(t, map[string]int{"apples": 4}, local, "it is what programs on the node see")
	_, err = tags.Delete(ctx, "post")
	require.NoError(t, err)
	size, err := tags.Len(ctx, "post")
	require.NoError(t, err)
	require.Zero(t, size)
	require.Equal(t, "tags", tags.Name())
}

func TestWhatIsNotThereIsEmptyAndWhatIsOfAnotherKindIsRefused(t *testing.T) {
	_, c, ctx := seeded(t, 1)
	for range 2 {
		n, err := client.CounterOf(c, "likes").Get(ctx, "k")
		require.NoError(t, err)
		require.Zero(t, n)
		members, err := client.SetOf[time.Time](c, "times").Members(ctx, "k")
		require.NoError(t, err)
		require.Empty(t, members)
		_, err = client.MapOf[string](c, "maps").Get(ctx, "k", "f")
		require.ErrorIs(t, err, topology.ErrNotFound)
		all, err := client.MapOf[string](c, "maps").All(ctx, "k")
		require.NoError(t, err)
		require.Empty(t, all)
		for _, table := range []client.Table{{Name: "likes", Kind: record.KindCounter}, {Name: "times", Kind: record.KindSet}, {Name: "maps", Kind: record.KindMap}} {
			require.NoError(t, c.CreateTable(ctx, table))
		}
	}
	_, _, err := client.CounterOf(c, "times").Add(ctx, "k", 1)
	require.ErrorIs(t, err, topology.ErrConflict)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = client.MapOf[int](c, "times").All(ctx, "k")
	require.ErrorIs(t, err, topology.ErrConflict)
	_, err = client.MapOf[int](c, "maps").Put(ctx, "", "f", 1)
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = client.MapOf[int](c, "maps").Put(ctx, "k", "f", 1, client.IfAbsent())
	require.ErrorIs(t, err, topology.ErrUnsupported)
	_, _, err = client.SetOf[chan int](c, "times").Add(ctx, "k", []chan int{nil})
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = client.MapOf[[]byte](c, "maps").Put(ctx, "k", "f", []byte("\xc1"))
	require.NoError(t, err)
	_, err = client.MapOf[int](c, "maps").Get(ctx, "k", "f")
	require.ErrorIs(t, err, topology.ErrMalformed, "its bytes are no int")
	_, err = client.MapOf[int](c, "maps").All(ctx, "k")
	require.ErrorIs(t, err, topology.ErrMalformed)
}

func TestASessionSeesItsOwnCountsAtAnyNode(t *testing.T) {
	_, c, ctx := seeded(t, 0)
	s, err := c.Session(client.Routing{Route: client.RouteRoundRobin})
	require.NoError(t, err)
	likes := client.CounterOf(s, "likes")
	for i := range int64(30) {
		n, _, err := likes.Add(ctx, "k", 1)
		require.NoError(t, err)
		require.Equal(t, i+1, n)
		n, err = likes.Get(ctx, "k")
		require.NoError(t, err)
		require.Equal(t, i+1, n)
	}
}

// More writes at once than the group remembers of one client, each named.
func TestManyCountersOfOneClientLoseNothing(t *testing.T) {
	_, c, ctx := seeded(t, 0)
	const writers, each = 100, 10
	likes := client.CounterOf(c, "likes")
	_, _, err := likes.Add(ctx, "k", 0)
	require.NoError(t, err)
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				if _, _, err := likes.Add(ctx, "k", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	n, err := likes.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, int64(writers*each), n)
}

func TestARetryOfAChangeIsToldWhatTheFirstWas(t *testing.T) {
	_, c, ctx := seeded(t, 1)
	likes, tags := client.CounterOf(c, "likes"), client.SetOf[string](c, "tags")
	for range 3 {
		n, _, err := likes.Add(ctx, "k", 5, client.Request(7, 1))
		require.NoError(t, err)
		require.Equal(t, int64(5), n)
		added, _, err := tags.Add(ctx, "k", []string{"a"}, client.Request(7, 2))
		require.NoError(t, err)
		require.Equal(t, 1, added)
	}
}

func TestWhatBecameOfARequestIsSettled(t *testing.T) {
	nodes, c, ctx := seeded(t, 2)
	receipt, err := c.Put(ctx, "default", []byte("k"), []byte("1"), client.Request(7, 1))
	require.NoError(t, err)
	for range 2 {
		r, err := c.ResolveRequest(ctx, client.RequestID{Client: 7, Seq: 1})
		require.NoError(t, err)
		require.Equal(t, topology.Resolution{Fate: topology.FateApplied, LSN: receipt.LSN, Term: receipt.Term}, r)
		r, err = c.ResolveRequest(ctx, client.RequestID{Client: 7, Seq: 2})
		require.NoError(t, err)
		require.Equal(t, topology.Resolution{Fate: topology.FateNotApplied}, r)
	}
	_, err = c.Put(ctx, "default", []byte("k"), []byte("2"), client.Request(7, 2))
	require.ErrorIs(t, err, topology.ErrConflict, "it comes late, and was said not to have happened")
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, _, err = client.CounterOf(c, "likes").Add(ctx, "k", 1, client.Request(7, 2))
	require.Error(t, err)
	got, err := c.Get(ctx, "default", []byte("k"))
	require.NoError(t, err)
	require.Equal(t, "1", string(got.Value))
	n, err := client.CounterOf(c, "likes").Get(ctx, "k")
	require.NoError(t, err)
	require.Zero(t, n)

	for seq := uint64(3); seq < 70; seq++ {
		_, err = c.Put(ctx, "default", []byte("k"), []byte("1"), client.Request(7, seq), client.Durability(topology.Applied))
		require.NoError(t, err)
	}
	_, err = c.ResolveRequest(ctx, client.RequestID{Client: 7, Seq: 2})
	require.ErrorIs(t, err, topology.ErrForgotten)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
	_, err = c.ResolveRequest(ctx, client.RequestID{})
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = triad.ResolveRequest(ctx, nodes[1].Node, client.RequestID{Client: 8, Seq: 1})
	require.ErrorIs(t, err, topology.ErrNotLeader, "a node answers for itself")
}

func ExampleCounterOf() {
	nodes, end := exampleNodes(1)
	defer end()
	c, err := client.Dial([]string{nodes[0].addr}, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()

	likes := client.CounterOf(c, "likes")
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
	nodes, end := exampleNodes(1)
	defer end()
	c, err := client.Dial([]string{nodes[0].addr}, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()

	tags := client.SetOf[string](c, "tags")
	added, receipt, err := tags.Add(ctx, "post-7", []string{"go", "logs", "go"})
	if err != nil {
		fmt.Println(err)
		return
	}
	has, _ := tags.Has(ctx, "post-7", "logs", client.After(receipt.Token))
	all, err := tags.Members(ctx, "post-7")
	fmt.Println(added, has, all, err)
	// Output: 2 true [go logs] <nil>
}

func ExampleMapOf() {
	nodes, end := exampleNodes(1)
	defer end()
	c, err := client.Dial([]string{nodes[0].addr}, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()

	carts := client.MapOf[int](c, "carts")
	added, _, err := carts.PutAll(ctx, "alice", map[string]int{"apples": 4, "pears": 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	all, err := carts.All(ctx, "alice")
	fmt.Println(added, all, err)
	// Output: 2 map[apples:4 pears:1] <nil>
}
