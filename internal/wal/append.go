package wal

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Append gives rs the next LSNs in term and returns the last of them. It does
// not wait for the disk, but blocks while more than UnflushedBytesMax is not
// yet durable; failure and Close unblock it. All of rs is appended or nothing.
//
// A term below the log's last is an [*OrderError]. A record without mutations is
// ErrMalformed, one of more than record.RecordBytesMax encoded bytes
// ErrTooLarge. ErrDiskFull, while the log is healthy, says that there is no
// space for another segment; it goes away with its cause.
func (l *Log) Append(term uint64, rs ...record.Record) (record.LSN, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.st
	if err := l.admit(); err != nil {
		return 0, err
	}
	if term < s.history.Last() {
		return 0, &OrderError{LSN: s.End + 1, Next: s.End + 1, Term: term, Last: s.history.Last()}
	}
	g := s.tail.stage(s.End, s.offset)
	for i := range rs {
		if len(rs[i].Mutations) == 0 {
			g.drop()
			return 0, fmt.Errorf("log: record %d of %d has no mutations: %w", i+1, len(rs), topology.ErrMalformed)
		}
		if n := g.encode(s.enc, term, &rs[i]); n > record.RecordBytesMax {
			g.drop()
			return 0, fmt.Errorf("log: record of %d bytes, at most %d: %w", n, record.RecordBytesMax, topology.ErrTooLarge)
		}
	}
	if err := s.fits(&g); err != nil {
		return 0, err
	}
	if len(rs) > 0 {
		s.history = grown(s.history, term, s.End+1)
	}
	s.commit(&g, l.work)
	return s.End, nil
}

// Copy places entries of another log verbatim, and blocks as Append does. They
// must continue the log in LSN and term, or it is an [*OrderError]. Their sums
// are taken over, not computed again: whoever received them has checked them
// (record.NextEntry), and every read from the disk will.
func (l *Log) Copy(es ...record.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.st
	if err := l.admit(); err != nil {
		return err
	}
	next, last := s.End+1, s.history.Last()
	for i := range es {
		e := &es[i]
		if e.LSN != next || e.Term < last {
			return &OrderError{LSN: e.LSN, Next: next, Term: e.Term, Last: last}
		}
		switch n := len(e.Bytes); {
		case n == 0:
			return fmt.Errorf("log: entry %d is empty: %w", e.LSN, topology.ErrMalformed)
		case n > record.RecordBytesMax:
			return fmt.Errorf("log: record of %d bytes, at most %d: %w", n, record.RecordBytesMax, topology.ErrTooLarge)
		}
		next, last = next+1, e.Term
	}
	g := s.tail.stage(s.End, s.offset)
	for i := range es {
		g.copy(es[i])
	}
	if err := s.fits(&g); err != nil {
		return err
	}
	for i := range es {
		s.history = grown(s.history, es[i].Term, es[i].LSN)
	}
	s.commit(&g, l.work)
	return nil
}

// admit waits, without the mutex, until something may be appended.
func (l *Log) admit() error {
	s := &l.st
	for {
		if err := s.writable(); err != nil {
			return err
		}
		if !s.frozen && s.offset-s.durable <= uint64(l.o.UnflushedBytesMax) {
			return nil
		}
		if s.full && !s.frozen {
			return errFull()
		}
		w := s.waits.space.add(0)
		l.mu.Unlock()
		<-w.done
		l.mu.Lock()
		s.waits.space.leave(w)
	}
}

// fits refuses, while there is no space for another segment, what the open one
// does not take: so what was accepted can be written.
func (s *state) fits(g *staged) error {
	if s.full && g.offset-s.durable > uint64(max(s.room, 0)) {
		g.drop()
		return errFull()
	}
	return nil
}

func errFull() error {
	return fmt.Errorf("log: no space for another segment: %w", topology.ErrDiskFull)
}

// commit makes what was staged part of the log, and tells an idle writer.
func (s *state) commit(g *staged, work chan<- struct{}) {
	s.Bytes += g.offset - s.offset
	s.End, s.offset = g.lsn, g.offset
	s.waits.arrival.reach(s.End)
	if s.idle {
		s.idle = false
		select {
		case work <- struct{}{}:
		default:
		}
	}
}
