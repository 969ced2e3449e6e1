package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCertificatesAreMadeAndNeverReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	require.Contains(t, failing(t, exitUsage, "cert", "node", "a", "--dir", dir), "`triad cert ca --dir "+dir+"` makes one")
	succeed(t, "cert", "ca", "--dir", dir)
	succeed(t, "cert", "node", "a", "--dir", dir)
	succeed(t, "cert", "client", "shop", "--dir", dir)
	for _, name := range []string{"ca", "a", "shop"} {
		for _, ext := range []string{certExt, keyExt} {
			i, err := os.Stat(filepath.Join(dir, name+ext))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), i.Mode().Perm())
		}
	}
	require.Contains(t, failing(t, exitUsage, "cert", "node", "a", "--dir", dir), "is there already, and is not replaced")
	require.Contains(t, failing(t, exitUsage, "cert", "ca", "--dir", dir), "is there already")
	for _, id := range []string{"ca", "A", "../a", ""} {
		require.Contains(t, failing(t, exitUsage, "cert", "node", id, "--dir", dir), "is not a name")
	}
	require.Contains(t, failing(t, exitUsage, "cert", "node", "b", "--dir", dir, "--days", "0"), "--days")
	require.Contains(t, failing(t, exitUsage, "cert", "node", "b", "--dir", dir, "--cluster", "X"), "--cluster")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca"+keyExt), []byte("no key"), 0o600))
	require.Contains(t, failing(t, exitFailed, "cert", "node", "b", "--dir", dir), "the authority in "+dir)
}

// Three servers that trust one authority, and who may speak to them.
func TestServersSpeakTLS(t *testing.T) {
	dir, addrs := t.TempDir(), free(t, 9)
	other := filepath.Join(dir, "other")
	for _, to := range []string{dir, other} {
		succeed(t, "cert", "ca", "--cluster", "shop", "--dir", to)
		succeed(t, "cert", "client", "api", "--cluster", "shop", "--dir", to)
	}
	var servers []*process
	for i, id := range []string{"a", "b", "c"} {
		succeed(t, "cert", "node", id, "--cluster", "shop", "--dir", dir)
		text := fmt.Sprintf(`cluster: shop
node: {id: %[1]s, dir: %[2]s/data/%[1]s}
listen: {peers: %[3]s, resp: %[4]s, admin: %[5]s}
tls: {ca: %[2]s/ca.pem, cert: %[2]s/%[1]s.pem, key: %[2]s/%[1]s.key}
members:
  a: {addr: %[6]s, resp: %[9]s}
  b: %[7]s
  c: %[8]s
resp: {routing: forward}
control: {kind: static, leader: a}
topology: {kind: single-leader, sync: "any 1 (b, c)"}
`, id, dir, addrs[i], addrs[3+i], addrs[6+i], addrs[0], addrs[1], addrs[2], addrs[3])
		file := filepath.Join(dir, id+".yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		servers = append(servers, startServer(t, file))
	}
	for i, s := range servers {
		until(t, "a port for Redis clients answers over TLS", s, func() bool { return secretly(dir, addrs[3+i], "PING\r\n") == "+PONG\r\n" })
	}
	with := func(ca string) []string {
		return []string{"--cluster", "shop", "-e", addrs[0], "--timeout", "3s", "--ca", ca + "/ca.pem", "--cert", ca + "/api.pem", "--key", ca + "/api.key"}
	}
	succeed(t, append([]string{"put", "default", "k", "v"}, with(dir)...)...)
	require.Equal(t, "$1\r\nv\r\n", secretly(dir, addrs[4], "GET k\r\n"))
	require.Equal(t, "+OK\r\n", secretly(dir, addrs[4], "SET k w\r\n"), "forwarded over TLS")

	for name, args := range map[string][]string{
		"another authority": with(other),
		"without TLS":       {"--cluster", "shop", "-e", addrs[0], "--timeout", "3s"},
	} {
		r := command(t, append([]string{"get", "default", "k"}, args...)...)
		require.NotZero(t, r.code, name)
		require.NotContains(t, r.out, "w", name)
	}
	require.Contains(t, failing(t, exitUsage, "get", "default", "k", "--ca", dir+"/ca.pem"), "they go together")
	require.Empty(t, secretly(other, addrs[3], "PING\r\n"))
	plain, err := net.Dial("tcp", addrs[3])
	require.NoError(t, err)
	defer plain.Close()
	_, err = io.WriteString(plain, "PING\r\n")
	require.NoError(t, err)
	b, _ := io.ReadAll(plain)
	require.NotContains(t, string(b), "PONG")

	// A broken certificate on disk changes nothing.
	require.NoError(t, os.WriteFile(dir+"/a.pem", []byte("nothing"), 0o600))
	require.NoError(t, servers[0].cmd.Process.Signal(syscall.SIGHUP))
	until(t, "it is refused", servers[0], func() bool {
		return strings.Contains(servers[0].logs.String(), "certificates were read again and are refused")
	})
	succeed(t, append([]string{"put", "default", "k", "x"}, with(dir)...)...)

	r := command(t, "server", "-c", servers[0].file)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.errs, "a.pem")
	key, err := os.ReadFile(dir + "/b.key")
	require.NoError(t, err)
	for _, s := range servers {
		require.NotContains(t, s.logs.String(), strings.Split(string(key), "\n")[1])
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, s.cmd.Wait(), "%s", &s.logs)
	}
}

// secretly sends a command over TLS, trusting the authority in a folder, and
// returns the answer, empty for none.
func secretly(dir, addr, command string) string {
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return ""
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, command+"QUIT\r\n"); err != nil {
		return ""
	}
	b, _ := io.ReadAll(c)
	return strings.TrimSuffix(string(b), "+OK\r\n")
}
