package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
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

	"github.com/triad-kv/triad/internal/config"
)

// free returns addresses on loopback that nobody listens on. They lie below the
// ports that systems give to whoever dials or asks for any: between here and who
// binds them, none of those comes along.
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

// process is `triad server` as a process.
type process struct {
	cmd  *exec.Cmd
	logs journal
	file string
}

func startServer(t *testing.T, file string, flags ...string) *process {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	s := &process{file: file, cmd: exec.Command(binary, append([]string{"server", "-c", file}, flags...)...)}
	s.cmd.Env = append(os.Environ(), asTriad+"=1")
	s.cmd.Stderr = &s.logs
	s.cmd.Dir = filepath.Dir(file)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // it has ended, if all went well
	return s
}

// until polls for a condition.
func until(t *testing.T, what string, s *process, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, 20*time.Second, 10*time.Millisecond, "%s\n%s", what, &s.logs)
}

// get asks the admin port.
func get(addr, path string) (int, string) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	r, err := c.Get("http://" + addr + path)
	if err != nil {
		return 0, err.Error()
	}
	b, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

// TestThreeServersFromThreeFiles follows the README: the files of
// examples/nodes, with other ports.
func TestThreeServersFromThreeFiles(t *testing.T) {
	dir, addrs := t.TempDir(), free(t, 9)
	var replace []string
	for i := range 3 {
		for j, port := range []int{7400, 8400, 6400} {
			replace = append(replace, fmt.Sprintf("127.0.0.1:%d", port+i), addrs[3*j+i])
		}
	}
	var servers []*process
	for _, id := range []string{"a", "b", "c"} {
		text, err := os.ReadFile("../../examples/nodes/" + id + ".yaml")
		require.NoError(t, err)
		file := filepath.Join(dir, id+".yaml")
		require.NoError(t, os.WriteFile(file, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o600))
		servers = append(servers, startServer(t, file))
	}
	for i, s := range servers {
		until(t, "it is ready", s, func() bool { code, _ := get(addrs[3+i], "/readyz"); return code == 200 })
	}
	t.Setenv("TRIAD_ENDPOINTS", strings.Join(addrs[:3], ","))
	t.Setenv("TRIAD_CLUSTER", "shop")
	require.Contains(t, succeed(t, "table", "list"), "users", "who is ready has its tables")
	succeed(t, "put", "users", "1001", `{"name": "Alice"}`)
	require.Contains(t, succeed(t, "get", "users", "1001"), "Alice")
	code, body := get(addrs[4], "/status")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"leader": "a"`)
	for i, path := range []string{"/leader", "/replica?lag=1000", "/sync"} {
		for j, want := range [][]int{{200, 503, 503}, {503, 200, 200}, {503, 200, 200}}[i] {
			if path != "/sync" || j == 0 { // who is in sync is the policy's choice
				until(t, path, servers[j], func() bool { code, _ := get(addrs[3+j], path); return code == want })
			}
		}
	}
	code, body = get(addrs[5], "/api/v1/status")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"node": "c"`)
	code, body = get(addrs[3], "/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, `triad_peer_up{peer="b"} 1`)
	require.Equal(t, "+OK\r\n$1\r\nv\r\n", redis(t, addrs[6], "SET k v\r\nGET k\r\nQUIT\r\n"))
	require.Equal(t, "$1\r\nv\r\n-READONLY", redis(t, addrs[7], "GET k\r\nSET k w\r\nQUIT\r\n")[:16])

	a := servers[0]
	require.NoError(t, os.WriteFile(a.file, []byte("node: {id: a, dri: data/a}\n"), 0o600))
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGHUP))
	until(t, "the broken file is reported", a, func() bool { return strings.Contains(a.logs.String(), "did you mean dir?") })
	succeed(t, "put", "users", "1002", `{"name": "Bob"}`)

	for i := range servers {
		s := servers[len(servers)-1-i] // the leader last
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, s.cmd.Wait(), "%s", &s.logs)
		require.Contains(t, s.logs.String(), "msg=ended")
	}
}

// Nobody is told where the others are, but for one seed.
func TestServersFindOneAnotherByGossip(t *testing.T) {
	dir, addrs := t.TempDir(), free(t, 9)
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys"), []byte(key+"\n"), 0o600))
	var servers []*process
	for i, id := range []string{"a", "b", "c"} {
		file := filepath.Join(dir, id+".yaml")
		text := fmt.Sprintf(`cluster: shop
node: {id: %[1]s, dir: %[1]s}
listen: {peers: %[2]s, admin: %[3]s, gossip: %[4]s}
members: {a: {}, b: {}, c: {}}
join: [%[5]s]
gossip: {key_file: %[6]s, probe_every: 50ms}
control: {kind: static, leader: a}
topology: {kind: single-leader, sync: "any 1 (b, c)"}
`, id, addrs[i], addrs[3+i], addrs[6+i], addrs[6], filepath.Join(dir, "keys"))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		servers = append(servers, startServer(t, file))
	}
	for i, s := range servers {
		until(t, "it is ready", s, func() bool { code, _ := get(addrs[3+i], "/readyz"); return code == 200 })
	}
	t.Setenv("TRIAD_ENDPOINTS", addrs[0])
	t.Setenv("TRIAD_CLUSTER", "shop")
	succeed(t, "put", "default", "k", "v")
	for i := range servers {
		s := servers[len(servers)-1-i]
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, s.cmd.Wait(), "%s", &s.logs)
	}

	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys"), []byte("not-a-secret\n"), 0o600))
	r := command(t, "server", "-c", servers[0].file)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.errs, "key 1: a gossip key is 32 bytes in base64")
	require.NotContains(t, r.errs, "not-a-secret")
}

