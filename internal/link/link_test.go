package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	there = 40 * time.Millisecond
	back  = 10 * time.Millisecond
)

// far runs a test in virtual time, with a delayed connection and its other end.
func far(t *testing.T, test func(t *testing.T, l *Link, near, far net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Options{Delay: there}, Options{Delay: back})
		require.NoError(t, err)
		below, other := halves()
		near := l.Conn(below)
		defer func() {
			_ = near.Close() // by the test or now
			_ = other.Close()
			require.NoError(t, l.Drain(t.Context()))
		}()
		test(t, l, near, other)
	})
}

// half is one end of a connection in memory that can be half-closed: two pipes.
type half struct {
	net.Conn // of which it writes
	in       net.Conn
}

func halves() (a, b half) {
	w1, r1 := net.Pipe()
	w2, r2 := net.Pipe()
	return half{Conn: w1, in: r2}, half{Conn: w2, in: r1}
}

func (h half) Read(b []byte) (int, error) { return h.in.Read(b) }
func (h half) CloseWrite() error          { return h.Conn.Close() }
func (h half) Close() error               { return errors.Join(h.Conn.Close(), h.in.Close()) }

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	n, err := c.Write([]byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func read(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

func TestBytesArriveAfterTheDelayOfTheirDirection(t *testing.T) {
	far(t, func(t *testing.T, _ *Link, near, far net.Conn) {
		began := time.Now()
		write(t, near, "ping")
		require.Zero(t, time.Since(began), "a write does not wait")
		read(t, far, "ping")
		require.Equal(t, there, time.Since(began))
		write(t, far, "pong")
		read(t, near, "pong")
		require.Equal(t, there+back, time.Since(began))
	})
}

func TestADelayDoesNotLowerTheThroughput(t *testing.T) {
	far(t, func(t *testing.T, _ *Link, near, far net.Conn) {
		const each, times = 32 << 10, 100
		began := time.Now()
		got := make(chan int64)
		go func() {
			n, _ := io.CopyN(io.Discard, far, each*times)
			got <- n
		}()
		for range times {
			_, err := near.Write(make([]byte, each))
			require.NoError(t, err)
		}
		require.EqualValues(t, each*times, <-got)
		require.Equal(t, there, time.Since(began), "everything was under way at once")
	})
}

func TestJitterNeverReorders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Options{Delay: there, Jitter: there, Seed: 7}, Options{})
		require.NoError(t, err)
		below, other := net.Pipe()
		near := l.Conn(below)
		var want, got bytes.Buffer
		for i := range 200 {
			b := bytes.Repeat([]byte{byte(i)}, i+1)
			want.Write(b)
			write(t, near, string(b))
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, near.Close())
		_, err = io.Copy(&got, other)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want.Bytes(), got.Bytes()))
		require.NoError(t, l.Drain(t.Context()))
	})
}

func TestASeedDrawsTheSameJitterAgain(t *testing.T) {
	draws := func(seed uint64) (ds []time.Duration) {
		l := newLane(Options{Delay: there, Jitter: there, Seed: seed})
		for range 20 {
			d := l.lag(1)
			require.GreaterOrEqual(t, d, there)
			require.Less(t, d, 2*there)
			ds = append(ds, d)
		}
		return ds
	}
	require.Equal(t, draws(1), draws(1))
	require.NotEqual(t, draws(1), draws(2))
}

