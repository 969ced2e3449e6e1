package redistest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/raft"
	"github.com/triad-kv/triad/internal/server"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// group is three nodes with a Redis port each; a leads.
type group struct {
	nodes map[topology.NodeID]*triad.Node
	addrs map[topology.NodeID]string
	ends  map[topology.NodeID]func() // each may be called again
}

var ids = []topology.NodeID{"a", "b", "c"}

// callTimeout is short, so that what can not be answered is soon said so.
const callTimeout = 2 * time.Second

const password = "open sesame"

// launch starts a group that a leads, until the test ends. Its disks are in memory.
func launch(t *testing.T, routing server.Routing) *group {
	t.Helper()
	return launchUnder(t, routing, nil, singleleader.Options{Sync: quorum.Any(1, "b", "c")})
}

// launchElecting starts a group that elects its leader.
func launchElecting(t *testing.T, routing server.Routing) *group {
	t.Helper()
	control := func() topology.ControlBuilder {
		return raft.New(raft.Options{Voters: ids, Heartbeat: raft.HeartbeatFast})
	}
	return launchUnder(t, routing, control, singleleader.Options{Sync: quorum.First(1, "a", "b", "c"), RetryEvery: 10 * time.Millisecond})
}

func launchUnder(t *testing.T, routing server.Routing, control func() topology.ControlBuilder, o singleleader.Options) *group {
	t.Helper()
	g := &group{nodes: map[topology.NodeID]*triad.Node{}, addrs: map[topology.NodeID]string{}, ends: map[topology.NodeID]func(){}}
	var members []triad.Member
	peers, ports := map[topology.NodeID]net.Listener{}, map[topology.NodeID]net.Listener{}
	for _, id := range ids {
		peers[id], ports[id] = listen(t), listen(t)
		members = append(members, triad.Member{ID: id, Addr: peers[id].Addr().String()})
		g.addrs[id] = ports[id].Addr().String()
	}
	for _, id := range ids {
		c := triad.Config{
			ID: id, Dir: "node", FS: vfs.NewMem(), Memory: true, Leader: "a", Members: members, Listener: peers[id],
			Topology: singleleader.New(o), Limits: triad.Limits{BootstrapWait: 200 * time.Millisecond},
		}
		if control != nil {
			c.Leader, c.Control = "", control()
		}
		if id == "a" {
			c.Tables = []triad.Table{{Name: "users", Kind: record.KindRow}}
		}
		n, err := triad.Open(c)
		require.NoError(t, err)
		s, err := server.New(n.Cells(), server.Options{
			Prefixes: map[string]string{"user:": "users"}, Password: password, Routing: routing,
			Addr:  func(id topology.NodeID) string { return g.addrs[id] },
			Nodes: ids, Forward: n.Cells().Forward,
			Limits: server.Limits{CallTimeout: callTimeout},
		})
		require.NoError(t, err)
		n.Cells().Answer(s.Forwarded)
		g.nodes[id] = n
		ctx, cancel := context.WithCancel(context.Background())
		ran, served := make(chan error, 1), make(chan error, 1)
		go func() { ran <- n.Run(ctx) }()
		go func() { served <- s.Serve(ctx, ports[id]) }()
		g.ends[id] = sync.OnceFunc(func() {
			cancel()
			require.NoError(t, <-served)
			require.NoError(t, <-ran)
			require.NoError(t, n.Close())
		})
		t.Cleanup(g.ends[id])
	}
	return g
}

// stop ends one node.
func (g *group) stop(id topology.NodeID) { g.ends[id]() }

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// client returns a client of one node's port.
func (g *group) client(t *testing.T, id topology.NodeID, protocol int) *redis.Client {
	c := redis.NewClient(&redis.Options{
		Addr: g.addrs[id], Password: password, Protocol: protocol, ClientName: "test", MaxRetries: -1,
		ReadTimeout: patience, DialTimeout: patience,
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
