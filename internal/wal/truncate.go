package wal

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Truncate drops what is outside keep, durably on return; see
// [topology.Range]. At the head it drops whole segments, so First may stay below
// keep.First. At the tail, Flushed and Wait for what is cut off end with
// ErrRewound, and appends wait until the cut is done. A range that ends below
// what the log holds is ErrCompacted, one that is no range ErrMalformed.
//
// ErrDiskFull without a failure of the log says that there was no space to write
// down what was to be done: nothing was.
func (l *Log) Truncate(keep topology.Range) error {
	l.edit <- struct{}{}
	defer func() { <-l.edit }()
	t := truncation{l}
	restart, cut, err := t.judge(keep)
	if err != nil {
		return err
	}
	if restart || cut {
		if err := t.still(keep, restart); err != nil || restart {
			return err
		}
	}
	return t.retire(keep.First)
}

// truncation changes which part of a log there is. Whoever makes one holds the
// right to edit.
type truncation struct{ *Log }

// judge says what is to be done. If the end is concerned it stops appends, so
// that none moves behind the end it has seen; still lets them go on.
func (t truncation) judge(keep topology.Range) (restart, cut bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.st
	if err := s.writable(); err != nil {
		return false, false, err
	}
	restart = keep.First != 0 && (keep.Last == keep.First-1 || keep.First > s.End+1)
	switch {
	case restart:
	case keep.Last < keep.First:
		return false, false, fmt.Errorf("log: keep %d to %d: %w", keep.First, keep.Last, topology.ErrMalformed)
	case keep.Last < s.First-1:
		return false, false, fmt.Errorf("log: keep to %d of a log that begins at %d: %w", keep.Last, s.First, topology.ErrCompacted)
	default:
		cut = keep.Last < s.End
	}
	s.frozen = restart || cut
	return restart, cut, nil
}

// still cuts or restarts the log while nothing is appended and no group written.
func (t truncation) still(keep topology.Range, restart bool) error {
	t.pen <- struct{}{}
	defer func() { <-t.pen }()
	defer t.thaw()
	if err := t.Failed(); err != nil {
		return err
	}
	if restart {
		return t.restart(keep)
	}
	return t.cut(keep.Last)
}

func (t truncation) thaw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.frozen = false
	t.st.waits.space.all(nil)
}

// save makes m the manifest. Without space for it the log goes on as it was;
// any other failure is the end of it (W4).
func (t truncation) save(m manifest) error {
	err := t.spares.roomFor(func() error { return m.save(t.d) })
	if err == nil {
		t.man = m
		return nil
	}
	if errors.Is(err, topology.ErrDiskFull) {
		return err
	}
	return t.fail("writing the manifest", err)
}

// retire drops the segments that hold nothing from first on. The manifest goes
// first: what it no longer names is removed when the log is opened.
func (t truncation) retire(first record.LSN) error {
	t.mu.Lock()
	segs := t.st.segs
	n := 0
	for n < len(segs)-1 && segs[n].last < first {
		n++
	}
	m := t.man
	m.segment, m.first = segs[n].number, segs[n].first
	m.history = before(t.st.history, m.first)
	t.mu.Unlock()
	if n == 0 {
		return nil
	}
	if err := t.save(m); err != nil {
		return err
	}
	t.mu.Lock()
	t.st.First = m.first
	t.epoch.Add(1)
	gone := t.st.segs[:n]
	t.st.segs = append([]*segment(nil), t.st.segs[n:]...) // the writer may have added one
	t.mu.Unlock()
	return t.discard(gone, t.spares.retire)
}

// discard does away with segments that are no longer part of the log. One that is
// damaged is kept aside.
func (t truncation) discard(segs []*segment, away func(string, int64) error) error {
	for _, s := range segs {
		t.mu.Lock()
		hurt := s.hurt
		t.mu.Unlock()
		do := away
		if hurt {
			do = t.putAside
		}
		if err := do(s.name, s.capacity); err != nil {
			return t.fail("removing "+s.name, err)
		}
	}
	if err := t.d.sync(); err != nil {
		return t.fail("removing segments", err)
	}
	t.spares.poke()
	return nil
}

func (t truncation) putAside(name string, _ int64) error { return t.d.putAside(name) }

func (t truncation) delete(name string, _ int64) error { return t.d.remove(name) }

// cut drops everything behind last.
//
// What is already in files is cut in three steps: the manifest says that the cut
// has begun, the files are cut, the manifest says that it is done. Recovery
// finishes a cut that had begun. Only zeros remain behind the end, so that no
// frame that was cut off can pass for the continuation of what comes next.
func (t truncation) cut(last record.LSN) error {
	t.mu.Lock()
	written := last < t.st.Flushed
	if !written {
		t.forget(last)
	}
	t.mu.Unlock()
	if !written {
		return nil
	}
	m := t.man
	m.cutting, m.cut = true, last
	if err := t.save(m); err != nil {
		return err
	}
	t.mu.Lock()
	t.forget(last)
	gone := t.st.leave(last)
	t.mu.Unlock()
	if err := t.back(last, gone); err != nil {
		return t.fail("cutting the log", err)
	}
	m.cutting, m.cut = false, 0
	if err := m.save(t.d); err != nil {
		return t.fail("writing the manifest", err)
	}
	t.man = m
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.offset, t.st.durable = t.disk.seg.log, t.disk.seg.log
	t.st.room = t.disk.seg.room()
	return nil
}

