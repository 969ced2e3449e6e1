package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/control/etcd/internal/etcdtest"
)

// asCommand makes this test's binary be the command.
const asCommand = "RUN_TEST_AS_TRIAD_ETCD"

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if conf := os.Getenv(etcdtest.Env); conf != "" {
		etcdtest.Serve(conf)
		return
	}
	if os.Getenv(asCommand) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// journal is what a node logs. It may be written and read at once.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// command is a run of the command that was not started yet.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(binary, args...)
	c.Env = append(append(os.Environ(), asCommand+"=1"), env...)
	return c
}

// says runs the command, which must end with a code, and returns what it prints.
func says(t *testing.T, code int, env []string, args ...string) string {
	t.Helper()
	b, err := command(t, env, args...).CombinedOutput()
	if code == 0 {
		require.NoError(t, err, "%s", b)
	}
	var ended *exec.ExitError
	if code != 0 {
		require.ErrorAs(t, err, &ended, "%s", b)
		require.Equal(t, code, ended.ExitCode(), "%s", b)
	}
	return string(b)
}

// free returns addresses that nobody listens on, below the ports that systems give away.
func free(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for tries := 0; len(addrs) < n; tries++ {
		require.Less(t, tries, 1000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(18_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// server is a node as a process.
type server struct {
	t           *testing.T
	file, admin string
	cmd         *exec.Cmd
	logs        *journal
}

func (s *server) String() string { return s.logs.String() }

func (s *server) start() {
	s.logs = &journal{}
	s.cmd = command(s.t, nil, "server", "-c", s.file)
	s.cmd.Stderr, s.cmd.Dir = s.logs, filepath.Dir(s.file)
	require.NoError(s.t, s.cmd.Start())
	s.t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // it has ended, if all went well
}

// is asks the admin port, which answers 200 for yes.
func (s *server) is(path string) bool {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	r, err := c.Get("http://" + s.admin + path)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, r.Body) // the code says it
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// cluster are the nodes a, b and c from examples/nodes/etcd.yaml with other ports.
func cluster(t *testing.T, etcd string) (nodes map[string]*server, env []string) {
	t.Helper()
	text, err := os.ReadFile("../../../../examples/nodes/etcd.yaml")
	require.NoError(t, err)
	dir, addrs := t.TempDir(), free(t, 9)
	replace := []string{"127.0.0.1:2379", etcd}
	for i := range 3 {
		for j, port := range []int{7400, 8400, 6400} {
			replace = append(replace, fmt.Sprintf("127.0.0.1:%d", port+i), addrs[3*j+i])
		}
	}
	nodes = map[string]*server{}
	for i, id := range []string{"a", "b", "c"} {
		own := []string{"{id: a, dir: data/a}", fmt.Sprintf("{id: %s, dir: data/%[1]s}", id)}
		for _, port := range []int{7400, 8400, 6400} { // of the line listen alone
			key := map[int]string{7400: "{peers: ", 8400: "admin: ", 6400: "resp: "}[port]
			last := map[int]string{7400: ",", 8400: "}", 6400: ","}[port]
			own = append(own, fmt.Sprintf("%s127.0.0.1:%d%s", key, port, last), fmt.Sprintf("%s127.0.0.1:%d%s", key, port+i, last))
		}
		s := &server{t: t, file: filepath.Join(dir, id+".yaml"), admin: addrs[3+i]}
		one := strings.NewReplacer(replace...).Replace(strings.NewReplacer(own...).Replace(string(text)))
		require.NoError(t, os.WriteFile(s.file, []byte(one), 0o600))
		nodes[id] = s
	}
	return nodes, []string{"TRIAD_CLUSTER=shop", "TRIAD_ENDPOINTS=" + strings.Join(addrs[:3], ",")}
}

// leads waits for one of the nodes to lead, and returns its name.
func leads(t *testing.T, nodes map[string]*server) (leader string) {
	t.Helper()
	require.Eventually(t, func() bool {
		for id, s := range nodes {
			if s.is("/leader") {
				leader = id
			}
		}
		return leader != ""
	}, patience, 10*time.Millisecond, "nobody leads: %v", nodes)
	return leader
}

func TestThreeNodesFromFilesElectByEtcd(t *testing.T) {
	member := etcdtest.Servers(t, 1)[0]
	nodes, env := cluster(t, member.Client)
	for _, s := range nodes {
		require.Contains(t, says(t, 0, nil, "config", "check", s.file), "etcd, below /triad/shop/ at "+member.Client)
		s.start()
	}
	first := leads(t, nodes)
	require.Equal(t, "a", first, "the first by name begins")
	says(t, 0, env, "put", "users", "1001", `{"name": "Alice"}`)
	require.Regexp(t, `(?m)^a +leader `, says(t, 0, env, "status"))

	require.NoError(t, nodes[first].cmd.Process.Kill())
	_ = nodes[first].cmd.Wait() // it was killed, and says so
	killed := nodes[first]
	delete(nodes, first)
	second := leads(t, nodes)
	require.Eventually(t, func() bool {
		return command(t, env, "put", "users", "1002", `{"name": "Bob"}`).Run() == nil
	}, patience, 10*time.Millisecond)
	for key, name := range map[string]string{"1001": "Alice", "1002": "Bob"} {
		require.Contains(t, says(t, 0, env, "get", "users", key), name)
	}

	killed.start()
	nodes[first] = killed
	for _, s := range nodes {
		require.Eventually(t, func() bool { return s.is("/readyz") }, patience, 10*time.Millisecond, "%s", s.logs)
	}
	require.Regexp(t, `(?m)^`+second+` +leader `, says(t, 0, env, "status"))
	require.Regexp(t, `(?m)^ *1 +a +first start `, says(t, 0, env, "history"))
	require.Regexp(t, `(?m)^ *\d+ +`+second+` +`, says(t, 0, env, "history"))
	says(t, 0, env, "switchover", "--to", first)
	require.Equal(t, first, leads(t, map[string]*server{first: killed}))

	for _, s := range nodes {
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, s := range nodes {
		require.NoError(t, s.cmd.Wait(), "%s", s.logs)
	}
}

func TestADemoOfAFileElectsByEtcd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
nodes: {a: leader, b: standby, c: standby}
topology: {sync: first 1}
control: {kind: etcd, endpoints: [`+etcdtest.Servers(t, 1)[0].Client+`]}
tables: {users: row, orders: row}
`), 0o600))
	require.Contains(t, says(t, 0, nil, "demo", file, "--scenario", "failover", "--once", "--procs", "--cluster", "demo-of-one-day"), "checks held")
}
