package wal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/topology"
)

// spareFile is a file that can become a segment: its blocks are there, and
// what stands in it no longer means anything.
type spareFile struct {
	file vfs.File
	name string
	size int64
}

// spares makes the next segment's file ahead of need, on a goroutine of its own
// ([spares.run]), out of retired segments where there are some.
type spares struct {
	d      folder
	o      Options
	logger *slog.Logger
	full   func(bool)          // told whether the disk is full
	broken func(string, error) // told of any other failure

	ready chan *spareFile // handed over here
	stuck chan error      // offered while the disk is full
	kick  chan struct{}   // space may have returned
	dead  chan struct{}   // closed when run has returned

	driven bool       // nobody runs it: see Driven
	ahead  *spareFile // made by provide, which then stands in for run

	mu       sync.Mutex // a leaf; guards what follows
	retired  []string   // spare files on disk that nobody holds
	number   uint64     // of the segment the next spare is for
	named    uint64     // the highest number a spare has had
	reserved bool       // the reserve stands on disk
}

func newSpares(d folder, o Options) *spares {
	return &spares{
		d: d, o: o, logger: o.Logger,
		ready: make(chan *spareFile),
		stuck: make(chan error),
		kick:  make(chan struct{}, 1),
		dead:  make(chan struct{}),
	}
}

// run makes one spare after another, each when the one before was taken.
func (p *spares) run(ctx context.Context) {
	defer close(p.dead)
	retry := time.NewTimer(spareRetry)
	defer retry.Stop()
	for warned := false; ; {
		s, err := p.next()
		switch {
		case err == nil:
			p.full(false)
			warned = false
			p.reserve()
			select {
			case p.ready <- s:
				p.taken(1)
			case <-ctx.Done():
				p.giveBack(s)
				return
			}
			continue
		case !isFull(err):
			p.broken("making a spare segment", err)
			return
		case !warned:
			p.logger.Warn("the disk is full: no spare segment", "dir", p.d.dir, "err", err)
			warned = true
		}
		p.full(true)
		retry.Reset(spareRetry)
		select {
		case p.stuck <- err:
		case <-p.kick:
		case <-retry.C:
		case <-ctx.Done():
			return
		}
	}
}

// next returns a spare of the planned length.
func (p *spares) next() (*spareFile, error) {
	p.mu.Lock()
	size := p.o.planned(p.number)
	p.mu.Unlock()
	for {
		name, ok := p.pop()
		if !ok {
			return p.create(size)
		}
		s, err := p.reuse(name)
		if err != nil || s.size >= size {
			return s, err
		}
		if err := errors.Join(s.file.Close(), p.d.remove(name)); err != nil {
			return nil, err
		}
	}
}

func (p *spares) pop() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.retired)
	if n == 0 {
		return "", false
	}
	name := p.retired[n-1]
	p.retired = p.retired[:n-1]
	return name, true
}

