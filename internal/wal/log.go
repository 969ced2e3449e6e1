package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Log is one node's log. Open reads it, Run writes it until its context ends,
// Close releases it. All other methods are safe for concurrent use, before,
// while and after Run runs.
type Log struct {
	o      Options
	d      folder
	spares *spares

	edit chan struct{} // who has put a token in may change which segments there are, and owns man
	man  manifest
	pen  chan struct{} // who has put a token in may write segments, and owns disk; taken after edit
	disk disk

	work chan struct{} // tells an idle writer that there is work
	done chan struct{} // closed when Run has returned

	epoch atomic.Uint64 // grows, under mu, with every cut, retirement and restart, and with Close

	durable atomic.Uint64 // st.Flushed, for those who have just been woken
	syncs   atomic.Uint64 // of entries

	mu sync.Mutex // a leaf; guards st
	st state
}

var _ topology.GroupLog = (*Log)(nil)

type phase uint8

const (
	opened   phase = iota
	running        // Run runs
	stopping       // Run writes what was appended, and nothing more is taken
	stopped        // Run has returned
	closed
)

// state is what the mutex guards. Its methods do no I/O and wait for nothing.
type state struct {
	phase  phase
	err    error // the failure that ended the log
	begun  bool  // there is a segment
	frozen bool  // a cut is under way: nothing is appended
	idle   bool  // the writer waits for work
	full   bool  // the next segment cannot be made: the disk is full
	cancel context.CancelFunc
	notify func(topology.Bounds, error)

	topology.Bounds
	cluster [16]byte
	history topology.History
	offset  uint64 // bytes of frames in the log through End
	durable uint64 // the same through Flushed
	room    int64  // bytes of frames the open segment still takes behind Flushed
	tail    tail
	segs    []*segment
	cuts    cuts
	enc     *record.Encoder
	waits   waits
	flights flights
}

// waits are those who wait, by what they wait for.
type waits struct {
	arrival waitList // an LSN to be there
	space   waitList // to append
}

// Bounds returns the log's positions.
func (l *Log) Bounds() topology.Bounds {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st.Bounds
}

// History tells where each term of the log starts. The slice is shared: read only.
func (l *Log) History() topology.History {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st.history
}

// Offset returns how many bytes of frames the log has had through lsn. It is
// exact for what is in memory and at every mark of the index (64 KiB apart),
// and between two marks divided evenly. It survives a restart.
func (l *Log) Offset(lsn record.LSN) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st.offsetOf(lsn)
}

func (s *state) offsetOf(lsn record.LSN) uint64 {
	if lsn >= s.End {
		return s.offset
	}
	if i, ok := s.tail.find(lsn); ok {
		c := s.tail.chunks[i]
		return c.base + uint64(c.end(lsn))
	}
	if len(s.segs) == 0 {
		return 0
	}
	for i := len(s.segs) - 1; i > 0; i-- {
		if s.segs[i].first <= lsn {
			return s.segs[i].offsetOf(lsn)
		}
	}
	if lsn < s.First {
		return s.segs[0].offset
	}
	return s.segs[0].offsetOf(lsn)
}

// Syncs returns how often entries of l were made durable since it was opened.
func Syncs(l *Log) uint64 { return l.syncs.Load() }

// Notify makes the log call f after every flush, and once with its error when
// it fails. f runs on the goroutine of Run and must not block.
func (l *Log) Notify(f func(topology.Bounds, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.st.notify = f
}

// tell calls who asked to be notified.
func (l *Log) tell(err error) {
	l.mu.Lock()
	f, b := l.st.notify, l.st.Bounds
	l.mu.Unlock()
	if f != nil {
		f(b, err)
	}
}

// Failed returns the failure that ended the log, nil while it is healthy. It is
// topology.ErrFailed, or topology.ErrDiskFull where the disk had no space.
func (l *Log) Failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st.err
}

// fail ends the log for good (W4) and returns what its callers see.
func (l *Log) fail(doing string, cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.st
	if s.err == nil {
		s.err = failure(doing, cause)
		s.release(s.err)
		if s.cancel != nil {
			s.cancel()
		}
	}
	return s.err
}

// release answers everybody who waits.
func (s *state) release(err error) {
	s.flights.all()
	s.waits.arrival.all(err)
	s.waits.space.all(nil)
}

// ended returns why the log takes no more, nil while it does.
func (s *state) ended() error {
	switch {
	case s.err != nil:
		return s.err
	case s.phase >= stopping:
		return fmt.Errorf("log: %w", topology.ErrClosed)
	}
	return nil
}

// writable returns why nothing may be appended or cut, nil if it may.
func (s *state) writable() error {
	if err := s.ended(); err != nil || s.begun {
		return err
	}
	return fmt.Errorf("log: its cluster is not known yet: %w", topology.ErrUnavailable)
}

// Wait returns once the log holds an entry after lsn. Its errors are those of
// Flushed; ErrRewound says that lsn itself was cut off.
func (l *Log) Wait(ctx context.Context, after record.LSN) error {
	l.mu.Lock()
	s := &l.st
	switch {
	case s.End > after:
		l.mu.Unlock()
		return nil
	case s.err != nil || s.phase >= stopped:
		err := s.ended()
		l.mu.Unlock()
		return err
	}
	w := s.waits.arrival.add(after + 1)
	l.mu.Unlock()
	var err error
	select {
	case err = <-w.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	s.waits.arrival.leave(w)
	l.mu.Unlock()
	return err
}

// Cluster returns the id the log belongs to, zero if it is not known yet.
func (l *Log) Cluster() [16]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st.cluster
}

// SetCluster tells a new log which cluster it belongs to, and makes its first
// segment. On a log that belongs to that cluster it does nothing; another one is
// a [*ForeignError].
func (l *Log) SetCluster(id [16]byte) error {
	l.edit <- struct{}{}
	defer func() { <-l.edit }()
	l.pen <- struct{}{}
	defer func() { <-l.pen }()
	l.mu.Lock()
	begun, have, err := l.st.begun, l.st.cluster, l.st.ended()
	l.mu.Unlock()
	switch {
	case err != nil:
		return err
	case begun && have == id:
		return nil
	case begun:
		return &ForeignError{File: manifestName, Cluster: have, Expected: id, Node: l.o.Node, Self: l.o.Node}
	case id == [16]byte{}:
		return errors.New("log: a cluster id of zeros")
	}
	if err := l.begin(id); err != nil {
		return l.fail("making its first segment", err)
	}
	return nil
}

// Close releases the log. If Run still runs, Close ends it, and returns when it
// has written what was appended. What was appended and never written, because
// Run never ran, is gone.
func (l *Log) Close() error {
	l.mu.Lock()
	s := &l.st
	was := s.phase
	if was == closed {
		l.mu.Unlock()
		return nil
	}
	s.phase = max(was, stopping) // Run, if it is called now, refuses
	s.waits.space.all(nil)
	if was == opened {
		close(l.done)
	}
	if s.cancel != nil {
		s.cancel()
	}
	l.mu.Unlock()
	<-l.done
	l.edit <- struct{}{} // a cut under way ends first
	defer func() { <-l.edit }()
	l.pen <- struct{}{}
	defer func() { <-l.pen }()
	l.mu.Lock()
	s.phase = closed
	s.release(s.ended())
	s.tail, s.segs = tail{}, nil
	l.epoch.Add(1)
	l.mu.Unlock()
	return l.disk.close()
}
