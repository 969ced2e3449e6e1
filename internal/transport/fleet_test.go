package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for a state before it fails.
const patience = 10 * time.Second

var clusterID = [16]byte{1, 2, 3}

// members is a membership that a test sets.
type members struct {
	mu   sync.Mutex
	view topology.View
}

func (m *members) View() (topology.View, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view, nil
}
func (m *members) Leave(context.Context) error { return nil }
func (m *members) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (m *members) set(id topology.NodeID, addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	view := []topology.Member{{ID: id, Addr: addr}}
	for _, old := range m.view.Members {
		if old.ID != id {
			view = append(view, old)
		}
	}
	m.view.Members = view
}

func (m *members) remove(id topology.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var view []topology.Member
	for _, old := range m.view.Members {
		if old.ID != id {
			view = append(view, old)
		}
	}
	m.view.Members = view
}

// wires is what a fleet runs over.
type wires interface {
	listen(tb testing.TB, id string) net.Listener
	dialer(from string) func(context.Context, string) (net.Conn, error)
}

type tcpWires struct{}

func (tcpWires) listen(tb testing.TB, _ string) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	return l
}
func (tcpWires) dialer(string) func(context.Context, string) (net.Conn, error) { return nil }

type memoryWires struct{ *Network }

func (w memoryWires) listen(tb testing.TB, id string) net.Listener {
	l, err := w.Listen(id)
	require.NoError(tb, err)
	return l
}
func (w memoryWires) dialer(from string) func(context.Context, string) (net.Conn, error) {
	return w.Dialer(from)
}

// overBoth runs a test over TCP and in memory.
func overBoth(t *testing.T, test func(t *testing.T, w wires)) {
	t.Run("tcp", func(t *testing.T) { test(t, tcpWires{}) })
	t.Run("memory", func(t *testing.T) { test(t, memoryWires{NewNetwork()}) })
}

// fleet is some transports that know each other.
type fleet struct {
	tb      testing.TB
	wires   wires
	members *members
}

func newFleet(tb testing.TB, w wires) *fleet { return &fleet{tb: tb, wires: w, members: &members{}} }

// node is a transport of a fleet, and what it logged.
type node struct {
	*Transport
	id      topology.NodeID
	addr    string
	log     *logBuffer
	stop    func()
	crashed atomic.Bool
}

// crash is Network.Crash, after which the node's listener is gone.
func (n *node) crash(w *Network) {
	n.crashed.Store(true)
	w.Crash(n.addr)
}

type change func(*Config)

func known(id [16]byte) change {
	return func(c *Config) { c.Identity = &ephemeral{name: "test", id: id, known: true} }
}

func limits(l Limits) change { return func(c *Config) { c.Limits = l } }

// node makes a node that does not run yet.
func (f *fleet) node(id topology.NodeID, changes ...change) *node {
	f.tb.Helper()
	l := f.wires.listen(f.tb, string(id))
	f.members.set(id, l.Addr().String())
	c := Config{Self: id, Life: 7, Listener: l, Membership: f.members, Dial: f.wires.dialer(string(id))}
	return f.make(c, l.Addr().String(), changes)
}

// client makes a client that does not run yet.
func (f *fleet) client(changes ...change) *node {
	f.tb.Helper()
	return f.make(Config{Role: topology.PeerClient, Membership: f.members, Dial: f.wires.dialer("client")}, "", changes)
}

func (f *fleet) make(c Config, addr string, changes []change) *node {
	f.tb.Helper()
	log := &logBuffer{}
	c.Identity = &ephemeral{name: "test", id: clusterID, known: true}
	c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, ch := range changes {
		ch(&c)
	}
	t, err := New(c)
	require.NoError(f.tb, err)
	return &node{Transport: t, id: c.Self, addr: addr, log: log}
}

// run runs nodes until the test ends, or stop.
func (f *fleet) run(nodes ...*node) {
	f.tb.Helper()
	for _, n := range nodes {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		var once sync.Once
		n.stop = func() {
			once.Do(func() {
				cancel()
				if err := <-ended; !n.crashed.Load() {
					require.NoError(f.tb, err)
				}
			})
		}
		f.tb.Cleanup(n.stop)
	}
}

// pair runs nodes a and b, after set up prepared them.
func (f *fleet) pair(setUp func(a, b *node), changes ...change) (a, b *node) {
	f.tb.Helper()
	a, b = f.node("a", changes...), f.node("b", changes...)
	if setUp != nil {
		setUp(a, b)
	}
	f.run(a, b)
	return a, b
}

func echo(_ context.Context, _ topology.Peer, req []byte) ([]byte, error) { return req, nil }

func echoStream(_ context.Context, s topology.Stream) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return endOfStream(err)
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
}

func endOfStream(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func within(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// eventually polls until ok.
func eventually(tb testing.TB, ok func() bool, what string) {
	tb.Helper()
	require.Eventually(tb, ok, patience, time.Millisecond, what)
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// requireOutcome wants an error of that ground and outcome.
func requireOutcome(tb testing.TB, err error, ground error, o topology.Outcome) {
	tb.Helper()
	require.ErrorIs(tb, err, ground)
	var e *topology.Error
	require.ErrorAs(tb, err, &e)
	require.Equal(tb, o, e.Outcome, fmt.Sprint(err))
}
