package etcd_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/control/etcd/internal/etcdtest"
	"github.com/triad-kv/triad/topology"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// tick is how often a test looks for what must happen.
const tick = 5 * time.Millisecond

// member is one server of an etcd.
type member = etcdtest.Member

// servers starts an etcd of n members. They end with the test.
func servers(t *testing.T, n int) []*member {
	t.Helper()
	return etcdtest.Servers(t, n)
}

// address returns one that was free a moment ago.
func address(t *testing.T) string {
	t.Helper()
	return etcdtest.Address(t)
}

// ready starts members, side by side, and waits until they serve.
func ready(ms ...*member) { etcdtest.Ready(ms...) }

func endpoints(ms []*member) []string { return etcdtest.Endpoints(ms) }

// raw is a client of etcd itself, beside the backend.
func raw(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// memory is a Stable in memory; its values outlive a control.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	fail   error // of every Save
	saves  int
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func (m *memory) Save(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.saves++
	m.values[name] = append([]byte{}, value...)
	return nil
}

func (m *memory) Load(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[name], nil
}

// forget is what an operator does who removes the documents.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.values)
}

func (m *memory) failing(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) saved() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}

// on makes a backend that does not run.
func on(t *testing.T, stable topology.Stable, o etcd.Options) topology.Control {
	t.Helper()
	c, err := etcd.New(o)(topology.ControlEnv{Self: "a", Stable: stable, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return c
}

// running makes a backend that runs until the test, or stop, ends it.
func running(t *testing.T, stable topology.Stable, o etcd.Options) (c topology.Control, stop func()) {
	t.Helper()
	c = on(t, stable, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(stop)
	return c, stop
}

func swap(t *testing.T, c topology.Control, version uint64, body string) topology.Document {
	t.Helper()
	d, err := c.Swap(t.Context(), topology.Document{Name: "group", Version: version, Body: []byte(body)})
	require.NoError(t, err)
	require.Equal(t, topology.Document{Name: "group", Version: version + 1, Body: []byte(body)}, d)
	return d
}

func load(t *testing.T, c topology.Control) topology.Document {
	t.Helper()
	d, err := c.Load(t.Context(), "group")
	require.NoError(t, err)
	return d
}

func closes(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		require.FailNow(t, "not closed in time", what)
	}
}

func isOpen(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return false
	default:
		return true
	}
}

// until waits for the document to be known at a version.
func until(t *testing.T, c topology.Control, name string, version uint64) topology.Document {
	t.Helper()
	end := time.After(patience)
	for {
		d, stale := c.Latest(name)
		if d.Version >= version {
			return d
		}
		select {
		case <-stale:
		case <-end:
			require.FailNow(t, "a version did not become known", "%s: %d, not %d", name, d.Version, version)
		}
	}
}
