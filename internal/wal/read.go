package wal

import (
	"context"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Read yields the entries from `from` up to the end at the time of the call,
// from memory where the tail holds them and else from the files, with both sums
// checked. It does not wait. Entries stay valid as long as they are referenced.
//
// It ends with ErrCompacted if the next entry was retired, with ErrRewound if
// one it has yielded was cut off since, and with a [*CorruptError] where a file
// does not hold what it should; the log itself goes on. If what it has not
// yielded yet is cut off, it ends where the log does.
func (l *Log) Read(ctx context.Context, from record.LSN) iter.Seq2[record.Entry, error] {
	l.mu.Lock()
	end, cuts := l.st.End, l.st.cuts.count
	l.mu.Unlock()
	return func(yield func(record.Entry, error) bool) {
		r := reader{l: l, next: from, end: end, cuts: cuts, size: readBytesFirst}
		if err := r.read(ctx, yield); err != nil {
			yield(record.Entry{}, err)
		}
	}
}

// reader is one pass over a log.
type reader struct {
	l    *Log
	next record.LSN
	end  record.LSN
	cuts uint64 // how many the log had when end was right
	size int    // of the next buffer

	epoch uint64 // of the log, when the pass found its place
}

// place is where entries from reader.next on are: in memory, or in a file.
type place struct {
	chunk chunk // a copy: what was there under the mutex
	seg   *segment
	mark  mark
	limit int64      // nothing in the file is read from here on
	last  record.LSN // the last entry of the file, or the reader's
}

// read yields until the end, an error, or until yield has had enough.
func (r *reader) read(ctx context.Context, yield func(record.Entry, error) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, more, err := r.locate()
		if err != nil || !more {
			return err
		}
		if p.seg != nil {
			more, err = r.file(ctx, p, yield)
		} else {
			more = r.memory(p.chunk, yield)
		}
		if err != nil || !more {
			return err
		}
	}
}

// locate finds the next entry; false if there is none left.
func (r *reader) locate() (place, bool, error) {
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.st
	r.epoch = l.epoch.Load()
	if more, err := r.check(s); err != nil || !more {
		return place{}, false, err
	}
	if i, ok := s.tail.find(r.next); ok {
		return place{chunk: *s.tail.chunks[i]}, true, nil
	}
	for i := len(s.segs) - 1; i >= 0; i-- {
		if g := s.segs[i]; g.first <= r.next {
			return place{seg: g, mark: g.seek(r.next), limit: g.end, last: min(g.last, r.end)}, true, nil
		}
	}
	return place{}, false, fmt.Errorf("log: LSN %d is in no segment: %w", r.next, topology.ErrFailed)
}

// check adjusts the pass to what became of the log since; false if it is over.
func (r *reader) check(s *state) (bool, error) {
	if s.phase == closed {
		return false, fmt.Errorf("log: %w", topology.ErrClosed)
	}
	if r.next < s.First {
		return false, fmt.Errorf("log: LSN %d: it begins at %d: %w", r.next, s.First, topology.ErrCompacted)
	}
	if s.cuts.count != r.cuts {
		low := s.cuts.since(r.cuts)
		r.cuts = s.cuts.count
		if r.end = min(r.end, low); r.next > r.end+1 {
			return false, fmt.Errorf("log: cut back to LSN %d: %w", low, topology.ErrRewound)
		}
	}
	return r.next <= r.end, nil
}

// memory yields what a chunk holds; false if that is to be all.
func (r *reader) memory(c chunk, yield func(record.Entry, error) bool) bool {
	for i := int(r.next - c.first); i < len(c.starts) && r.next <= r.end && !r.stale(); i++ {
		r.next++
		if !yield(entryAt(c.frame(i)), nil) {
			return false
		}
	}
	return true
}

// stale reports whether something was cut off or retired since the pass found
// its place, so that it has to look for it again. A file changes only after that,
// so what was read before and is not stale is right.
func (r *reader) stale() bool { return r.l.epoch.Load() != r.epoch }

// file yields what a segment holds.
func (r *reader) file(ctx context.Context, p place, yield func(record.Entry, error) bool) (bool, error) {
	f, err := r.l.d.open(p.seg.name)
	if err != nil {
		return r.failed(unreadable(p.seg.name, p.mark.off, r.next, err))
	}
	defer func(f vfs.File) { _ = f.Close() }(f) // it was only read
	w := p.seg.walk(f, p.mark.off, p.limit)
	w.keep, w.size = true, r.size
	defer func() { r.size = min(w.size, readBytesMax) }()
	for r.next <= p.last {
		at := w.pos
		fr, ok, err := w.next()
		switch {
		case err != nil:
			return r.failed(unreadable(p.seg.name, at, r.next, err))
		case !ok:
			return r.failed(corrupt(p.seg.name, at, r.next, w.why, "it does not hold the entry it should"))
		case r.stale():
			return true, nil
		case fr.kind != kindEntry || fr.LSN < r.next:
			continue
		case fr.LSN != r.next:
			return r.failed(corrupt(p.seg.name, at, r.next, nil, "it holds LSN %d here", fr.LSN))
		}
		r.next++
		if !yield(fr.Entry, nil) {
			return false, nil
		}
		if r.next%ctxEvery == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return true, nil
}

// failed says what to make of a file that does not hold what it should. If it
// was cut, retired or replaced meanwhile, the pass has to look again.
func (r *reader) failed(err error) (bool, error) {
	if r.stale() {
		return true, nil
	}
	return false, err
}
