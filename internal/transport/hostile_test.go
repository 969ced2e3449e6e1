package transport

import (
	"bytes"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// target node b with handlers, a bystander a, and a stranger to the test: x is
// a member that nobody runs.
func besieged(t *testing.T, w wires, changes ...change) (f *fleet, a, b *node) {
	f = newFleet(t, w)
	f.members.set("x", "nowhere")
	a, b = f.pair(func(_, b *node) {
		b.HandleCall("echo", topology.PeerNode|topology.PeerClient, echo)
		b.HandleStream("echo", echoStream)
	}, changes...)
	requireServes(t, a)
	return f, a, b
}

// requireServes shows that a and b still speak, on the connection they had.
func requireServes(t *testing.T, a *node) {
	t.Helper()
	got, err := a.Call(within(t), "b", "echo", []byte("well?"))
	require.NoError(t, err)
	require.Equal(t, "well?", string(got))
	require.Equal(t, uint64(1), a.Stats().Dials)
}

// requireCounted wants one fault of that kind, and nothing else, in counters and log.
func requireCounted(t *testing.T, n *node, fault Fault) {
	t.Helper()
	eventually(t, func() bool { return maps.Equal(n.Stats().Faults, map[string]uint64{fault.String(): 1}) }, fault.String())
	eventually(t, func() bool { return bytes.Count([]byte(n.log.String()), []byte("reason="+fault.String())) == 1 }, "one line in the log")
}

func TestWhatIsNoPreambleIsNamedAndClosed(t *testing.T) {
	for name, c := range map[string]struct {
		sent  string
		fault Fault
	}{
		"a request of HTTP":          {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", FaultHTTP},
		"a post of HTTP":             {"POST /v1 HTTP/1.1\r\n\r\n", FaultHTTP},
		"HTTP 2":                     {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FaultHTTP},
		"a hello of TLS":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", FaultTLS},
		"a command of Redis":         {"*1\r\n$4\r\nPING\r\n", FaultRESP},
		"an inline command of Redis": {"PING\r\n", FaultRESP},
		"something short":            {"ab", FaultMagic},
		"zeros":                      {"\x00\x00\x00\x00\x00\x00\x00\x00\x00", FaultMagic},
		"a line break for the log":   {"\nlevel=ERROR", FaultMagic},
		"a preamble of version 2":    {"\x89TRD\x02\x00\x00\x00", FaultPreamble},
		"a preamble with a flag":     {"\x89TRD\x01\x01\x00\x00", FaultPreamble},
		"a hello without a preamble": {string(beatFrame), FaultMagic},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, w wires) {
				f, a, b := besieged(t, w)
				r := f.raw(b)
				r.send([]byte(c.sent))
				r.requireClosed()
				requireCounted(t, b, c.fault)
				requireServes(t, a)
			})
		})
	}
}

func TestWhatIsNoHelloIsClosed(t *testing.T) {
	for name, c := range map[string]hostile{
		"another kind of frame":  {framed(kindCall, []byte("x")), FaultKind},
		"a hello of 4 KiB and 1": {framed(kindHello, make([]byte, helloBytesMax+1)), FaultLength},
		"a hello of 4 GiB":       {brokenFrames["a length of 2^32−1"].bytes, FaultLength},
		"a broken frame":         {brokenFrames["a bit flipped in the payload"].bytes, FaultSum},
		"a hello of rubbish":     {framed(kindHello, []byte("rubbish")), FaultHello},
	} {
		t.Run(name, func(t *testing.T) {
			f, a, b := besieged(t, memoryWires{NewNetwork()})
			r := f.raw(b)
			r.send(preamble[:], c.bytes)
			r.requireClosed()
			requireCounted(t, b, c.fault)
			requireServes(t, a)
		})
	}
}

// callPayload writes the four fields of a call, and what a test puts in their place.
func callPayload(fields ...func(w *pack.Writer)) []byte {
	w := pack.NewWriter(nil)
	w.Array(4)
	for _, f := range fields {
		f(w)
	}
	return framed(kindCall, w.Bytes())
}

func uintField(u uint64) func(*pack.Writer)  { return func(w *pack.Writer) { w.Uint(u) } }
func strField(s string) func(*pack.Writer)   { return func(w *pack.Writer) { w.Str(s) } }
func rawField(b ...byte) func(*pack.Writer)  { return func(w *pack.Writer) { w.Raw(b) } }
func bytesField(b []byte) func(*pack.Writer) { return func(w *pack.Writer) { w.Bin(b) } }

