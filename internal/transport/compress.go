package transport

import (
	"github.com/klauspost/compress/s2"
)

const (
	// compressedBytesMax is the largest message that is compressed: a stream's
	// batch, and some. A frame that claims to hold more is refused before
	// anything is allocated for it.
	compressedBytesMax = 2 << 20

	// A message is worth compressing if it shrinks by one part in so many.
	compressGain = 8

	// compressPassMax is how many messages are not tried after one that did not
	// shrink: one, doubled with each that follows, up to this.
	compressPassMax = 64
)

// deflater compresses the messages of one stream, for whoever has the turn to
// write.
type deflater struct {
	above  int
	counts *counts
	in     []byte // a message of several parts, gathered
	out    []byte // a frame
	pass   int    // messages to let by
	misses int    // in a row
}

// frame returns a message of n bytes as a compressed frame, valid until the next
// call; nil if it is to be sent as it is.
func (d *deflater) frame(n int, parts [][]byte) []byte {
	if n <= d.above || n > compressedBytesMax {
		return nil
	}
	if d.pass > 0 {
		d.pass--
		return nil
	}
	whole := parts[0]
	if len(parts) > 1 {
		d.in = d.in[:0]
		for _, p := range parts {
			d.in = append(d.in, p...)
		}
		whole = d.in
	}
	if room := headerBytes + s2.MaxEncodedLen(n); cap(d.out) < room {
		d.out = make([]byte, room)
	}
	out := d.out[:cap(d.out)]
	packed := len(s2.Encode(out[headerBytes:], whole))
	if packed > n-n/compressGain-1 {
		d.miss()
		return nil
	}
	d.misses = 0
	d.counts.compressed.Add(1)
	d.counts.compressedOf.Add(uint64(n))
	d.counts.compressedTo.Add(uint64(packed))
	f := out[:headerBytes+packed]
	putHeader(f, kindMessage, packed)
	f[5] = flagCompressed
	putSum(f, sumOf(f))
	return f
}

// miss notes a message that did not shrink. What follows is likely to be alike.
func (d *deflater) miss() {
	d.counts.incompressible.Add(1)
	d.pass = min(1<<d.misses, compressPassMax)
	if d.pass < compressPassMax {
		d.misses++
	}
}

// inflater reads compressed messages of one stream, for its reader.
type inflater struct {
	counts *counts
	plain  []byte // the last message
}

// inflate returns what a payload holds, valid until the next call.
func (i *inflater) inflate(payload []byte) ([]byte, error) {
	n, err := s2.DecodedLen(payload)
	switch {
	case err != nil:
		return nil, faultf(FaultCompressed, "a compressed frame that does not say what it holds: %v", err)
	case n > compressedBytesMax:
		return nil, faultf(FaultCompressed, "a compressed frame that claims to hold %d bytes, at most %d are taken", n, compressedBytesMax)
	case n <= len(payload):
		return nil, faultf(FaultCompressed, "a compressed frame of %d bytes that holds %d", len(payload), n)
	}
	if cap(i.plain) < n {
		i.plain = make([]byte, n)
	}
	plain, err := s2.Decode(i.plain[:n], payload)
	if err != nil {
		return nil, faultf(FaultCompressed, "a compressed frame that cannot be read: %v", err)
	}
	i.counts.inflated.Add(1)
	return plain, nil
}
