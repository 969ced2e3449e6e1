package wal

import (
	"context"
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Run writes the log until ctx ends, then writes what was appended by then, and
// returns nil; or it returns the failure that ended the log. It may run once.
// Appends are refused with ErrClosed as soon as ctx has ended.
func (l *Log) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	first, err := l.st.phase == opened, l.st.ended()
	if err == nil && !first {
		err = fmt.Errorf("log: it runs already: %w", topology.ErrConflict)
	}
	if first {
		l.st.phase, l.st.cancel = running, cancel
	}
	l.mu.Unlock()
	if err != nil {
		if first { // it had failed before
			l.finish(err)
		}
		return err
	}
	// The spares outlive ctx: what was appended may need one more segment.
	making, stop := context.WithCancel(context.WithoutCancel(ctx))
	var maker sync.WaitGroup
	maker.Go(func() { l.spares.run(making) })
	w := writer{Log: l, clock: time.NewTimer(promiseIdle)}
	refused := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() { w.stop(); close(refused) }) // at once, even while a sync hangs
	err = w.loop(ctx)
	w.clock.Stop()
	if !unhook() {
		<-refused
	}
	stop()
	maker.Wait()
	l.finish(err)
	return err
}

// finish answers everybody who still waits. A failure is told once.
func (l *Log) finish(err error) {
	l.mu.Lock()
	l.st.phase = stopped
	l.st.release(l.st.ended())
	l.mu.Unlock()
	if err != nil {
		l.tell(err)
	}
	close(l.done)
}

// writer is the goroutine of Run: it takes what was appended since its last
// look, writes and syncs it as one group, and by then the next has gathered. No
// group waits for time to pass.
type writer struct {
	*Log
	pieces []piece
	marks  []mark
	rested bool          // since the last group, a promise was written
	took   time.Duration // of a sync, over the last few
	clock  *time.Timer
	driven bool // nobody runs beside it: see Driven
}

// piece is a run of frames that stand one behind the other in memory, and will
// in the file.
type piece struct {
	buf      []byte // of the chunk, as it was under the mutex
	starts   []uint32
	from, to int // in buf
	first    record.LSN
}

func (w *writer) loop(ctx context.Context) error {
	for last := false; ; {
		if !last && ctx.Err() != nil {
			last = true
			w.stop()
		}
		wrote, err := w.group(ctx)
		switch {
		case err != nil:
			return err
		case wrote:
			w.rested = false
		case last:
			return w.promise()
		default:
			if err := w.rest(ctx); err != nil {
				return err
			}
		}
	}
}

// stop takes no more appends. It may be called from any goroutine, while Run runs.
func (w *writer) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.phase = stopping
	w.st.waits.space.all(nil)
}

// rest waits for work, and writes a promise if there is none for a while.
func (w *writer) rest(ctx context.Context) error {
	w.mu.Lock()
	w.st.idle = w.st.err == nil && w.st.End == w.st.Flushed
	idle := w.st.idle
	w.mu.Unlock()
	if !idle {
		return nil
	}
	var after <-chan time.Time
	if !w.rested {
		w.clock.Reset(promiseIdle)
		after = w.clock.C
	}
	select {
	case <-w.work:
	case <-ctx.Done():
	case <-after:
		w.rested = true
		return w.promise()
	}
	return nil
}

