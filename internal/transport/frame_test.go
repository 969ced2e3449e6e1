package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// framed returns the frame of a payload.
func framed(k kind, payload []byte) []byte {
	f := append(appendFrame(nil), payload...)
	seal(f, k)
	return f
}

// bent returns a frame with bytes of its header changed, and the sum of that.
func bent(k kind, payload []byte, change func(header []byte)) []byte {
	f := framed(k, payload)
	change(f)
	putSum(f, crc32.Update(crc32.Checksum(f[:8], castagnoli), castagnoli, f[headerBytes:]))
	return f
}

func settledReader(src io.Reader, frameMax int) *frameReader {
	f := newFrameReader(src)
	f.settle(windowLeast, windowControl, frameMax)
	return f
}

// hostile is what somebody sends, and what it is taken for.
type hostile struct {
	bytes []byte
	fault Fault
}

// brokenFrames are bytes that end a connection, whatever it is for.
var brokenFrames = map[string]hostile{
	"a length of zero":                    {make([]byte, headerBytes), FaultLength},
	"a length less than the header":       {bent(kindBeat, nil, func(h []byte) { binary.LittleEndian.PutUint32(h, 7) }), FaultLength},
	"a length of 2^32−1":                  {bent(kindBeat, nil, func(h []byte) { binary.LittleEndian.PutUint32(h, math.MaxUint32) }), FaultLength},
	"a length of 2^31":                    {bent(kindBeat, nil, func(h []byte) { binary.LittleEndian.PutUint32(h, 1<<31) }), FaultLength},
	"a length of one more than the limit": {bent(kindBeat, nil, func(h []byte) { binary.LittleEndian.PutUint32(h, lengthLeast+1<<20+1) }), FaultLength},
	"a length shorter than the content":   {bent(kindMessage, []byte("0123456789"), func(h []byte) { binary.LittleEndian.PutUint32(h, lengthLeast+4) }), FaultSum},
	"a bit flipped in the payload":        {flipped(framed(kindMessage, []byte("0123456789")), headerBytes+3), FaultSum},
	"a bit flipped in the sum":            {flipped(framed(kindMessage, []byte("0123456789")), 9), FaultSum},
	"kind 0":                              {bent(0, nil, func([]byte) {}), FaultKind},
	"a kind that is not known":            {bent(kindLimit, []byte("x"), func([]byte) {}), FaultKind},
	"a flag that is not known":            {bent(kindBeat, nil, func(h []byte) { h[5] = 1 << 7 }), FaultFlags},
	"something in the empty bytes":        {bent(kindBeat, nil, func(h []byte) { h[7] = 1 }), FaultFlags},
	"a compressed frame":                  {bent(kindMessage, []byte("x"), func(h []byte) { h[5] = flagCompressed }), FaultCompressed},
}

func flipped(f []byte, at int) []byte {
	f[at] ^= 0x10
	return f
}

func TestABrokenFrameIsAFaultOfItsKind(t *testing.T) {
	for name, c := range brokenFrames {
		t.Run(name, func(t *testing.T) {
			_, err := settledReader(bytes.NewReader(c.bytes), 1<<20).next()
			requireFault(t, err, c.fault)
		})
	}
}

func requireFault(t *testing.T, err error, fault Fault) {
	t.Helper()
	var f *FaultError
	require.ErrorAs(t, err, &f)
	require.Equal(t, fault.String(), f.Fault.String(), f.Text)
	require.ErrorIs(t, err, fault.sentinel())
}

func TestAFrameThatEndsEarlyIsTruncated(t *testing.T) {
	f := framed(kindMessage, bytes.Repeat([]byte("x"), 100))
	for n := 1; n < len(f); n++ {
		_, err := settledReader(bytes.NewReader(f[:n]), 1<<20).next()
		requireFault(t, err, FaultTruncated)
	}
	_, err := settledReader(bytes.NewReader(nil), 1<<20).next()
	require.Equal(t, io.EOF, err, "between two frames it is an end")
}

func TestFramesArriveHoweverTheyAreCut(t *testing.T) {
	sizes := []int{0, 1, 100, windowLeast - headerBytes, windowLeast, windowControl - headerBytes, windowControl - headerBytes + 1, 300 << 10, 7}
	var wire []byte
	for i, n := range sizes {
		wire = append(wire, framed(kindMessage, bytes.Repeat([]byte{byte(i)}, n))...)
	}
	for name, src := range map[string]io.Reader{
		"at once":         bytes.NewReader(wire),
		"byte by byte":    iotest.OneByteReader(bytes.NewReader(wire)),
		"by halves":       iotest.HalfReader(bytes.NewReader(wire)),
		"with a late EOF": iotest.DataErrReader(bytes.NewReader(wire)),
	} {
		t.Run(name, func(t *testing.T) {
			r := settledReader(src, 1<<20)
			for i, n := range sizes {
				f, err := r.next()
				require.NoError(t, err)
				require.Equal(t, kindMessage, f.kind)
				require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(i)}, n), f.payload), "frame %d of %d bytes", i, n)
			}
			_, err := r.next()
			require.Equal(t, io.EOF, err)
		})
	}
}

