package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triad-kv/triad/topology"
)

// Open opens the store in o.Dir, or makes it there. It fails, and changes
// nothing that counts, where the directory cannot be written, is in use, was
// written by a newer version (ErrUnsupported), or is damaged: tables that do not
// hold what was written ([*DamageError]), a pointer that cannot be read
// (ErrMalformed), or whose generation is missing, are for a person to look at and
// never a reason to begin anew (bad input 62, 63).
//
// What is left of unfinished installs is removed, except a stage that may
// still be resumed.
func Open(o Options) (*Pebble, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: make %s: %w", o.Dir, err)
	}
	lock, err := pebble.LockDirectory(o.Dir, o.FS)
	switch {
	case errors.Is(err, syscall.EROFS) || errors.Is(err, iofs.ErrPermission):
		return nil, fmt.Errorf("store: %s cannot be written: %w", o.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("store: %s is in use: %w", o.Dir, err)
	}
	o.space = newSpace(o)
	p := &Pebble{
		o:      o,
		turn:   make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	p.all = &generations{o: o, cache: o.newCache(), lock: lock, closed: p.closed, failed: p.Failed}
	if err := p.load(); err != nil {
		if (pebble.IsCorruptionError(err) || isNotExist(err)) && !errors.Is(err, topology.ErrQuarantined) {
			err = &DamageError{File: o.Dir, Err: err}
		}
		return nil, errors.Join(fmt.Errorf("store: %w", err), p.all.abandon())
	}
	return p, nil
}

// load reads the pointer and opens what it names.
func (p *Pebble) load() error {
	at, found, err := readPointer(p.o.FS, p.o.Dir)
	if err != nil {
		return err
	}
	if !found {
		return p.begin()
	}
	// A process that died may have left a pointer that is not durable yet; what it
	// makes superfluous goes after.
	if err := syncDir(p.o.FS, p.o.Dir); err != nil {
		return err
	}
	if err := p.all.sweep(at.generation); err != nil {
		return err
	}
	g, err := p.all.open(at.generation, false, p.tellFailure)
	if err != nil {
		return err
	}
	p.pointer = at
	return p.adopt(g)
}

// begin makes the first generation and then the pointer to it. Without a
// pointer there may be the rest of a beginning that was cut short, which holds
// nothing; anything more is refused.
func (p *Pebble) begin() error {
	if err := syncAbove(p.o.FS, p.o.Dir); err != nil {
		return fmt.Errorf("make %s durable: %w", p.o.Dir, err)
	}
	numbers, err := p.all.list()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n != 1 {
			return fmt.Errorf("%s holds %s but no file %s: restore it, or move the directory away",
				p.o.Dir, generationName(n), pointerName)
		}
	}
	g, err := p.all.open(1, true, p.tellFailure)
	if err != nil {
		return err
	}
	if err := p.beginWith(g); err != nil {
		return errors.Join(err, p.all.end(g))
	}
	return p.adopt(g)
}

func (p *Pebble) beginWith(g *generation) error {
	if _, err := g.checkFormat(); err != nil {
		return err
	}
	applied, err := g.applied(g.db)
	if err != nil {
		return err
	}
	if applied > 0 {
		return fmt.Errorf("%s holds %s at position %d but no file %s: restore it, or move the directory away",
			p.o.Dir, generationName(1), applied, pointerName)
	}
	if err := g.mark(); err != nil {
		return err
	}
	p.pointer = pointer{generation: 1}
	_, err = writePointer(p.o, p.pointer)
	return err
}

// mark writes a fresh generation's format and further meta values, durably.
func (g *generation) mark(meta ...metaValue) error {
	if err := g.write(nil, append(meta, formatValue())...); err != nil {
		return err
	}
	return g.flush(context.Background())
}

// adopt makes a generation that was just opened the store's contents.
func (p *Pebble) adopt(g *generation) error {
	fresh, err := g.checkFormat()
	if err == nil && fresh {
		err = &DamageError{File: g.dir, Err: fmt.Errorf("it has no format: %w", topology.ErrMalformed)}
	}
	lsn, err2 := g.applied(g.db)
	p.applied.Store(uint64(lsn))
	p.current.Store(g)
	// From here on a failure of g is told as the store's; one before is seen here.
	if err := cmp.Or(err, err2, g.fence.err()); err != nil {
		return errors.Join(err, p.all.end(g))
	}
	p.o.space.adopt()
	g.fence.patient.Store(true)
	return nil
}

// Close makes what was applied durable, so that little is to be replayed, and
// releases everything. Snapshots that are still open keep their files, and the
// directory, until they are closed; that is an error, and they go on working.
func (p *Pebble) Close() error {
	var errs []error
	p.closing.Do(func() {
		p.turn <- struct{}{}
		defer p.giveTurn()
		if p.Failed() == nil {
			_, err := p.flush(context.Background())
			if err != nil && errors.Is(err, topology.ErrDiskFull) && p.Failed() == nil {
				p.o.Logger.Warn("closed on a full disk: what was applied last is not in the store's files", slog.Any("error", err))
				err = nil
			}
			errs = append(errs, err)
		}
		p.o.space.close()
		close(p.closed)
		if p.stage != nil {
			errs = append(errs, p.stage.Close())
		}
		g := p.current.Load()
		p.all.unref(g)
		errs = append(errs, p.all.reap())
		if n := p.snapshots.Load(); n > 0 {
			errs = append(errs, fmt.Errorf("store: closed with %d snapshots open", n))
			return
		}
		<-g.done
	})
	return errors.Join(errs...)
}
