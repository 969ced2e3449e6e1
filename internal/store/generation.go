package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// storeFormat is the version of everything this package writes: physical keys,
// meta keys, the pointer and the names of directories. An older binary refuses
// a newer one.
const storeFormat = 1

// A generation is one Pebble directory, store-000001 and up: the store's
// contents since it was made or since the last Install, or a stage's. It is
// counted: its owner holds one reference, every snapshot one, and every call
// one while it lasts. Who gives the last one back retires it.
type generation struct {
	number uint64
	dir    string
	db     *pebble.DB
	fence  *fence
	layers *layers
	writer writer // of the one goroutine that writes: a stage's, or who holds the pen
	refs   atomic.Int64

	bufferBytes int64           // of one write buffer
	unmeasured  atomic.Int64    // bytes written since room was last measured
	progress    signal          // a flush or a compaction has ended
	flushing    <-chan struct{} // a flush that found no space, and is tried on; who flushes has a turn
	obsolete    bool            // its directory goes with it; set before the owner lets go
	done        chan struct{}
}

const generationPrefix = "store-"

func generationName(n uint64) string { return fmt.Sprintf("%s%06d", generationPrefix, n) }

// parseGeneration reads the number of a generation from its directory's name.
func parseGeneration(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, generationPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && generationName(n) == name
}

// openGeneration is generations.open for one that is not counted yet.
func openGeneration(o Options, cache *pebble.Cache, number uint64, create bool, onFail func(*generation, error)) (*generation, error) {
	g := &generation{
		number:      number,
		dir:         o.FS.PathJoin(o.Dir, generationName(number)),
		bufferBytes: o.MemTableBytes,
		layers:      newLayers(o.MemTableBytes),
		done:        make(chan struct{}),
	}
	if _, err := o.FS.Stat(g.dir); err != nil && !(create && isNotExist(err)) {
		return nil, fmt.Errorf("open %s: %w", g.dir, err)
	}
	if err := checkPebbleFormat(o, g.dir); err != nil {
		return nil, err
	}
	g.fence = newFence(o.FS, func(err error) { onFail(g, err) })
	g.fence.space = o.space
	po := o.pebble(g.fence, cache, g.progress.fire)
	po.ErrorIfNotExists = !create
	db, err := pebble.Open(g.dir, po)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", g.dir, err)
	}
	g.db = db
	g.writer = writer{db: db, batch: db.NewBatch(pebble.WithMaxRetainedSizeBytes(batchKeptBytes))}
	g.refs.Store(1)
	g.fence.running.Store(true)
	if err := g.fence.err(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", g.dir, err), g.close())
	}
	return g, nil
}

// checkPebbleFormat refuses a directory that a newer version has written,
// before anything in it is touched.
func checkPebbleFormat(o Options, dir string) error {
	v, err := atomicfs.ReadMarker(o.FS, dir, pebbleFormatMarker)
	if isNotExist(err) || err == nil && v == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	found, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return fmt.Errorf("open %s: Pebble format %q: %w", dir, v, topology.ErrMalformed)
	}
	if found > uint64(pebbleFormat) {
		return fmt.Errorf("open %s: Pebble format %d, this version knows %d; upgrade this node: %w",
			dir, found, pebbleFormat, topology.ErrUnsupported)
	}
	return nil
}

// close releases a generation to which nobody holds a reference any more.
func (g *generation) close() (err error) {
	close(g.fence.closing)
	if err := g.fence.lacking(); err != nil { // Pebble would try on for ever, and Close wait for it
		g.fence.running.Store(false)
		g.fence.fail(err)
	}
	err = g.writer.close()
	if g.fence.err() != nil {
		// What Pebble does after a failure it reported as fatal is not
		// defined. The failure has been told; what follows from it has not
		// to be, not even a panic.
		defer func() {
			recover()
			err = nil
		}()
	}
	return errors.Join(err, g.db.Close())
}

// retain takes a reference, unless the last one is gone.
func (g *generation) retain() bool {
	for {
		n := g.refs.Load()
		if n == 0 {
			return false
		}
		if g.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// flush returns once everything written before the call is durable. If ctx
// ends first, it goes on behind the caller's back, as it does where it finds no space.
func (g *generation) flush(ctx context.Context) error {
	for first := true; first; {
		lacks := g.fence.lacks()
		if first = g.flushing != nil; !first { // one that found no space goes on, and covers less
			done, err := g.db.AsyncFlush()
			if err != nil {
				g.fence.fail(err)
				return err
			}
			g.flushing = done
		}
		select {
		case <-g.flushing:
		case <-g.fence.failed:
		case <-lacks:
			if err := g.fence.lacking(); err != nil {
				return err
			}
			first = true // it was somebody else's, and is over
			continue
		case <-ctx.Done():
			g.flushing = nil
			return ctx.Err()
		}
		g.flushing = nil
	}
	// Pebble may believe that it is done where the fence knows better.
	return g.fence.err()
}

// room waits until there is room for another batch: until less than
// writeBuffersMax buffers wait for the disk, and a read has fewer than
// sublevelsMax layers to look through. It measures at every quarter buffer.
func (g *generation) room(stop <-chan struct{}) error {
	if g.unmeasured.Load() < g.bufferBytes/4 {
		return nil
	}
	for {
		again, lacks := g.progress.next(), g.fence.lacks()
		if g.roomy() {
			g.unmeasured.Store(0)
			return nil
		}
		if err := g.fence.lacking(); err != nil {
			return err
		}
		select {
		case <-again:
		case <-lacks:
		case <-g.fence.failed:
			return g.fence.err()
		case <-stop:
			return topology.ErrClosed
		}
	}
}

// roomy reports whether there is room for another batch now.
func (g *generation) roomy() bool {
	m := g.db.Metrics()
	return m.MemTable.Size < uint64(writeBuffersMax*g.bufferBytes) && m.Levels[0].Sublevels < sublevelsMax
}

// get reads a physical key from r, nil if it is not there; the caller owns the result.
func (g *generation) get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil, g.fence.err()
	case err != nil:
		g.fence.fail(err)
		return nil, err
	}
	out := make([]byte, len(v))
	copy(out, v)
	if err := closer.Close(); err != nil {
		g.fence.fail(err)
	}
	return out, g.fence.err()
}

// applied reads the applied position from r, 0 if none was ever written.
func (g *generation) applied(r pebble.Reader) (record.LSN, error) {
	b, err := g.get(r, metaApplied)
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%s: applied position of %d bytes: %w", g.dir, len(b), topology.ErrMalformed)
	}
	return record.LSN(binary.BigEndian.Uint64(b)), nil
}

// checkFormat refuses a store that a newer version has written. A generation
// without a format is one whose making was cut short: fresh.
func (g *generation) checkFormat() (fresh bool, err error) {
	b, err := g.get(g.db, metaFormat)
	switch {
	case err != nil:
		return false, err
	case b == nil:
		return true, nil
	case len(b) != 4:
		return false, fmt.Errorf("%s: format of %d bytes: %w", g.dir, len(b), topology.ErrMalformed)
	}
	return false, checkFormat(g.dir, uint64(binary.BigEndian.Uint32(b)))
}

func checkFormat(path string, found uint64) error {
	if found > storeFormat {
		return fmt.Errorf("%s: store format %d, this version knows %d; upgrade this node: %w",
			path, found, storeFormat, topology.ErrUnsupported)
	}
	return nil
}

// signal tells whoever waits that something has happened.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// next returns a channel that is closed when the signal is next given.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
