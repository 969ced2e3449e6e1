package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestACallThatNeverLeftIsNotAppliedWhenItsConnectionIsLost(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, n *Network, a, b *node) {
		require.NoError(t, callB(t, a))
		n.Cut("a", "b")
		results := make(chan error, 2)
		for i := range 2 {
			size := 2 * pipeBytesMax // the first fills the connection, and is written in part
			if i > 0 {
				size = 10
			}
			go func() { results <- callWith(t, a, size) }()
			synctest.Wait()
		}
		for l := range linesOf(a) {
			l.end(io.EOF)
		}
		outcomes := map[topology.Outcome]int{}
		for range 2 {
			err := <-results
			require.ErrorIs(t, err, topology.ErrUnavailable)
			outcomes[topology.OutcomeOf(err)]++
		}
		require.Equal(t, map[topology.Outcome]int{topology.Unknown: 1, topology.NotApplied: 1}, outcomes)
	})
}

func TestACrashedPeerEndsItsCallsAtOnce(t *testing.T) {
	h := newHeld()
	bubble(t, func(_, b *node) {
		h = newHeld()
		b.HandleCall("hold", topology.PeerNode, h.handle)
	}, func(t *testing.T, n *Network, a, b *node) {
		result, begun := make(chan error, 1), time.Now()
		go func() {
			_, err := a.Call(context.Background(), "b", "hold", nil)
			result <- err
		}()
		synctest.Wait()
		b.crash(n)
		requireOutcome(t, <-result, topology.ErrUnavailable, topology.Unknown)
		require.Zero(t, time.Since(begun))
	})
}

func TestACancelledCallEndsItsHandler(t *testing.T) {
	for name, cancelled := range map[string]bool{"cancelled": true, "timed out": false} {
		t.Run(name, func(t *testing.T) {
			var ended chan error
			bubble(t, func(_, b *node) {
				ended = make(chan error, 1)
				serveEcho(b)
				b.HandleCall("wait", topology.PeerNode, func(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
					<-ctx.Done()
					ended <- ctx.Err()
					return nil, nil
				})
			}, func(t *testing.T, n *Network, a, b *node) {
				require.NoError(t, callB(t, a))
				n.Delay("b", "a", time.Second) // its answer comes too late
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				begun, waits := time.Now(), time.Minute
				if cancelled {
					waits = time.Second
					time.AfterFunc(waits, cancel)
				}
				_, err := a.Call(ctx, "b", "wait", nil)
				cancel()
				requireOutcome(t, err, topology.ErrTimeout, topology.Unknown)
				require.ErrorIs(t, err, context.Cause(ctx))
				require.Error(t, <-ended)
				require.Equal(t, waits, time.Since(begun))
				synctest.Wait()
				require.Zero(t, b.Stats().RequestBytes)
			})
		})
	}
}

func TestACallWhoseCallerWaitsNoMoreIsNotExecuted(t *testing.T) {
	h := newHeld()
	bubble(t, func(_, b *node) {
		h = newHeld()
		b.HandleCall("hold", topology.PeerNode, h.handle)
	}, func(t *testing.T, _ *Network, a, b *node) {
		go func() { _, _ = a.Call(context.Background(), "b", "hold", nil) }()
		synctest.Wait() // it has the only worker
		_, err := a.Call(contextWithin(t, time.Second), "b", "hold", nil)
		requireOutcome(t, err, topology.ErrTimeout, topology.Unknown)
		close(h.free)
		synctest.Wait()
		require.Equal(t, uint64(1), b.Stats().Calls)
	}, limits(Limits{HandlersMax: 1}))
}

func TestWhoLeavesWithoutReadingHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, memoryWires{NewNetwork()})
		f.members.set("x", "nowhere")
		b := f.node("b", limits(Limits{QueueBytesMax: 64 << 10}))
		b.HandleCall("echo", topology.PeerNode, func(context.Context, topology.Peer, []byte) ([]byte, error) {
			return make([]byte, 60<<10), nil
		})
		f.run(b)
		r, begun := f.raw(b), time.Now()
		r.hello(as("x"))
		for i := range 50 {
			r.send(called(uint64(i+1), "echo", nil))
		}
		synctest.Wait() // answers wait for room, and so does the reader
		require.NoError(t, r.conn.Close())
		synctest.Wait()
		require.Zero(t, b.Stats().Conns)
		require.Zero(t, b.Stats().RequestBytes)
		require.Zero(t, time.Since(begun))
		b.stop()
	})
}

