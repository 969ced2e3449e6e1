package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// generations are the directories of one store and what those share that are
// open: the cache, and the lock of the directory above. The last one that is
// closed after the store gives both back.
type generations struct {
	o      Options
	cache  *pebble.Cache
	lock   io.Closer
	closed <-chan struct{} // the store is closed
	failed func() error    // why the store has failed, nil if it has not

	mu      sync.Mutex
	opened  int           // and not closed yet
	retired []*generation // nobody refers to them any more; to be closed
}

func (a *generations) path(n uint64) string {
	return a.o.FS.PathJoin(a.o.Dir, generationName(n))
}

// open opens a generation, or with create makes it if it is not there. The
// caller owns it; onFail is called with its first failure thereafter.
func (a *generations) open(n uint64, create bool, onFail func(*generation, error)) (*generation, error) {
	g, err := openGeneration(a.o, a.cache, n, create, onFail)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened++
	return g, nil
}

// list returns the numbers of the generations that have a directory, in no order.
func (a *generations) list() ([]uint64, error) {
	names, err := a.o.FS.List(a.o.Dir)
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
func (a *generations) sweep(current uint64) error {
	numbers, err := a.list()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n == current || n == current+1 {
			continue
		}
		if err := a.o.FS.RemoveAll(a.path(n)); err != nil {
			return fmt.Errorf("remove %s: %w", a.path(n), err)
		}
	}
	if err := a.o.FS.Remove(a.o.FS.PathJoin(a.o.Dir, pointerTempName)); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// release gives a reference back. A call that happens to hold the last one
// leaves the closing to the next who does I/O anyway, if there will be one.
func (a *generations) release(g *generation) {
	a.unref(g)
	select {
	case <-a.closed:
		a.reapQuietly()
	default:
	}
}

func (a *generations) unref(g *generation) {
	if g.refs.Add(-1) > 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.retired = append(a.retired, g)
}

// reap closes the generations to which nobody refers any more.
func (a *generations) reap() error {
	a.mu.Lock()
	retired := a.retired
	a.retired = nil
	a.mu.Unlock()
	var errs []error
	for _, g := range retired {
		errs = append(errs, a.end(g))
	}
	return errors.Join(errs...)
}

// reapQuietly is reap for those whom its errors do not concern.
func (a *generations) reapQuietly() {
	if err := a.reap(); err != nil {
		a.o.Logger.Warn("closing what is no longer used", slog.Any("error", err))
	}
}

// end closes a generation, and with the last one of a closed store the store.
func (a *generations) end(g *generation) error {
	defer close(g.done)
	err := g.close()
	if g.obsolete && a.failed() == nil {
		if err := a.o.FS.RemoveAll(g.dir); err != nil {
			a.o.Logger.Warn("a replaced generation stays until the next start", slog.String("dir", g.dir), slog.Any("error", err))
		}
	}
	a.mu.Lock()
	a.opened--
	last := a.opened == 0
	a.mu.Unlock()
	select {
	case <-a.closed:
		if last {
			err = errors.Join(err, a.abandon())
		}
	default:
	}
	return err
}

// abandon gives back what generations share; none is open.
func (a *generations) abandon() error {
	a.cache.Unref()
	return a.lock.Close()
}
