package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

const patience = 15 * time.Second

// node is one of a cluster's.
type node struct {
	*triad.Node
	addr string
	end  func() error
}

// cluster starts n nodes of a single-leader group, of which a leads.
func cluster(t *testing.T, n int) []node {
	t.Helper()
	ids := []topology.NodeID{"a", "b", "c"}[:n]
	listeners := make([]net.Listener, n)
	members := make([]triad.Member, n)
	for i, id := range ids {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners[i], members[i] = l, triad.Member{ID: id, Addr: l.Addr().String()}
	}
	policy := quorum.Async()
	if n > 1 {
		policy = quorum.Any(1, "b", "c")
	}
	nodes := make([]node, n)
	for i, id := range ids {
		nd, err := triad.Open(triad.Config{
			ID: id, Dir: "data", FS: vfs.NewMem(), Members: members, Leader: "a", Listener: listeners[i],
			Topology: singleleader.New(singleleader.Options{Sync: policy}),
			Tables:   []triad.Table{{Name: "users", Kind: record.KindRow}},
			Limits:   triad.Limits{LogSegmentBytes: 64 << 10},
		})
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- nd.Run(context.Background()) }()
		ended := false
		nodes[i] = node{Node: nd, addr: members[i].Addr, end: func() error {
			if ended {
				return nil
			}
			ended = true
			return errors.Join(nd.Close(), <-done)
		}}
		t.Cleanup(func() { require.NoError(t, nodes[i].end()) })
	}
	return nodes
}

func dial(t *testing.T, addrs ...string) *client.Client {
	t.Helper()
	c, err := client.Dial(addrs, client.Options{RetryMin: time.Millisecond, RetryMax: 20 * time.Millisecond, AttemptsMax: 500})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestAClientDoesWhatANodeDoes(t *testing.T) {
	nodes := cluster(t, 1)
	c, ctx := dial(t, nodes[0].addr), t.Context()

	first, err := c.Put(ctx, "default", []byte("k"), []byte("v"), client.IfAbsent(), client.Durability(topology.Applied))
	require.NoError(t, err)
	require.Equal(t, topology.Applied, first.Durability)
	_, err = c.Put(ctx, "default", []byte("k"), []byte("w"), client.IfAbsent())
	require.ErrorIs(t, err, topology.ErrConditionFailed)
	got, err := c.Get(ctx, "default", []byte("k"), client.After(first.Token))
	require.NoError(t, err)
	require.Equal(t, "v", string(got.Value))
	require.Equal(t, first.Dot, got.Dot)
	require.NoError(t, c.Wait(ctx, got.Token))
	_, err = c.Get(ctx, "default", []byte("absent"))
	require.ErrorIs(t, err, topology.ErrNotFound)
	_, err = c.Get(ctx, "nobody", []byte("k"))
	require.ErrorIs(t, err, topology.ErrNoTable)

	_, err = c.Batch(ctx, client.NewBatch().Put("default", []byte("l"), nil).Delete("default", []byte("k")).
		IfVersion("default", []byte("k"), got.Dot).IfAbsent("default", []byte("l")).IfValue("default", []byte("k"), []byte("v")))
	require.NoError(t, err)
	_, err = c.Delete(ctx, "default", []byte("l"), client.IfValue(nil))
	require.NoError(t, err)
	for range c.Scan(ctx, "default", nil, nil) {
		require.Fail(t, "nothing is left")
	}

	require.NoError(t, c.CreateTable(ctx, client.Table{Name: "blobs", Kind: record.KindBytes}))
	require.ErrorIs(t, c.CreateTable(ctx, client.Table{Name: "blobs", Kind: record.KindRow}), topology.ErrConflict)
	require.Eventually(t, func() bool {
		tables, err := c.Tables(ctx)
		return err == nil && fmt.Sprint(tables) == fmt.Sprint([]client.Table{{Name: "blobs", Kind: record.KindBytes}, {Name: "default"}, {Name: "users", Kind: record.KindRow}})
	}, patience, time.Millisecond)
	s, err := c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("a"), s.Node)
	require.Equal(t, topology.RoleLeader, s.Role)
}

