package redistest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/server"
	"github.com/triad-kv/triad/topology"
)

// counted is what became of the increments of some clients.
type counted struct {
	done, unknown, refused atomic.Int64
	ends                   atomic.Bool
}

// count lets a client add until it is told to end, and notes what became of each. It
// tries again what did not happen, and nothing else; while leadership is handed over a
// client may be sent around until it gives up. What it is answered only grows:
// no increment that was acknowledged is undone.
func (n *counted) count(ctx context.Context, t *testing.T, c redis.Cmdable) {
	last := int64(0)
	for !n.ends.Load() {
		v, err := c.Incr(ctx, "counted").Result()
		switch {
		case err == nil:
			require.Greater(t, v, last)
			last = v
			n.done.Add(1)
		case strings.HasPrefix(err.Error(), "UNKNOWN"):
			n.unknown.Add(1)
		case strings.HasPrefix(err.Error(), "TRYAGAIN"), strings.HasPrefix(err.Error(), "READONLY"), strings.HasPrefix(err.Error(), "MOVED"):
			n.refused.Add(1)
		default:
			require.NoError(t, err)
		}
	}
}

// leader is who leads, once somebody does.
func (g *group) leader(t *testing.T) (id topology.NodeID) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, id = range ids {
			if n := g.nodes[id]; n != nil && n.Status().Role == topology.RoleLeader {
				return true
			}
		}
		return false
	}, patience, time.Millisecond)
	return id
}

// handOver makes another node the leader, in order.
func (g *group) handOver(t *testing.T, to topology.NodeID) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := g.nodes[g.leader(t)].Operator().Switchover(ctx, to)
		if err != nil {
			t.Log("switchover:", err)
		}
		return err == nil
	}, patience, 10*time.Millisecond)
}

// more waits until that many increments more were acknowledged.
func (n *counted) more(t *testing.T, by int64) {
	t.Helper()
	until := n.done.Load() + by
	require.Eventually(t, func() bool { return n.done.Load() >= until }, patience, time.Millisecond)
}

// settles ends the clients and holds the sum against what they were told.
func (n *counted) settles(t *testing.T, g *group, all *sync.WaitGroup) {
	t.Helper()
	n.ends.Store(true)
	all.Wait()
	var sum int64
	require.Eventually(t, func() bool {
		v, err := g.client(t, g.leader(t), 3).Get(t.Context(), "counted").Int64()
		sum = v
		return err == nil
	}, patience, 10*time.Millisecond)
	t.Logf("%d acknowledged, %d unknown, %d refused, %d counted", n.done.Load(), n.unknown.Load(), n.refused.Load(), sum)
	require.GreaterOrEqual(t, sum, n.done.Load())
	require.LessOrEqual(t, sum, n.done.Load()+n.unknown.Load())
}

// Clients of every node count on while the leader is changed in order and then ends:
// what was acknowledged is there once, whoever forwarded it to whom.
func TestForwardedIncrementsOutliveTheirLeaders(t *testing.T) {
	g := launchElecting(t, server.RoutingForward)
	first := g.leader(t)
	var others []topology.NodeID
	for _, id := range ids {
		if id != first {
			others = append(others, id)
		}
	}
	var n counted
	var all sync.WaitGroup
	for i, id := range []topology.NodeID{others[0], others[0], others[1], others[1]} {
		all.Go(func() { n.count(t.Context(), t, g.client(t, id, 2+i%2)) })
	}
	n.more(t, 100)
	g.handOver(t, others[0])
	n.more(t, 100)
	g.handOver(t, first)
	n.more(t, 100)
	g.stop(first)
	g.nodes[first] = nil
	n.more(t, 100)
	n.settles(t, g, &all)
}

// A client of Redis Cluster follows MOVED to each leader in turn.
func TestAClusterClientFollowsTheLeader(t *testing.T) {
	g := launchElecting(t, server.RoutingRedirect)
	first := g.leader(t)
	var addrs []string
	var others []topology.NodeID
	for _, id := range ids {
		if id != first { // it has to be told
			addrs, others = append(addrs, g.addrs[id]), append(others, id)
		}
	}
	var n counted
	var all sync.WaitGroup
	for i := range 4 {
		c := redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: addrs, Password: password, Protocol: 2 + i%2, ReadTimeout: patience, DialTimeout: patience, MaxRedirects: 3,
		})
		t.Cleanup(func() { _ = c.Close() })
		all.Go(func() { n.count(t.Context(), t, c) })
	}
	n.more(t, 100)
	for _, id := range []topology.NodeID{others[0], first, others[0]} {
		g.handOver(t, id)
		n.more(t, 100)
	}
	n.settles(t, g, &all)
}

// Transactions, locks and pipelines of a cluster client, which first goes to a node that does
// not lead.
func TestAClusterClientIsRedirectedWithAllItDoes(t *testing.T) {
	g := launch(t, server.RoutingRedirect)
	ctx := t.Context()
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{g.addrs["b"]}, Password: password, ReadTimeout: patience, DialTimeout: patience,
		// It believes that b leads, until it is told otherwise.
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: g.addrs["b"]}}}}, nil
		},
	})
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Set(ctx, "{k}a", "1", 0).Err())
	_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "{k}a")
		p.Set(ctx, "{k}b", "x", 0)
		return nil
	})
	require.NoError(t, err)
	cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 20 {
			p.Incr(ctx, "{k}a")
		}
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 22, cmds[19].(*redis.IntCmd).Val())
	require.Equal(t, "22", c.Get(ctx, "{k}a").Val(), "read at b")
	plain := g.client(t, "b", 3)
	require.ErrorContains(t, plain.Set(ctx, "foo", "v", 0).Err(), "MOVED 12182 "+g.addrs["a"])
	require.False(t, errors.Is(plain.Get(ctx, "{k}b").Err(), redis.Nil), "a reader of b needs nobody else")
}