func TestTheClockOfAServerCanBeWrongOnPurpose(t *testing.T) {
	for offset, past := range map[string]bool{"1h": true, "-1h": false} {
		addrs := free(t, 2)
		file := write(t, "node.yaml", fmt.Sprintf("node: {id: a, dir: %s}\nlisten: {resp: %q, admin: %q}\n", filepath.Join(t.TempDir(), "a"), addrs[0], addrs[1]))
		s := startServer(t, file, "--debug-clock-offset="+offset)
		until(t, "it is ready", s, func() bool { code, _ := get(addrs[1], "/readyz"); return code == 200 })
		at := time.Now().Add(30 * time.Minute)
		want := "+OK\r\n$1\r\nv\r\n"
		if past {
			want = "+OK\r\n$-1\r\n"
		} else {
			at = at.Add(-time.Hour)
		}
		require.Equal(t, want, redis(t, addrs[0], fmt.Sprintf("SET k v EXAT %d\r\nGET k\r\nQUIT\r\n", at.Unix())), "offset %s", offset)
		require.Contains(t, s.logs.String(), "clock is wrong, on purpose")
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, s.cmd.Wait(), "%s", &s.logs)
	}
}

// redis sends commands to a port for Redis clients, the last of which is QUIT, and
// returns the answers to those before it.
func redis(t *testing.T, addr, commands string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, commands)
	require.NoError(t, err)
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	answers, quit := strings.CutSuffix(string(b), "+OK\r\n")
	require.True(t, quit, answers)
	return answers
}

// startService runs a node in this process until the test ends. What is sent to
// again is the file from then on.
func startService(t *testing.T, text string) (v *service, again chan string, logs *journal, stop func() error) {
	t.Helper()
	n, err := config.ReadNode("node.yaml", []byte(text))
	require.NoError(t, err)
	logs, again = &journal{}, make(chan string)
	v = newService(n, logs)
	hup := make(chan os.Signal, 1)
	v.reread = func() (*config.Node, error) {
		hup <- syscall.SIGHUP // for the next one
		return config.ReadNode("node.yaml", []byte(<-again))
	}
	hup <- syscall.SIGHUP
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.run(ctx, hup) }()
	stop = sync.OnceValue(func() error { cancel(); close(again); return <-ended })
	t.Cleanup(func() { require.NoError(t, stop()) })
	return v, again, logs, stop
}

func TestAFileThatIsReadAgainChangesWhatCanChange(t *testing.T) {
	addr := free(t, 1)[0]
	text := fmt.Sprintf("node: {id: a, dir: %s}\nlisten: {admin: \"%s\"}\n", filepath.Join(t.TempDir(), "a"), addr)
	v, again, logs, _ := startService(t, text)
	require.Eventually(t, func() bool { code, _ := get(addr, "/readyz"); return code == 200 }, 20*time.Second, 10*time.Millisecond)
	says := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(logs.String(), what) }, 20*time.Second, 10*time.Millisecond, what)
	}
	again <- text + "log: {level: warn}\ncluster: shop\n"
	says("taken=[log.level] at_the_next_start=[cluster]")
	v.log.Info("this is no longer said")
	require.NotContains(t, logs.String(), "no longer said")
	again <- "node: 5"
	says("is refused; the node goes on with the old one")
}

func TestAPortInUseIsFoundOutBeforeAnyFileIsTouched(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "a")
	for _, key := range []string{"peers", "admin"} {
		file := write(t, "node.yaml", fmt.Sprintf("node: {id: a, dir: %s}\nlisten: {%s: %q}\n", dir, key, l.Addr()))
		require.Contains(t, failing(t, exitFailed, "server", "-c", file), "listen."+key+": listen tcp "+l.Addr().String()+": bind: address already in use")
		require.NoDirExists(t, dir)
	}
}

func TestAServerThatIsRefusedTouchesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	file := write(t, "node.yaml", "node: {id: a, dir: "+dir+"}\nlisten: {peers: \"0.0.0.0:0\"}\n")
	r := command(t, "server", "-c", file)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.errs, "listen.peers: 0.0.0.0:0 is reached from other machines, and there is no TLS")
	secret := write(t, "node.yaml", "node: {id: a, dir: "+dir+"}\nadmin: {token_file: /nowhere/token}\n")
	r = command(t, "server", "-c", secret)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.errs, secret+":2:21: admin.token_file: open /nowhere/token: no such file")
	require.NoDirExists(t, dir)
}

func TestTheTokenOfTheAdminPortIsReadFromAFile(t *testing.T) {
	addr, token := free(t, 1)[0], write(t, "token", "s3cret\n")
	_, _, logs, stop := startService(t, fmt.Sprintf("node: {id: a, dir: %s}\nlisten: {admin: %q}\nadmin: {token_file: %s}\n", filepath.Join(t.TempDir(), "a"), addr, token))
	require.Eventually(t, func() bool { code, _ := get(addr, "/readyz"); return code == 200 }, 20*time.Second, 10*time.Millisecond)
	code, body := get(addr, "/status")
	require.Equal(t, 401, code)
	require.NoError(t, stop())
	require.NotContains(t, body+logs.String(), "s3cret")
}

func TestPartsEndTogetherAndLateOnesAreNamed(t *testing.T) {
	ended := false
	ps := parts{fail: func() { ended = true }}
	hold := make(chan struct{})
	stop := ps.start("slow", func(context.Context) error { <-hold; return nil })
	stop(time.Nanosecond)
	require.True(t, ended)
	require.EqualError(t, ps.err(), "slow did not end within 1ns")
	close(hold)
	stop(time.Minute)
}
