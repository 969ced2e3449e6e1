package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// A sketch counts different visitors in 16 KiB, however many there are.
func ExampleSketchOf() {
	ctx := context.Background()
	node, err := triad.Open(triad.Config{
		Dir:      "data/a",
		FS:       vfs.NewMem(), // so that the example leaves nothing behind
		Listen:   "127.0.0.1:0",
		Topology: singleleader.New(singleleader.Options{}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()

	c, err := client.Dial([]string{node.Addr().String()}, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	visitors := client.SketchOf[string](c, "visitors")
	for range 3 {
		changed, _, err := visitors.Add(ctx, "today", []string{"alice", "bob"})
		fmt.Println(changed, err)
	}
	n, err := visitors.Count(ctx, "today")
	fmt.Println(n, err)

	fmt.Println(errors.Join(c.Close(), node.Close(), <-done))
	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
	// 2 <nil>
	// <nil>
}

func TestFlagsExtremesAndSketchesAreDecidedByTheLeaderWhomeverIsAsked(t *testing.T) {
	nodes, c, ctx := seeded(t, 2) // who follows
	online, best, first, visitors := client.FlagOf(c, "online"), client.MaxOf(c, "best"), client.MinOf(c, "first"), client.SketchOf[string](c, "visitors")
	on, err := online.Get(ctx, "k")
	require.NoError(t, err)
	require.False(t, on)
	_, err = best.Get(ctx, "k")
	require.ErrorIs(t, err, topology.ErrNotFound)
	count, err := visitors.Count(ctx, "k")
	require.NoError(t, err)
	require.Zero(t, count)

	was, _, err := online.Enable(ctx, "k")
	require.NoError(t, err)
	require.False(t, was)
	was, _, err = online.Disable(ctx, "k")
	require.NoError(t, err)
	require.True(t, was)
	_, _, err = online.Enable(ctx, "k")
	require.NoError(t, err)
	for n, want := range map[*client.Extremes]int64{best: 5, first: -5} {
		for _, x := range []int64{want, 0} {
			now, _, err := n.Observe(ctx, "k", x)
			require.NoError(t, err)
			require.Equal(t, want, now)
		}
	}
	_, _, err = best.Observe(ctx, "greatest", math.MaxInt64)
	require.NoError(t, err)
	for _, changed := range []bool{true, false} {
		got, _, err := visitors.Add(ctx, "k", []string{"a", "b"}, client.Request(7, 1))
		require.NoError(t, err)
		require.True(t, got, "a retry is told what the first was")
		got, _, err = visitors.Add(ctx, "l", []string{"b", "c"})
		require.NoError(t, err)
		require.Equal(t, changed, got)
	}
	r, err := visitors.Merge(ctx, "k", []string{"l", "none"})
	require.NoError(t, err)
	_, err = visitors.Merge(ctx, "k", []string{""})
	require.ErrorIs(t, err, topology.ErrMalformed)
	for _, n := range nodes {
		on, err := triad.FlagOf(n.Node, "online").Get(ctx, "k", triad.After(r.Token))
		require.NoError(t, err)
		require.True(t, on)
		least, err := triad.MinOf(n.Node, "first").Get(ctx, "k", triad.After(r.Token))
		require.NoError(t, err)
		require.EqualValues(t, -5, least)
		count, err := triad.SketchOf[string](n.Node, "visitors").Count(ctx, "k", triad.After(r.Token))
		require.NoError(t, err)
		require.EqualValues(t, 3, count)
	}
	most, err := best.Get(ctx, "greatest")
	require.NoError(t, err)
	require.EqualValues(t, math.MaxInt64, most)
	require.NoError(t, c.CreateTable(ctx, client.Table{Name: "values", Kind: record.KindBytes}))
	for _, err := range []error{
		func() error { _, _, err := client.FlagOf(c, "best").Enable(ctx, "k"); return err }(),
		func() error { _, _, err := client.MinOf(c, "best").Observe(ctx, "k", 1); return err }(),
		func() error { _, err := client.SketchOf[string](c, "values").Count(ctx, "k"); return err }(),
	} {
		require.ErrorIs(t, err, topology.ErrConflict)
	}
}
