package transport

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// BenchmarkRoundTrip sends 200 bytes there and back: over a bare connection,
// over a stream, and as a call.
func BenchmarkRoundTrip(b *testing.B) {
	const size = 200
	b.Run("bare", func(b *testing.B) {
		near := bareEcho(b, size)
		msg := make([]byte, size)
		b.ReportAllocs()
		for b.Loop() {
			_, err := near.Write(msg)
			require.NoError(b, err)
			_, err = io.ReadFull(near, msg)
			require.NoError(b, err)
		}
	})
	b.Run("stream", func(b *testing.B) {
		s := echoOver(b, tcpWires{})
		msg := [][]byte{make([]byte, size)}
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Send(msg...); err != nil {
				b.Fatal(err)
			}
			if _, err := s.Recv(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("call", func(b *testing.B) {
		f := newFleet(b, tcpWires{})
		a, _ := f.pair(func(_, n *node) { n.HandleCall("echo", topology.PeerNode, echo) })
		ctx, msg := within(b), make([]byte, size)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Call(ctx, "b", "echo", msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCalls makes calls from many goroutines over one connection.
func BenchmarkCalls(b *testing.B) {
	f := newFleet(b, tcpWires{})
	a, _ := f.pair(func(_, n *node) { n.HandleCall("echo", topology.PeerNode, echo) })
	b.SetParallelism(128)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx, msg := within(b), make([]byte, 200)
		for pb.Next() {
			if _, err := a.Call(ctx, "b", "echo", msg); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func echoOver(b *testing.B, w wires) topology.Stream {
	f := newFleet(b, w)
	a, _ := f.pair(func(_, n *node) { n.HandleStream("echo", echoStream) })
	s, err := a.Open(within(b), "b", "echo")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

func bareEcho(b *testing.B, size int) net.Conn {
	near, far := barePair(b)
	go func() {
		buf := make([]byte, size)
		for {
			if _, err := io.ReadFull(far, buf); err != nil {
				return
			}
			if _, err := far.Write(buf); err != nil {
				return
			}
		}
	}()
	return near
}

func barePair(b *testing.B) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer func() { require.NoError(b, l.Close()) }()
	near, err = net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	far, err = l.Accept()
	require.NoError(b, err)
	b.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// sinkOver returns how to send over a stream whose other end only receives,
// and how to wait until that has everything.
func sinkOver(b *testing.B) (s topology.Stream, arrived func()) {
	f := newFleet(b, tcpWires{})
	a, _ := f.pair(func(_, n *node) {
		n.HandleStream("sink", func(_ context.Context, s topology.Stream) error {
			for {
				m, err := s.Recv()
				if err != nil {
					return endOfStream(err)
				}
				if len(m) == 0 {
					if err := s.Send(m); err != nil {
						return err
					}
				}
			}
		})
	})
	s, err := a.Open(within(b), "b", "sink")
	require.NoError(b, err)
	return s, func() {
		require.NoError(b, s.Send())
		_, err := s.Recv()
		require.NoError(b, err)
	}
}

// bareSink is the same over a bare connection.
func bareSink(b *testing.B, size int) (near net.Conn, arrived func(n int)) {
	near, far := barePair(b)
	got := make(chan struct{})
	go func() {
		buf := make([]byte, 256<<10)
		for n := 0; ; {
			m, err := far.Read(buf)
			if err != nil {
				return
			}
			for n += m; n >= size; n -= size {
				got <- struct{}{}
			}
		}
	}()
	return near, func(n int) {
		for range n {
			<-got
		}
	}
}

// BenchmarkRatio measures streams against bare connections in one run, in turns
// of a few milliseconds, and reports the medians and their ratio: the machine's
// moods meet both alike.
func BenchmarkRatio(b *testing.B) {
	const turns = 101
	b.Run("round-trip-200B", func(b *testing.B) {
		const size, ops = 200, 300
		near, s := bareEcho(b, size), echoOver(b, tcpWires{})
		msg := make([]byte, size)
		parts := [][]byte{msg}
		compare(b, turns, ops, func() {
			for range ops {
				_, _ = near.Write(msg)
				_, _ = io.ReadFull(near, msg)
			}
		}, func() {
			for range ops {
				_ = s.Send(parts...)
				_, _ = s.Recv()
			}
		})
	})
	for name, shape := range map[string]struct{ size, parts int }{
		"64KiB-1-part": {64 << 10, 1}, "64KiB-64-parts": {64 << 10, 64}, "64KiB-512-parts": {64 << 10, 512},
		"16KiB-1-part": {16 << 10, 1}, "16KiB-16-parts": {16 << 10, 16}, "1MiB-1-part": {1 << 20, 1},
	} {
		b.Run("one-way-"+name, func(b *testing.B) {
			size := shape.size
			ops := max(8<<20/size, 1)
			near, bareArrived := bareSink(b, size*ops)
			s, arrived := sinkOver(b)
			msg := make([]byte, size)
			parts := make([][]byte, shape.parts)
			for i := range parts {
				parts[i] = msg[i*size/shape.parts:][:size/shape.parts]
			}
			compare(b, turns, ops, func() {
				for range ops {
					_, _ = near.Write(msg)
				}
				bareArrived(1)
			}, func() {
				for range ops {
					_ = s.Send(parts...)
				}
				arrived()
			})
		})
	}
}

func compare(b *testing.B, turns, ops int, bare, ours func()) {
	var bares, ourss, ratios []float64
	timed := func(f func()) float64 {
		from := time.Now()
		f()
		return float64(time.Since(from).Nanoseconds()) / float64(ops)
	}
	for b.Loop() {
		for range turns {
			x, y := timed(bare), timed(ours)
			bares, ourss, ratios = append(bares, x), append(ourss, y), append(ratios, y/x)
		}
	}
	b.ReportMetric(median(bares), "bare-ns")
	b.ReportMetric(median(ourss), "stream-ns")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op")
}

func median(xs []float64) float64 {
	slices.Sort(xs)
	return xs[len(xs)/2]
}
