package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/topology"
)

// seeded is a cluster of three, a client that knows one of them, and a context for
// what it is asked.
func seeded(t *testing.T, seed int) ([]node, *client.Client, context.Context) {
	t.Helper()
	nodes := cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return nodes, dial(t, nodes[seed].addr), ctx
}

func TestTheClusterIsFoundFromOneSeed(t *testing.T) {
	nodes := cluster(t, 3)
	c, ctx := dial(t, nodes[2].addr), t.Context()
	r, err := c.Put(ctx, "default", []byte("k"), []byte("v"))
	require.NoError(t, err)
	for _, n := range nodes {
		require.NoError(t, n.Wait(ctx, r.Token))
	}
	all, err := c.Members(ctx)
	require.NoError(t, err)
	require.Len(t, all, 3)
	for i, m := range all {
		require.Equal(t, topology.NodeID([]string{"a", "b", "c"}[i]), m.ID)
		require.Equal(t, nodes[i].addr, m.Addr)
		require.GreaterOrEqual(t, m.Applied, r.LSN, "each said so itself: %v", m)
		require.Positive(t, m.RoundTrip)
		require.False(t, m.Heard.IsZero())
	}
	require.Equal(t, topology.RoleLeader, all[0].Role)
	require.Equal(t, topology.RoleFollower, all[1].Role)
}

func TestTheSeedMayGoAway(t *testing.T) {
	nodes, c, ctx := seeded(t, 2)
	_, err := c.Members(ctx)
	require.NoError(t, err)
	require.NoError(t, nodes[2].end())
	// A write that is sent while the connection breaks ends Unknown; a read goes on.
	_, err = c.Get(ctx, "default", []byte("k"))
	require.ErrorIs(t, err, topology.ErrNotFound)
	_, err = c.Put(ctx, "default", []byte("k"), []byte("v"))
	require.NoError(t, err)
	got, err := c.Get(ctx, "default", []byte("k"))
	require.NoError(t, err)
	require.Equal(t, "v", string(got.Value))
}

func TestReadsGoWhereTheRouteSays(t *testing.T) {
	nodes, c, ctx := seeded(t, 1)
	receipt, err := c.Put(ctx, "default", []byte("k"), []byte("v"))
	require.NoError(t, err)
	for _, n := range nodes {
		require.NoError(t, n.Wait(ctx, receipt.Token))
	}
	_, err = c.Members(ctx)
	require.NoError(t, err)
	served := func(r client.Route, opts ...client.Option) map[topology.NodeID]int {
		t.Helper()
		by, err := c.ReaderBy(client.Routing{Route: r})
		require.NoError(t, err)
		who := map[topology.NodeID]int{}
		for range 9 {
			got, err := by.Get(ctx, "default", []byte("k"), opts...)
			require.NoError(t, err)
			require.Equal(t, "v", string(got.Value))
			who[got.Served]++
		}
		return who
	}
	require.Equal(t, map[topology.NodeID]int{"a": 9}, served(client.RouteLeader, client.Any()))
	require.Equal(t, map[topology.NodeID]int{"a": 3, "b": 3, "c": 3}, served(client.RouteRoundRobin, client.Any()))
	require.NotContains(t, served(client.RouteLeastLag, client.Any()), topology.NodeID("a"))
	require.Len(t, served(client.RouteSticky, client.Any()), 1)
	for _, r := range []client.Route{client.RouteNearest, client.RouteRoundRobin, client.RouteLeastLag} {
		served(r)
		served(r, client.After(receipt.Token))
		served(r, client.Linearizable())
		served(r, client.MaxStale(time.Minute))
	}
}

func TestAFollowerThatIsKilledIsNotMissed(t *testing.T) {
	nodes, c, ctx := seeded(t, 0)
	_, err := c.Put(ctx, "default", []byte("k"), []byte("v"))
	require.NoError(t, err)
	by, err := c.ReaderBy(client.Routing{Route: client.RouteRoundRobin})
	require.NoError(t, err)
	for i := range 30 {
		if i == 10 {
			require.NoError(t, nodes[2].end())
		}
		got, err := by.Get(ctx, "default", []byte("k"))
		require.NoError(t, err)
		require.Equal(t, "v", string(got.Value))
		if i >= 10 {
			require.NotEqual(t, topology.NodeID("c"), got.Served)
		}
	}
}