func TestNothingIsAllocatedForWhatIsOnlyClaimed(t *testing.T) {
	for _, arrived := range []int{0, 10, 5000, 70_000, 300_000} {
		wire := bent(kindMessage, bytes.Repeat([]byte("x"), arrived), func(h []byte) { binary.LittleEndian.PutUint32(h, 16<<20) })
		r := settledReader(bytes.NewReader(wire), 17<<20)
		_, err := r.next()
		requireFault(t, err, FaultTruncated)
		require.LessOrEqual(t, len(r.window), windowControl)
		require.LessOrEqual(t, cap(r.bulk), max(2*arrived, bulkGrowthStep), "%d bytes arrived", arrived)
	}
}

func TestBeforeTheHelloAFrameIsSmall(t *testing.T) {
	r := newFrameReader(bytes.NewReader(framed(kindHello, make([]byte, helloBytesMax))))
	_, err := r.next()
	require.NoError(t, err)
	require.LessOrEqual(t, len(r.window), 2*windowLeast)
	_, err = newFrameReader(bytes.NewReader(framed(kindHello, make([]byte, helloBytesMax+1)))).next()
	requireFault(t, err, FaultLength)
}

func TestAnOptionalFrameOfAnUnknownKindIsHandedOver(t *testing.T) {
	wire := bent(kind(200), []byte("x"), func(h []byte) { h[5] = flagOptional })
	f, err := settledReader(bytes.NewReader(wire), 1<<20).next()
	require.NoError(t, err)
	require.True(t, f.optional)
	require.Equal(t, kind(200), f.kind)
}

// loop repeats bytes without end.
type loop struct {
	b  []byte
	at int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.b[l.at:])
	l.at = (l.at + n) % len(l.b)
	return n, nil
}

func TestReadingFramesAllocatesNothing(t *testing.T) {
	for _, size := range []int{200, 64 << 10, bulkKeptMax / 2} {
		r := newFrameReader(&loop{b: framed(kindMessage, make([]byte, size))})
		r.settle(windowStream, windowMost, 1<<20)
		for range 10 {
			_, err := r.next()
			require.NoError(t, err)
		}
		require.Zero(t, testing.AllocsPerRun(50, func() {
			if _, err := r.next(); err != nil {
				t.Error(err)
			}
		}), "frames of %d bytes", size)
	}
}

func TestALargeBufferIsNotKept(t *testing.T) {
	wire := append(framed(kindMessage, make([]byte, bulkKeptMax)), framed(kindMessage, make([]byte, bulkKeptMax+1))...)
	r := settledReader(bytes.NewReader(append(wire, framed(kindBeat, nil)...)), 2<<20)
	_, err := r.next()
	require.NoError(t, err)
	_, err = r.next()
	require.NoError(t, err)
	require.Greater(t, cap(r.bulk), bulkKeptMax)
	_, err = r.next()
	require.NoError(t, err)
	require.Zero(t, cap(r.bulk))
}

func TestAnOwnedPayloadOutlivesTheNextFrame(t *testing.T) {
	for _, size := range []int{100, 200 << 10} {
		wire := append(framed(kindCall, bytes.Repeat([]byte("a"), size)), framed(kindCall, bytes.Repeat([]byte("b"), size))...)
		r := settledReader(bytes.NewReader(wire), 1<<20)
		f, err := r.next()
		require.NoError(t, err)
		owned, _, err := r.own(f.payload)
		require.NoError(t, err)
		_, err = r.next()
		require.NoError(t, err)
		require.True(t, bytes.Equal(bytes.Repeat([]byte("a"), size), owned))
	}
}

func TestAFailedReadIsHandedOn(t *testing.T) {
	broken := errors.New("broken")
	_, err := settledReader(iotest.ErrReader(broken), 1<<20).next()
	require.ErrorIs(t, err, broken)
}

// FuzzFrames reads any bytes as frames: what comes out stands in what went in,
// and nothing larger is held than twice what came.
func FuzzFrames(f *testing.F) {
	for _, c := range brokenFrames {
		f.Add(c.bytes)
	}
	f.Add(append(framed(kindMessage, []byte("hello")), framed(kindBeat, nil)...))
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := settledReader(bytes.NewReader(wire), 1<<20)
		for {
			got, err := r.next()
			if err != nil {
				break
			}
			require.True(t, bytes.Contains(wire, got.payload))
		}
		require.LessOrEqual(t, cap(r.bulk)+len(r.window), 2*len(wire)+windowControl+bulkGrowthStep)
	})
}
