package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 20 * time.Second
	every    = 2 * time.Millisecond
	quick    = 40 * time.Millisecond // between two probes
)

// known is an identity; the zero value knows no id.
type known struct {
	name string
	id   clusterID
	ch   chan struct{}
}

func (k known) ClusterName() string            { return k.name }
func (k known) Cluster() (id [16]byte, _ bool) { return k.id, k.id != clusterID{} }

func shop() known { return known{name: "shop", id: clusterID{1}} }

// node is a Gossip that runs.
type node struct {
	*Gossip
	t    *testing.T
	log  *lines
	stop func() error
}

// setup is how a node is started.
type setup struct {
	id      topology.NodeID
	life    uint64
	peers   string
	members []topology.Member
	known   known
	seeds   []string
	options Options
	silent  bool // is opened, and does not run
}

var three = []topology.Member{{ID: "a"}, {ID: "b"}, {ID: "c", Addr: "127.0.0.1:7403", Site: "eu"}}

func open(t *testing.T, s setup) *node {
	t.Helper()
	if s.members == nil {
		s.members = three
	}
	if s.known.name == "" {
		s.known = shop()
	}
	if s.life == 0 {
		s.life = uint64(s.id[0])
	}
	if s.peers == "" {
		s.peers = "127.0.0.1:74" + string('0'+s.id[0]%10) + "9"
	}
	if s.options.Listen == "" {
		s.options.Listen = "127.0.0.1:0"
	}
	if s.options.ProbeEvery == 0 {
		s.options.ProbeEvery = quick
	}
	s.options.Join = s.seeds
	n := &node{t: t, log: &lines{}}
	var err error
	n.Gossip, err = Open(Env{
		Self: s.id, Life: s.life, Members: s.members, Peers: s.peers,
		Identity: s.known, Known: s.known.ch, ProtocolMin: 1, ProtocolMax: 1,
		Logger: slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, s.options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	if !s.silent {
		n.run()
	}
	return n
}

func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceValue(func() error { cancel(); return <-done })
	n.t.Cleanup(func() { require.NoError(n.t, n.stop()) })
}

// kill ends a node without a goodbye.
func (n *node) kill() { require.NoError(n.t, n.stop()) }

func (n *node) leave() {
	require.NoError(n.t, n.Leave(n.t.Context()))
	n.kill()
}

// sees waits until the view says so of a member.
func (n *node) sees(id topology.NodeID, l topology.Liveness) topology.Member {
	n.t.Helper()
	var m topology.Member
	defer func() {
		if n.t.Failed() {
			n.t.Log(n.log.String())
		}
	}()
	require.Eventually(n.t, func() bool {
		v, _ := n.View()
		m, _ = v.Find(id)
		return m.Liveness == l
	}, patience, every, "%s sees %s %v", n.env.Self, id, l)
	return m
}

func (n *node) strangers() []topology.Member {
	v, _ := n.View()
	return v.Strangers
}

// trio starts three nodes that know one another.
func trio(t *testing.T, o Options) (a, b, c *node) {
	t.Helper()
	a = open(t, setup{id: "a", options: o})
	b = open(t, setup{id: "b", options: o, seeds: []string{a.Addr()}})
	c = open(t, setup{id: "c", options: o, seeds: []string{a.Addr()}})
	all := []*node{a, b, c}
	for _, n := range all {
		for _, m := range all {
			n.sees(m.env.Self, topology.LivenessAlive)
		}
	}
	return a, b, c
}

// lines is what was logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
