package wal

import (
	"slices"

	"github.com/triad-kv/triad/record"
)

// chunk is a piece of the log in memory: whole frames, one behind the other, as
// they go to the file. Entries alias buf. What stands there is written once;
// only the first 16 bytes of a frame, which no reader looks at, are filled in by
// the writer when it knows where the frame goes.
type chunk struct {
	first  record.LSN // of the first frame
	base   uint64     // bytes of frames in the log before it
	buf    []byte
	starts []uint32 // where each frame begins in buf
}

func (c *chunk) last() record.LSN { return c.first + record.LSN(len(c.starts)) - 1 }

// end returns where the frame of lsn ends in buf.
func (c *chunk) end(lsn record.LSN) int {
	if i := int(lsn - c.first + 1); i < len(c.starts) {
		return int(c.starts[i])
	}
	return len(c.buf)
}

// frame returns the i-th frame.
func (c *chunk) frame(i int) []byte {
	return c.buf[c.starts[i]:c.end(c.first+record.LSN(i))]
}

// tail is the newest part of the log, in memory. It holds at least what is not
// yet flushed. Its chunks are contiguous.
type tail struct {
	chunks []*chunk
	bytes  int  // capacity of the chunks
	sealed bool // the last chunk takes no more: its end was cut off, and entries alias it
	size   int  // of the newest chunk
}

// room returns a chunk with n bytes to spare, which is the last one or a new
// one that begins at lsn.
func (t *tail) room(n int, lsn record.LSN, base uint64) *chunk {
	if k := len(t.chunks); k > 0 && !t.sealed {
		c := t.chunks[k-1]
		if cap(c.buf)-len(c.buf) >= n {
			return c
		}
		if len(c.starts) == 0 { // no chunk is without frames, but while one is staged
			t.bytes -= cap(c.buf)
			t.chunks = t.chunks[:k-1]
		}
	}
	t.size = min(max(2*t.size, chunkBytesFirst), chunkBytesMax)
	c := &chunk{first: lsn, base: base, buf: make([]byte, 0, max(t.size, n))}
	t.chunks = append(t.chunks, c)
	t.bytes += cap(c.buf)
	t.sealed = false
	return c
}

// find returns the chunk that holds lsn.
func (t *tail) find(lsn record.LSN) (int, bool) {
	i, found := slices.BinarySearchFunc(t.chunks, lsn, func(c *chunk, lsn record.LSN) int {
		switch {
		case c.last() < lsn:
			return -1
		case c.first > lsn:
			return 1
		}
		return 0
	})
	return i, found
}

// evict lets go of the oldest chunks while more than most bytes are held and
// they hold nothing beyond flushed.
func (t *tail) evict(most int64, flushed record.LSN) {
	n := 0
	for n < len(t.chunks)-1 && int64(t.bytes) > most && t.chunks[n].last() <= flushed {
		t.bytes -= cap(t.chunks[n].buf)
		n++
	}
	t.chunks = slices.Delete(t.chunks, 0, n)
}

// cut drops everything behind lsn. The memory it stood in is not used again.
func (t *tail) cut(lsn record.LSN) {
	for n := len(t.chunks); n > 0; n-- {
		c := t.chunks[n-1]
		if c.first <= lsn {
			if c.last() > lsn {
				keep := int(lsn - c.first + 1)
				t.chunks[n-1] = &chunk{first: c.first, base: c.base, buf: c.buf[:c.end(lsn)], starts: c.starts[:keep:keep]}
			}
			break
		}
		t.bytes -= cap(c.buf)
		t.chunks[n-1] = nil
		t.chunks = t.chunks[:n-1]
	}
	t.sealed = true
}

// staged are frames behind the end of a tail that are not yet part of the log.
type staged struct {
	t      *tail
	lsn    record.LSN // of the newest frame
	offset uint64     // bytes of frames in the log with them
	chunks int
	buf    int // length of the last chunk before
	starts int
	sealed bool
}

func (t *tail) stage(end record.LSN, offset uint64) staged {
	s := staged{t: t, lsn: end, offset: offset, chunks: len(t.chunks), sealed: t.sealed}
	if s.chunks > 0 {
		c := t.chunks[s.chunks-1]
		s.buf, s.starts = len(c.buf), len(c.starts)
	}
	return s
}

// encode stages a record. It encodes straight into the tail; only where that is
// full is the record moved once.
func (s *staged) encode(enc *record.Encoder, term uint64, r *record.Record) (size int) {
	c := s.t.room(frameBytes, s.lsn+1, s.offset)
	at := len(c.buf)
	b := enc.Append(c.buf[at:at+frameBytes], r)
	if len(b) > cap(c.buf)-at {
		c = s.t.room(len(b), s.lsn+1, s.offset)
		at = len(c.buf)
		b = append(c.buf[at:at], b...)
	}
	s.lsn++
	body := b[frameBytes:]
	record.AppendEntry(b[:frameHeaderBytes], record.Entry{LSN: s.lsn, Term: term, Sum: record.Sum(body), Bytes: body})
	s.take(c, len(b))
	return len(body)
}

// copy stages an entry verbatim.
func (s *staged) copy(e record.Entry) {
	n := frameBytes + len(e.Bytes)
	c := s.t.room(n, e.LSN, s.offset)
	at := len(c.buf)
	record.AppendEntry(c.buf[at:at+frameHeaderBytes], e)
	s.lsn = e.LSN
	s.take(c, n)
}

func (s *staged) take(c *chunk, n int) {
	at := len(c.buf)
	c.buf = c.buf[:at+n]
	c.starts = append(c.starts, uint32(at))
	s.offset += uint64(n)
}

// drop takes back what was staged. Nobody has seen it, so its room is free again.
func (s *staged) drop() {
	t := s.t
	for len(t.chunks) > s.chunks {
		t.bytes -= cap(t.chunks[len(t.chunks)-1].buf)
		t.chunks = t.chunks[:len(t.chunks)-1]
	}
	if s.chunks > 0 {
		c := t.chunks[s.chunks-1]
		c.buf, c.starts = c.buf[:s.buf], c.starts[:s.starts]
	}
	t.sealed = s.sealed
}
