package gossip

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// bomb is memberlist's compressed message of so many zeros, in msgpack.
func bomb(t *testing.T, inflated int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := lzw.NewWriter(&packed, lzw.LSB, 8)
	_, err := w.Write(make([]byte, inflated))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	b := []byte{typeCompressed, 0x82, 0xa4, 'A', 'l', 'g', 'o', 0, 0xa3, 'B', 'u', 'f', 0xda}
	b = binary.BigEndian.AppendUint16(b, uint16(packed.Len()))
	return append(b, packed.Bytes()...)
}

// compound is memberlist's group of messages.
func compound(parts ...[]byte) []byte {
	b := []byte{typeCompound, byte(len(parts))}
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	return append(b, bytes.Join(parts, nil)...)
}

func TestWhatIsCompressedIsSeen(t *testing.T) {
	small := bomb(t, 10)
	summed := append([]byte{typeSummed, 0, 0, 0, 0}, small...)
	for name, tc := range map[string]struct {
		packet []byte
		want   bool
	}{
		"nothing":                 {nil, false},
		"alone":                   {small, true},
		"labelled":                {labelled("triad/shop", small), true},
		"summed":                  {labelled("triad/shop", summed), true},
		"in a group":              {labelled("triad/shop", compound(dead("b", "c", 1), small)), true},
		"a group in a group":      {compound(compound(dead("b", "c", 1))), true},
		"a plain one":             {labelled("triad/shop", dead("b", "c", 1)), false},
		"a group of plain ones":   {compound(dead("b", "c", 1), nil, dead("c", "b", 1)), false},
		"a group that is cut off": {compound(small)[:3], false},
		"a part that is cut off":  {compound(dead("b", "c", 1))[:9], false},
		"a label that is cut off": {labelled("triad/shop", small)[:4], false},
	} {
		require.Equal(t, tc.want, isCompressed(tc.packet), name)
	}
}

func FuzzPackets(f *testing.F) {
	f.Add(labelled("triad/shop", compound(dead("b", "c", 1))))
	f.Add([]byte{typeSummed, 0, 0, 0, 0, typeCompound, 255})
	f.Fuzz(func(t *testing.T, b []byte) { isCompressed(b) })
}

func TestWhatNobodySendsStopsNobody(t *testing.T) {
	a, b, _ := trio(t, Options{})
	big := bomb(t, 32<<20)
	require.Less(t, len(big), 60000)
	user := []byte{typeUser, 0x81, 0xaa, 'U', 's', 'e', 'r', 'M', 's', 'g', 'L', 'e', 'n', 0xd3, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	packet(t, a.Addr(), labelled("triad/shop", big))
	packet(t, a.Addr(), labelled("triad/shop", compound(big)))
	for _, msg := range [][]byte{big, bomb(t, 0), user} { // of an empty one memberlist would take the first byte
		c, err := net.Dial("tcp", a.Addr())
		require.NoError(t, err)
		_, err = c.Write(labelled("triad/shop", msg))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		_, err = io.Copy(io.Discard, c) // until it is closed
		require.False(t, isTimeout(err), "%v", err)
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return a.sockets.dropped.Load() == 5 }, patience, every)
	require.Contains(t, strings.Join(a.Warnings(), "\n"), "gossip: 5 messages were of a kind that no node sends")
	a.sees("b", topology.LivenessAlive)
	b.sees("a", topology.LivenessAlive)
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}
