package wal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/triad-kv/triad/record"
)

// A frame is, little endian,
//
//	 0  4  frame sum: CRC-32C of bytes 4 to 40, begun with the sum of the
//	       segment's header
//	 4  3  0xd7 'L' 'F'
//	 7  1  kind: 'E' an entry, 'P' a promise, 'F' a footer
//	 8  4  number of the segment, its low 32 bits
//	12  4  sync offset: the file was durable up to here when this was written
//	16 24  the entry's header, as in package record: LSN, term, length, record sum
//	40  n  the record's bytes
//
// A promise and a footer, the marks, carry no record: their LSN and term are the
// newest in the log, their length is 0, and in place of the record sum stands
// the roll, the CRC-32C of the frame sums of all entries of the segment. A
// promise is written when the log stops or rests, so that its last group is
// protected too; a footer closes the segment. Through the roll, and the footer's
// sum in the next header, every segment depends on all that stands before it.
const (
	frameHeaderBytes = 16
	frameBytes       = frameHeaderBytes + record.EntryHeaderBytes
	footerBytes      = frameBytes
)

type kind byte

const (
	kindEntry   kind = 'E'
	kindPromise kind = 'P'
	kindFooter  kind = 'F'
)

var (
	frameMagic = []byte{0xd7, 'L', 'F'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// frame is a frame as it was read. Of a mark, Entry.Sum is the roll.
type frame struct {
	record.Entry
	kind kind
	sum  uint32
	sync int64
}

// bytes is the length of the frame.
func (f frame) bytes() int64 { return frameBytes + int64(len(f.Bytes)) }

// seal completes a frame whose entry header stands at b[16:40].
func seal(b []byte, k kind, seed uint32, number uint64, sync int64) uint32 {
	copy(b[4:], frameMagic)
	b[7] = byte(k)
	binary.LittleEndian.PutUint32(b[8:], uint32(number))
	binary.LittleEndian.PutUint32(b[12:], uint32(sync))
	sum := crc32.Update(seed, castagnoli, b[4:frameBytes])
	binary.LittleEndian.PutUint32(b, sum)
	return sum
}

// newMark returns a sealed promise or footer.
func newMark(k kind, seed uint32, number uint64, sync int64, last record.LSN, term uint64, roll uint32) ([]byte, uint32) {
	b := record.AppendEntry(make([]byte, frameHeaderBytes, frameBytes), record.Entry{LSN: last, Term: term, Sum: roll})
	return b, seal(b, k, seed, number, sync)
}

// rolled is the roll with one frame more, of which b is the beginning.
func rolled(roll uint32, b []byte) uint32 { return crc32.Update(roll, castagnoli, b[:4]) }

// rolledSum is the same for a frame that was read.
func rolledSum(roll, sum uint32) uint32 {
	return rolled(roll, binary.LittleEndian.AppendUint32(make([]byte, 0, 4), sum))
}

// entryAt returns the entry of a whole frame, whose sums were checked or made
// by this process.
func entryAt(b []byte) record.Entry {
	e, _ := entryHeader(b)
	e.Bytes = b[frameBytes:len(b):len(b)]
	return e
}

func entryHeader(b []byte) (e record.Entry, n uint32) {
	h := b[frameHeaderBytes:frameBytes]
	e.LSN = record.LSN(binary.LittleEndian.Uint64(h))
	e.Term = binary.LittleEndian.Uint64(h[8:])
	e.Sum = binary.LittleEndian.Uint32(h[20:])
	return e, binary.LittleEndian.Uint32(h[16:])
}

// seemsFrame reports whether b begins like a frame of that segment, whatever
// its sum says.
func seemsFrame(b []byte, number uint64) bool {
	return len(b) >= frameHeaderBytes && string(b[4:7]) == string(frameMagic) && binary.LittleEndian.Uint32(b[8:]) == uint32(number)
}

// parseFrame reads a frame's first 40 bytes and returns it without its bytes,
// and how many those are. It is false unless the frame sum holds.
func parseFrame(b []byte, seed uint32, number uint64) (f frame, n int, ok bool) {
	if len(b) < frameBytes || !seemsFrame(b, number) {
		return frame{}, 0, false
	}
	f.sum = binary.LittleEndian.Uint32(b)
	if crc32.Update(seed, castagnoli, b[4:frameBytes]) != f.sum {
		return frame{}, 0, false
	}
	f.kind = kind(b[7])
	f.sync = int64(binary.LittleEndian.Uint32(b[12:]))
	e, size := entryHeader(b)
	f.Entry = e
	switch f.kind {
	case kindEntry:
		ok = size > 0 && size <= record.RecordBytesMax
	case kindPromise, kindFooter:
		ok = size == 0
	}
	return f, int(size), ok
}