func TestBadFramesAmongCallsCloseTheirConnectionAlone(t *testing.T) {
	cases := map[string]hostile{
		"a message of a stream": {framed(kindMessage, []byte("x")), FaultKind},
		"a reply to nothing":    {framed(kindReply, []byte("x")), FaultKind},
		"a second hello":        {framed(kindHello, []byte("x")), FaultKind},
		"a duplicate request":   {append(called(5, "echo", nil), called(5, "echo", nil)...), FaultDuplicate},
		"a request id set back": {append(called(5, "echo", nil), called(4, "echo", nil)...), FaultDuplicate},
		"a call of no array":    {framed(kindCall, []byte{0x01}), FaultPayload},
		"a call of nothing":     {framed(kindCall, nil), FaultPayload},
		"a body of 4 GiB":       {callPayload(uintField(1), strField("echo"), uintField(0), rawField(0xc6, 0xff, 0xff, 0xff, 0xff)), FaultPayload},
		"a method of 2 GiB":     {callPayload(uintField(1), rawField(0xdb, 0x7f, 0xff, 0xff, 0xff)), FaultPayload},
		"a method not UTF-8":    {callPayload(uintField(1), rawField(0xa1, 0xff), uintField(0), bytesField(nil)), FaultPayload},
		"a body in the wide":    {callPayload(rawField(0xcd, 0, 1), strField("echo"), uintField(0), bytesField(nil)), FaultPayload},
		"a wait beyond reason":  {callPayload(uintField(1), strField("echo"), uintField(waitMax+1), bytesField(nil)), FaultPayload},
		"bytes after a call":    {callPayload(uintField(1), strField("echo"), uintField(0), bytesField(nil), uintField(1)), FaultPayload},
		"a cancel of rubbish":   {framed(kindCancel, []byte{0xc1}), FaultPayload},
	}
	for name, c := range brokenFrames {
		if name != "a length of one more than the limit" {
			cases[name] = c
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, a, b := besieged(t, memoryWires{NewNetwork()})
			r := f.raw(b)
			require.Equal(t, kindHello, r.hello(as("x")).kind)
			r.send(c.bytes)
			r.requireClosed()
			requireCounted(t, b, c.fault)
			requireServes(t, a)
		})
	}
}

func TestBadFramesOnAStreamEndIt(t *testing.T) {
	cases := map[string]hostile{
		"a call":  {called(1, "echo", nil), FaultKind},
		"a reply": {framed(kindReply, []byte("x")), FaultKind},
	}
	for name, c := range brokenFrames {
		if name != "a length of one more than the limit" {
			cases[name] = c
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, a, b := besieged(t, memoryWires{NewNetwork()})
			r := f.raw(b)
			require.Equal(t, kindHello, r.hello(as("x", asStream)).kind)
			r.send(c.bytes)
			r.requireClosed()
			requireCounted(t, b, c.fault)
			requireServes(t, a)
		})
	}
}

func TestABadAnswerEndsTheConnectionAndItsCalls(t *testing.T) {
	for name, c := range map[string]hostile{
		"a call in answer":     {called(1, "echo", nil), FaultKind},
		"an answer of rubbish": {framed(kindReply, []byte("rubbish")), FaultPayload},
		"a broken frame":       {brokenFrames["a bit flipped in the sum"].bytes, FaultSum},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, memoryWires{NewNetwork()})
			a := f.node("a")
			f.run(a)
			accept, result := f.impostor("x"), make(chan error, 1)
			go func() {
				_, err := a.Call(within(t), "x", "echo", nil)
				result <- err
			}()
			r := accept(as("x"))
			require.Equal(t, kindCall, r.next().kind)
			r.send(c.bytes)
			requireOutcome(t, <-result, c.fault.sentinel(), topology.Unknown)
			requireCounted(t, a, c.fault)
		})
	}
}

// impostor listens as a node; accept takes the next connection, answers its
// hello with h, and leaves the rest to the test.
func (f *fleet) impostor(id topology.NodeID) (accept func(h hello) *raw) {
	l := f.wires.listen(f.tb, string(id))
	f.members.set(id, l.Addr().String())
	f.tb.Cleanup(func() { _ = l.Close() })
	return func(h hello) *raw {
		conn, err := l.Accept()
		require.NoError(f.tb, err)
		f.tb.Cleanup(func() { _ = conn.Close() })
		require.NoError(f.tb, conn.SetDeadline(time.Now().Add(patience)))
		r := &raw{tb: f.tb, conn: conn, in: newFrameReader(conn)}
		r.in.settle(windowLeast, windowControl, 32<<20)
		require.NoError(f.tb, readPreamble(conn))
		require.Equal(f.tb, kindHello, r.next().kind)
		r.send(h.append(nil))
		return r
	}
}

