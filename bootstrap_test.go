package triad

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/topology"
)

// port binds a port of this machine and frees it when the test ends.
func port(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair is the configurations of two nodes, a of which leads the first term.
type pair struct {
	disks     [2]*vfs.MemFS
	members   []Member
	listeners [2]net.Listener
	wait      time.Duration
}

func newPair(t *testing.T) *pair {
	p := &pair{wait: time.Minute}
	for i, id := range []topology.NodeID{"a", "b"} {
		p.disks[i] = vfs.NewMem()
		p.listeners[i] = port(t)
		p.members = append(p.members, Member{ID: id, Addr: p.listeners[i].Addr().String()})
	}
	return p
}

// config is that of node i; the listener may be used once.
func (p *pair) config(i int) Config {
	return Config{
		ID: p.members[i].ID, Dir: "data", FS: p.disks[i], Members: p.members, Leader: "a", Listener: p.listeners[i],
		Limits: Limits{BootstrapWait: p.wait},
	}
}

func cluster(t *testing.T, n *Node) [16]byte {
	t.Helper()
	select {
	case <-n.identity.known:
	case <-time.After(patience):
		require.FailNow(t, "the cluster is not known in time")
	}
	id, known := n.home.Cluster()
	require.True(t, known)
	require.Equal(t, id, n.log.Cluster(), "the log knows it too")
	return id
}

// greeted returns once a node has greeted another, as an engine's first call
// does. After a refusal the transport waits a little before it tries again.
func greeted(t *testing.T, n *Node, peer topology.NodeID) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := n.transport.Call(t.Context(), peer, methodCluster, nil)
		return err == nil
	}, patience, time.Millisecond)
}

func TestTheFirstLeaderFoundsTheClusterAndTheOthersJoin(t *testing.T) {
	p := newPair(t)
	b, _, endB := launch(t, p.config(1))
	defer func() { require.NoError(t, endB()) }()
	require.Eventually(t, func() bool { return len(b.Status().Warnings) == 1 }, patience, time.Millisecond)
	a, _, endA := launch(t, p.config(0))
	defer func() { require.NoError(t, endA()) }()

	id := cluster(t, a) // at once: b has said that it knows none
	greeted(t, a, "b")
	require.Equal(t, id, cluster(t, b))
	_, err := b.Put(t.Context(), DefaultTable, key, value) // the calls that waited are let through
	require.NoError(t, err)
	require.Empty(t, b.Status().Warnings)
}

func TestANodeThatWaitsAsksWhoeverIsThere(t *testing.T) {
	p := newPair(t)
	a, _, endA := launch(t, p.config(0))
	defer func() { require.NoError(t, endA()) }()
	b, _, endB := launch(t, p.config(1))
	defer func() { require.NoError(t, endB()) }()
	require.Equal(t, cluster(t, a), cluster(t, b), "nobody has called b")
}

func TestACallToANodeThatWaitsEndsWithItsContext(t *testing.T) {
	p := newPair(t)
	b, _, end := launch(t, p.config(1))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := b.Put(ctx, DefaultTable, key, value); done <- err }()
	cancel()
	err := <-done
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.NoError(t, end())
}

func TestAFirstLeaderWhoseDirectoryWasLostFindsItsCluster(t *testing.T) {
	p := newPair(t)
	a, _, endA := launch(t, p.config(0))
	b, _, endB := launch(t, p.config(1))
	defer func() { require.NoError(t, endB()) }()
	id := cluster(t, a)
	greeted(t, a, "b")
	cluster(t, b)
	require.NoError(t, endA())

	l, err := net.Listen("tcp", p.members[0].Addr)
	require.NoError(t, err)
	p.disks[0], p.listeners[0] = vfs.NewMem(), l
	a, _, endA = launch(t, p.config(0))
	defer func() { require.NoError(t, endA()) }()
	require.Equal(t, id, cluster(t, a))
}

