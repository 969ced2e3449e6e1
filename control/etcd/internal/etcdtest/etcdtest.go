// Package etcdtest runs real members of etcd, each in a process of its own, for the tests
// of this module. A test's TestMain calls [Serve] where [Env] is set.
package etcdtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Env holds the configuration of the member that this test binary is to be,
// where it is one.
const Env = "TRIAD_TEST_ETCD_MEMBER"

// Shape is what one member is told.
type Shape struct {
	Name, Dir, Client, Peer, Cluster string
	TLS                              bool  // for clients; the member makes its own certificate
	Quota                            int64 // of its data, in bytes; 0 is etcd's own
}

// Serve is the life of a member in a process of its own: so it can be killed and
// stopped as a machine can, and leaves nothing behind in the process of the tests.
func Serve(conf string) {
	die := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var s Shape
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

// Member is one server of an etcd.
type Member struct {
	t *testing.T
	Shape
	process *exec.Cmd
	stdin   io.Closer
}

// New is a member that was not started yet.
func New(t *testing.T, s Shape) *Member { return &Member{t: t, Shape: s} }

// Servers starts an etcd of n members. They end with the test.
func Servers(t *testing.T, n int) []*Member {
	t.Helper()
	var ms []*Member
	var cluster []string
	for i := range n {
		m := &Member{t: t, Shape: Shape{Name: fmt.Sprintf("m%d", i), Dir: t.TempDir(), Client: Address(t), Peer: Address(t)}}
		cluster = append(cluster, m.Name+"=http://"+m.Peer)
		ms = append(ms, m)
	}
	for _, m := range ms {
		m.Cluster = strings.Join(cluster, ",")
		t.Cleanup(m.Kill)
	}
	Ready(ms...)
	return ms
}

// Address returns one that was free a moment ago.
func Address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Ready starts members, side by side, and waits until they serve.
func Ready(ms ...*Member) {
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

func (m *Member) start() *bufio.Reader {
	conf, err := json.Marshal(m.Shape)
	require.NoError(m.t, err)
	m.process = exec.Command(os.Args[0])
	m.process.Env = append(os.Environ(), Env+"="+string(conf))
	m.process.Stderr = os.Stderr
	out, err := m.process.StdoutPipe()
	require.NoError(m.t, err)
	m.stdin, err = m.process.StdinPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, m.process.Start())
	return bufio.NewReader(out)
}

// Kill ends a member without a word, as a power failure of its machine does. It
// may be made ready again, on what it had.
func (m *Member) Kill() {
	if m.process != nil {
		_ = m.process.Process.Kill() // it may have ended already
		_ = m.process.Wait()         // and then says how
		m.process = nil
	}
}

// Freeze stops a member where it stands: its connections stay, and nothing answers.
func (m *Member) Freeze() { require.NoError(m.t, m.process.Process.Signal(syscall.SIGSTOP)) }

// Thaw lets it go on.
func (m *Member) Thaw() { require.NoError(m.t, m.process.Process.Signal(syscall.SIGCONT)) }

// Endpoints are where members answer clients.
func Endpoints(ms []*Member) []string {
	var es []string
	for _, m := range ms {
		es = append(es, m.Client)
	}
	return es
}
