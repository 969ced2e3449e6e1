package transport

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// held is a handler that holds its calls until released, and counts them.
type held struct {
	free  chan struct{}
	inner atomic.Int32
	most  atomic.Int32
}

func newHeld() *held { return &held{free: make(chan struct{})} }

func (h *held) handle(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	n := h.inner.Add(1)
	defer h.inner.Add(-1)
	for old := h.most.Load(); n > old && !h.most.CompareAndSwap(old, n); old = h.most.Load() {
	}
	select {
	case <-h.free:
	case <-ctx.Done():
	}
	return req, nil
}

func TestWhatIsTooLargeIsNotSent(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, _ := f.pair(func(_, b *node) {
		serveEcho(b)
		b.HandleStream("echo", echoStream)
	}, limits(Limits{FrameBytesMax: 100 << 10}))
	_, err := a.Call(within(t), "b", "echo", make([]byte, 100<<10))
	requireOutcome(t, err, topology.ErrTooLarge, topology.NotApplied)
	_, err = a.Call(within(t), "b", "echo", make([]byte, 99<<10))
	require.NoError(t, err)
	_, err = a.Call(within(t), "b", strings.Repeat("m", nameBytesMax+1), nil)
	requireOutcome(t, err, topology.ErrTooLarge, topology.NotApplied)
	_, err = a.Open(within(t), "b", strings.Repeat("p", nameBytesMax+1))
	requireOutcome(t, err, topology.ErrTooLarge, topology.NotApplied)

	s, err := a.Open(within(t), "b", "echo")
	require.NoError(t, err)
	requireOutcome(t, s.Send(make([]byte, 60<<10), make([]byte, 60<<10)), topology.ErrTooLarge, topology.NotApplied)
	require.NoError(t, s.Send(make([]byte, 100<<10)), "the stream goes on")
	m, err := s.Recv()
	require.NoError(t, err)
	require.Len(t, m, 100<<10)
	require.NoError(t, s.Close())
}

func TestAnAnswerThatIsTooLargeIsAnErrorOfUnknownOutcome(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, _ := f.pair(func(_, b *node) {
		serveEcho(b)
		b.HandleCall("much", topology.PeerNode, func(context.Context, topology.Peer, []byte) ([]byte, error) { return make([]byte, 100<<10), nil })
	}, limits(Limits{FrameBytesMax: 100 << 10}))
	_, err := a.Call(within(t), "b", "much", nil)
	requireOutcome(t, err, topology.ErrTooLarge, topology.Unknown)
	require.NoError(t, callB(t, a), "and the connection goes on")
}

func TestInFlightMaxRefusesFurtherCalls(t *testing.T) {
	f, h := newFleet(t, memoryWires{NewNetwork()}), newHeld()
	a, _ := f.pair(func(_, b *node) { b.HandleCall("hold", topology.PeerNode, h.handle) }, limits(Limits{InFlightMax: 3}))
	results := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := a.Call(within(t), "b", "hold", nil)
			results <- err
		}()
	}
	eventually(t, func() bool { return h.inner.Load() == 3 }, "three calls are held")
	_, err := a.Call(within(t), "b", "hold", nil)
	requireOutcome(t, err, topology.ErrOverloaded, topology.NotApplied)
	require.Equal(t, uint64(1), a.Stats().Overloaded)
	close(h.free)
	for range 3 {
		require.NoError(t, <-results)
	}
	_, err = a.Call(within(t), "b", "hold", nil)
	require.NoError(t, err, "once they are answered there is room")
}

func TestQueueBytesMaxRefusesWhatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		f := newFleet(t, memoryWires{n})
		a, b := f.pair(serveBoth, limits(Limits{QueueBytesMax: 100 << 10}))
		require.NoError(t, callB(t, a))
		n.Cut("a", "b")
		results := make(chan error, 100)
		sent := 0
		for ; a.Stats().Overloaded == 0; sent++ {
			go func() {
				_, err := a.Call(within(t), "b", "echo", make([]byte, 40<<10))
				results <- err
			}()
			synctest.Wait()
		}
		requireOutcome(t, <-results, topology.ErrOverloaded, topology.NotApplied)
		require.Less(t, sent, 12, "no more than the pipe and the queue hold")
		n.Heal("a", "b")
		for range sent - 1 {
			require.NoError(t, <-results)
		}
		a.stop()
		b.stop()
	})
}

func serveBoth(_, b *node) { serveEcho(b) }