// reuse opens a spare that stands on disk. Its length is written again: after a
// failed sync a file may look longer than what a failure of the power leaves of
// it, and a segment must not be shorter than its header says.
func (p *spares) reuse(name string) (*spareFile, error) {
	f, err := p.d.edit(name)
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	size := stat.Size()
	if err := zero(f, max(0, size-headerBytes), size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spareFile{file: f, name: name, size: size}, nil
}

// create makes a spare of zeros, under its name only once it is whole.
func (p *spares) create(size int64) (*spareFile, error) {
	name := p.name()
	f, err := p.d.zeros(name+partExt, size)
	if err != nil {
		return nil, err
	}
	if err = p.d.rename(name+partExt, name); err == nil {
		err = p.d.sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spareFile{file: f, name: name, size: size}, nil
}

func (p *spares) name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.named++
	return spareName(p.named)
}

// taken counts the segments that were made, as the plan of lengths goes by it.
func (p *spares) taken(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number += n
}

// take waits for a spare of at least need bytes. Once ctx has ended and the disk
// is full it gives up the reserve to make one of all bytes.
func (p *spares) take(ctx context.Context, need, all int64) (*spareFile, error) {
	s, err := p.wait(ctx, all)
	if err != nil || s.size >= need {
		return s, err
	}
	if err := zero(s.file, s.size, need); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	s.size = need
	return s, nil
}

func (p *spares) wait(ctx context.Context, all int64) (*spareFile, error) {
	if p.driven {
		return p.handOver()
	}
	select {
	case s := <-p.ready:
		return s, nil
	case <-p.dead:
		return nil, errNoSpare
	case <-ctx.Done():
	}
	select {
	case s := <-p.ready:
		return s, nil
	case <-p.dead:
		return nil, errNoSpare
	case err := <-p.stuck:
		if p.giveUpReserve() {
			return p.create(all)
		}
		return nil, err
	}
}

var errNoSpare = errors.New("no spare segment can be made")

// retire keeps a segment's file as a spare, or removes it if there are enough.
// The caller syncs the directory.
func (p *spares) retire(name string, size int64) error {
	p.mu.Lock()
	keep := len(p.retired) < sparesMax && size == p.o.SegmentBytes
	p.mu.Unlock()
	if !keep {
		return p.d.remove(name)
	}
	spare := p.name()
	if err := p.d.rename(name, spare); err != nil {
		return err
	}
	p.keep(spare)
	return nil
}

func (p *spares) keep(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = append(p.retired, name)
}

// adopt takes over the spares that recovery found, and removes what is too much.
func (p *spares) adopt(numbers []uint64) error {
	for i, n := range numbers {
		p.named = max(p.named, n)
		if i >= sparesMax {
			if err := p.d.remove(spareName(n)); err != nil {
				return err
			}
			continue
		}
		p.keep(spareName(n))
	}
	_, err := p.d.fs.Stat(p.d.path(reserveName))
	if p.reserved = err == nil; errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}

// giveBack closes a spare that nobody took. Its file stays, for the next time.
func (p *spares) giveBack(s *spareFile) {
	if err := s.file.Close(); err != nil {
		p.logger.Warn("closing a spare segment", "file", s.name, "err", err)
	}
	p.keep(s.name)
}

// reserve keeps some space back for the day the disk is full. A failure is only
// a warning: the log works without.
func (p *spares) reserve() {
	p.mu.Lock()
	have := p.reserved
	p.mu.Unlock()
	if have {
		return
	}
	f, err := p.d.zeros(reserveName+partExt, min(reserveBytesMax, p.o.SegmentBytes))
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = p.d.rename(reserveName+partExt, reserveName)
	}
	if err == nil {
		err = p.d.sync()
	}
	if err != nil {
		p.logger.Warn("no reserve for a full disk", "dir", p.d.dir, "err", err)
		return
	}
	p.mu.Lock()
	p.reserved = true
	p.mu.Unlock()
}

// giveUpReserve frees the reserve, and reports whether there was one.
func (p *spares) giveUpReserve() bool {
	p.mu.Lock()
	have := p.reserved
	p.reserved = false
	p.mu.Unlock()
	if !have {
		return false
	}
	err := p.d.remove(reserveName)
	if err == nil {
		err = p.d.sync()
	}
	if err != nil {
		p.logger.Warn("giving up the reserve", "dir", p.d.dir, "err", err)
		return false
	}
	p.logger.Warn("the disk is full: the reserve was given up", "dir", p.d.dir)
	return true
}

// roomFor runs a step that needs a little space, once more with the reserve's if
// the disk is full.
func (p *spares) roomFor(step func() error) error {
	err := step()
	if err != nil && isFull(err) && p.giveUpReserve() {
		err = step()
	}
	if err != nil && isFull(err) {
		return fmt.Errorf("log: %w: %w", topology.ErrDiskFull, err)
	}
	return err
}

// poke says that space may have returned.
func (p *spares) poke() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}
