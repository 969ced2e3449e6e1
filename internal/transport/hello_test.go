package transport

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

func someHello() hello {
	return hello{
		min: ProtocolMin, max: ProtocolMax, name: "test", cluster: clusterID, known: true, node: "a", life: 7, instance: 99,
		role: topology.PeerNode, class: classStream, protocol: "log",
	}
}

// payloadOf returns the payload of the frame behind a preamble.
func payloadOf(wire []byte) []byte { return wire[preambleBytes+headerBytes:] }

func TestAHelloIsReadAsItWasWritten(t *testing.T) {
	fresh, client := someHello(), someHello()
	fresh.known, fresh.cluster = false, [16]byte{}
	client.role, client.life, client.node, client.class, client.protocol = topology.PeerClient, 0, "", classControl, ""
	for _, h := range []hello{someHello(), fresh, client} {
		got, err := readHello(payloadOf(h.append(nil)))
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
}

// helloOf writes a hello whose fields a test changes, and more after them.
func helloOf(fields int, change map[int]func(w *pack.Writer)) []byte {
	h := someHello()
	whole := payloadOf(h.append(nil))
	r := pack.NewReader(whole)
	r.Array()
	w := pack.NewWriter(nil)
	w.Array(fields)
	for i := range fields {
		field := []byte{0xc0}
		switch {
		case i < helloFields:
			field = r.Skip()
		case i == helloFields:
			field = []byte{0x05} // features
		}
		if c := change[i]; c != nil {
			c(w)
			continue
		}
		w.Raw(field)
	}
	return w.Bytes()
}

func TestAHelloFromALaterVersionIsReadWhereItOverlaps(t *testing.T) {
	h, err := readHello(helloOf(helloFields+3, map[int]func(*pack.Writer){1: func(w *pack.Writer) { w.Uint(77) }}))
	require.NoError(t, err)
	require.Equal(t, uint64(77), h.max)
	require.Equal(t, topology.NodeID("a"), h.node)
}

func TestAHelloOfAnotherProtocolNeedsNothingButItsRange(t *testing.T) {
	w := pack.NewWriter(nil)
	w.Array(helloFields)
	w.Uint(ProtocolMax + 1)
	w.Uint(ProtocolMax + 5)
	h, err := readHello(append(w.Bytes(), "who knows what follows"...))
	require.NoError(t, err)
	require.Equal(t, uint64(ProtocolMax+1), h.min)
}

// field is a change of one field of a hello.
func field(i int, write func(w *pack.Writer)) []byte {
	return helloOf(helloFields, map[int]func(*pack.Writer){i: write})
}

var brokenHellos = map[string][]byte{
	"nothing":                     {},
	"no array":                    {0x01},
	"fields missing":              helloOf(helloFields-1, nil),
	"something behind it":         append(helloOf(helloFields, nil), 0xc0),
	"an array of 2^32−1":          {0xdd, 0xff, 0xff, 0xff, 0xff},
	"a name of 2^32−1 bytes":      field(2, func(w *pack.Writer) { w.Raw([]byte{0xdb, 0xff, 0xff, 0xff, 0xff}) }),
	"an id of 2^32−1 bytes":       field(3, func(w *pack.Writer) { w.Raw([]byte{0xc6, 0xff, 0xff, 0xff, 0xff}) }),
	"nesting without end":         helloOf(helloFields+1, map[int]func(*pack.Writer){helloFields: func(w *pack.Writer) { w.Raw(bytes.Repeat([]byte{0x91}, 2000)) }}),
	"a cut fixext":                helloOf(helloFields+1, map[int]func(*pack.Writer){helloFields: func(w *pack.Writer) { w.Raw([]byte{0xd8}) }}),
	"a number too wide":           field(5, func(w *pack.Writer) { w.Raw([]byte{0xcf, 0, 0, 0, 0, 0, 0, 0, 7}) }),
	"a negative number":           field(5, func(w *pack.Writer) { w.Int(-1) }),
	"a name that is not UTF-8":    field(2, func(w *pack.Writer) { w.Raw([]byte{0xa1, 0xff}) }),
	"a name that is too long":     field(2, func(w *pack.Writer) { w.Str(strings.Repeat("x", nameBytesMax+1)) }),
	"a cluster id of 15 bytes":    field(3, func(w *pack.Writer) { w.Bin(make([]byte, 15)) }),
	"a cluster id of zeros":       field(3, func(w *pack.Writer) { w.Bin(make([]byte, 16)) }),
	"a range that holds nothing":  field(0, func(w *pack.Writer) { w.Uint(9) }),
	"protocol 0":                  field(0, func(w *pack.Writer) { w.Uint(0) }),
	"a node id with a line break": field(4, func(w *pack.Writer) { w.Str("a\nb") }),
	"a node without an id":        field(4, func(w *pack.Writer) { w.Str("") }),
	"a node without a life":       field(5, func(w *pack.Writer) { w.Uint(0) }),
	"no role":                     field(7, func(w *pack.Writer) { w.Uint(0) }),
	"two roles":                   field(7, func(w *pack.Writer) { w.Uint(3) }),
	"a role that is not known":    field(7, func(w *pack.Writer) { w.Uint(4) }),
	"a client with a life":        field(7, func(w *pack.Writer) { w.Uint(uint64(topology.PeerClient)) }),
	"a class that is not known":   field(8, func(w *pack.Writer) { w.Uint(3) }),
	"a stream without a protocol": field(9, func(w *pack.Writer) { w.Str("") }),
	"a protocol without a stream": field(8, func(w *pack.Writer) { w.Uint(uint64(classControl)) }),
}

func TestABrokenHelloIsAFault(t *testing.T) {
	for name, b := range brokenHellos {
		t.Run(name, func(t *testing.T) {
			_, err := readHello(b)
			requireFault(t, err, FaultHello)
		})
	}
}

func TestARefusalIsReadAsItWasWritten(t *testing.T) {
	for c := RefusedProtocol; c < refusalEnd; c++ {
		sent := refusef(c, "because of %q", "this")
		err := readRefusal(payloadOf(sent.append(nil)))
		var got *Refusal
		require.ErrorAs(t, err, &got)
		require.Equal(t, &Refusal{Code: c, Text: sent.Text, ByPeer: true}, got)
		require.ErrorIs(t, err, sent.Unwrap())
		require.NotContains(t, c.String(), "code")
	}
}

func TestATextOfARefusalIsBounded(t *testing.T) {
	err := readRefusal(payloadOf(refusef(RefusedSelf, "%s", strings.Repeat("ü", textBytesMax)).append(nil)))
	var got *Refusal
	require.ErrorAs(t, err, &got)
	require.Equal(t, strings.Repeat("ü", textBytesMax/2), got.Text)
}

func TestABrokenRefusalIsAFault(t *testing.T) {
	for _, b := range [][]byte{{}, {0x91, 0x01}, {0x92, 0x01, 0xdb, 0xff, 0xff, 0xff, 0xff}} {
		requireFault(t, readRefusal(b), FaultHello)
	}
}

// TestTheWireIsWhatItWas guards the bytes: another version reads what this one
// writes. A change of the file is a change of the protocol.
func TestTheWireIsWhatItWas(t *testing.T) {
	h := someHello()
	featured := h
	featured.features = featureS2
	w := pack.NewWriter(nil)
	lines := []struct {
		name string
		wire []byte
	}{
		{"hello", h.append(nil)},
		{"hello with features", featured.append(nil)},
		{"refusal", refusef(RefusedStranger, "who?").append(nil)},
		{"call", (&letter{kind: kindCall, id: 300, method: "get", wait: 1500, body: []byte("key")}).append(nil, w)},
		{"cancel", (&letter{kind: kindCancel, id: 300}).append(nil, w)},
		{"reply", (&letter{kind: kindReply, id: 300, body: []byte("value")}).append(nil, w)},
		{"failure", (&letter{kind: kindFailure, id: 300, body: []byte("error")}).append(nil, w)},
		{"message", framed(kindMessage, []byte("message"))},
		{"beat", beatFrame},
		{"ping", pingFrame},
		{"pong", pongFrame},
		{"end", emptyFrame(kindEnd)},
		{"ignored", framed(kindIgnored, []byte{200})},
	}
	var got strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&got, "%s %s\n", l.name, hex.EncodeToString(l.wire))
	}
	const golden = "testdata/wire.golden"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

// FuzzHello reads any bytes as a hello: what can be read is written back as it was.
func FuzzHello(f *testing.F) {
	h := someHello()
	f.Add(payloadOf(h.append(nil)))
	for _, b := range brokenHellos {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = readRefusal(b) // it must return
		h, err := readHello(b)
		if err != nil || h.min > ProtocolMax || h.max < ProtocolMin {
			return
		}
		again, err := readHello(payloadOf(h.append(nil)))
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}
