package etcd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/topology"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// tick is how often a test looks for what must happen.
const tick = 5 * time.Millisecond

// memberEnv holds the configuration of the member that this test binary is to be,
// where it is one.
const memberEnv = "TRIAD_TEST_ETCD_MEMBER"

// shape is what one member is told.
type shape struct {
	Name, Dir, Client, Peer, Cluster string
	TLS                              bool  // for clients; the member makes its own certificate
	Quota                            int64 // of its data, in bytes; 0 is etcd's own
}

// serve is the life of a member in a process of its own: so it can be killed and
// stopped as a machine can, and leaves nothing behind in the process of the tests.
func serve(conf string) {
	die := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var s shape
	die(json.Unmarshal([]byte(conf), &s))
	c := embed.NewConfig()
	c.Name, c.Dir, c.InitialCluster = s.Name, s.Dir, s.Cluster
	client, peer := url.URL{Scheme: "http", Host: s.Client}, url.URL{Scheme: "http", Host: s.Peer}
	if c.ClientAutoTLS, c.SelfSignedCertValidity = s.TLS, 1; s.TLS {
		client.Scheme = "https"
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.QuotaBackendBytes = s.Quota
	c.BcryptCost = 4                 // the least there is: passwords of tests are no secrets
	c.TickMs, c.ElectionMs = 20, 300 // so that a lease may be of one second
	c.UnsafeNoFsync = true           // nothing here crashes the machine
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	die(err)
	select {
	case <-e.Server.ReadyNotify():
		fmt.Println("ready")
	case err := <-e.Err():
		die(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started this process ends
	e.Close()
}

// member is one server of an etcd.
type member struct {
	t *testing.T
	shape
	process *exec.Cmd
	stdin   io.Closer
}

// servers starts an etcd of n members. They end with the test.
func servers(t *testing.T, n int) []*member {
	t.Helper()
	var ms []*member
	var cluster []string
	for i := range n {
		m := &member{t: t, shape: shape{Name: fmt.Sprintf("m%d", i), Dir: t.TempDir(), Client: address(t), Peer: address(t)}}
		cluster = append(cluster, m.Name+"=http://"+m.Peer)
		ms = append(ms, m)
	}
	for _, m := range ms {
		m.Cluster = strings.Join(cluster, ",")
		t.Cleanup(m.kill)
	}
	ready(ms...)
	return ms
}

// address returns one that was free a moment ago.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// ready starts members, side by side, and waits until they serve.
func ready(ms ...*member) {
	var outs []*bufio.Reader
	for _, m := range ms {
		outs = append(outs, m.start())
	}
	for i, out := range outs {
		line, err := out.ReadString('\n')
		require.NoError(ms[i].t, err, "%s does not start", ms[i].Name)
		require.Equal(ms[i].t, "ready\n", line)
	}
}

func (m *member) start() *bufio.Reader {
	conf, err := json.Marshal(m.shape)
	require.NoError(m.t, err)
	m.process = exec.Command(os.Args[0])
	m.process.Env = append(os.Environ(), memberEnv+"="+string(conf))
	m.process.Stderr = os.Stderr
	out, err := m.process.StdoutPipe()
	require.NoError(m.t, err)
	m.stdin, err = m.process.StdinPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, m.process.Start())
	return bufio.NewReader(out)
}

// kill ends a member without a word, as a power failure of its machine does. It
// may be made ready again, on what it had.
func (m *member) kill() {
	if m.process != nil {
		_ = m.process.Process.Kill() // it may have ended already
		_ = m.process.Wait()         // and then says how
		m.process = nil
	}
}

// freeze stops a member where it stands: its connections stay, and nothing answers.
func (m *member) freeze() { require.NoError(m.t, m.process.Process.Signal(syscall.SIGSTOP)) }

func (m *member) thaw() { require.NoError(m.t, m.process.Process.Signal(syscall.SIGCONT)) }

func endpoints(ms []*member) []string {
	var es []string
	for _, m := range ms {
		es = append(es, m.Client)
	}
	return es
}

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
