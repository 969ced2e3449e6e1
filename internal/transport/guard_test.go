package transport

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// passport is a guard that proves what it is told to.
type passport struct{ accepts, connects atomic.Pointer[topology.Peer] }

func (p *passport) Accept(c net.Conn) (net.Conn, topology.Peer, error) {
	return c, *p.accepts.Load(), nil
}
func (p *passport) Connect(c net.Conn) (net.Conn, topology.Peer, error) {
	return c, *p.connects.Load(), nil
}

// seen makes a guard to which everybody who dials is one, and everybody who is
// dialled the other.
func seen(dials, dialled topology.Peer) change {
	p := &passport{}
	p.accepts.Store(&dials)
	p.connects.Store(&dialled)
	return func(c *Config) { c.Guard = p }
}

func nodeCalled(id topology.NodeID) topology.Peer {
	return topology.Peer{ID: id, Role: topology.PeerNode}
}

func clientCalled(id topology.NodeID) topology.Peer {
	return topology.Peer{ID: id, Role: topology.PeerClient}
}

// Bad input 107 to 109, behind the handshake: what a hello claims is held
// against what the certificate proves, by both sides.
func TestAHelloIsHeldAgainstTheCertificate(t *testing.T) {
	asNode := func(h hello) hello { return h }
	client := as("", asClient)
	named := as("", asClient)
	named.node = "shop"
	for name, c := range map[string]struct {
		proven topology.Peer
		hello  hello
		ok     bool
	}{
		"the node of its certificate":              {nodeCalled("b"), asNode(as("b")), true},
		"another node's certificate":               {nodeCalled("c"), asNode(as("b")), false},
		"a client's certificate, as a node":        {clientCalled("b"), asNode(as("b")), false},
		"a client's certificate, as a stream":      {clientCalled("b"), as("b", asStream), false},
		"a client without a name":                  {clientCalled("shop"), client, true},
		"a client of its certificate's name":       {clientCalled("shop"), named, true},
		"a client of another name":                 {clientCalled("other"), named, false},
		"a node's certificate, as a client":        {nodeCalled("b"), client, false},
		"a node's certificate, as a named client":  {nodeCalled("shop"), named, false},
		"this very node's certificate, as another": {nodeCalled("a"), asNode(as("b")), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, memoryWires{NewNetwork()})
			a := f.node("a", seen(c.proven, nodeCalled("b")))
			f.members.set("b", "nowhere")
			f.run(a)
			if c.ok {
				require.Equal(t, kindHello, f.raw(a).hello(c.hello).kind)
				return
			}
			r := f.raw(a).refusal(c.hello)
			require.Equal(t, RefusedCertificate.String(), r.Code.String())
			require.NotContains(t, r.Text, string(c.proven.ID)+" ", "the other side is told no more than that")
			eventually(t, func() bool { return strings.Contains(a.log.String(), "it is for") }, "the log says why")
			require.Equal(t, map[string]uint64{RefusedCertificate.String(): 1}, a.Stats().Refusals)
		})
	}
}

func TestWhoIsDialledMustProveWhoHeIsBeforeAnythingIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		dialled topology.Peer
		code    RefusalCode
	}{
		"another node": {nodeCalled("c"), RefusedWrongNode},
		"a client":     {clientCalled("b"), RefusedRole},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, memoryWires{NewNetwork()})
			l := f.wires.listen(t, "b")
			f.members.set("b", l.Addr().String())
			heard := make(chan int, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					heard <- -1
					return
				}
				b, _ := io.ReadAll(conn)
				heard <- len(b)
			}()
			a := f.node("a", seen(nodeCalled("b"), c.dialled))
			f.run(a)
			requireRefused(t, callB(t, a), c.code)
			require.Zero(t, <-heard)
			require.NoError(t, l.Close())
		})
	}
}

// A connection that is not taken through the handshake in time gives its place
// back, whoever else waits (bad input 112).
func TestAHandshakeThatStallsEndsAndHarmsNobody(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	stalls := func(c *Config) { c.Guard = stall{} }
	a := f.node("a", stalls, limits(Limits{HandshakeTimeout: 50 * time.Millisecond, ProbeTimeout: 20 * time.Millisecond}))
	f.run(a)
	f.raw(a).requireClosed()
	eventually(t, func() bool { return a.Stats().Handshakes == 0 && a.Stats().Faults[FaultHandshake.String()] == 1 }, "it is counted")
}

// stall is a guard that waits for the other side for ever.
type stall struct{}

func (stall) Accept(c net.Conn) (net.Conn, topology.Peer, error) {
	_, err := io.Copy(io.Discard, c)
	return nil, topology.Peer{}, err
}
func (s stall) Connect(c net.Conn) (net.Conn, topology.Peer, error) { return s.Accept(c) }

