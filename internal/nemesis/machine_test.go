//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(knocks); addr != "" {
		os.Exit(knock(addr))
	}
	goleak.VerifyTestMain(m)
}

// knocks is the variable that makes the test's own binary knock at an address.
const knocks = "NEMESIS_TEST_KNOCKS"

// knock is 0 if somebody at an address answers, be it that nobody listens there.
func knock(addr string) int {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		_ = c.Close()
	}
	if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		return 0
	}
	return 1
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// needs leaves a test out, and says why, where the machine lacks something.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("this needs root")
	}
	if not := missing(tools...); len(not) > 0 {
		t.Skipf("this needs %s", strings.Join(not, ", "))
	}
}

// echo answers on a node's peers port with what it hears.
func echo(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

func TestALoopbackNetworkIsCutOneWayAndHealed(t *testing.T) {
	n, err := newLoopback()
	require.NoError(t, err)
	defer func() { require.NoError(t, n.close()) }()
	echo(t, at(n.addr("b"), portPeers))
	c, err := net.Dial("tcp", at(n.view("a", "b"), portPeers))
	require.NoError(t, err)
	defer c.Close()
	answers := func(within time.Duration) bool {
		_, err := c.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(within)))
		_, err = c.Read(make([]byte, 1))
		return err == nil
	}
	require.True(t, answers(patience))
	for _, w := range []way{{"a", "b"}, {"b", "a"}} {
		require.NoError(t, n.cut(t.Context(), []way{w}))
		require.False(t, answers(50*time.Millisecond), "%v", w)
		require.NoError(t, n.cut(t.Context(), nil))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err, "what was held back arrives")
	}
	require.NoError(t, n.cut(t.Context(), between([]string{"a"}, []string{"c"})))
	require.True(t, answers(patience), "others are not cut")
}

func TestANetworkOfNamespacesIsCutOneWayAndTakenAway(t *testing.T) {
	needs(t, "ip", "nft", "tc")
	n, err := newSpaces(t.Context())
	require.NoError(t, err)
	defer func() {
		require.NoError(t, n.close())
		require.NoError(t, n.close(), "what is gone is no fault")
		require.NoFileExists(t, n.space("a"))
	}()
	s := newSpawner()
	defer s.close()
	reaches := func(from, to string) bool {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), knocks+"="+at(n.view(from, to), portPeers))
		require.NoError(t, s.start(c, n.space(from)))
		return c.Wait() == nil
	}
	require.True(t, reaches("a", "b"))
	require.NoError(t, n.cut(t.Context(), []way{{"a", "b"}}))
	require.False(t, reaches("a", "b"))
	require.True(t, reaches("a", "c"))
	require.NoError(t, n.cut(t.Context(), nil))
	require.True(t, reaches("a", "b"))
	require.NoError(t, n.slow(t.Context(), "b", 64))
	require.True(t, reaches("b", "c"))
	require.NoError(t, n.slow(t.Context(), "b", 0))
}

func TestAPowerCutForgetsWhatWasNotSynced(t *testing.T) {
	needs(t, "mkfs.ext4", "mount", "losetup")
	ctx := context.WithoutCancel(t.Context())
	d, err := newImage(ctx, filepath.Join(t.TempDir(), runName(os.Getpid())))
	if err != nil && strings.Contains(err.Error(), "loop") {
		t.Skipf("no loop device: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.close(ctx)) })
	kept, lost := filepath.Join(d.dir(), "kept"), filepath.Join(d.dir(), "lost")
	f, err := os.Create(kept)
	require.NoError(t, err)
	_, err = f.WriteString("synced")
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.NoError(t, os.WriteFile(lost, []byte("not synced"), 0o600))
	require.NoError(t, d.cutPower())
	require.Error(t, os.WriteFile(filepath.Join(d.dir(), "late"), nil, 0o600))
	require.NoError(t, d.restore(ctx))
	b, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Equal(t, "synced", string(b))
	require.NoFileExists(t, lost)

	// A copy of every mount, as commands in network namespaces have one.
	c := exec.Command("sleep", "0.3")
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	require.NoError(t, c.Start())
	require.NoError(t, d.cutPower())
	require.NoError(t, d.restore(ctx))
	require.NoError(t, os.WriteFile(filepath.Join(d.dir(), "after"), nil, 0o600))
	require.NoError(t, c.Wait())

	require.NoError(t, d.fill())
	require.Error(t, os.WriteFile(lost, make([]byte, 64<<10), 0o600))
	require.NoError(t, d.release())
	require.NoError(t, os.WriteFile(lost, make([]byte, 64<<10), 0o600))
	require.NoError(t, d.wipe(ctx))
	require.NoFileExists(t, kept)
}

func TestAChildDiesWithTheThreadThatStartedIt(t *testing.T) {
	for range 50 { // some of them come upon the main thread, which never ends
		s := newSpawner()
		c := exec.Command("sleep", "1000")
		require.NoError(t, s.start(c, ""))
		s.close()
		require.Error(t, c.Wait())
	}
}

func TestOnlyRunsWhoseProcessIsGoneLeaveThingsBehind(t *testing.T) {
	gone := 1 << 30 // more than a process can have
	names := []string{runName(gone), runName(gone) + "a", runName(os.Getpid()) + "b", "lo", "tn", "tnx", "eth0"}
	require.Equal(t, []string{fmt.Sprint(prefix, gone)}, leftover(names))
}