func TestACallLargerThanTheQueueIsTakenAlone(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, _ := f.pair(serveBoth, limits(Limits{QueueBytesMax: 1}))
	got, err := a.Call(within(t), "b", "echo", make([]byte, 1<<20))
	require.NoError(t, err)
	require.Len(t, got, 1<<20)
}

func TestHandlersMaxBoundsCallsAtOnce(t *testing.T) {
	f, h := newFleet(t, memoryWires{NewNetwork()}), newHeld()
	a, b := f.pair(func(_, b *node) { b.HandleCall("hold", topology.PeerNode, h.handle) }, limits(Limits{HandlersMax: 4}))
	results := make(chan error, 20)
	for range 20 {
		go func() {
			_, err := a.Call(within(t), "b", "hold", nil)
			results <- err
		}()
	}
	eventually(t, func() bool { return h.inner.Load() == 4 }, "four calls are held")
	require.Equal(t, uint64(4), b.Stats().Calls)
	close(h.free)
	for range 20 {
		require.NoError(t, <-results, "the others wait")
	}
	require.LessOrEqual(t, h.most.Load(), int32(4))
}

func TestRequestBytesMaxBoundsRequestsOverAllConnections(t *testing.T) {
	f, h := newFleet(t, memoryWires{NewNetwork()}), newHeld()
	f.members.set("x", "nowhere")
	_, b := f.pair(func(_, b *node) { b.HandleCall("echo", topology.PeerNode, h.handle) },
		limits(Limits{FrameBytesMax: 1 << 20, RequestBytesMax: 1 << 20}))
	first, second := f.raw(b), f.raw(b)
	first.hello(as("x"))
	second.hello(as("x"))
	go func() { _, _ = first.conn.Write(called(1, "echo", make([]byte, 700<<10))) }()
	eventually(t, func() bool { return h.inner.Load() == 1 }, "the first is held")
	go func() { _, _ = second.conn.Write(called(1, "echo", make([]byte, 700<<10))) }()
	eventually(t, func() bool { return b.Stats().RequestBytes > 900<<10 }, "the second has come as far as there is room")
	require.LessOrEqual(t, b.Stats().RequestBytes, 1<<20)
	require.Equal(t, int32(1), h.inner.Load())
	close(h.free)
	require.Equal(t, kindReply, first.next().kind)
	require.Equal(t, kindReply, second.next().kind, "with room it goes on")
	eventually(t, func() bool { return b.Stats().RequestBytes == 0 }, "all of it is given back")
}

func TestARequestThatFindsNoRoomEndsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, h := newFleet(t, memoryWires{NewNetwork()}), newHeld()
		f.members.set("x", "nowhere")
		a, b := f.pair(func(_, b *node) { b.HandleCall("echo", topology.PeerNode, h.handle) },
			limits(Limits{FrameBytesMax: 1 << 20, RequestBytesMax: 1 << 20}))
		first, begun := make(chan error, 1), time.Now()
		go func() { first <- callWith(t, a, 700<<10) }()
		synctest.Wait()
		second := f.raw(b)
		second.hello(as("x"))
		go func() { _, _ = second.conn.Write(called(1, "echo", make([]byte, 700<<10))) }()
		second.requireClosed()
		require.Equal(t, b.limits.ReadTimeout, time.Since(begun))
		requireCounted(t, b, FaultMemory)
		close(h.free)
		require.NoError(t, <-first)
		synctest.Wait()
		require.Zero(t, b.Stats().RequestBytes, "all of it is given back")
		a.stop()
		b.stop()
	})
}

func callWith(t *testing.T, from *node, size int) error {
	_, err := from.Call(within(t), "b", "echo", make([]byte, size))
	return err
}

func TestStreamsPerPeerMaxRefusesFurtherStreams(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, _ := f.pair(func(_, b *node) { b.HandleStream("echo", echoStream) }, limits(Limits{StreamsPerPeerMax: 2}))
	var open []topology.Stream
	for range 2 {
		s, err := a.Open(within(t), "b", "echo")
		require.NoError(t, err)
		open = append(open, s)
	}
	_, err := a.Open(within(t), "b", "echo")
	requireRefused(t, err, RefusedOverloaded)
	require.NoError(t, open[0].Close())
	eventually(t, func() bool {
		s, err := a.Open(within(t), "b", "echo")
		if err == nil {
			open[0] = s
		}
		return err == nil
	}, "a place is free again")
	require.NoError(t, open[0].Close())
	require.NoError(t, open[1].Close())
}

