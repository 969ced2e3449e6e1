package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestMessagesOnAStreamAllocateNothing(t *testing.T) {
	f := newFleet(t, tcpWires{})
	a, _ := f.pair(func(_, b *node) {
		b.HandleStream("echo", func(_ context.Context, s topology.Stream) error {
			parts := make([][]byte, 1)
			for {
				m, err := s.Recv()
				if err != nil {
					return endOfStream(err)
				}
				parts[0] = m
				if err := s.Send(parts...); err != nil {
					return err
				}
			}
		})
	})
	s, err := a.Open(within(t), "b", "echo")
	require.NoError(t, err)
	for _, size := range []int{200, 100 << 10} {
		parts := [][]byte{make([]byte, size/2), make([]byte, size/2)}
		roundTrip := func() {
			if err := s.Send(parts...); err != nil {
				t.Error(err)
			}
			if _, err := s.Recv(); err != nil {
				t.Error(err)
			}
		}
		for range 20 {
			roundTrip()
		}
		require.Zero(t, testing.AllocsPerRun(200, roundTrip), "messages of %d bytes", size)
	}
	require.NoError(t, s.Close())
}

// oneWrite fails the test if a message takes more than one write.
type oneWrite struct {
	net.Conn
	mu    sync.Mutex
	sizes []int
}

func (o *oneWrite) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.sizes = append(o.sizes, len(b))
	o.mu.Unlock()
	return o.Conn.Write(b)
}

func TestAMessageOfSmallPartsIsOneWrite(t *testing.T) {
	var conn *oneWrite
	bubble(t, func(_, b *node) { b.HandleStream("echo", echoStream) }, func(t *testing.T, _ *Network, a, _ *node) {
		s := openB(t, a, "echo")
		for _, c := range []struct{ parts, size int }{{1, 0}, {1, 200}, {3, 1000}, {1, gatherBytes}, {100, gatherPartBytes}} {
			conn.sizes = nil
			parts := make([][]byte, c.parts)
			for i := range parts {
				parts[i] = make([]byte, c.size)
			}
			require.NoError(t, s.Send(parts...))
			require.Equal(t, []int{headerBytes + c.parts*c.size}, conn.sizes)
		}
		require.NoError(t, s.Close())
	}, func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			inner, err := dial(ctx, addr)
			conn = &oneWrite{Conn: inner}
			return conn, err
		}
	})
}

func TestALargeMessageOnASlowConnectionIsNotStuck(t *testing.T) {
	got := make(chan int, 1)
	bubble(t, func(_, b *node) {
		got = make(chan int, 1)
		b.HandleStream("slow", func(_ context.Context, s topology.Stream) error {
			conn := s.(*stream).conn.(*memoryConn)
			n := 0
			for buf := make([]byte, 128<<10); n < headerBytes+4<<20; time.Sleep(time.Second) { // virtual
				m, err := conn.Read(buf)
				if n += m; err != nil {
					return err
				}
			}
			got <- n
			return nil
		})
	}, func(t *testing.T, _ *Network, a, _ *node) {
		s, begun := openB(t, a, "slow"), time.Now()
		require.NoError(t, s.Send(make([]byte, 3<<20), make([]byte, 1<<20)))
		require.Greater(t, time.Since(begun), 3*a.limits.WriteTimeout)
		require.GreaterOrEqual(t, <-got, headerBytes+4<<20)
		require.NoError(t, s.Close())
	})
}

func TestSeveralMaySendAtOnce(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, _ := f.pair(func(_, b *node) { b.HandleStream("echo", echoStream) })
	s := openB(t, a, "echo")
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for range 100 {
				if err := s.Send([]byte{byte(i)}, make([]byte, 999)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[byte]int{}
	for range 400 {
		m, err := s.Recv()
		require.NoError(t, err)
		require.Len(t, m, 1000)
		seen[m[0]]++
	}
	senders.Wait()
	require.Equal(t, map[byte]int{0: 100, 1: 100, 2: 100, 3: 100}, seen)
	require.NoError(t, s.Close())
}

func TestCloseCutsASendThatWaits(t *testing.T) {
	overBoth(t, func(t *testing.T, w wires) {
		f := newFleet(t, w)
		received := make(chan error, 1)
		wake := make(chan struct{})
		a, _ := f.pair(func(_, b *node) {
			b.HandleStream("deaf", func(ctx context.Context, s topology.Stream) error {
				<-wake
				var err error
				for err == nil {
					_, err = s.Recv()
				}
				received <- err
				return nil
			})
		})
		s := openB(t, a, "deaf")
		sent := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				err = s.Send(make([]byte, 1<<20))
			}
			sent <- err
		}()
		ours := s.(*stream)
		eventually(t, func() bool { return ours.sending.Load() == 1 && len(ours.turn) == 0 }, "a message is being sent")
		require.NoError(t, s.Close())
		require.True(t, ours.ended(), "at once")
		require.ErrorIs(t, <-sent, topology.ErrClosed)
		close(wake)
		require.NotErrorIs(t, <-received, io.EOF, "a message that was cut is no order")
	})
}

