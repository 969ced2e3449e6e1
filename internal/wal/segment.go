package wal

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
)

// segment is one file of the log. What changes of the newest one is changed by
// who holds the pen, under the log's mutex.
type segment struct {
	header
	name   string
	seed   uint32     // the sum of its header: every frame sum begins with it
	last   record.LSN // of the newest durable entry; first−1 if there is none
	end    int64      // where the next frame goes
	log    uint64     // bytes of frames in the log through its last entry
	index  []mark     // sparse, ascending; the first mark is the first entry
	closed bool
	hurt   bool // a scrub has found damage in it: its file is not used again
}

// mark is a place in a segment.
type mark struct {
	lsn record.LSN
	off int64  // where its frame begins in the file
	log uint64 // bytes of frames in the log before it
}

func newSegment(h header, seed uint32) *segment {
	return &segment{header: h, name: segmentName(h.number), seed: seed, last: h.first - 1, end: headerBytes, log: h.offset}
}

// room is how many bytes of frames fit in, with a footer behind them.
func (s *segment) room() int64 { return s.capacity - s.end - footerBytes }

// wants reports whether the index takes a mark at off.
func (s *segment) wants(off int64) bool {
	n := len(s.index)
	return n == 0 || off-s.index[n-1].off >= indexEveryBytes
}

// seek returns the last mark at or before lsn.
func (s *segment) seek(lsn record.LSN) mark {
	i, found := slices.BinarySearchFunc(s.index, lsn, func(m mark, lsn record.LSN) int {
		switch {
		case m.lsn < lsn:
			return -1
		case m.lsn > lsn:
			return 1
		}
		return 0
	})
	switch {
	case found:
		return s.index[i]
	case i > 0:
		return s.index[i-1]
	}
	return mark{lsn: s.first, off: headerBytes, log: s.offset}
}

// offsetOf estimates how many bytes of frames the log has through lsn, by the
// marks around it: exact at a mark, and growing with lsn.
func (s *segment) offsetOf(lsn record.LSN) uint64 {
	if lsn >= s.last {
		return s.log
	}
	from, to := s.seek(lsn+1), mark{lsn: s.last + 1, log: s.log}
	if i := slices.IndexFunc(s.index, func(m mark) bool { return m.lsn > lsn+1 }); i >= 0 {
		to = s.index[i]
	}
	if to.lsn <= from.lsn {
		return from.log
	}
	return from.log + (to.log-from.log)*uint64(lsn+1-from.lsn)/uint64(to.lsn-from.lsn)
}

// cut makes lsn the newest entry of the segment, which ends at off.
func (s *segment) cut(lsn record.LSN, off int64, log uint64) {
	s.index = slices.DeleteFunc(slices.Clone(s.index), func(m mark) bool { return m.lsn > lsn })
	s.last, s.end, s.log, s.closed = lsn, off, log, false
}

// Why bytes are not a frame.
var (
	errNoFrame  = errors.New("no valid frame")
	errCutShort = errors.New("the file ends within a frame")
)

// walker reads the frames of one segment, one after another.
type walker struct {
	f      vfs.File
	seed   uint32
	number uint64
	pos    int64 // of the next frame
	end    int64 // nothing is read from here on
	size   int   // of the next buffer
	keep   bool  // entries outlive the next call, so a buffer is used once
	why    error // after next returned false: why there is no frame at pos

	buf []byte
	at  int64 // where buf begins in the file
}

// walk returns a walker over s from off to end. Entries are valid until the
// next call.
func (s *segment) walk(f vfs.File, off, end int64) *walker {
	return &walker{f: f, seed: s.seed, number: s.number, pos: off, end: end, size: scanBytes}
}

// need returns at least n bytes at pos, or what there is up to the end.
func (w *walker) need(n int) ([]byte, error) {
	if w.at <= w.pos && w.pos <= w.at+int64(len(w.buf)) {
		if have := w.buf[w.pos-w.at:]; len(have) >= n || w.at+int64(len(w.buf)) >= w.end {
			return have, nil
		}
	}
	size := int(min(int64(max(n, w.size)), max(w.end-w.pos, 0)))
	if w.keep || cap(w.buf) < size {
		w.buf = make([]byte, size)
		w.size = min(2*w.size, max(readBytesMax, w.size))
	}
	w.buf, w.at = w.buf[:size], w.pos
	got, err := readAt(w.f, w.buf, w.at)
	if w.buf = w.buf[:got]; got < size {
		w.end = w.at + int64(got)
	}
	return w.buf, err
}

// next returns the frame at pos and goes behind it. It is false, with the
// reason in why, if there is no valid one. An error is one of reading.
func (w *walker) next() (f frame, ok bool, err error) {
	b, err := w.need(frameBytes)
	if err != nil {
		return frame{}, false, err
	}
	f, n, ok := parseFrame(b, w.seed, w.number)
	if !ok {
		w.why = errNoFrame
		return frame{}, false, nil
	}
	if len(b) < frameBytes+n {
		if b, err = w.need(frameBytes + n); err != nil {
			return frame{}, false, err
		}
		if len(b) < frameBytes+n {
			w.why = errCutShort
			return frame{}, false, nil
		}
	}
	body := b[frameBytes : frameBytes+n : frameBytes+n]
	if n > 0 && record.Sum(body) != f.Sum {
		w.why = record.ErrSum
		return f, false, nil
	}
	f.Bytes = body
	w.pos += f.bytes()
	return f, true, nil
}

// strays are the remains of frames of a segment behind its end.
type strays struct {
	promised int64 // the highest sync offset of one whose frame sum holds
	whole    int64 // how many those are
	end      int64 // behind the head of the last one, valid or not; 0 if there is none
}

// strays looks for frames of the segment anywhere from pos on. A frame that a
// recycled file still holds from its former life is none: its number differs.
func (w *walker) strays() (strays, error) {
	var s strays
	buf := make([]byte, min(scanBytes, max(w.end-w.pos, 0)))
	for at := w.pos; at < w.end; {
		n, err := readAt(w.f, buf[:min(int64(len(buf)), w.end-at)], at)
		if err != nil {
			return s, err
		}
		b := buf[:n]
		for i := 0; ; {
			k := bytes.Index(b[i:], frameMagic)
			if k < 0 {
				break
			}
			if i += k; i >= 4 && seemsFrame(b[i-4:], w.number) {
				s.end = max(s.end, at+int64(i)-4+frameBytes)
				if f, _, ok := parseFrame(b[i-4:], w.seed, w.number); ok {
					s.promised = max(s.promised, f.sync)
					s.whole++
				}
			}
			i += len(frameMagic)
		}
		if n < frameBytes || at+int64(n) >= w.end {
			break
		}
		at += int64(n) - frameBytes + 1 // a head may lie across two readings
	}
	return s, nil
}
