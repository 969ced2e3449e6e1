package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A segment begins with a block of 4096 bytes, little endian, that is never
// written again, so that no torn write of a frame can touch it:
//
//	   0   8  "TRIADLOG"
//	   8   4  format, 1
//	  12   4  capacity: the length of the file, which it never falls below
//	  16  16  cluster id
//	  32   8  number of the segment
//	  40   8  LSN of its first entry
//	  48   8  term of the entry before that
//	  56   8  bytes of frames in the log before this segment
//	  64   4  where the previous segment ended, behind its footer; 0: no predecessor
//	  68   4  chain: the frame sum of that footer
//	  72   1  length of the node's id
//	  73  63  node id
//	 136      zeros
//	4092   4  CRC-32C of all before
//
// A reader refuses a format it does not know.
const (
	headerBytes   = 4096
	headerSumAt   = headerBytes - 4
	segmentFormat = 1
	segmentMagic  = "TRIADLOG"
)

// header is the identity of a segment.
type header struct {
	capacity int64
	cluster  [16]byte
	node     topology.NodeID
	number   uint64
	first    record.LSN
	term     uint64 // of the entry before the first
	offset   uint64 // bytes of frames in the log before
	prevEnd  int64
	chain    uint32
}

// block returns the header as it stands in the file, and its sum, the seed of
// the segment's frame sums.
func (h header) block() ([]byte, uint32) {
	b := make([]byte, headerBytes)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], segmentFormat)
	binary.LittleEndian.PutUint32(b[12:], uint32(h.capacity))
	copy(b[16:], h.cluster[:])
	binary.LittleEndian.PutUint64(b[32:], h.number)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[48:], h.term)
	binary.LittleEndian.PutUint64(b[56:], h.offset)
	binary.LittleEndian.PutUint32(b[64:], uint32(h.prevEnd))
	binary.LittleEndian.PutUint32(b[68:], h.chain)
	b[72] = byte(len(h.node))
	copy(b[73:136], h.node)
	sum := crc32.Checksum(b[:headerSumAt], castagnoli)
	binary.LittleEndian.PutUint32(b[headerSumAt:], sum)
	return b, sum
}

var (
	errNotSegment = errors.New("not the header of a segment")
	errHeaderSum  = errors.New("the header does not match its sum")
)

// parseHeader reads the header of file, and returns the seed with it.
func parseHeader(file string, b []byte) (header, uint32, error) {
	if len(b) < headerBytes || string(b[:8]) != segmentMagic {
		return header{}, 0, errNotSegment
	}
	if f := binary.LittleEndian.Uint32(b[8:]); f != segmentFormat {
		return header{}, 0, &FormatError{File: file, Format: uint64(f), Known: segmentFormat}
	}
	sum := crc32.Checksum(b[:headerSumAt], castagnoli)
	if sum != binary.LittleEndian.Uint32(b[headerSumAt:]) || b[72] > 63 {
		return header{}, 0, errHeaderSum
	}
	h := header{
		capacity: int64(binary.LittleEndian.Uint32(b[12:])),
		cluster:  [16]byte(b[16:32]),
		node:     topology.NodeID(b[73 : 73+b[72]]),
		number:   binary.LittleEndian.Uint64(b[32:]),
		first:    record.LSN(binary.LittleEndian.Uint64(b[40:])),
		term:     binary.LittleEndian.Uint64(b[48:]),
		offset:   binary.LittleEndian.Uint64(b[56:]),
		prevEnd:  int64(binary.LittleEndian.Uint32(b[64:])),
		chain:    binary.LittleEndian.Uint32(b[68:]),
	}
	return h, sum, nil
}