func TestLingerTimeoutBoundsHowLongAClosedStreamStays(t *testing.T) {
	bubble(t, func(_, b *node) {
		b.HandleStream("curt", func(context.Context, topology.Stream) error { return nil })
	}, func(t *testing.T, _ *Network, a, b *node) {
		s := openB(t, a, "curt") // a does not look whether it ended
		time.Sleep(b.limits.LingerTimeout - 1)
		synctest.Wait()
		require.Equal(t, 2, b.Stats().Conns)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, 1, b.Stats().Conns)
		_, err := s.Recv()
		require.Equal(t, io.EOF, err)
		require.NoError(t, s.Close())
		synctest.Wait()
	})
}

func TestAStreamThatBothClosedIsGoneAtOnce(t *testing.T) {
	bubble(t, func(_, b *node) { b.HandleStream("echo", echoStream) }, func(t *testing.T, _ *Network, a, b *node) {
		begun := time.Now()
		require.NoError(t, openB(t, a, "echo").Close())
		synctest.Wait()
		require.Equal(t, 1, b.Stats().Conns)
		require.Zero(t, time.Since(begun))
	})
}

func TestAHandlerThatFailsIsLoggedOnce(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.pair(func(_, b *node) {
		b.HandleStream("bad", func(context.Context, topology.Stream) error { return errors.New("out of paper") })
	})
	s := openB(t, a, "bad")
	_, err := s.Recv()
	require.ErrorContains(t, err, "out of paper")
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
	require.Contains(t, b.log.String(), "out of paper")
	require.NoError(t, s.Close())
}

func TestTheReasonIsReceivedEvenAfterASendFailed(t *testing.T) {
	bubble(t, func(_, b *node) {
		b.HandleStream("no", func(context.Context, topology.Stream) error {
			return &topology.Error{Op: "follow", Leader: "c", Err: topology.ErrNotLeader}
		})
	}, func(t *testing.T, _ *Network, a, b *node) {
		s := openB(t, a, "no")
		time.Sleep(b.limits.LingerTimeout + 1) // virtual: b is gone
		requireOutcome(t, s.Send([]byte("x")), topology.ErrUnavailable, topology.Unknown)
		requireOutcome(t, s.Send([]byte("x")), topology.ErrUnavailable, topology.NotApplied)
		_, err := s.Recv()
		requireOutcome(t, err, topology.ErrNotLeader, topology.NotApplied)
		require.NoError(t, s.Close())
	}, limits(Limits{ReadTimeout: time.Minute})) // no beat finds out before
}

func TestOpenEndsWithItsContext(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, n *Network, a, b *node) {
		require.NoError(t, callB(t, a))
		n.CutOneWay("b", "a")
		_, err := a.Open(contextWithin(t, time.Second), "b", "echo")
		requireOutcome(t, err, topology.ErrTimeout, topology.NotApplied)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestRunEndsWhatIsBeingDialled(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, n *Network, a, b *node) {
		n.Cut("a", "b")
		call, open := make(chan error, 1), make(chan error, 1)
		go func() { call <- callB(t, a) }()
		go func() {
			_, err := a.Open(context.Background(), "b", "echo")
			open <- err
		}()
		synctest.Wait()
		begun := time.Now()
		a.stop()
		requireOutcome(t, <-call, topology.ErrClosed, topology.NotApplied)
		requireOutcome(t, <-open, topology.ErrClosed, topology.NotApplied)
		require.Zero(t, time.Since(begun))
	})
}
