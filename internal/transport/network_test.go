package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// wired runs a test in virtual time with a connection from a to b.
func wired(t *testing.T, test func(t *testing.T, n *Network, a, b net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		l, err := n.Listen("b")
		require.NoError(t, err)
		a, err := n.Dialer("a")(context.Background(), "b")
		require.NoError(t, err)
		b, err := l.Accept()
		require.NoError(t, err)
		test(t, n, a, b)
		_, _, _ = a.Close(), b.Close(), l.Close()
	})
}

func requireRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	_, err := c.Write([]byte(s))
	require.NoError(t, err)
}

func TestAnAddressInMemoryIsBoundOnce(t *testing.T) {
	n := NewNetwork()
	l, err := n.Listen("a")
	require.NoError(t, err)
	_, err = n.Listen("a")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoError(t, l.Close())
	l, err = n.Listen("a")
	require.NoError(t, err, "until it is closed")
	require.NoError(t, l.Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = n.Dial(context.Background(), "a")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestAConnectionInMemoryKnowsItsEnds(t *testing.T) {
	wired(t, func(t *testing.T, _ *Network, a, b net.Conn) {
		require.Equal(t, "a", a.LocalAddr().String())
		require.Equal(t, "b", a.RemoteAddr().String())
		require.Equal(t, "a", b.RemoteAddr().String())
		require.Equal(t, memoryNet, b.LocalAddr().Network())
	})
}

func TestAConnectionInMemoryHoldsSoMuchAndNoMore(t *testing.T) {
	wired(t, func(t *testing.T, _ *Network, a, b net.Conn) {
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write(make([]byte, 2*pipeBytesMax))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, pipeBytesMax, n)
		require.NoError(t, a.SetWriteDeadline(time.Time{}))
		wrote := make(chan error, 1)
		go func() {
			_, err := a.Write([]byte("end"))
			wrote <- err
		}()
		_, err = io.ReadFull(b, make([]byte, pipeBytesMax))
		require.NoError(t, err)
		require.NoError(t, <-wrote)
		requireRead(t, b, "end")
	})
}

func TestACutHoldsBackUntilItIsHealed(t *testing.T) {
	wired(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.CutOneWay("a", "b")
		write(t, a, "late")
		write(t, b, "other way")
		requireRead(t, a, "other way")
		require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := b.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, b.SetReadDeadline(time.Time{}))
		time.AfterFunc(time.Minute, func() { n.Heal("a", "b") })
		begun := time.Now()
		requireRead(t, b, "late")
		require.Equal(t, time.Minute, time.Since(begun))
	})
}

func TestADialAcrossACutWaits(t *testing.T) {
	wired(t, func(t *testing.T, n *Network, _, _ net.Conn) {
		n.CutOneWay("b", "a")
		dial := n.Dialer("a")
		_, err := dial(contextWithin(t, time.Second), "b")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.AfterFunc(time.Minute, n.HealAll)
		c, err := dial(context.Background(), "b")
		require.NoError(t, err)
		require.NoError(t, c.Close())
	})
}

func TestWhatIsDelayedArrivesInOrderAndTheEndBehindIt(t *testing.T) {
	wired(t, func(t *testing.T, n *Network, a, b net.Conn) {
		begun := time.Now()
		n.Delay("a", "b", 3*time.Second)
		write(t, a, "first ")
		n.Delay("a", "b", time.Second)
		write(t, a, "second")
		require.NoError(t, a.Close())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "first second", string(got))
		require.Equal(t, 3*time.Second, time.Since(begun))
		begun = time.Now()
		c, err := n.Dialer("a")(context.Background(), "b")
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(begun))
		require.NoError(t, c.Close())
	})
}

func TestACrashIsAResetToWhoIsReached(t *testing.T) {
	wired(t, func(t *testing.T, n *Network, a, b net.Conn) {
		write(t, b, "lost")
		n.Crash("b")
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = b.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = n.Dial(context.Background(), "b")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestACrashBehindACutIsSilence(t *testing.T) {
	wired(t, func(t *testing.T, n *Network, a, _ net.Conn) {
		n.Cut("a", "b")
		n.Crash("b")
		require.NoError(t, a.SetDeadline(time.Now().Add(time.Hour)))
		write(t, a, "into the void")
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_, err = a.Write(make([]byte, 2*pipeBytesMax))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		n.HealAll()
		require.NoError(t, a.SetDeadline(time.Time{}))
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestADeadlineThatIsSetAnewCountsForWhoWaits(t *testing.T) {
	wired(t, func(t *testing.T, _ *Network, a, _ net.Conn) {
		begun := time.Now()
		require.NoError(t, a.SetReadDeadline(begun.Add(time.Hour)))
		time.AfterFunc(time.Minute, func() { _ = a.SetReadDeadline(time.Now().Add(time.Minute)) })
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 2*time.Minute, time.Since(begun))
		var late net.Error
		require.ErrorAs(t, err, &late)
		require.True(t, late.Timeout())
	})
}

func TestCloseUnblocksBothEndsOfAConnectionInMemory(t *testing.T) {
	wired(t, func(t *testing.T, _ *Network, a, b net.Conn) {
		ends := make(chan error, 2)
		go func() { _, err := a.Read(make([]byte, 1)); ends <- err }()
		go func() { _, err := b.Read(make([]byte, 1)); ends <- err }()
		synctest.Wait()
		require.NoError(t, a.Close())
		for range 2 {
			require.Error(t, <-ends)
		}
		require.ErrorIs(t, a.Close(), net.ErrClosed)
		require.ErrorIs(t, a.SetDeadline(time.Now()), net.ErrClosed)
	})
}

func TestCloseUnblocksAWriteAtTheOtherEnd(t *testing.T) {
	wired(t, func(t *testing.T, _ *Network, a, b net.Conn) {
		wrote := make(chan error, 1)
		go func() { _, err := b.Write(make([]byte, 2*pipeBytesMax)); wrote <- err }()
		synctest.Wait()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-wrote, syscall.EPIPE)
	})
}

func TestAHalfClosedConnectionStillReads(t *testing.T) {
	wired(t, func(t *testing.T, _ *Network, a, b net.Conn) {
		write(t, a, "question")
		require.NoError(t, a.(interface{ CloseWrite() error }).CloseWrite())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "question", string(got))
		write(t, b, "answer")
		requireRead(t, a, "answer")
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestABacklogThatIsFullHoldsDialsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		l, err := n.Listen("b")
		require.NoError(t, err)
		for range acceptBacklogMax {
			_, err := n.Dial(context.Background(), "b")
			require.NoError(t, err)
		}
		_, err = n.Dial(contextWithin(t, time.Second), "b")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = l.Accept()
		require.NoError(t, err)
		last, err := n.Dial(context.Background(), "b")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = last.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET, "what was never accepted is reset")
	})
}

func TestLargeWritesCrossAConnectionInMemoryWhole(t *testing.T) {
	wired(t, func(t *testing.T, _ *Network, a, b net.Conn) {
		sent := bytes.Repeat([]byte("0123456789"), 200_000)
		go func() {
			_, _ = a.Write(sent)
			_ = a.Close()
		}()
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, got))
	})
}
