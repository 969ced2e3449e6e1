package cli

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// endsWithin is what a server promises to need at most.
const endsWithin = 10 * time.Second

// writers set keys of their own, one after another, until their connections end.
type writers struct {
	wait  sync.WaitGroup
	acked [8]int // by writer: how many of its keys were acknowledged
	all   atomic.Int64
}

func (w *writers) start(t *testing.T, addr string) {
	for i := range w.acked {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		w.wait.Go(func() {
			defer c.Close()
			for answers := bufio.NewReader(c); ; w.acked[i]++ {
				if _, err := fmt.Fprintf(c, "SET %s v\r\n", keyOf(i, w.acked[i])); err != nil {
					return
				}
				if line, err := answers.ReadString('\n'); err != nil || line != "+OK\r\n" {
					return
				}
				w.all.Add(1)
			}
		})
	}
}

func keyOf(writer, n int) string { return fmt.Sprintf("w%d-%d", writer, n) }

// A server that is told to end while clients write ends in order, soon, and holds
// everything it has acknowledged; told again, it ends at once, and holds it too.
func TestAServerThatIsToldToEndUnderLoadLosesNothing(t *testing.T) {
	for name, again := range map[string]bool{"once": false, "twice": true} {
		t.Run(name, func(t *testing.T) {
			addrs := free(t, 2)
			file := write(t, "node.yaml", fmt.Sprintf("node: {id: a, dir: %s}\nlisten: {resp: %q, admin: %q}\n", filepath.Join(t.TempDir(), "a"), addrs[0], addrs[1]))
			s := startServer(t, file)
			until(t, "it is ready", s, func() bool { code, _ := get(addrs[1], "/readyz"); return code == 200 })
			var w writers
			w.start(t, addrs[0])
			until(t, "writes are acknowledged", s, func() bool { return w.all.Load() > 200 })
			require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
			if again {
				until(t, "it is ending", s, func() bool { return strings.Contains(s.logs.String(), "msg=ending") })
				if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Log("it had ended by then:", err)
				}
			}
			requireEnd(t, s, again)
			w.wait.Wait()

			s = startServer(t, file)
			until(t, "it is ready again", s, func() bool { code, _ := get(addrs[1], "/readyz"); return code == 200 })
			for i, n := range w.acked {
				var ask strings.Builder
				for k := range n {
					fmt.Fprintf(&ask, "GET %s\r\n", keyOf(i, k))
				}
				require.Equal(t, strings.Repeat("$1\r\nv\r\n", n), redis(t, addrs[0], ask.String()+"QUIT\r\n"), "writer %d", i)
			}
			require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
			requireEnd(t, s, false)
		})
	}
}

// requireEnd waits for a server that was told to end: with exit code 0, or by the
// second signal.
func requireEnd(t *testing.T, s *process, signalled bool) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	select {
	case err := <-ended:
		var by *exec.ExitError
		if signalled && errors.As(err, &by) {
			require.Equal(t, syscall.SIGTERM, by.Sys().(syscall.WaitStatus).Signal())
			return
		}
		require.NoError(t, err, "%s", &s.logs)
	case <-time.After(endsWithin):
		_ = s.cmd.Process.Kill()
		<-ended
		require.FailNow(t, "it did not end", "within %v\n%s", endsWithin, &s.logs)
	}
}

// A leader that is told to end hands over while its clients are connected: each hears
// an answer to its last write, which says who leads, and that one has what was
// acknowledged.
func TestALeaderThatIsToldToEndHandsOver(t *testing.T) {
	ids, addrs := []string{"a", "b", "c"}, free(t, 9)
	dir := t.TempDir()
	servers := make([]*process, len(ids))
	for i, id := range ids {
		servers[i] = startServer(t, write(t, id+".yaml", fmt.Sprintf(`node: {id: %s, dir: %s}
listen: {resp: %q, admin: %q}
control: {kind: raft, heartbeat: 50ms}
topology: {sync: "first 1 (a, b, c)", fail_after: 1h, drop_after: 1m}
members: {a: {addr: %q, resp: %q}, b: {addr: %q, resp: %q}, c: {addr: %q, resp: %q}}
`, id, filepath.Join(dir, id), addrs[i], addrs[3+i], addrs[6], addrs[0], addrs[7], addrs[1], addrs[8], addrs[2])))
	}
	until(t, "a leads, and b is in sync", servers[0], func() bool {
		leads, _ := get(addrs[3], "/leader")
		sync, _ := get(addrs[4], "/sync")
		return leads == 200 && sync == 200
	})
	c, err := net.Dial("tcp", addrs[0])
	require.NoError(t, err)
	defer c.Close()
	answers, n, last := bufio.NewReader(c), 0, ""
	for ; ; n++ {
		if n == 20 {
			require.NoError(t, servers[0].cmd.Process.Signal(syscall.SIGTERM))
		}
		_, err := fmt.Fprintf(c, "SET %s v\r\n", keyOf(0, n))
		require.NoError(t, err, "after %d writes", n)
		if last, err = answers.ReadString('\n'); last != "+OK\r\n" {
			require.NoError(t, err, "after %d writes: it was told nothing", n)
			break
		}
	}
	require.Contains(t, last, "The leader is b at "+addrs[1], "after %d writes", n)
	until(t, "b has begun to lead", servers[1], func() bool { return redis(t, addrs[1], "SET k v\r\nQUIT\r\n") == "+OK\r\n" })
	var ask strings.Builder
	for k := range n {
		fmt.Fprintf(&ask, "GET %s\r\n", keyOf(0, k))
	}
	require.Equal(t, strings.Repeat("$1\r\nv\r\n", n), redis(t, addrs[1], ask.String()+"QUIT\r\n"))
	requireEnd(t, servers[0], false)
	for _, s := range servers[1:] {
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	}
}