// forget drops everything behind last from memory, under the mutex.
func (t truncation) forget(last record.LSN) {
	s := &t.st
	s.offset = s.offsetOf(last)
	s.End, s.Flushed, s.durable = last, min(last, s.Flushed), min(s.durable, s.offset)
	t.durable.Store(uint64(s.Flushed))
	s.history = before(s.history, last+1)
	s.tail.cut(last)
	s.cuts.add(last)
	t.epoch.Add(1)
	err := fmt.Errorf("log: cut back to LSN %d: %w", last, topology.ErrRewound)
	s.flights.all()
	s.waits.arrival.fail(last+1, err)
}

// leave takes out the segments that begin behind last, and returns them. The
// newest that stays is to be the open one.
func (s *state) leave(last record.LSN) (gone []*segment) {
	n := len(s.segs)
	for n > 1 && s.segs[n-1].first > last {
		n--
	}
	gone = append(gone, s.segs[n:]...)
	s.segs = append([]*segment(nil), s.segs[:n]...)
	return gone
}

// back makes the newest segment that is left the open one, ending at last.
func (t truncation) back(last record.LSN, gone []*segment) error {
	k := &t.disk
	t.mu.Lock()
	seg := t.st.segs[len(t.st.segs)-1]
	t.mu.Unlock()
	if err := t.discard(gone, t.delete); err != nil {
		return err
	}
	if seg != k.seg {
		f, err := t.d.edit(seg.name)
		if err != nil {
			return err
		}
		if err := k.file.Close(); err != nil {
			return errors.Join(err, f.Close())
		}
		k.enter(seg, f)
	}
	end, log, roll, err := t.locate(k.file, seg, last)
	if err != nil {
		return err
	}
	dirty := seg.end + footerBytes
	t.mu.Lock()
	seg.cut(last, end, log)
	t.epoch.Add(1) // who looked at it since forget has seen its old end
	t.mu.Unlock()
	k.roll, k.owing = roll, last >= seg.first
	k.term = seg.term
	if h, ok := t.History().TermAt(last); ok {
		k.term = h
	}
	return zero(k.file, end, min(dirty, seg.capacity))
}

// locate finds where the entry of lsn ends in its segment, and in the log, and
// the roll through it. It reads the segment from its beginning.
func (t truncation) locate(f vfs.File, seg *segment, lsn record.LSN) (end int64, log uint64, roll uint32, err error) {
	t.mu.Lock()
	limit := seg.end
	t.mu.Unlock()
	log = seg.offset
	if lsn < seg.first {
		return headerBytes, log, 0, nil
	}
	for w := seg.walk(f, headerBytes, limit); ; {
		at := w.pos
		fr, ok, err := w.next()
		if err == nil && !ok {
			err = w.why
		}
		if err != nil {
			return 0, 0, 0, corrupt(seg.name, at, lsn, err, "the entry to cut behind cannot be found")
		}
		if fr.kind != kindEntry {
			continue
		}
		log, roll = log+uint64(fr.bytes()), rolledSum(roll, fr.sum)
		if fr.LSN == lsn {
			return w.pos, log, roll, nil
		}
	}
}

// restart drops everything, and lets the log continue at keep.First with the
// history it is given: what a snapshot leaves behind.
func (t truncation) restart(keep topology.Range) error {
	if !ascending(keep.History) || len(keep.History) > termsMax {
		return fmt.Errorf("log: a history whose terms do not grow, or of more than %d: %w", termsMax, topology.ErrMalformed)
	}
	k := &t.disk
	m := t.man
	m.segment, m.first = k.seg.number+1, keep.First
	m.history = append(topology.History(nil), before(keep.History, keep.First)...)
	var f vfs.File
	var seg *segment
	err := t.spares.roomFor(func() error {
		s, err := t.spares.create(t.o.planned(m.segment))
		if err != nil {
			return err
		}
		h := k.heir(s, m.first)
		h.term = m.history.Last()
		if seg, err = k.found(h, s); err != nil {
			return errors.Join(err, s.file.Close())
		}
		f = s.file
		return nil
	})
	switch {
	case errors.Is(err, topology.ErrDiskFull):
		return err
	case err != nil:
		return t.fail("making segment "+segmentName(m.segment), err)
	}
	if err := t.save(m); err != nil {
		err = errors.Join(err, f.Close())
		if t.Failed() == nil { // else the manifest may name it
			err = errors.Join(err, t.d.remove(seg.name))
		}
		return err
	}
	gone := t.replace(seg, m.history)
	err = k.file.Close()
	k.enter(seg, f)
	k.term = seg.term
	if err != nil {
		return t.fail("closing a segment", err)
	}
	return t.discard(gone, t.delete)
}

// replace makes seg the only segment, and returns those before.
func (t truncation) replace(seg *segment, h topology.History) []*segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.st
	gone := s.segs
	s.segs, s.history, s.tail = []*segment{seg}, h, tail{}
	s.First, s.End, s.Flushed = seg.first, seg.last, seg.last
	t.durable.Store(uint64(s.Flushed))
	s.offset, s.durable, s.room = seg.log, seg.log, seg.room()
	s.cuts.add(0)
	t.epoch.Add(1)
	err := fmt.Errorf("log: restarted at LSN %d: %w", seg.first, topology.ErrRewound)
	s.flights.all()
	s.waits.arrival.all(err)
	return gone
}