func TestAFrameThatIsNotFinishedHoldsItsPlaceForTheReadTimeoutOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, b := besieged(t, memoryWires{NewNetwork()})
		r, begun := f.raw(b), time.Now()
		r.hello(as("x"))
		r.send(framed(kindCall, make([]byte, 1<<20))[:headerBytes+10])
		r.requireClosed()
		require.Equal(t, b.limits.ReadTimeout, time.Since(begun))
		requireCounted(t, b, FaultSilence)
		requireServes(t, a)
		require.Equal(t, 1, b.Stats().Conns)
		a.stop()
		b.stop()
	})
}

func TestAReplyThatNobodyWaitsForIsDroppedAndCounted(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a := f.node("a")
	f.run(a)
	w, accept, result := pack.NewWriter(nil), f.impostor("x"), make(chan []byte, 1)
	go func() {
		got, _ := a.Call(within(t), "x", "echo", nil)
		result <- got
	}()
	r := accept(as("x"))
	call, err := readLetter(kindCall, r.next().payload)
	require.NoError(t, err)
	r.send((&letter{kind: kindReply, id: call.id + 1}).append(nil, w))
	r.send((&letter{kind: kindReply, id: call.id, body: []byte("this one")}).append(nil, w))
	r.send((&letter{kind: kindReply, id: call.id, body: []byte("again")}).append(nil, w))
	require.Equal(t, "this one", string(<-result))
	eventually(t, func() bool { return a.Stats().LateReplies == 2 }, "both are counted")
}

func TestAnOptionalFrameOfAnUnknownKindIsAnsweredAndIgnored(t *testing.T) {
	optional := bent(kind(200), []byte("news"), func(h []byte) { h[5] = flagOptional })
	for name, h := range map[string]hello{"among calls": as("x"), "on a stream": as("x", asStream)} {
		t.Run(name, func(t *testing.T) {
			f, a, b := besieged(t, memoryWires{NewNetwork()})
			r := f.raw(b)
			r.hello(h)
			r.send(optional)
			got := r.next()
			require.Equal(t, kindIgnored, got.kind)
			require.Equal(t, []byte{200}, got.payload)
			r.send(pingFrame)
			require.Equal(t, kindPong, r.next().kind)
			require.Equal(t, uint64(1), b.Stats().Ignored)
			r.send(framed(kindIgnored, []byte{201}))
			eventually(t, func() bool { return b.Stats().IgnoredByPeer == 1 }, "so is one of ours")
			requireServes(t, a)
		})
	}
}

func TestAPeerThatBreaksOffIsReported(t *testing.T) {
	for name, h := range map[string]hello{"control": as("x"), "stream": as("x", asStream)} {
		t.Run(name, func(t *testing.T) {
			f, _, b := besieged(t, memoryWires{NewNetwork()})
			r := f.raw(b)
			r.hello(h)
			r.send(framed(kindRefuse, refusef(RefusedWrongNode, "not you").appendBody(nil)))
			r.requireClosed()
			eventually(t, func() bool { return bytes.Contains([]byte(b.log.String()), []byte("not you")) }, "in the log")
			require.Empty(t, b.Stats().Refusals, "it is not this side that refused")
		})
	}
}

// FuzzConversation sends any bytes behind a good hello: the node survives, and
// answers others.
func FuzzConversation(f *testing.F) {
	for _, c := range brokenFrames {
		f.Add(c.bytes, false)
	}
	f.Add(append(called(1, "echo", []byte("x")), called(2, "none", nil)...), false)
	f.Add(append(framed(kindMessage, []byte("x")), emptyFrame(kindEnd)...), true)
	fl := newFleet(f, memoryWires{NewNetwork()})
	fl.members.set("x", "nowhere")
	a, b := fl.pair(func(_, b *node) {
		b.HandleCall("echo", topology.PeerNode, echo)
		b.HandleStream("echo", echoStream)
	})
	f.Fuzz(func(t *testing.T, wire []byte, stream bool) {
		conn, err := fl.wires.dialer("raw")(within(t), b.addr)
		require.NoError(t, err)
		h := as("x")
		if stream {
			h = as("x", asStream)
		}
		_, err = conn.Write(append(h.append(nil), wire...))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		_, err = a.Call(within(t), "b", "echo", nil)
		require.NoError(t, err)
	})
}