func TestAWriterWaitsWhereTheLineIsFull(t *testing.T) {
	far(t, func(t *testing.T, l *Link, near, far net.Conn) {
		most := l.there.o.QueueBytes()
		require.NoError(t, near.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		n, err := near.Write(make([]byte, 2*most))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.Equal(t, most-parcelBytes, n)
		require.NoError(t, near.SetWriteDeadline(time.Time{}))
		wrote := make(chan error)
		go func() {
			_, err := near.Write([]byte("more"))
			wrote <- err
		}()
		_, err = io.CopyN(io.Discard, far, int64(n))
		require.NoError(t, err)
		require.NoError(t, <-wrote)
		read(t, far, "more")
	})
}

func TestManySmallWritesAreBoundedToo(t *testing.T) {
	far(t, func(t *testing.T, l *Link, near, _ net.Conn) {
		require.NoError(t, near.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		wrote := 0
		for {
			n, err := near.Write([]byte("x"))
			wrote += n
			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				break
			}
		}
		require.LessOrEqual(t, wrote*(1+parcelBytes), l.there.o.QueueBytes())
	})
}

func TestTheQueueIsTheProductOfBandwidthAndDelayWithinItsLimits(t *testing.T) {
	for want, o := range map[int]Options{
		QueueBytesMin: {},
		QueueBytesMax: {Delay: time.Second, BytesPerSecond: 1 << 40},
		5_000_000:     {Delay: there},
		10_000_000:    {Delay: there, Jitter: there},
		1_000_000:     {Delay: time.Second, BytesPerSecond: 1_000_000},
	} {
		require.Equal(t, want, o.QueueBytes())
	}
}

func TestAHalfClosedConnectionStillReceives(t *testing.T) {
	far(t, func(t *testing.T, _ *Link, near, far net.Conn) {
		began := time.Now()
		write(t, near, "question")
		require.NoError(t, near.(closeWriter).CloseWrite())
		_, err := near.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		all, err := io.ReadAll(far)
		require.NoError(t, err)
		require.Equal(t, "question", string(all))
		require.Equal(t, there, time.Since(began), "the end comes with the delay")
		write(t, far, "answer")
		require.NoError(t, far.Close())
		all, err = io.ReadAll(near)
		require.NoError(t, err)
		require.Equal(t, "answer", string(all))
	})
}

func TestWhatWasWrittenBeforeCloseArrives(t *testing.T) {
	far(t, func(t *testing.T, l *Link, near, far net.Conn) {
		began := time.Now()
		write(t, near, "last words")
		require.NoError(t, near.Close())
		require.ErrorIs(t, near.Close(), net.ErrClosed)
		require.ErrorIs(t, near.SetDeadline(time.Now()), net.ErrClosed)
		_, err := near.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = near.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		all, err := io.ReadAll(far)
		require.NoError(t, err)
		require.Equal(t, "last words", string(all))
		require.Equal(t, there, time.Since(began))
		require.NoError(t, l.Drain(t.Context()))
	})
}

func TestAConnectionThatCanNotDeliverIsGivenUp(t *testing.T) {
	for name, hinder := range map[string]func(*Link){
		"as its other end does not read": func(*Link) {},
		"as its link is cut":             (*Link).Cut,
	} {
		t.Run(name, func(t *testing.T) {
			far(t, func(t *testing.T, l *Link, near, _ net.Conn) {
				hinder(l)
				write(t, near, "to nobody")
				began := time.Now()
				require.NoError(t, near.Close())
				ctx, cancel := context.WithTimeout(t.Context(), LingerTimeout)
				defer cancel()
				require.ErrorIs(t, l.Drain(ctx), context.DeadlineExceeded)
				require.NoError(t, l.Drain(t.Context()))
				require.Equal(t, there+LingerTimeout, time.Since(began))
			})
		})
	}
}

func TestNothingPassesACutLinkAndNothingIsLostByIt(t *testing.T) {
	far(t, func(t *testing.T, l *Link, near, far net.Conn) {
		write(t, near, "under way")
		l.Cut()
		l.Cut()
		write(t, near, ", sent while it is cut")
		time.Sleep(time.Minute)
		require.NoError(t, far.SetReadDeadline(time.Now()))
		require.NoError(t, far.(half).in.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := far.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, far.(half).in.SetReadDeadline(time.Time{}))
		l.Heal()
		healed := time.Now()
		read(t, far, "under way, sent while it is cut")
		require.Equal(t, there, time.Since(healed), "it is sent once more")
	})
}

func TestALinkIsCutInOneDirectionAlone(t *testing.T) {
	far(t, func(t *testing.T, l *Link, near, far net.Conn) {
		l.Drop(true, false)
		write(t, near, "ping")
		write(t, far, "pong")
		read(t, near, "pong")
		require.NoError(t, far.(half).in.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err := far.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, far.(half).in.SetReadDeadline(time.Time{}))
		l.Drop(false, true)
		read(t, far, "ping")
		write(t, far, "lost for now")
		require.NoError(t, near.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = near.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, near.SetReadDeadline(time.Time{}))
		l.Heal()
		read(t, near, "lost for now")
	})
}

func TestAConnectionThatBreaksFailsAfterTheDelay(t *testing.T) {
	far(t, func(t *testing.T, _ *Link, near, far net.Conn) {
		write(t, far, "x")
		began := time.Now()
		require.NoError(t, far.Close())
		read(t, near, "x")
		_, err := near.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, back, time.Since(began))
		write(t, near, "to nobody")
		time.Sleep(there)
		synctest.Wait()
		_, err = near.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}

func TestDialingCostsARoundTripAndWaitsForACutLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Options{Delay: there}, Options{Delay: back})
		require.NoError(t, err)
		var ends []net.Conn
		d := &Dialer{Links: map[string]*Link{"far": l}, Below: func(context.Context, string) (net.Conn, error) {
			a, b := net.Pipe()
			ends = append(ends, b)
			return a, nil
		}}
		began := time.Now()
		dial := func(ctx context.Context, addr string) error {
			c, err := d.Dial(ctx, addr)
			if err == nil {
				err = c.Close()
			}
			return err
		}
		require.NoError(t, dial(t.Context(), "near"))
		require.Zero(t, time.Since(began))
		require.NoError(t, dial(t.Context(), "far"))
		require.Equal(t, there+back, time.Since(began))

		l.Cut()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err = dial(ctx, "far")
		cancel()
		require.ErrorIs(t, err, errCut)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.AfterFunc(time.Second, l.Heal)
		began = time.Now()
		require.NoError(t, dial(t.Context(), "far"))
		require.Equal(t, time.Second+there+back, time.Since(began))

		ctx, cancel = context.WithTimeout(t.Context(), there+back/2)
		require.ErrorIs(t, dial(ctx, "far"), context.DeadlineExceeded)
		cancel()
		for _, c := range ends {
			require.NoError(t, c.Close())
		}
		require.NoError(t, d.Drain(t.Context()))
	})
}

func TestAShapedLineCarriesNoMoreThanItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Options{Delay: there, BytesPerSecond: 1 << 20, Shaped: true}, Options{})
		require.NoError(t, err)
		began := time.Now()
		var all sync.WaitGroup
		for range 2 { // they share the line
			below, other := halves()
			near := l.Conn(below)
			all.Go(func() {
				for range 8 {
					if _, err := near.Write(make([]byte, 64<<10)); err != nil {
						t.Error(err)
					}
				}
				if err := near.Close(); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if n, err := io.Copy(io.Discard, other); err != nil || n != 512<<10 {
					t.Errorf("%d bytes: %v", n, err)
				}
				_ = other.Close()
			})
		}
		all.Wait()
		require.InDelta(t, float64(time.Second+there), float64(time.Since(began)), float64(time.Millisecond))
		require.NoError(t, l.Drain(t.Context()))
	})
}

func TestWhatIsLostArrivesLaterAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Options{Delay: there, Loss: 0.5, Seed: 1}, Options{})
		require.NoError(t, err)
		below, far := halves()
		near := l.Conn(below)
		lost := 0
		for i := range 50 {
			began := time.Now()
			text := fmt.Sprintf("%04d", i)
			write(t, near, text)
			read(t, far, text)
			switch took := time.Since(began); took {
			case there:
			case there + RetransmitAfter:
				lost++
			default:
				require.Fail(t, "it took", "%v", took)
			}
		}
		require.Greater(t, lost, 10)
		require.Less(t, lost, 40)
		require.NoError(t, near.Close())
		require.NoError(t, far.Close())
		require.NoError(t, l.Drain(t.Context()))
	})
}

func TestACallTakesAWayThereAndAWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Options{Delay: there}, Options{Delay: back})
		require.NoError(t, err)
		began := time.Now()
		done, err := l.Call(t.Context(), func(context.Context) error {
			require.Equal(t, there, time.Since(began))
			return io.EOF
		})
		require.True(t, done)
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, there+back, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.Drop(false, true)
		done, err = l.Call(ctx, func(context.Context) error { return nil })
		require.True(t, done)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		l.Cut()
		done, err = l.Call(ctx, func(context.Context) error { return nil })
		require.False(t, done)
		require.Error(t, err)
	})
}

func TestALinkWithoutSenseIsRefused(t *testing.T) {
	for _, o := range []Options{{Delay: -1}, {Jitter: -1}, {BytesPerSecond: -1}, {Delay: DelayMax + 1}, {Jitter: DelayMax + 1}, {Loss: -0.1}, {Loss: 1}} {
		_, err := New(Options{}, o)
		require.ErrorContains(t, err, "link: ")
	}
}

func TestWhatCanNotBeHalfClosedSaysSo(t *testing.T) {
	l, err := New(Options{}, Options{})
	require.NoError(t, err)
	a, b := net.Pipe()
	c := l.Conn(a)
	require.ErrorIs(t, c.(closeWriter).CloseWrite(), errors.ErrUnsupported)
	require.NoError(t, c.Close())
	require.NoError(t, b.Close())
	require.NoError(t, l.Drain(t.Context()))
}
