package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// bubble runs a test in virtual time with nodes a and b.
func bubble(t *testing.T, setUp func(a, b *node), test func(t *testing.T, n *Network, a, b *node), changes ...change) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		f := newFleet(t, memoryWires{n})
		a, b := f.pair(setUp, changes...)
		test(t, n, a, b)
		a.stop()
		b.stop()
	})
}

func serveStreams(_, b *node) {
	serveEcho(b)
	b.HandleStream("echo", echoStream)
}

func openB(t *testing.T, a *node, protocol string) topology.Stream {
	t.Helper()
	s, err := a.Open(within(t), "b", protocol)
	require.NoError(t, err)
	return s
}

func TestAnIdleConnectionLives(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, _ *Network, a, b *node) {
		require.NoError(t, callB(t, a))
		s := openB(t, a, "echo")
		got := make(chan string, 1)
		go func() {
			m, err := s.Recv()
			got <- fmt.Sprint(string(m), err)
		}()
		time.Sleep(3 * time.Hour) // virtual
		require.NoError(t, callB(t, a))
		require.NoError(t, s.Send([]byte("still here ")))
		require.Equal(t, "still here <nil>", <-got)
		require.Equal(t, uint64(2), a.Stats().Dials, "on the connections they had")
		require.NoError(t, s.Close())
	})
}

func TestAStreamLivesWhileItsHandlerDoesNotReceive(t *testing.T) {
	wake := make(chan struct{})
	bubble(t, func(_, b *node) {
		wake = make(chan struct{})
		b.HandleStream("busy", func(_ context.Context, s topology.Stream) error {
			<-wake // for hours
			return echoStream(context.Background(), s)
		})
	}, func(t *testing.T, _ *Network, a, _ *node) {
		s := openB(t, a, "busy")
		got := make(chan error, 1)
		go func() {
			_, err := s.Recv() // all the time
			got <- err
		}()
		time.Sleep(3 * time.Hour) // virtual
		close(wake)
		require.NoError(t, s.Send([]byte("hello")))
		require.NoError(t, <-got)
		require.NoError(t, s.Close())
	})
}

// nearlyAll is a message that leaves room for a few beats in a connection.
var nearlyAll = make([]byte, pipeBytesMax-headerBytes-50)

func TestAStreamWhoseBeatsFilledItInBothDirectionsIsStillAStream(t *testing.T) {
	var wake chan struct{}
	bubble(t, func(_, b *node) {
		wake = make(chan struct{})
		b.HandleStream("asleep", func(_ context.Context, s topology.Stream) error {
			if err := s.Send(nearlyAll); err != nil {
				return err
			}
			<-wake
			return echoStream(context.Background(), s)
		})
	}, func(t *testing.T, _ *Network, a, _ *node) {
		s := openB(t, a, "asleep")
		require.NoError(t, s.Send(nearlyAll))
		time.Sleep(time.Hour) // virtual: a beat waits in each direction
		close(wake)
		sent := make(chan error, 1)
		go func() { sent <- s.Send([]byte("good morning")) }()
		for _, want := range []int{len(nearlyAll), len(nearlyAll), len("good morning")} {
			m, err := s.Recv()
			require.NoError(t, err)
			require.Len(t, m, want)
		}
		require.NoError(t, <-sent)
		require.NoError(t, s.Close())
	})
}

func TestSilenceEndsAStream(t *testing.T) {
	for name, cut := range map[string]func(n *Network){
		"in both directions": func(n *Network) { n.Cut("a", "b") },
		"towards us":         func(n *Network) { n.CutOneWay("b", "a") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, serveStreams, func(t *testing.T, n *Network, a, b *node) {
				s := openB(t, a, "echo")
				cut(n)
				begun := time.Now()
				_, err := s.Recv()
				requireOutcome(t, err, topology.ErrTimeout, topology.Unknown)
				require.LessOrEqual(t, time.Since(begun), a.limits.ReadTimeout+a.limits.beat())
				synctest.Wait()
				require.NotZero(t, a.Stats().Faults["silence"])
				_, again := s.Recv()
				require.Equal(t, err, again)
				requireOutcome(t, s.Send([]byte("x")), topology.ErrTimeout, topology.NotApplied)
				require.NoError(t, s.Close())
			})
		})
	}
}

func TestTheOtherSideOfAOneWayCutFindsOutToo(t *testing.T) {
	ended := make(chan error, 1)
	bubble(t, func(_, b *node) {
		ended = make(chan error, 1)
		b.HandleStream("sink", func(_ context.Context, s topology.Stream) error {
			_, err := s.Recv()
			ended <- err
			return nil
		})
	}, func(t *testing.T, n *Network, a, _ *node) {
		s := openB(t, a, "sink")
		n.CutOneWay("a", "b")
		requireOutcome(t, <-ended, topology.ErrTimeout, topology.Unknown)
		require.NoError(t, s.Close())
	})
}

