package transport

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A frame:
//
//	0      4    5     6     8     12
//	+------+----+-----+-----+-----+---------+
//	|length|kind|flags|  0  | sum | payload |
//	+------+----+-----+-----+-----+---------+
//
//	length  u32, bytes that follow it: 8 and the payload
//	kind    what the payload is
//	flags   flagOptional, flagCompressed; others are refused. A compressed frame is
//	        a message on a stream whose reader has said that it reads such (hello.go):
//	        its payload is a block of s2, shorter than what it holds, which is at most
//	        compressedBytesMax. Readers before that feature refuse the flag.
//	0       two bytes of zero, refused if they are not
//	sum     u32, CRC-32C of the eight bytes before it and the payload
//
// Integers are little-endian. A length below 8 or beyond the limit, an unknown
// flag and an unknown kind that is not optional are refused before anything of
// the payload is kept. A reader that loses its place never looks for it again.
const (
	headerBytes   = 12
	lengthLeast   = headerBytes - 4
	helloBytesMax = 4 << 10 // payload of a frame before the hello is through
)

type kind uint8

const (
	kindHello   kind = 1 + iota // hello.go
	kindRefuse                  // hello.go
	kindCall                    // letter.go: a call, to its listener
	kindCancel                  // letter.go: its caller waits no more
	kindReply                   // letter.go: its answer
	kindFailure                 // letter.go: its error
	kindMessage                 // one message of a stream, as it is
	kindBeat                    // nothing: this side lives
	kindPing                    // nothing: answer with a pong at once
	kindPong                    // nothing
	kindEnd                     // the last frame of a stream: nothing, or an error of topology.AppendError
	kindIgnored                 // one byte: the kind of an optional frame that was not understood
	kindLimit
)

