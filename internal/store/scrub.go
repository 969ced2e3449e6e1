package store

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/topology"
)

// ScrubReport is what one pass of [Pebble.Scrub] has read.
type ScrubReport struct {
	Tables int
	Bytes  uint64
}

// DamageError says which file of a store no longer holds what was written. It is
// topology.ErrQuarantined, and what it wraps.
type DamageError struct {
	File string
	Err  error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("store file %s does not hold what was written: %v; keep this directory for inspection, "+
		"and let the node start with an empty one and catch up from its peers", e.File, e.Err)
}

func (e *DamageError) Unwrap() []error { return []error{topology.ErrQuarantined, e.Err} }

// Scrub reads every table of the store's contents, and checks the sum of every
// block; and the pointer. It may run at any time beside everything else. pace is
// called before every read with its bytes, and may wait; its error ends the pass.
// Tables that are compacted away meanwhile are left out. The manifest of Pebble is
// checked when it is opened.
//
// A store that is damaged fails with a [*DamageError], which is returned: nothing
// of it is to be read any more (T4).
func (p *Pebble) Scrub(ctx context.Context, pace func(ctx context.Context, bytes int) error) (ScrubReport, error) {
	var r ScrubReport
	if err := (&scrub{p: p}).pointer(ctx); err != nil {
		return r, err
	}
	for {
		g, err := p.acquire()
		if err != nil {
			return r, err
		}
		s := scrub{ScrubReport: &r, p: p, g: g, pace: func(n int) error {
			r.Bytes += uint64(n)
			return pace(ctx, n)
		}}
		err = s.tables()
		p.all.release(g)
		if !errors.Is(err, errReplaced) {
			return r, err
		}
	}
}

// errReplaced ends a pass over a generation that is no longer the store's contents.
var errReplaced = errors.New("the store's contents were replaced")

// scrub is one pass over one generation.
type scrub struct {
	*ScrubReport
	p    *Pebble
	g    *generation
	pace func(int) error
}

// goOn is called before every read.
func (s *scrub) goOn(n int) error {
	select {
	case <-s.p.closed:
		return topology.ErrClosed
	default:
	}
	if s.p.current.Load() != s.g {
		return errReplaced
	}
	return s.pace(n)
}

func (s *scrub) tables() error {
	tables, err := s.g.tables()
	if err != nil {
		return err
	}
	for name := range tables {
		t := pacedTable{pace: s.goOn}
		err := t.check(s.p.o.FS, s.p.o.FS.PathJoin(s.g.dir, name))
		switch {
		case err == nil:
			s.Tables++
			continue
		case t.stopped != nil:
			return t.stopped
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, iofs.ErrPermission):
			return err // that says nothing of the table
		}
		now, lerr := s.g.tables()
		if lerr != nil {
			return lerr
		}
		if now[name] {
			damage := &DamageError{File: s.p.o.FS.PathJoin(s.g.dir, name), Err: err}
			s.g.fence.fail(damage)
			return s.p.generationFailed(s.g, damage)
		}
	}
	return nil
}

// pointer holds the pointer on disk against what was written last.
func (s *scrub) pointer(ctx context.Context) error {
	p := s.p
	if err := p.takeTurn(ctx); err != nil {
		return err
	}
	defer p.giveTurn()
	at, found, err := readPointer(p.o.FS, p.o.Dir)
	switch {
	case err == nil && !found:
		err = errors.New("it is gone")
	case err == nil && at != p.pointer:
		err = fmt.Errorf("it names generation %d flushed to %d, not %d and %d", at.generation, at.flushed, p.pointer.generation, p.pointer.flushed)
	}
	if err != nil {
		return p.fail(&DamageError{File: p.o.FS.PathJoin(p.o.Dir, pointerName), Err: err})
	}
	return nil
}

// tables are the names of the files that hold the generation's cells.
func (g *generation) tables() (map[string]bool, error) {
	levels, err := g.db.SSTables()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, level := range levels {
		for _, t := range level {
			names[t.BackingSSTNum.String()+".sst"] = true
		}
	}
	return names, nil
}

// pacedTable is a table that is read past Pebble, whose cache it leaves alone.
type pacedTable struct {
	vfs.File
	pace    func(int) error
	stopped error // the pace's error, which says nothing of the table
}

func (t *pacedTable) ReadAt(b []byte, off int64) (int, error) {
	if t.stopped == nil {
		t.stopped = t.pace(len(b))
	}
	if t.stopped != nil {
		return 0, t.stopped
	}
	return t.File.ReadAt(b, off)
}

// check reads all blocks of the table in a file.
func (t *pacedTable) check(fs vfs.FS, path string) (err error) {
	if t.File, err = fs.Open(path); err != nil {
		return err
	}
	in, err := sstable.NewSimpleReadable(t)
	if err != nil {
		return errors.Join(err, t.File.Close())
	}
	policy := bloom.FilterPolicy(bloomBitsPerKey)
	r, err := sstable.NewReader(context.Background(), in, sstable.ReaderOptions{
		Filters: map[string]sstable.FilterPolicy{policy.Name(): policy},
	})
	if err != nil {
		return errors.Join(err, in.Close())
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}
