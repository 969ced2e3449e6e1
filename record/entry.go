package record

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// EntryHeaderBytes is the length of what stands before a record's bytes where
// an entry travels, or stands in a log after that log's own frame header:
//
//	 0  8  LSN, little endian
//	 8  8  term of the log it comes from
//	16  4  length of the record's bytes
//	20  4  sum of the record's bytes
//	24  n  the record's bytes
const EntryHeaderBytes = 24

// ErrSum says that a record's bytes do not match the sum they were accepted
// with. Nothing downstream may take them.
var ErrSum = errors.New("record does not match its sum")

// AppendEntry appends e to dst in the layout above.
func AppendEntry(dst []byte, e Entry) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.LSN))
	dst = binary.LittleEndian.AppendUint64(dst, e.Term)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.Bytes)))
	dst = binary.LittleEndian.AppendUint32(dst, e.Sum)
	return append(dst, e.Bytes...)
}

// NextEntry reads the entry at the start of b, checks its sum, and returns what
// follows it. The entry's bytes alias b. An error wraps [ErrInvalid] if b does
// not hold the whole entry, or [ErrSum].
func NextEntry(b []byte) (e Entry, rest []byte, err error) {
	if len(b) < EntryHeaderBytes {
		return Entry{}, nil, fmt.Errorf("%w entry: a header of %d bytes, %d left", ErrInvalid, EntryHeaderBytes, len(b))
	}
	n := binary.LittleEndian.Uint32(b[16:])
	if n > RecordBytesMax || int(n) > len(b)-EntryHeaderBytes {
		return Entry{}, nil, fmt.Errorf("%w entry: a record of %d bytes claimed, %d left", ErrInvalid, n, len(b)-EntryHeaderBytes)
	}
	e = Entry{
		LSN:   LSN(binary.LittleEndian.Uint64(b)),
		Term:  binary.LittleEndian.Uint64(b[8:]),
		Sum:   binary.LittleEndian.Uint32(b[20:]),
		Bytes: b[EntryHeaderBytes : EntryHeaderBytes+int(n) : EntryHeaderBytes+int(n)],
	}
	if Sum(e.Bytes) != e.Sum {
		return Entry{}, nil, fmt.Errorf("entry %d of term %d: %w", e.LSN, e.Term, ErrSum)
	}
	return e, b[EntryHeaderBytes+int(n):], nil
}