func TestANodeThatIsNoMemberAnyMoreIsStillReachedWhereItIsConnected(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.pair(serveStreams)
	require.NoError(t, callB(t, a))
	f.members.remove("b")
	require.NoError(t, callB(t, a), "who can be reached is not decided by gossip")
	require.NoError(t, openB(t, a, "echo").Close())
	b.stop()
	eventually(t, func() bool { return errors.Is(callB(t, a), topology.ErrUnavailable) }, "until the connection ends")
}

func TestALateReplyIsDropped(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, n *Network, a, b *node) {
		require.NoError(t, callB(t, a))
		n.Delay("b", "a", time.Second)
		n.Delay("a", "b", time.Second)
		_, err := a.Call(contextWithin(t, 1500*time.Millisecond), "b", "echo", nil)
		requireOutcome(t, err, topology.ErrTimeout, topology.Unknown)
		time.Sleep(5 * time.Second) // virtual
		require.Equal(t, uint64(1), a.Stats().LateReplies)
		require.NoError(t, callB(t, a), "and nobody takes it for his own")
	})
}

// fickle is a dialler that fails a number of times.
type fickle struct {
	dial func(context.Context, string) (net.Conn, error)
	left atomic.Int64
	at   chan time.Time
}

func (f *fickle) Dial(ctx context.Context, addr string) (net.Conn, error) {
	f.at <- time.Now()
	if f.left.Add(-1) >= 0 {
		return nil, errors.New("no route")
	}
	return f.dial(ctx, addr)
}

func TestANodeThatCannotBeReachedIsDialledLessAndLess(t *testing.T) {
	var d *fickle
	bubble(t, serveStreams, func(t *testing.T, _ *Network, a, b *node) {
		calls := 0
		for callB(t, a) != nil {
			calls++
			time.Sleep(time.Millisecond) // virtual: an impatient caller
		}
		require.Greater(t, calls, 1000)
		close(d.at)
		var last time.Time
		least, n := a.limits.BackoffMin, 0
		for at := range d.at {
			if n > 0 {
				require.GreaterOrEqual(t, at.Sub(last), least)
				require.LessOrEqual(t, at.Sub(last), a.limits.BackoffMax*3/2+2*time.Millisecond)
				least = min(2*least, a.limits.BackoffMax)
			}
			last = at
			n++
		}
		require.Equal(t, 11, n)
		require.Equal(t, uint64(10), a.Stats().DialsFailed)
	}, func(c *Config) {
		if c.Self == "a" {
			d = &fickle{dial: c.Dial, at: make(chan time.Time, 100)}
			d.left.Store(10)
			c.Dial = d.Dial
		}
	})
}

func TestWhatCannotBeReachedIsUnavailableAndNotApplied(t *testing.T) {
	overBoth(t, func(t *testing.T, w wires) {
		f := newFleet(t, w)
		a := f.node("a")
		l := w.listen(t, "b")
		f.members.set("b", l.Addr().String())
		require.NoError(t, l.Close())
		f.run(a)
		for range 2 { // the second time by back-off
			requireOutcome(t, callB(t, a), topology.ErrUnavailable, topology.NotApplied)
		}
		_, err := a.Open(within(t), "b", "echo")
		requireOutcome(t, err, topology.ErrUnavailable, topology.NotApplied)
	})
}

func TestANodeThatComesBackIsDialledAtOnce(t *testing.T) {
	bubble(t, func(a, b *node) {
		serveEcho(a)
		serveEcho(b)
	}, func(t *testing.T, n *Network, a, b *node) {
		n.Cut("a", "b")
		for range 5 {
			require.Error(t, callB(t, a))
			time.Sleep(a.limits.BackoffMax) // virtual
		}
		require.Error(t, callB(t, a))
		n.Heal("a", "b")
		require.Error(t, callB(t, a), "by back-off")
		_, err := b.Call(within(t), "a", "echo", nil)
		require.NoError(t, err)
		require.NoError(t, callB(t, a), "b was heard of")
	}, limits(Limits{HandshakeTimeout: time.Second, ProbeTimeout: time.Second / 2}))
}

func TestTwoSidesThatCannotAgreeDoNotDialWithoutRest(t *testing.T) {
	bubble(t, serveStreams, func(t *testing.T, _ *Network, a, b *node) {
		end := time.Now().Add(20 * time.Second)
		for time.Now().Before(end) { // each connection is cut off as soon as it stands
			_, _ = a.Call(contextWithin(t, time.Millisecond), "b", "echo", nil)
			for l := range linesOf(a) {
				l.end(io.EOF)
			}
			time.Sleep(time.Millisecond) // virtual
		}
		require.Less(t, a.Stats().Dials, uint64(80))
		require.Greater(t, a.Stats().Dials, uint64(20))
	})
}