func TestConnectionsBeyondALimitAreTurnedAway(t *testing.T) {
	for name, c := range map[string]struct {
		limits Limits
		fault  Fault
		greet  bool
	}{
		"ConnsMax":      {Limits{ConnsMax: 3}, FaultConns, true},
		"ConnsPerIPMax": {Limits{ConnsPerIPMax: 3}, FaultConnsPerIP, true},
		"HandshakesMax": {Limits{HandshakesMax: 3}, FaultHandshakes, false},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, w wires) {
				f := newFleet(t, w)
				f.members.set("x", "nowhere")
				b := f.node("b", limits(c.limits))
				f.run(b)
				var in []*raw
				for range 3 {
					r := f.raw(b)
					if in = append(in, r); c.greet {
						require.Equal(t, kindHello, r.hello(as("x")).kind)
					}
				}
				eventually(t, func() bool { return b.Stats().Conns == 3 }, "three are in")
				f.raw(b).requireClosed()
				requireCounted(t, b, c.fault)
				require.NoError(t, in[0].conn.Close())
				eventually(t, func() bool { return b.Stats().Conns == 2 }, "one leaves")
				r := f.raw(b)
				require.Equal(t, kindHello, r.hello(as("x")).kind, "and one is let in")
			})
		})
	}
}

func TestWhoIsTurnedAwayIsToldWhy(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	b := f.node("b", limits(Limits{ConnsMax: 1}))
	a := f.node("a")
	f.run(a, b)
	f.raw(b)
	eventually(t, func() bool { return b.Stats().Conns == 1 }, "it is full")
	requireRefused(t, callB(t, a), RefusedOverloaded)
}

func TestClientsMaxLeavesRoomForNodes(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	b := f.node("b", limits(Limits{ClientsMax: 1}))
	serveEcho(b)
	a, one, two := f.node("a"), f.client(), f.client()
	f.run(a, b, one, two)
	require.NoError(t, callB(t, one))
	require.Equal(t, 1, b.Stats().Clients)
	requireRefused(t, callB(t, two), RefusedOverloaded)
	require.NoError(t, callB(t, a))
	one.stop()
	eventually(t, func() bool { return callB(t, two) == nil }, "its place is free again")
}

func TestAddrsMaxBoundsWhatIsDialledByAddress(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	var nodes []*node
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		n := f.node(id)
		serveEcho(n)
		nodes = append(nodes, n)
	}
	client := f.client(limits(Limits{AddrsMax: 2}))
	f.run(append(nodes, client)...)
	for i, n := range nodes {
		_, err := client.CallAddr(within(t), n.addr, "echo", nil)
		if i < 2 {
			require.NoError(t, err)
			continue
		}
		requireOutcome(t, err, topology.ErrOverloaded, topology.NotApplied)
	}
	nodes[0].stop()
	eventually(t, func() bool {
		_, err := client.CallAddr(within(t), nodes[2].addr, "echo", nil)
		return err == nil
	}, "a connection that ended makes room")
}

func TestHandshakeTimeoutEndsWhoSaysNothing(t *testing.T) {
	for name, sent := range map[string][]byte{"nothing": nil, "half a preamble": preamble[:3], "a preamble": preamble[:], "half a hello": append(preamble[:], beatFrame[:5]...)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, memoryWires{NewNetwork()})
				b := f.node("b")
				f.run(b)
				r := f.raw(b)
				begun := time.Now()
				r.send(sent)
				r.requireClosed()
				require.Equal(t, b.limits.HandshakeTimeout, time.Since(begun))
				synctest.Wait()
				require.Equal(t, map[string]uint64{"handshake": 1}, b.Stats().Faults)
				require.Zero(t, b.Stats().Handshakes)
				b.stop()
			})
		})
	}
}

func TestAHelloByteByByteIsHeardWithinTheHandshakeTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		pause time.Duration
		ok    bool
	}{"quickly": {10 * time.Millisecond, true}, "a byte a second": {time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, memoryWires{NewNetwork()})
				f.members.set("x", "nowhere")
				b := f.node("b")
				f.run(b)
				r, h := f.raw(b), as("x")
				for _, one := range h.append(nil) {
					time.Sleep(c.pause) // virtual
					if _, err := r.conn.Write([]byte{one}); err != nil {
						break
					}
				}
				synctest.Wait()
				if c.ok {
					require.NoError(t, readPreamble(r.conn))
					require.Equal(t, kindHello, r.next().kind)
				} else {
					require.Equal(t, map[string]uint64{"handshake": 1}, b.Stats().Faults)
				}
				b.stop()
			})
		})
	}
}