// promise makes the last group's durability known in the file.
func (w *writer) promise() error {
	w.pen <- struct{}{}
	defer func() { <-w.pen }()
	if err := w.Failed(); err != nil {
		return err
	}
	if w.disk.seg == nil {
		return nil
	}
	n, err := w.disk.promise()
	if err != nil {
		return w.fail("writing a promise", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disk.seg.end += n
	w.st.room = w.disk.seg.room()
	return nil
}

// group writes what fits into the open segment of what was appended, or goes to
// the next segment. It reports whether it did anything.
func (w *writer) group(ctx context.Context) (bool, error) {
	w.pen <- struct{}{}
	need, err := w.collect()
	if err != nil || need == 0 && len(w.pieces) == 0 {
		<-w.pen
		return false, err
	}
	if need > 0 {
		err := w.turn(ctx, need)
		return err == nil, err
	}
	err = w.write()
	<-w.pen
	if err == nil {
		w.tell(nil)
		if !w.driven {
			w.gather()
		}
	}
	return true, err
}

// gather lets those whom the last group has released append again before the
// next one is written, as long as they do. Without it the clients of a log fall
// into two halves that take turns: one waits for the disk while the other is
// being written, and every sync serves half of them. There is no delay in it:
// where nobody else is ready to run it is over at once. What it costs is bounded:
// it takes a quarter of what a sync takes at most, and none where the halves
// fill the time of a sync as they are, a record for every gatherEach of it.
// (16 clients in one process put 50,000 records a second without it, 95,000 with
// it, where fdatasync takes 140 µs, and 111,000 to 142,000, and 138,000 to
// 155,000, where it takes 50. Two cores, November 2026.)
func (w *writer) gather() {
	enough := min(gatherRecords, record.LSN(w.took/gatherEach))
	began := time.Now()
	for quiet, turns := 0, 0; quiet < gatherQuiet && turns < gatherTurns; turns++ {
		b := w.Bounds()
		if b.End-b.Flushed >= enough || time.Since(began) > w.took/gatherShare {
			return
		}
		runtime.Gosched()
		if quiet++; w.Bounds().End != b.End {
			quiet = 0
		}
	}
}

// turn goes to the next segment, whose file must have need bytes. While it waits
// for one, the pen is free: retention may be what makes space for it. So when it
// has one, what was to be written may be gone, and the spare is kept for later.
func (w *writer) turn(ctx context.Context, need int64) error {
	if s := w.disk.spare; s == nil || s.size < need {
		<-w.pen
		got, err := w.spares.take(ctx, need, max(need, w.unwritten()))
		w.pen <- struct{}{}
		if err != nil {
			<-w.pen
			if err == errWaits {
				return err
			}
			return w.fail("making the next segment", err)
		}
		if s != nil {
			w.spares.giveBack(s)
		}
		w.disk.spare = got
	}
	defer func() { <-w.pen }()
	if need, err := w.collect(); err != nil || need == 0 {
		return err
	}
	seg, err := w.disk.rotate(w.disk.spare)
	w.disk.spare = nil
	if err != nil {
		return w.fail("going to segment "+segmentName(w.disk.seg.number+1), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.st
	s.segs[len(s.segs)-1].closed = true
	s.segs = append(s.segs, seg)
	s.room = seg.room()
	return nil
}

// unwritten is how long a segment must be to take all that is not yet written.
func (w *writer) unwritten() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(headerBytes+int64(w.st.offset-w.st.durable)+footerBytes, segmentBytesMax)
}

// collect finds the frames of the next group. If not even the first fits into
// the open segment, it returns how long the next one must be at least.
func (w *writer) collect() (need int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.st
	clear(w.pieces)
	w.pieces = w.pieces[:0]
	if s.err != nil || s.End == s.Flushed {
		return 0, s.err
	}
	room := min(s.room, groupBytesMax)
	at, _ := s.tail.find(s.Flushed + 1)
	for next := s.Flushed + 1; at < len(s.tail.chunks); at++ {
		c := s.tail.chunks[at]
		from := int(c.starts[next-c.first])
		starts := c.starts[next-c.first:]
		// How many of the frames end within the room.
		n := sort.Search(len(starts), func(i int) bool { return int64(c.end(next+record.LSN(i))-from) > room })
		if n == 0 {
			break
		}
		to := c.end(next + record.LSN(n) - 1)
		w.pieces = append(w.pieces, piece{buf: c.buf, starts: starts[:n], from: from, to: to, first: next})
		room -= int64(to - from)
		next += record.LSN(n)
		if n < len(starts) {
			break
		}
	}
	if len(w.pieces) == 0 {
		if need := w.oversize(); need > 0 {
			return need, nil
		}
	}
	p := w.pieces[len(w.pieces)-1]
	s.flights.board(p.first + record.LSN(len(p.starts)) - 1)
	return 0, nil
}

// oversize handles a first frame that is longer than the room there is: either
// the segment is full, or the frame alone is longer than a group may be.
func (w *writer) oversize() (need int64) {
	s := &w.st
	i, _ := s.tail.find(s.Flushed + 1)
	c := s.tail.chunks[i]
	k := int(s.Flushed + 1 - c.first)
	from, to := int(c.starts[k]), c.end(s.Flushed+1)
	if n := int64(to - from); n > s.room {
		return headerBytes + n + footerBytes
	}
	w.pieces = append(w.pieces, piece{buf: c.buf, starts: c.starts[k : k+1], from: from, to: to, first: s.Flushed + 1})
	return 0
}

// write seals, writes and syncs the group, and reports it flushed.
func (w *writer) write() error {
	k := &w.disk
	seg, off, log := k.seg, k.seg.end, k.seg.log
	w.marks = w.marks[:0]
	indexed := int64(0)
	if n := len(seg.index); n > 0 {
		indexed = seg.index[n-1].off
	}
	roll := k.roll
	for _, p := range w.pieces {
		for i, at := range p.starts {
			to := p.to
			if i+1 < len(p.starts) {
				to = int(p.starts[i+1])
			}
			where := off + int64(int(at)-p.from)
			seal(p.buf[at:to], kindEntry, seg.seed, seg.number, seg.end)
			roll = rolled(roll, p.buf[at:])
			if indexed == 0 || where-indexed >= indexEveryBytes {
				indexed = where
				w.marks = append(w.marks, mark{lsn: p.first + record.LSN(i), off: where, log: log + uint64(where-seg.end)})
			}
		}
		if err := writeAt(k.file, p.buf[p.from:p.to], off); err != nil {
			return w.fail("writing "+seg.name, err)
		}
		off += int64(p.to - p.from)
	}
	began := time.Now()
	if err := syncFile(k.file); err != nil {
		return w.fail("syncing "+seg.name, err)
	}
	w.syncs.Add(1)
	w.took += (time.Since(began) - w.took) / tookOver
	p := w.pieces[len(w.pieces)-1]
	newest := entryAt(p.buf[p.starts[len(p.starts)-1]:p.to])
	k.roll, k.term, k.owing = roll, newest.Term, true
	wake(w.flushed(seg, off, newest.LSN))
	return nil
}

// flushed makes it known that the log is durable through lsn, which ends at off.
// It returns how to wake those who waited for it, which is done outside of the
// mutex: most of them want that next.
func (w *writer) flushed(seg *segment, off int64, lsn record.LSN) (landed chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.st
	n := off - seg.end
	seg.last, seg.end, seg.log = lsn, off, seg.log+uint64(n)
	seg.index = append(seg.index, w.marks...)
	s.Flushed, s.durable = lsn, s.durable+uint64(n)
	s.room = seg.room()
	s.tail.evict(w.o.TailBytes, lsn)
	w.durable.Store(uint64(lsn))
	s.waits.space.all(nil)
	return s.flights.land()
}