// Plain on a port that speaks TLS is told so, and closed (bad input 5).
func TestAHelloWithoutTLSOnAPortThatSpeaksItIsToldSo(t *testing.T) {
	f := newFleet(t, tcpWires{})
	a := f.node("a", func(c *Config) { c.Guard = tlsOnly{} })
	f.run(a)
	r := f.raw(a)
	h := as("b")
	r.send(h.append(nil))
	b, _ := io.ReadAll(r.conn)
	require.Contains(t, string(b), "this port speaks TLS")
	eventually(t, func() bool { return a.Stats().Faults[FaultPlain.String()] == 1 }, "it is counted")
}

type tlsOnly struct{}

func (tlsOnly) Accept(c net.Conn) (net.Conn, topology.Peer, error) {
	return nil, topology.Peer{}, tls.Server(c, &tls.Config{Certificates: []tls.Certificate{{}}, MinVersion: tls.VersionTLS13}).Handshake()
}
func (s tlsOnly) Connect(c net.Conn) (net.Conn, topology.Peer, error) { return s.Accept(c) }

func TestMessagesOfAStreamAreCompressedWhereThatMakesThemShorter(t *testing.T) {
	overBoth(t, func(t *testing.T, w wires) {
		f := newFleet(t, w)
		a, b := f.pair(func(_, b *node) { b.HandleStream("echo", echoStream) }, limits(Limits{CompressAbove: 100}))
		s, err := a.Open(within(t), "b", "echo")
		require.NoError(t, err)
		noise := make([]byte, 4000)
		for i, x := 0, uint32(1); i < len(noise); i++ {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			noise[i] = byte(x)
		}
		messages := [][]byte{
			bytes.Repeat([]byte("alike "), 5000), []byte("short"), noise, bytes.Repeat([]byte{0}, 101),
			bytes.Repeat([]byte("x"), compressedBytesMax), bytes.Repeat([]byte("y"), compressedBytesMax+1),
		}
		for range 3 {
			for _, m := range messages {
				require.NoError(t, s.Send(m))
				got, err := s.Recv()
				require.NoError(t, err)
				require.True(t, bytes.Equal(m, got))
			}
		}
		require.NoError(t, s.Close())
		sent := a.Stats()
		require.NotZero(t, sent.Compressed)
		require.NotZero(t, sent.Incompressible)
		require.Less(t, sent.CompressedTo, sent.CompressedOf/10)
		require.Equal(t, sent.Compressed, b.Stats().Inflated)
	})
}

func inflating(b []byte) ([]byte, error) {
	r := settledReader(bytes.NewReader(b), 4<<20)
	r.inflater = &inflater{counts: &counts{}}
	f, err := r.next()
	return f.payload, err
}

func deflated(payload []byte) []byte {
	return bent(kindMessage, payload, func(h []byte) { h[5] = flagCompressed })
}

// Bad input 18: a claim is refused before anything is allocated for it.
func TestACompressedFrameIsTakenForNoMoreThanItMayHold(t *testing.T) {
	long := s2.Encode(nil, bytes.Repeat([]byte{1}, compressedBytesMax))
	got, err := inflating(deflated(long))
	require.NoError(t, err)
	require.Len(t, got, compressedBytesMax)
	for name, payload := range map[string][]byte{
		"one byte more":            s2.Encode(nil, bytes.Repeat([]byte{1}, compressedBytesMax+1)),
		"4 GiB in six bytes":       {0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"nothing":                  {},
		"a length that never ends": bytes.Repeat([]byte{0xff}, 12),
		"it grows":                 s2.Encode(nil, []byte("ab")),
		"it is cut off":            long[:len(long)/2],
		"what follows is no block": append(append([]byte{}, long[:4]...), 0xfe, 0xfe, 0xfe),
	} {
		t.Run(name, func(t *testing.T) {
			requireFault(t, second(inflating(deflated(payload))), FaultCompressed)
		})
	}
}

func second(_ []byte, err error) error { return err }

// FuzzInflate takes any bytes for a compressed frame: it returns a fault, or no
// more than it may, which compressed again is the same.
func FuzzInflate(f *testing.F) {
	f.Add(s2.EncodeSnappy(nil, bytes.Repeat([]byte("seed "), 100)))
	f.Add(s2.Encode(nil, bytes.Repeat([]byte{7}, 5000)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := inflating(deflated(payload))
		if err != nil {
			requireFault(t, err, FaultCompressed)
			return
		}
		require.LessOrEqual(t, len(got), compressedBytesMax)
		again, err := s2.Decode(nil, s2.Encode(nil, got))
		require.NoError(t, err)
		require.True(t, bytes.Equal(again, got))
	})
}