func TestSilenceEndsACall(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, n *Network, a, _ *node) {
		require.NoError(t, callB(t, a))
		n.Cut("a", "b")
		begun := time.Now()
		_, err := a.Call(context.Background(), "b", "echo", nil)
		requireOutcome(t, err, topology.ErrTimeout, topology.Unknown)
		require.LessOrEqual(t, time.Since(begun), a.limits.ReadTimeout+a.limits.beat())
		n.Heal("a", "b")
		time.Sleep(a.limits.BackoffMax * 2) // virtual
		require.NoError(t, callB(t, a))
	})
}

func TestACutThatIsHealedInTimeLosesNothing(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, n *Network, a, _ *node) {
		require.NoError(t, callB(t, a))
		s := openB(t, a, "echo")
		n.Cut("a", "b")
		require.NoError(t, s.Send([]byte("on the way")))
		time.Sleep(a.limits.ReadTimeout / 2) // virtual
		n.Heal("a", "b")
		m, err := s.Recv()
		require.NoError(t, err)
		require.Equal(t, "on the way", string(m))
		require.NoError(t, callB(t, a))
		require.Equal(t, uint64(2), a.Stats().Dials)
		require.NoError(t, s.Close())
	})
}

func TestWriteTimeoutEndsASendThatMakesNoProgress(t *testing.T) {
	bubble(t, func(_, b *node) {
		b.HandleStream("deaf", func(ctx context.Context, s topology.Stream) error {
			<-ctx.Done()
			return nil
		})
	}, func(t *testing.T, n *Network, a, _ *node) {
		s := openB(t, a, "deaf")
		begun := time.Now()
		var err error
		for err == nil {
			err = s.Send(make([]byte, 100<<10))
		}
		requireOutcome(t, err, topology.ErrTimeout, topology.Unknown)
		require.GreaterOrEqual(t, time.Since(begun), a.limits.WriteTimeout)
		require.LessOrEqual(t, time.Since(begun), a.limits.WriteTimeout*(deadlineSlack+1)/deadlineSlack)
		synctest.Wait()
		require.Equal(t, uint64(1), a.Stats().Faults["stuck"])
		require.NoError(t, s.Close())
	})
}

func TestASendBehindABeatThatWaitsTimesOutToo(t *testing.T) {
	bubble(t, func(_, b *node) {
		b.HandleStream("deaf", func(ctx context.Context, s topology.Stream) error {
			<-ctx.Done()
			return nil
		})
	}, func(t *testing.T, n *Network, a, _ *node) {
		s := openB(t, a, "deaf")
		require.NoError(t, s.Send(nearlyAll))
		time.Sleep(time.Hour) // virtual: a beat waits
		begun := time.Now()
		requireOutcome(t, s.Send([]byte("x")), topology.ErrTimeout, topology.NotApplied)
		require.Equal(t, a.limits.WriteTimeout, time.Since(begun))
		require.NoError(t, s.Close())
	})
}

// writes counts the writes on the connections of a dialler.
type writes struct {
	net.Conn
	n *atomic.Int64
}

func (w writes) Write(b []byte) (int, error) {
	w.n.Add(1)
	return w.Conn.Write(b)
}

func TestAnIdleConnectionCostsOneBeatInAThirdOfTheReadTimeout(t *testing.T) {
	var n atomic.Int64
	bubble(t, serveStreams, func(t *testing.T, _ *Network, a, _ *node) {
		s := openB(t, a, "echo")
		var recv sync.WaitGroup
		recv.Go(func() { _, _ = s.Recv() })
		before := n.Load()
		time.Sleep(time.Hour) // virtual
		perConn := float64(n.Load()-before) / 2 / float64(time.Hour/a.limits.beat())
		require.InDelta(t, 1, perConn, 0.01)
		require.NoError(t, s.Close())
		recv.Wait()
	}, func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dial(ctx, addr)
			return writes{conn, &n}, err
		}
	})
}

func TestABusyConnectionSendsNoBeats(t *testing.T) {
	var n atomic.Int64
	bubble(t, serveStreams, func(t *testing.T, _ *Network, a, _ *node) {
		s := openB(t, a, "echo")
		n.Store(0)
		for range 1000 {
			require.NoError(t, s.Send([]byte("x")))
			_, err := s.Recv()
			require.NoError(t, err)
			require.NoError(t, callB(t, a))
			time.Sleep(a.limits.beat() / 10) // virtual
		}
		require.Equal(t, int64(2000), n.Load())
		require.NoError(t, s.Close())
	}, func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dial(ctx, addr)
			return writes{conn, &n}, err
		}
	})
}