// The second of two writes of one name is the first, at whatever node it is tried.
func TestANamedWriteHappensOnce(t *testing.T) {
	nodes := cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := dial(t, nodes[1].addr)
	first, err := c.Put(ctx, "default", []byte("k"), []byte("1"), client.Request(7, 1))
	require.NoError(t, err)
	_, err = c.Put(ctx, "default", []byte("k"), []byte("2"), client.Request(7, 2))
	require.NoError(t, err)
	again, err := c.Put(ctx, "default", []byte("k"), []byte("1"), client.Request(7, 1))
	require.NoError(t, err)
	require.Equal(t, first.Dot, again.Dot)
	require.Equal(t, first.Time, again.Time)
	got, err := c.Get(ctx, "default", []byte("k"))
	require.NoError(t, err)
	require.Equal(t, "2", string(got.Value))
	for _, n := range nodes {
		r, err := dial(t, n.addr).Resolve(ctx, first.Dot, first.Term)
		require.NoError(t, err)
		require.Equal(t, topology.Resolution{Fate: topology.FateApplied, LSN: first.LSN, Term: first.Term}, r)
	}
}

func TestARowTravels(t *testing.T) {
	nodes := cluster(t, 1)
	c, ctx := dial(t, nodes[0].addr), t.Context()
	row, err := msgpack.Marshal(map[string]any{"name": "Alice"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := c.Put(ctx, "users", []byte("1"), row)
		return err == nil
	}, patience, time.Millisecond)
	got, err := c.Get(ctx, "users", []byte("1"))
	require.NoError(t, err)
	require.Equal(t, row, got.Value)
	alice, err := triad.TableOf[struct {
		Name string `msgpack:"name"`
	}](nodes[0].Node, "users").Get(ctx, "1")
	require.NoError(t, err)
	require.Equal(t, "Alice", alice.Name)
}

func TestAScanIsReadInPages(t *testing.T) {
	nodes := cluster(t, 1)
	c, ctx := dial(t, nodes[0].addr), t.Context()
	const items = 2500
	for i := 0; i < items; i += 500 {
		b := client.NewBatch()
		for j := range 500 {
			b.Put("default", fmt.Appendf(nil, "%05d", i+j), []byte("v"))
		}
		_, err := c.Batch(ctx, b)
		require.NoError(t, err)
	}
	large := make([]byte, 700<<10)
	for i := range 4 {
		_, err := c.Put(ctx, "default", fmt.Appendf(nil, "large%d", i), large)
		require.NoError(t, err)
	}
	n := 0
	for item, err := range c.Scan(ctx, "default", nil, nil) {
		require.NoError(t, err)
		if n < items {
			require.Equal(t, fmt.Sprintf("%05d", n), string(item.Key))
		}
		n++
	}
	require.Equal(t, items+4, n)
	n = 0
	for item, err := range c.Scan(ctx, "default", []byte("00100"), []byte("00110")) {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%05d", 100+n), string(item.Key))
		if n++; n == 5 {
			break
		}
	}
	require.Equal(t, 5, n)
}

func TestAClientFindsTheLeaderAndItsSuccessor(t *testing.T) {
	nodes := cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := dial(t, nodes[1].addr, nodes[2].addr) // the leader is not among them
	first, err := c.Put(ctx, "default", []byte("k"), []byte("1"))
	require.NoError(t, err)
	follower := dial(t, nodes[2].addr)
	for _, n := range nodes[1:] { // the one that was not waited for too
		require.NoError(t, n.Wait(ctx, first.Token))
	}
	got, err := follower.Get(ctx, "default", []byte("k"), client.After(first.Token))
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("c"), got.Served)

	require.NoError(t, nodes[0].end())
	var led node
	require.Eventually(t, func() bool { // whichever has more of the log, once both are met
		for _, n := range nodes[1:] {
			if _, err := c.Promote(ctx, n.addr, false); err == nil {
				led = n
				return true
			}
		}
		return false
	}, patience, time.Millisecond)
	second, err := c.Put(ctx, "default", []byte("k"), []byte("2"))
	require.NoError(t, err)
	require.Greater(t, second.Term, first.Term)
	got, err = follower.Get(ctx, "default", []byte("k"), client.Linearizable())
	require.NoError(t, err)
	require.Equal(t, "2", string(got.Value))
	s, err := follower.StatusOf(ctx, led.addr)
	require.NoError(t, err)
	require.Equal(t, topology.RoleLeader, s.Role)
}
