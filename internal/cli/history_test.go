package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistoryListsTheTermsWithTheirCauses(t *testing.T) {
	h := serve(t)
	require.Regexp(t, `(?m)^ *1 +a +first start +\d{4}-.* 1 +-$`, succeed(t, "history"))
	require.Contains(t, succeed(t, "history", "-o", "json"), `"cause": "first start"`)
	require.Contains(t, failing(t, exitFailed, "rewound", "approve", "--node", "a"), "no rewind waits at this node")
	require.Contains(t, succeed(t, "rewound", "list", h.dir), "nothing was ever taken out", "while the node runs")
	require.Contains(t, failing(t, exitUsage, "rewound", "show", h.dir, "00000001.entries"), "has no side file")
}

func TestFailoverExplainSaysWhoWouldLead(t *testing.T) {
	serve(t)
	text := succeed(t, "failover", "explain")
	require.Contains(t, text, "a leads term 1, commits wait for async; if it failed now: nobody is elected with control static, and nobody who answers may be named")
	require.Regexp(t, `(?m)^a +leader +yes +.*it leads, and is taken to have failed`, text)
	require.Contains(t, succeed(t, "failover", "explain", "-o", "json"), `"elects": false`)
	require.Contains(t, failing(t, exitUsage, "failover", "explain", "b"), "explain")
	require.Contains(t, failing(t, exitUsage, "failover", "explain", "--to", "b"), "unknown flag")
	require.Contains(t, succeed(t, "failover", "explain", "--help"), "why nobody else")
}

// The configuration of examples/haproxy routes through a failover by hand.
func TestHAProxyRoutesWritesAndReadsThroughAFailover(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	dir, addrs := t.TempDir(), free(t, 11)
	var replace []string
	for i := range 3 {
		for j, port := range []int{7400, 8400, 6400} {
			replace = append(replace, fmt.Sprintf("127.0.0.1:%d", port+i), addrs[3*j+i])
		}
		_, port, _ := strings.Cut(addrs[3+i], ":")
		replace = append(replace, fmt.Sprintf("port %d", 8400+i), "port "+port)
	}
	replace = append(replace, "127.0.0.1:6380", addrs[9], "127.0.0.1:6381", addrs[10])
	place := func(from, to string) string {
		text, err := os.ReadFile("../../examples/" + from)
		require.NoError(t, err)
		file := filepath.Join(dir, to)
		require.NoError(t, os.WriteFile(file, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o600))
		return file
	}
	var servers []*process
	for _, id := range []string{"a", "b", "c"} {
		servers = append(servers, startServer(t, place("nodes/"+id+".yaml", id+".yaml")))
	}
	proxy := exec.Command(haproxy, "-db", "-f", place("haproxy/haproxy.cfg", "haproxy.cfg"))
	require.NoError(t, proxy.Start())
	t.Cleanup(func() { _, _ = proxy.Process.Kill(), proxy.Wait() })
	for i, s := range servers {
		until(t, "it is ready", s, func() bool { code, _ := get(addrs[3+i], "/readyz"); return code == 200 })
	}
	t.Setenv("TRIAD_ENDPOINTS", strings.Join(addrs[:3], ","))
	t.Setenv("TRIAD_CLUSTER", "shop")
	routed := func(addr, command, want string) {
		until(t, command, servers[0], func() bool {
			answer, err := tryRedis(addr, command+"\r\nQUIT\r\n")
			return err == nil && strings.HasPrefix(answer, want)
		})
	}
	routed(addrs[9], "SET k v", "+OK")
	routed(addrs[10], "GET k", "$1\r\nv")
	until(t, "b has what was acknowledged, by c perhaps alone, and leads", servers[1], func() bool { return command(t, "failover", "--to", "b").code == exitDone })
	routed(addrs[9], "SET k w", "+OK")
	routed(addrs[10], "GET k", "$1\r\nw")
	require.Contains(t, succeed(t, "history"), "failover by hand")
	for i := range servers {
		require.NoError(t, servers[i].cmd.Process.Kill())
		_ = servers[i].cmd.Wait() // it was killed
	}
}

// tryRedis sends commands to a port that may not be ready for them.
func tryRedis(addr, commands string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, commands); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}
