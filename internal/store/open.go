package store

import (
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
// written by a newer version (ErrUnsupported), or is damaged: a pointer that
// cannot be read (ErrMalformed), or whose generation is missing, is for a
// person to look at and never a reason to begin anew (bad input 62, 63).
//
// What is left of unfinished installs is removed, except a stage that may
// still be resumed.
func Open(o Options) (*Pebble, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := makeDir(o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("store: make %s: %w", o.Dir, err)
	}
	lock, err := pebble.LockDirectory(o.Dir, o.FS)
	switch {
	case errors.Is(err, syscall.EROFS) || errors.Is(err, iofs.ErrPermission):
		return nil, fmt.Errorf("store: %s cannot be written: %w", o.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("store: %s is in use: %w", o.Dir, err)
	}
	p := &Pebble{
		o:      o,
		cache:  o.newCache(),
		lock:   lock,
		turn:   make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	if err := p.load(); err != nil {
		p.cache.Unref()
		return nil, errors.Join(fmt.Errorf("store: %w", err), lock.Close())
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
	if err := p.sweep(at.generation); err != nil {
		return err
	}
	g, err := p.openGeneration(at.generation, false)
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
	numbers, err := p.generations()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n != 1 {
			return fmt.Errorf("%s holds %s but no file %s: restore it, or move the directory away",
				p.o.Dir, generationName(n), pointerName)
		}
	}
	g, err := p.openGeneration(1, true)
	if err != nil {
		return err
	}
	if applied, err := g.applied(g.db); err != nil || applied > 0 {
		if err == nil {
			err = fmt.Errorf("%s holds %s at position %d but no file %s: restore it, or move the directory away",
				p.o.Dir, generationName(1), applied, pointerName)
		}
		return errors.Join(err, p.end(g))
	}
	if err := g.mark(); err != nil {
		return errors.Join(err, p.end(g))
	}
	p.pointer = pointer{generation: 1}
	if err := writePointer(p.o.FS, p.o.Dir, p.pointer); err != nil {
		return errors.Join(err, p.end(g))
	}
	return p.adopt(g)
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
		err = fmt.Errorf("%s has no format: %w", g.dir, topology.ErrMalformed)
	}
	lsn, err2 := g.applied(g.db)
	if err := errors.Join(err, err2); err != nil {
		return errors.Join(err, p.end(g))
	}
	p.applied.Store(uint64(lsn))
	p.current.Store(g)
	return nil
}

func (p *Pebble) openGeneration(number uint64, create bool) (*generation, error) {
	g, err := openGeneration(p.o, p.cache, number, create, func(g *generation, err error) { _ = p.generationFailed(g, err) })
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.open++
	p.mu.Unlock()
	return g, nil
}

// generations lists the generations that have a directory, in no order.
func (p *Pebble) generations() ([]uint64, error) {
	names, err := p.o.FS.List(p.o.Dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := parseGeneration(name); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// sweep removes every generation but the current one and the next, which is
// the stage if there is one. What is in the way of a stage it removes itself.
func (p *Pebble) sweep(current uint64) error {
	numbers, err := p.generations()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n == current || n == current+1 {
			continue
		}
		if err := p.o.FS.RemoveAll(p.o.FS.PathJoin(p.o.Dir, generationName(n))); err != nil {
			return fmt.Errorf("remove %s: %w", generationName(n), err)
		}
	}
	if err := p.o.FS.Remove(p.o.FS.PathJoin(p.o.Dir, pointerTempName)); err != nil && !isNotExist(err) {
		return err
	}
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
			errs = append(errs, err)
		}
		close(p.closed)
		if p.stage != nil {
			errs = append(errs, p.stage.Close())
		}
		g := p.current.Load()
		p.unref(g)
		errs = append(errs, p.reap())
		if n := p.snapshots.Load(); n > 0 {
			errs = append(errs, fmt.Errorf("store: closed with %d snapshots open", n))
			return
		}
		<-g.done
	})
	return errors.Join(errs...)
}

// reap closes the generations to which nobody refers any more.
func (p *Pebble) reap() error {
	p.mu.Lock()
	retired := p.retired
	p.retired = nil
	p.mu.Unlock()
	var errs []error
	for _, g := range retired {
		errs = append(errs, p.end(g))
	}
	return errors.Join(errs...)
}

// reapQuietly is reap for those whom it does not concern.
func (p *Pebble) reapQuietly() {
	if err := p.reap(); err != nil {
		p.o.Logger.Warn("closing what is no longer used", slog.Any("error", err))
	}
}

// end closes a generation, and with the last one of a closed store the store.
func (p *Pebble) end(g *generation) error {
	defer close(g.done)
	err := g.close()
	if g.obsolete && p.Failed() == nil {
		if err := p.o.FS.RemoveAll(g.dir); err != nil {
			p.o.Logger.Warn("a replaced generation stays until the next start", slog.String("dir", g.dir), slog.Any("error", err))
		}
	}
	p.mu.Lock()
	p.open--
	last := p.open == 0
	p.mu.Unlock()
	select {
	case <-p.closed:
		if last {
			p.cache.Unref()
			err = errors.Join(err, p.lock.Close())
		}
	default:
	}
	return err
}