// linesOf returns the links of a node's claims.
func linesOf(n *node) map[*link]*line {
	all := map[*link]*line{}
	n.claims.mu.Lock()
	defer n.claims.mu.Unlock()
	for _, h := range n.claims.holders {
		for l, ln := range h.links {
			all[l] = ln
		}
	}
	return all
}

func TestAMemberThatMovedIsFoundAtItsNewAddress(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.pair(serveBoth)
	require.NoError(t, callB(t, a))
	b.stop()
	l, err := f.wires.(memoryWires).Listen("b2")
	require.NoError(t, err)
	moved := f.make(Config{Self: "b", Life: 7, Listener: l, Membership: f.members, Dial: f.wires.dialer("b2")}, "b2", nil)
	serveEcho(moved)
	f.run(moved)
	f.members.set("b", "b2")
	eventually(t, func() bool { return callB(t, a) == nil }, "it is reached again")
}

func TestAMistakeInRegistrationIsWhatRunReturns(t *testing.T) {
	for name, c := range map[string]struct {
		register func(n *node)
		says     string
	}{
		"a method twice":          {func(n *node) { serveEcho(n); serveEcho(n) }, `method "echo" was registered twice`},
		"a method without roles":  {func(n *node) { n.HandleCall("m", 0, echo) }, `method "m" is for no role`},
		"a method without answer": {func(n *node) { n.HandleCall("m", topology.PeerNode, nil) }, `method "m" has no handler`},
		"a method without a name": {func(n *node) { n.HandleCall("", topology.PeerNode, echo) }, `method "" has a name of 0 bytes`},
		"a protocol twice": {func(n *node) {
			n.HandleStream("p", echoStream)
			n.HandleStream("p", echoStream)
		}, `protocol "p" was registered twice`},
	} {
		t.Run(name, func(t *testing.T) {
			n := newFleet(t, memoryWires{NewNetwork()}).node("a")
			c.register(n)
			require.ErrorContains(t, n.Run(within(t)), c.says)
		})
	}
}

func TestNothingIsRegisteredAfterRun(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.pair(nil)
	require.NoError(t, a.ready(within(t)))
	require.NoError(t, b.ready(within(t)))
	serveEcho(b)
	b.HandleStream("echo", echoStream)
	requireOutcome(t, callB(t, a), topology.ErrUnsupported, topology.NotApplied)
	require.Contains(t, b.log.String(), "after Run began")
	require.ErrorContains(t, b.Run(within(t)), "twice")
}

func TestAConfigThatCannotBeIsRefused(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	good := func() Config {
		return Config{Self: "a", Life: 7, Identity: Ephemeral("test"), Membership: f.members}
	}
	_, err := New(good())
	require.NoError(t, err)
	for says, change := range map[string]change{
		"no identity":                     func(c *Config) { c.Identity = nil },
		"cluster name of 300 bytes":       func(c *Config) { c.Identity = Ephemeral(string(make([]byte, 300))) },
		"role 3":                          func(c *Config) { c.Role = 3 },
		`"A b" is no node id`:             func(c *Config) { c.Self = "A b" },
		`"" is no node id`:                func(c *Config) { c.Self = "" },
		"a node needs the life":           func(c *Config) { c.Life = 0 },
		"a node needs a membership":       func(c *Config) { c.Membership = nil },
		"a client does not listen":        func(c *Config) { c.Role, c.Life, c.Listener = topology.PeerClient, 0, &scarce{} },
		"a client has no life":            func(c *Config) { c.Role = topology.PeerClient },
		"a limit is negative":             func(c *Config) { c.Limits.ConnsMax = -1 },
		"a time-out is negative":          func(c *Config) { c.Limits.ReadTimeout = -1 },
		"FrameBytesMax 1073741825":        func(c *Config) { c.Limits.FrameBytesMax = frameBytesCeiling + 1 },
		"RequestBytesMax 5":               func(c *Config) { c.Limits.RequestBytesMax = 5 },
		"BackoffMin 1s is more":           func(c *Config) { c.Limits.BackoffMin = time.Second },
		"ProbeTimeout 5s must be less":    func(c *Config) { c.Limits.ProbeTimeout = 5 * time.Second },
		fmt.Sprintf("%q is no", "a\x00b"): func(c *Config) { c.Self = "a\x00b" },
	} {
		t.Run(says, func(t *testing.T) {
			c := good()
			change(&c)
			_, err := New(c)
			require.ErrorContains(t, err, says)
		})
	}
}