// Alone it can not know whether it is the first, or has lost its directory: a
// second cluster beside its own would take writes that nobody else has.
func TestAFirstLeaderFoundsNothingWhileNobodyAnswers(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.listeners[1].Close())
	p.wait = time.Millisecond
	said := make(chan struct{})
	c := p.config(0)
	c.Logger = slog.New(slog.NewTextHandler(writer(func(b []byte) {
		if strings.Contains(string(b), "this node founds the cluster once another member says that there is none") {
			close(said) // it is said once
		}
	}), nil))
	a, _, end := launch(t, c)
	select {
	case <-said:
	case <-time.After(patience):
		require.FailNow(t, "it says nothing")
	}
	require.False(t, a.identity.isKnown())
	l, err := net.Listen("tcp", p.members[1].Addr)
	require.NoError(t, err)
	p.listeners[1] = l
	b, _, endB := launch(t, p.config(1))
	require.Equal(t, cluster(t, a), cluster(t, b), "two make a cluster")
	require.NoError(t, endB())
	require.NoError(t, end())
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestAFirstLeaderThatAsksItsPeersMayBeClosed(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.listeners[1].Close())
	a, _, end := launch(t, p.config(0))
	require.Eventually(t, func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.run.ended != nil }, patience, time.Millisecond)
	require.NoError(t, end())
	_, known := a.home.Cluster()
	require.False(t, known)
}

func TestAKnownClusterIsNotAskedFor(t *testing.T) {
	p := newPair(t)
	a, _, end := launch(t, p.config(0))
	_, _, endB := launch(t, p.config(1))
	id := cluster(t, a)
	require.NoError(t, endB())
	require.NoError(t, end())

	p.wait = time.Hour
	l, err := net.Listen("tcp", p.members[0].Addr)
	require.NoError(t, err)
	p.listeners[0] = l
	a, _, end = launch(t, p.config(0))
	require.Equal(t, id, cluster(t, a))
	require.NoError(t, end())
}

// A crash between the two leaves a directory that knows the cluster and a log
// that does not.
func TestAClusterThatTheDirectoryKnowsReachesTheLog(t *testing.T) {
	p := newPair(t)
	b, _, end := launch(t, p.config(1))
	require.NoError(t, end())
	require.Equal(t, [16]byte{}, b.log.Cluster())
	h, err := home.Open(home.Options{FS: p.disks[1], Dir: "data", Cluster: "triad", Node: "b"})
	require.NoError(t, err)
	require.NoError(t, h.Adopt([16]byte{7}))
	require.NoError(t, h.Close())

	c := p.config(1)
	c.Listener = port(t)
	b, _, end = launch(t, c)
	require.Equal(t, [16]byte{7}, cluster(t, b))
	require.NoError(t, end())
}

func TestAPortInUseIsNamed(t *testing.T) {
	l := port(t)
	build, _ := fakes()
	_, err := Open(Config{Dir: "data/a", FS: vfs.NewMem(), Listen: l.Addr().String(), Topology: build})
	require.ErrorContains(t, err, l.Addr().String())
}

func TestTheFirstCallsWaitForALeader(t *testing.T) {
	for name, decide := range map[string]bool{"until one is known": true, "or a while": false} {
		t.Run(name, func(t *testing.T) {
			build, at := fakes()
			c := Config{Dir: "data/a", FS: vfs.NewMem(), Topology: func(env topology.Env) (topology.Engine, error) {
				e, err := build(env)
				at.Load().undecided.Store(true)
				return e, err
			}}
			c.Limits.StartWait = time.Hour
			if !decide {
				c.Limits.StartWait = 5 * time.Millisecond
			}
			n, _, end := launch(t, c)
			done := make(chan error, 1)
			go func() { _, err := n.Put(context.Background(), DefaultTable, key, value); done <- err }()
			if decide {
				select {
				case <-n.gate.open:
					require.Fail(t, "let through while nobody leads")
				case <-n.identity.known: // just before the engine runs
				}
				at.Load().undecided.Store(false)
			}
			require.NoError(t, <-done)
			require.NoError(t, end())
		})
	}
}