const (
	flagOptional   = 1 << 0 // who does not know the kind answers kindIgnored and goes on
	flagCompressed = 1 << 1 // the payload is compressed (compress.go)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends room for a header; seal fills it in once the payload
// stands behind it.
func appendFrame(dst []byte) []byte { return append(dst, make([]byte, headerBytes)...) }

// seal fills in the header of f, which is a whole frame.
func seal(f []byte, k kind) {
	putHeader(f, k, len(f)-headerBytes)
	putSum(f, sumOf(f))
}

// sumOf is the sum of f, which is a whole frame.
func sumOf(f []byte) uint32 {
	return crc32.Update(crc32.Checksum(f[:8], castagnoli), castagnoli, f[headerBytes:])
}

func putHeader(h []byte, k kind, payload int) {
	binary.LittleEndian.PutUint32(h, uint32(lengthLeast+payload))
	h[4], h[5], h[6], h[7] = byte(k), 0, 0, 0
}

func putSum(h []byte, sum uint32) { binary.LittleEndian.PutUint32(h[8:], sum) }

// emptyFrame returns the frame of a kind without payload.
func emptyFrame(k kind) []byte {
	f := make([]byte, headerBytes)
	seal(f, k)
	return f
}

var (
	beatFrame = emptyFrame(kindBeat)
	pingFrame = emptyFrame(kindPing)
	pongFrame = emptyFrame(kindPong)
)

// frame is one frame that was read. Its payload lives until the next read.
type frame struct {
	kind     kind
	optional bool
	payload  []byte
}

const (
	windowLeast    = 4 << 10   // the read buffer of a connection that did not need more yet
	windowControl  = 64 << 10  // what it grows to on a control connection
	windowStream   = 64 << 10  // what it begins with on a stream
	windowMost     = 256 << 10 // what it grows to on a stream
	bulkKeptMax    = 1 << 20   // a buffer for larger frames is not kept
	bulkGrowthStep = 64 << 10
)

// frameReader reads frames from src, as many with one read as arrived. It is
// used by one goroutine.
//
// Frames that fit the window are handed out as they lie in it. Larger ones go
// to bulk, which grows as bytes arrive and never by what was claimed.
type frameReader struct {
	src       io.Reader
	window    []byte
	r, w      int // what is unread: window[r:w]
	windowMax int
	frameMax  int // bytes of payload
	bulk      []byte
	inBulk    bool      // the last payload lies in bulk
	room      *budget   // what bulk is taken from; nil: no one's
	reserved  int       // bytes of room that bulk holds
	inflater  *inflater // nil: compressed frames are refused
}

func newFrameReader(src io.Reader) *frameReader {
	return &frameReader{src: src, window: make([]byte, windowLeast), windowMax: windowLeast + headerBytes, frameMax: helloBytesMax}
}

// settle sets the limits for what follows the hello.
func (f *frameReader) settle(window, windowMax, frameMax int) {
	if len(f.window) < window {
		f.grow(window)
	}
	f.windowMax, f.frameMax = windowMax, frameMax
}

// next returns the next frame, io.EOF if there is none and the last was whole.
func (f *frameReader) next() (frame, error) {
	f.drop()
	if err := f.fill(headerBytes); err != nil {
		return frame{}, readFault(err, f.r == f.w)
	}
	h := f.window[f.r : f.r+headerBytes]
	n, err := f.check(h)
	if err != nil {
		return frame{}, err
	}
	k, optional, compressed := kind(h[4]), h[5]&flagOptional != 0, h[5]&flagCompressed != 0
	sum, want := crc32.Checksum(h[:8], castagnoli), binary.LittleEndian.Uint32(h[8:])
	var payload []byte
	if headerBytes+n <= f.windowMax {
		if err := f.fill(headerBytes + n); err != nil {
			return frame{}, readFault(err, false)
		}
		payload = f.window[f.r+headerBytes : f.r+headerBytes+n]
		f.r += headerBytes + n
	} else {
		f.r += headerBytes
		if payload, err = f.readBulk(n); err != nil {
			return frame{}, readFault(err, false)
		}
	}
	if crc32.Update(sum, castagnoli, payload) != want {
		return frame{}, faultf(FaultSum, "the sum of a frame of kind %d and %d bytes is wrong", k, n)
	}
	if compressed {
		payload, err = f.inflater.inflate(payload)
	}
	return frame{kind: k, optional: optional, payload: payload}, err
}

// check returns the length of the payload that a header claims.
func (f *frameReader) check(h []byte) (int, error) {
	length := binary.LittleEndian.Uint32(h)
	k, flags := kind(h[4]), h[5]
	switch {
	case length < lengthLeast:
		return 0, faultf(FaultLength, "a frame of length %d, less than its header", length)
	case uint64(length) > uint64(lengthLeast+f.frameMax):
		return 0, faultf(FaultLength, "a frame of %d bytes, at most %d are taken", length-lengthLeast, f.frameMax)
	case flags&flagCompressed != 0 && (f.inflater == nil || k != kindMessage):
		return 0, faultf(FaultCompressed, "a compressed frame of kind %d, where none may be", k)
	case flags&^(flagOptional|flagCompressed) != 0 || h[6] != 0 || h[7] != 0:
		return 0, faultf(FaultFlags, "a frame with unknown flags %02x%02x%02x", flags, h[6], h[7])
	case (k == 0 || k >= kindLimit) && flags&flagOptional == 0:
		return 0, faultf(FaultKind, "a frame of unknown kind %d", k)
	}
	return int(length - lengthLeast), nil
}

// fill reads until n bytes stand in the window, n ≤ windowMax.
func (f *frameReader) fill(n int) error {
	for f.w-f.r < n {
		switch {
		case f.r == f.w:
			f.r, f.w = 0, 0
		case len(f.window)-f.r < n:
			f.w = copy(f.window, f.window[f.r:f.w])
			f.r = 0
		}
		if f.w == len(f.window) {
			f.grow(min(2*len(f.window), f.windowMax))
		}
		m, err := f.src.Read(f.window[f.w:])
		f.w += m
		if m > 0 {
			continue // a read that returns bytes and an error returns the error again
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *frameReader) grow(n int) {
	window := make([]byte, n)
	f.w = copy(window, f.window[f.r:f.w])
	f.r, f.window = 0, window
}

// readBulk reads a payload of n bytes that does not fit the window.
func (f *frameReader) readBulk(n int) ([]byte, error) {
	f.inBulk = true
	have := 0
	for have < n {
		if have == cap(f.bulk) {
			if err := f.growBulk(have, min(n, max(2*have, bulkGrowthStep))); err != nil {
				return nil, err
			}
		}
		to := f.bulk[have:min(n, cap(f.bulk))]
		if f.r < f.w {
			m := copy(to, f.window[f.r:f.w])
			f.r += m
			have += m
			continue
		}
		m, err := f.src.Read(to)
		have += m
		if m == 0 && err != nil {
			return nil, err
		}
	}
	return f.bulk[:n], nil
}

func (f *frameReader) growBulk(have, n int) error {
	if f.room != nil {
		if err := f.room.acquire(n - f.reserved); err != nil {
			return err
		}
		f.reserved = n
	}
	bulk := make([]byte, n)
	copy(bulk, f.bulk[:have])
	f.bulk = bulk
	return nil
}

// drop forgets the last payload, and a buffer for it that is too large to keep.
func (f *frameReader) drop() {
	if !f.inBulk {
		return
	}
	f.inBulk = false
	if f.room != nil || cap(f.bulk) > bulkKeptMax {
		f.release()
	}
}

// release gives back what bulk holds.
func (f *frameReader) release() {
	if f.room != nil {
		f.room.release(f.reserved)
	}
	f.bulk, f.reserved = nil, 0
}

// own returns p, the payload of the last frame, as the caller's, with the bytes
// of room it holds, which the caller releases.
func (f *frameReader) own(p []byte) (owned []byte, reserved int, err error) {
	if f.inBulk {
		reserved = f.reserved
		f.inBulk, f.bulk, f.reserved = false, nil, 0
		return p, reserved, nil
	}
	if f.room != nil {
		if err := f.room.acquire(len(p)); err != nil {
			return nil, 0, err
		}
		reserved = len(p)
	}
	return append(make([]byte, 0, len(p)), p...), reserved, nil
}