// scarce is a listener that fails as if there were no file descriptors left.
type scarce struct {
	net.Listener
	failures atomic.Int32
	left     int32
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures.Load() < s.left {
		s.failures.Add(1)
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func TestAcceptingRestsWhileThereAreNoFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, memoryWires{NewNetwork()})
		a := f.node("a")
		b := f.node("b", func(c *Config) { c.Listener = &scarce{Listener: c.Listener, left: 10} })
		serveEcho(b)
		begun := time.Now()
		f.run(a, b)
		require.NoError(t, callB(t, a))
		require.Equal(t, map[string]uint64{"accept": 10}, b.Stats().Faults)
		least := time.Duration(0)
		for i, rest := 0, acceptRestMin; i < 10; i, rest = i+1, min(2*rest, acceptRestMax) {
			least += rest
		}
		require.Equal(t, least, time.Since(begun), "it does not spin")
		a.stop()
		b.stop()
	})
}

func TestAListenerThatWasClosedEndsRun(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	b := f.node("b")
	require.NoError(t, b.listener.Close())
	require.ErrorIs(t, b.Run(within(t)), net.ErrClosed)
}

func TestAStormLeavesAFewLinesInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, memoryWires{NewNetwork()})
		b := f.node("b")
		f.run(b)
		storm := func(n int) {
			for range n {
				r := f.raw(b)
				r.send([]byte("GET / HTTP/1.0\r\n\r\n"))
				r.requireClosed()
			}
			synctest.Wait()
		}
		storm(50)
		require.Equal(t, logLinesMax, strings.Count(b.log.String(), "reason=http"))
		time.Sleep(logWindow) // virtual
		storm(1)
		require.Equal(t, logLinesMax+1, strings.Count(b.log.String(), "reason=http"))
		require.Contains(t, b.log.String(), fmt.Sprintf("left-out=%d", 50-logLinesMax))
		require.Equal(t, uint64(51), b.Stats().Faults["http"])
		b.stop()
	})
}

func TestCallsThatAreNotReadAreHeldBackAndCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, memoryWires{NewNetwork()})
		f.members.set("x", "nowhere")
		var answered atomic.Int64
		b := f.node("b", limits(Limits{QueueBytesMax: 64 << 10, HandlersMax: 4}))
		b.HandleCall("echo", topology.PeerNode, func(context.Context, topology.Peer, []byte) ([]byte, error) {
			answered.Add(1)
			return make([]byte, 16<<10), nil
		})
		f.run(b)
		r, begun := f.raw(b), time.Now()
		r.hello(as("x"))
		var err error
		for i := 0; i < 50_000 && err == nil; i++ { // and not one answer is read
			_, err = r.conn.Write(called(uint64(i+1), "echo", nil))
		}
		require.Error(t, err)
		require.Equal(t, b.limits.WriteTimeout, time.Since(begun))
		synctest.Wait()
		require.Equal(t, map[string]uint64{"stuck": 1}, b.Stats().Faults)
		// What had been read when it was cut off may still be answered, into nothing.
		require.Less(t, answered.Load(), int64(5_000), "of 50,000")
		b.stop()
	})
}

func TestWorkersAreKeptUpToTheirLimit(t *testing.T) {
	f, h := newFleet(t, memoryWires{NewNetwork()}), newHeld()
	a, _ := f.pair(func(_, b *node) {
		serveEcho(b)
		b.HandleCall("hold", topology.PeerNode, h.handle)
	})
	require.NoError(t, callB(t, a))
	before := runtime.NumGoroutine()
	results := make(chan error, 50)
	for range 50 {
		go func() {
			_, err := a.Call(within(t), "b", "hold", nil)
			results <- err
		}()
	}
	eventually(t, func() bool { return h.inner.Load() == 50 }, "fifty are held")
	close(h.free)
	for range 50 {
		require.NoError(t, <-results)
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before+workersKeptMax }, "most workers leave")
}

func contextWithin(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestAnOutboxKeepsNoLargeBuffer(t *testing.T) {
	o := newOutbox(8 << 20)
	for _, size := range []int{1000, outboxKeptMax + 1} {
		_, p := o.put(&letter{kind: kindReply, id: 1, body: bytes.Repeat([]byte("x"), size)})
		require.Equal(t, placed, p)
		o.done(o.take())
	}
	require.LessOrEqual(t, cap(o.spare), outboxKeptMax)
	require.LessOrEqual(t, cap(o.buf), outboxKeptMax)
}
