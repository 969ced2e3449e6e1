package transport

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// hosted runs a test in virtual time with ports for packets at two hosts.
func hosted(t *testing.T, test func(t *testing.T, n *Network, a, b net.PacketConn)) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		a, err := n.Host("a").ListenPacket("a:1")
		require.NoError(t, err)
		b, err := n.Host("b").ListenPacket("b:1")
		require.NoError(t, err)
		test(t, n, a, b)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

func send(t *testing.T, from, to net.PacketConn, text string) {
	t.Helper()
	_, err := from.WriteTo([]byte(text), to.LocalAddr())
	require.NoError(t, err)
}

func requirePacket(t *testing.T, c net.PacketConn, from net.PacketConn, want string) {
	t.Helper()
	b := make([]byte, 64)
	n, at, err := c.ReadFrom(b)
	require.NoError(t, err)
	require.Equal(t, want, string(b[:n]))
	require.Equal(t, from.LocalAddr().String(), at.String())
}

func requireNoPacket(t *testing.T, c net.PacketConn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	_, _, err := c.ReadFrom(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}

func TestAPacketArrivesAfterItsDelay(t *testing.T) {
	hosted(t, func(t *testing.T, n *Network, a, b net.PacketConn) {
		n.Delay("a", "b", time.Second)
		begun := time.Now()
		send(t, a, b, "late")
		n.Delay("a", "b", 0)
		send(t, a, b, "early")
		requirePacket(t, b, a, "early")
		requirePacket(t, b, a, "late")
		require.Equal(t, time.Second, time.Since(begun))
	})
}

func TestACutLosesPackets(t *testing.T) {
	hosted(t, func(t *testing.T, n *Network, a, b net.PacketConn) {
		n.CutOneWay("a", "b")
		send(t, a, b, "lost")
		send(t, b, a, "other way")
		requirePacket(t, a, b, "other way")
		n.Heal("a", "b")
		requireNoPacket(t, b)
		n.Pave("a", "b", Road{Loss: 100})
		send(t, a, b, "lost")
		requireNoPacket(t, b)
	})
}

func TestPacketsThatNobodyReadsAreLost(t *testing.T) {
	hosted(t, func(t *testing.T, _ *Network, a, b net.PacketConn) {
		for range packetsMax + 1 {
			send(t, a, b, "x")
		}
		for range packetsMax {
			requirePacket(t, b, a, "x")
		}
		requireNoPacket(t, b)
	})
}

func TestALossDelaysAConnection(t *testing.T) {
	wired(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Seed(1)
		n.Pave("a", "b", Road{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 50})
		begun := time.Now()
		for range 32 {
			write(t, a, "x")
		}
		requireRead(t, b, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
		require.GreaterOrEqual(t, time.Since(begun), resendAfter)
	})
}

func TestAResetIsFoundAtBothEnds(t *testing.T) {
	wired(t, func(t *testing.T, n *Network, a, b net.Conn) {
		write(t, a, "lost")
		n.Reset("b", "a")
		for _, c := range []net.Conn{a, b} {
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			_, err = c.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
	})
}

func TestAHostThatCrashedReachesNobodyEvenIfItRunsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		a, b := n.Host("a"), n.Host("b")
		l, err := b.Listen("b:1")
		require.NoError(t, err)
		p, err := a.ListenPacket("a:1")
		require.NoError(t, err)
		c, err := a.Dial(context.Background(), "b:1")
		require.NoError(t, err)
		n.Cut("a", "b")
		failed := make(chan error, 1)
		go func() { _, err := a.Dial(context.Background(), "b:1"); failed <- err }()
		synctest.Wait()
		a.Crash()
		require.ErrorIs(t, <-failed, syscall.ENETDOWN)
		n.Heal("a", "b")
		_, err = a.Dial(context.Background(), "b:1")
		require.ErrorIs(t, err, syscall.ENETDOWN)
		_, err = a.Listen("a:2")
		require.ErrorIs(t, err, syscall.ENETDOWN)
		_, err = a.ListenPacket("a:2")
		require.ErrorIs(t, err, syscall.ENETDOWN)
		_, err = p.WriteTo([]byte("x"), p.LocalAddr())
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		again, err := n.Host("a").ListenPacket("a:1")
		require.NoError(t, err, "the machine that is started again is another")
		require.NoError(t, again.Close())
		require.NoError(t, l.Close())
	})
}
