package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Pebble is a [topology.Store] on cockroachdb/pebble. Every method is safe for
// concurrent use.
//
// What is applied stands in a front first, which goes to Pebble when it is full,
// when a snapshot is taken, and before a flush (front, layers).
//
// Locks: turn, a slot of one, is held over the disk by whoever replaces the
// pointer or the stage; a stage has a turn of its own, taken after the store's.
// write is held over an Apply, or over the switch of generations, and guards
// what they change; nothing is done with the disk under it. A generation's pen
// is held over a batch that brings a front to Pebble; nothing is written to the
// disk under it, but where the batch removes a whole key its cells are read.
type Pebble struct {
	o   Options
	all *generations

	turn    chan struct{}
	pointer pointer // what stands on disk; changed with the turn and write held
	stage   *stage  // the last one opened; under the turn
	written uint64  // the batches that the last flush covered; under the turn

	write   sync.Mutex
	current atomic.Pointer[generation] // changes with write held
	applied atomic.Uint64              // grows with write held
	batches uint64                     // how many were applied; under write

	failed    atomic.Pointer[error]
	closed    chan struct{}
	closing   sync.Once
	snapshots atomic.Int64 // open
}

var _ topology.Store = (*Pebble)(nil)

// Apply is [topology.Store.Apply]. It writes nothing to the disk, but waits for
// it while a front is full behind another, and so while writeBuffersMax buffers
// are or reads have become too deep. Where it would wait for space, it is
// topology.ErrDiskFull, and nothing was taken: it may be called again. More than
// 256 MiB at once is ErrTooLarge.
func (p *Pebble) Apply(lsn record.LSN, edits []topology.Edit) error {
	if err := checkSize(edits); err != nil {
		return err
	}
	if err := p.room(); err != nil {
		return err
	}
	p.write.Lock()
	defer p.write.Unlock()
	g, err := p.acquire()
	if err != nil {
		return err
	}
	defer p.all.release(g)
	if now := p.Applied(); lsn < now {
		return fmt.Errorf("apply at %d: the store is at %d and does not go back", lsn, now)
	}
	if err := g.put(lsn, edits, p.closed, func() { p.all.release(g) }); err != nil {
		return p.generationFailed(g, err)
	}
	p.batches++
	p.applied.Store(uint64(lsn))
	return nil
}

// room waits until the current generation takes another batch.
func (p *Pebble) room() error {
	if g := p.current.Load(); !g.layers.full() && g.fence.lacking() == nil {
		return nil
	}
	g, err := p.acquire()
	if err != nil {
		return err
	}
	defer p.all.release(g)
	if lack := g.fence.lacking(); lack != nil && !g.roomy() {
		return lack
	}
	err = g.layers.room(p.closed, g.fence)
	if err != nil && !errors.Is(err, topology.ErrClosed) && g.fence.err() != nil {
		return p.generationFailed(g, err)
	}
	return err
}

// Applied is the position up to which records are visible.
func (p *Pebble) Applied() record.LSN { return record.LSN(p.applied.Load()) }

var keys = sync.Pool{New: func() any { return new([]byte) }}

// Get is [topology.Store.Get].
func (p *Pebble) Get(c record.Cell) ([]byte, error) {
	g, err := p.acquire()
	if err != nil {
		return nil, err
	}
	defer p.all.release(g)
	key := keys.Get().(*[]byte)
	defer keys.Put(key)
	*key = appendCell((*key)[:0], c)
	if v, known := g.layers.get(*key, len(*key)-len(c.Field)); known {
		return v, g.fence.err()
	}
	return p.stored(g, g.db, *key)
}

// stored reads a physical key from Pebble.
func (p *Pebble) stored(g *generation, r pebble.Reader, key []byte) ([]byte, error) {
	v, err := g.get(r, key)
	if err != nil {
		return nil, p.generationFailed(g, err)
	}
	return v, nil
}

// Flush is [topology.Store.Flush]. Besides the cells it makes durable how far
// it has come, so that Open can tell a store that has gone backwards. While space
// lacks it is topology.ErrDiskFull; what it was to flush is, once there is some.
func (p *Pebble) Flush(ctx context.Context) (record.LSN, error) {
	if err := p.takeTurn(ctx); err != nil {
		return 0, err
	}
	lsn, err := p.flush(ctx)
	p.giveTurn()
	p.all.reapQuietly()
	return lsn, err
}