func TestASessionReadsWhatItWroteAtAnyNode(t *testing.T) {
	nodes, c, ctx := seeded(t, 0)
	s, err := c.Session(client.Routing{Route: client.RouteRoundRobin})
	require.NoError(t, err)
	for i := range 30 {
		v := fmt.Sprint(i)
		_, err := s.Put(ctx, "default", []byte("k"), []byte(v))
		require.NoError(t, err)
		got, err := s.Get(ctx, "default", []byte("k"))
		require.NoError(t, err)
		require.Equal(t, v, string(got.Value), "at %s", got.Served)
		for item, err := range s.Scan(ctx, "default", nil, nil) {
			require.NoError(t, err)
			require.Equal(t, v, string(item.Value))
		}
		_, err = s.Delete(ctx, "default", []byte("k"))
		require.NoError(t, err)
		_, err = s.Get(ctx, "default", []byte("k"))
		require.ErrorIs(t, err, topology.ErrNotFound)
	}
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	other, err := dial(t, nodes[1].addr).Session(client.Routing{Route: client.RouteLeastLag})
	require.NoError(t, err)
	require.NoError(t, other.UnmarshalBinary(b))
	require.Equal(t, s.Token(), other.Token())
	_, err = other.Get(ctx, "default", []byte("k"))
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.ErrorIs(t, other.UnmarshalBinary([]byte("nonsense")), topology.ErrMalformed)
	require.Equal(t, s.Token(), other.Token())
}

func TestASessionOutlivesItsLeader(t *testing.T) {
	nodes, c, ctx := seeded(t, 1)
	s, err := c.Session(client.Routing{Route: client.RouteSticky, TokenWait: 10 * time.Millisecond})
	require.NoError(t, err)
	receipt, err := s.Put(ctx, "default", []byte("k"), []byte("1"))
	require.NoError(t, err)
	for _, n := range nodes[1:] {
		require.NoError(t, n.Wait(ctx, receipt.Token))
	}
	require.NoError(t, nodes[0].end())
	got, err := s.Get(ctx, "default", []byte("k"))
	require.NoError(t, err, "who follows answers still")
	require.Equal(t, "1", string(got.Value))
	require.Eventually(t, func() bool {
		_, err := c.Promote(ctx, nodes[1].addr, false)
		_, other := c.Promote(ctx, nodes[2].addr, false)
		return err == nil || other == nil
	}, patience, time.Millisecond)
	for i := range 20 {
		v := fmt.Sprint(i)
		_, err := s.Put(ctx, "default", []byte("k"), []byte(v))
		require.NoError(t, err)
		got, err := s.Get(ctx, "default", []byte("k"))
		require.NoError(t, err)
		require.Equal(t, v, string(got.Value))
	}
}

func TestASlowReadIsSentTwiceAndAnsweredOnce(t *testing.T) {
	_, c, ctx := seeded(t, 0)
	_, err := c.Put(ctx, "default", []byte("k"), []byte("v"))
	require.NoError(t, err)
	by, err := c.ReaderBy(client.Routing{Route: client.RouteRoundRobin, Hedge: client.Hedge{Percent: 100, After: 1}})
	require.NoError(t, err)
	for range 50 { // every one of them is slow
		got, err := by.Get(ctx, "default", []byte("k"))
		require.NoError(t, err)
		require.Equal(t, "v", string(got.Value))
	}
	for _, bad := range []client.Routing{{Route: 99}, {TokenWait: -1}, {Hedge: client.Hedge{Percent: 1}}} {
		_, err := c.ReaderBy(bad)
		require.ErrorContains(t, err, "routing.")
		_, err = c.Session(bad)
		require.ErrorContains(t, err, "routing.")
	}
}
