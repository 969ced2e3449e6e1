package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/topology"
)

// A space is what a store knows of the room that its disk has left, and a reserve
// for the writes that can not wait for it.
//
// A table that finds no room is given up by Pebble and written again, at once and
// for ever; nothing rests on it yet, so the fence lets that error pass, and slows
// the attempts down to one in spacePause. Meanwhile the store lacks space: it is
// read, Apply takes what memory bears and then refuses with topology.ErrDiskFull,
// having taken nothing, as does Flush. What was not flushed stands in the log.
//
// What Pebble must be able to write, manifests and markers, and our own pointer,
// gets the reserve: a file of zeros that is removed where they find no room. From
// then on no table is begun until the reserve has been made again, so that those
// few bytes are not spent on tables. So much room is what it takes to go on, and
// nobody has to say so.
type space struct {
	fs     vfs.FS
	dir    string // of the store
	bytes  int64  // of the reserve
	table  int64  // of a table, about
	logger *slog.Logger

	lack    atomic.Pointer[error] // nil while there is room
	last    atomic.Int64          // when something last found none
	changed signal                // fired whenever something finds no space

	have   atomic.Bool // the reserve is there
	mu     sync.Mutex  // held over the reserve's file; guards what follows
	closed bool
	again  *time.Timer // nil before space was first found lacking
}

const (
	reserveName     = "reserve"
	reserveTempName = reserveName + ".tmp"
	reserveBytesMax = 4 << 20
	zerosBytes      = 64 << 10

	// spacePause is how long an attempt is held up that has found no space.
	spacePause = 5 * retryPause
	// spaceQuiet is how long nothing has to have found no space: what Pebble tries
	// again it tries sooner.
	spaceQuiet = 3 * spacePause
	// spaceAgain is how often a reserve is tried that found no space.
	spaceAgain = time.Second
)

func newSpace(o Options) *space {
	return &space{fs: o.FS, dir: o.Dir, bytes: min(reserveBytesMax, o.MemTableBytes), table: o.MemTableBytes, logger: o.Logger}
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// lacking is why the store takes no more than memory bears, nil while there is room.
func (s *space) lacking() error {
	if s == nil {
		return nil
	}
	if e := s.lack.Load(); e != nil {
		return *e
	}
	return nil
}

// lacks notes that there is no room, and returns what lacking does.
func (s *space) lacks(cause error) error {
	err := fmt.Errorf("store: %w: %s needs %d bytes: %w", topology.ErrDiskFull, s.dir, s.table+s.bytes, cause)
	s.last.Store(time.Now().UnixNano())
	first := s.lack.CompareAndSwap(nil, &err)
	s.changed.fire()
	if first {
		s.logger.Warn("the disk is full: the store waits for space", slog.String("dir", s.dir), slog.Int64("needed", s.table+s.bytes), slog.Any("error", cause))
		s.mu.Lock()
		s.wait()
		s.mu.Unlock()
	}
	return err
}

// wait looks again after a while whether the reserve can be made; mu is held.
// Tables Pebble tries by itself.
func (s *space) wait() {
	switch {
	case s.closed:
	case s.again == nil:
		s.again = time.AfterFunc(spaceAgain, s.look)
	default:
		s.again.Reset(spaceAgain)
	}
}

func (s *space) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.lacking() == nil {
		return
	}
	quiet := time.Since(time.Unix(0, s.last.Load())) > spaceQuiet // nothing is tried any more that has found none
	if s.make() == nil && quiet {
		s.found()
		return
	}
	s.wait()
}

// found is told that there was space: for a table, or for the reserve.
func (s *space) found() {
	if s.lacking() != nil && s.have.Load() && s.lack.Swap(nil) != nil {
		s.logger.Info("the disk has space again", slog.String("dir", s.dir))
	}
}

// close ends looking for space.
func (s *space) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed = true; s.again != nil {
		s.again.Stop()
	}
}

// restore makes the reserve, if it is not there.
func (s *space) restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.make()
}

func (s *space) make() error {
	if s.have.Load() {
		return nil
	}
	temp := s.fs.PathJoin(s.dir, reserveTempName)
	f, err := s.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	zeros := make([]byte, zerosBytes)
	for left := s.bytes; left > 0 && err == nil; left -= zerosBytes {
		_, err = f.Write(zeros[:min(left, zerosBytes)])
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.fs.Rename(temp, s.fs.PathJoin(s.dir, reserveName))
	}
	if err != nil {
		return errors.Join(err, s.fs.Remove(temp))
	}
	s.have.Store(true)
	return nil
}

// adopt looks for the reserve of an earlier start, and makes one. The store works
// without, only not through a full disk.
func (s *space) adopt() {
	_, err := s.fs.Stat(s.fs.PathJoin(s.dir, reserveName))
	s.have.Store(err == nil)
	if err := s.restore(); err != nil {
		s.logger.Warn("no reserve for a full disk", slog.String("dir", s.dir), slog.Any("error", err))
	}
}

// giveUp frees the reserve for a write that found no room, and reports whether
// there was one.
func (s *space) giveUp(cause error) bool {
	if s == nil {
		return false
	}
	s.lacks(cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.have.Swap(false) {
		return false
	}
	return s.fs.Remove(s.fs.PathJoin(s.dir, reserveName)) == nil
}

// with runs a step that may be run again, with the reserve's room if there is none
// else.
func (s *space) with(step func() error) error {
	err := step()
	if err != nil && isFull(err) && s.giveUp(err) {
		err = step()
	}
	return err
}

// patience is what a fence knows of space: the one of the store's contents waits for
// it, one of a stage fails.
type patience struct {
	patient atomic.Bool
	space   *space        // nil for none
	closing chan struct{} // closed when nobody needs to be slowed down any more
}

// spare is the reserve that a patient fence may fall back on, nil for none.
func (f *patience) spare() *space {
	if !f.patient.Load() {
		return nil
	}
	return f.space
}

// lacking is why a patient fence waits for space, nil where it does not.
func (f *patience) lacking() error { return f.spare().lacking() }

// lacks returns a channel that is closed once a patient fence has to wait for space.
// It is to be asked for before lacking.
func (f *patience) lacks() <-chan struct{} {
	if s := f.spare(); s != nil {
		return s.changed.next()
	}
	return nil
}

// noSpace reports whether an error says that a table found no room, which is not the
// end; it holds up whoever tries.
func (f *patience) noSpace(err error) bool {
	s := f.spare()
	if !isFull(err) || s == nil {
		return false
	}
	_ = s.lacks(err)
	f.slow(spacePause)
	return true
}

// wrote is told how a flush or a compaction ended.
func (f *patience) wrote(err error) {
	if s := f.spare(); err == nil && s != nil {
		s.found()
	}
}

// begin is asked before a table is begun: none may be while the reserve is not there.
func (f *patience) begin() error {
	if f.lacking() == nil {
		return nil
	}
	err := f.spare().restore()
	if err != nil && f.noSpace(err) {
		return err
	}
	return nil // the error is the table's to meet
}

func (f *patience) slow(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.closing:
	}
}