// flush is Flush with the turn held. What is applied when it begins is in the
// buffers that it waits for: that position, not a later one, is safe after it.
func (p *Pebble) flush(ctx context.Context) (record.LSN, error) {
	g, err := p.acquire()
	if err != nil {
		return 0, err
	}
	defer p.all.release(g)
	p.write.Lock()
	lsn, batches := p.Applied(), p.batches
	p.write.Unlock()
	if batches == p.written {
		return lsn, nil
	}
	if err := g.settle(); err != nil {
		return 0, p.generationFailed(g, err)
	}
	if err := g.flush(ctx); err != nil {
		if g.fence.err() == nil {
			return 0, err // of ctx
		}
		return 0, p.generationFailed(g, err)
	}
	p.written = batches
	// A store that has gone backwards keeps the mark it once had until it has
	// come past it again: it must not forget while it catches up.
	if lsn > p.pointer.flushed {
		if err := p.point(pointer{generation: g.number, flushed: lsn}); err != nil {
			return 0, err
		}
	}
	return lsn, nil
}

// point replaces the pointer; the turn is held.
func (p *Pebble) point(to pointer) error {
	if decided, err := writePointer(p.o, to); err != nil {
		if !decided && isFull(err) {
			return p.o.space.lacks(err)
		}
		return p.fail(err)
	}
	p.write.Lock()
	defer p.write.Unlock()
	p.pointer = to
	return nil
}

// WentBack reports whether the store holds less than it once made durable: up
// to have, where it had flushed up to want. That is so after files were lost or
// an older copy was restored; what then stands in it is a true state of the
// past, and the caller brings it up again by replay or by a snapshot (PS11).
func (p *Pebble) WentBack() (have, want record.LSN, yes bool) {
	p.write.Lock()
	defer p.write.Unlock()
	have, want = p.Applied(), p.pointer.flushed
	return have, want, have < want
}

// Snapshot is [topology.Store.Snapshot]. While it is open, what it shows stays
// on disk, through an Install too.
func (p *Pebble) Snapshot() (topology.Snapshot, error) {
	g, err := p.acquire()
	if err != nil {
		return nil, err
	}
	p.snapshots.Add(1)
	s := &snapshot{p: p, g: g}
	if s.view, err = g.snapshot(); err != nil {
		p.snapshots.Add(-1)
		p.all.release(g)
		return nil, p.generationFailed(g, err)
	}
	if s.applied, err = g.applied(s.view); err != nil {
		err = p.generationFailed(g, err)
		_ = s.Close() // what it meets follows from that
		return nil, err
	}
	return s, nil
}

// Full is why a store can not bring to disk what is applied, nil if it can, and for one
// in memory: a topology.ErrDiskFull that says where space lacks, and how much. The store
// goes on by itself once there is some.
func Full(s topology.Store) error {
	if p, ok := s.(*Pebble); ok {
		return p.o.space.lacking()
	}
	return nil
}

// Failed is why the store takes no more writes, nil as long as it does.
func (p *Pebble) Failed() error {
	if e := p.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// fail marks the store as failed and returns its failure: the first cause counts.
func (p *Pebble) fail(cause error) error {
	err := failure(cause)
	if p.failed.CompareAndSwap(nil, &err) && p.o.OnFailure != nil {
		p.o.OnFailure(err)
	}
	return p.Failed()
}

// failure names the ground of an error of a store that has failed.
func failure(cause error) error { return fmt.Errorf("%w: %w", topology.ErrStoreFailed, cause) }

// generationFailed is told of a generation's failure by whoever meets it first:
// the current one's is the store's, another's concerns only who uses it.
func (p *Pebble) generationFailed(g *generation, cause error) error {
	if p.current.Load() == g {
		return p.fail(cause)
	}
	return failure(cause)
}

// tellFailure is generationFailed for the generation itself.
func (p *Pebble) tellFailure(g *generation, cause error) { _ = p.generationFailed(g, cause) }

// takeTurn waits for the turn. It is given back by giveTurn.
func (p *Pebble) takeTurn(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// DiskBytes returns how much the files of a store's present contents take; 0 for one
// in memory, or where that can not be known any more.
func DiskBytes(s topology.Store) uint64 {
	p, ok := s.(*Pebble)
	if !ok {
		return 0
	}
	g, err := p.acquire()
	if err != nil {
		return 0
	}
	defer p.all.release(g)
	return g.db.Metrics().DiskSpaceUsage()
}

func (p *Pebble) giveTurn() { <-p.turn }

// acquire returns the current generation with a reference, given back by release.
func (p *Pebble) acquire() (*generation, error) {
	for {
		select {
		case <-p.closed:
			return nil, topology.ErrClosed
		default:
		}
		if err := p.Failed(); err != nil {
			return nil, err
		}
		// The last reference to a generation that is current is the store's
		// own, so one that cannot be had has been replaced meanwhile.
		if g := p.current.Load(); g.retain() {
			return g, nil
		}
	}
}
