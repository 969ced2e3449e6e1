package store

import (
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// frontBytesOf is how large a front may become before it goes to Pebble: more
// than the half of a write buffer from which Pebble makes a table at once.
func frontBytesOf(buffer int64) int { return int(buffer * 5 / 8) }

// layers are what stands in front of Pebble: one front that takes what is
// applied, and one that is on its way. A cell is looked up in the first, then
// in the second, then in Pebble; what leaves a front is in Pebble before.
type layers struct {
	most int // bytes of a front

	mu     sync.RWMutex // a leaf
	fresh  *front
	moving *front // nil while none is on its way
	empty  *front // kept for its memory

	bytes atomic.Int64  // of fresh
	pen   chan struct{} // a slot of one: who moves a front to Pebble holds it
}

func newLayers(buffer int64) *layers {
	return &layers{most: frontBytesOf(buffer), fresh: newFront(), pen: make(chan struct{}, 1)}
}

// apply takes edits, in one step for readers.
func (l *layers) apply(lsn record.LSN, edits []topology.Edit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh.apply(lsn, edits)
	l.bytes.Store(int64(l.fresh.bytes))
}

// get returns what a cell holds, nil for nothing, or false if no front knows.
// The caller owns the state.
func (l *layers) get(key []byte, prefix int) ([]byte, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	state, known := l.fresh.get(key, prefix)
	if !known && l.moving != nil {
		state, known = l.moving.get(key, prefix)
	}
	if !known || state == nil {
		return nil, known
	}
	return append(make([]byte, 0, len(state)), state...), true
}

// full reports whether the front is due to move.
func (l *layers) full() bool { return l.bytes.Load() >= int64(l.most) }

// start takes the front out of the way of what is applied next; nil if there is
// nothing in it. Whoever calls it holds the pen, and ends with done.
func (l *layers) start() *front {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fresh.dirty {
		return nil
	}
	l.moving = l.fresh
	if l.fresh = l.empty; l.fresh == nil {
		l.fresh = newFront()
	}
	l.empty = nil
	l.bytes.Store(0)
	return l.moving
}

// done says that the front which started is in Pebble. Its memory is kept while
// fronts fill up; one that did not half is a sign of calmer times.
func (l *layers) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.moving; f.bytes >= l.most/2 {
		f.reset()
		l.empty = f
	}
	l.moving = nil
}

// room waits until the front takes another batch.
func (l *layers) room(stop <-chan struct{}, f *fence) error {
	if !l.full() {
		return nil
	}
	select {
	case l.pen <- struct{}{}:
		<-l.pen
		return f.err()
	case <-f.failed:
		return f.err()
	case <-stop:
		return topology.ErrClosed
	}
}

// write brings edits and then meta values to Pebble at once, all or nothing. It
// is for generations that are not current: nobody else looks at their front.
func (g *generation) write(edits []topology.Edit, meta ...metaValue) error {
	f := g.layers.fresh
	f.apply(0, edits)
	n, err := g.writer.write(f, meta)
	f.reset()
	if err != nil {
		g.fence.fail(err)
	}
	g.unmeasured.Add(int64(n))
	return g.fence.err()
}

// put takes edits into the generation's front and, where that is full and none
// is on its way, sends it there. The goroutine that does it holds a reference to
// the generation, so that whoever closes that waits for it; release gives the
// reference back.
func (g *generation) put(lsn record.LSN, edits []topology.Edit, stop <-chan struct{}, release func()) error {
	g.layers.apply(lsn, edits)
	if !g.layers.full() {
		return g.fence.err()
	}
	select {
	case g.layers.pen <- struct{}{}:
	default:
		return g.fence.err()
	}
	if !g.retain() {
		<-g.layers.pen
		return g.fence.err()
	}
	go func() {
		defer release()
		defer func() { <-g.layers.pen }()
		if g.room(stop) == nil {
			_ = g.move() // its error is the fence's
		}
	}()
	return g.fence.err()
}

// settle brings everything that was applied before into Pebble.
func (g *generation) settle() error {
	g.layers.pen <- struct{}{}
	defer func() { <-g.layers.pen }()
	return g.move()
}

// snapshot opens a view of everything that was applied before.
func (g *generation) snapshot() (*pebble.Snapshot, error) {
	g.layers.pen <- struct{}{}
	defer func() { <-g.layers.pen }()
	if err := g.move(); err != nil {
		return nil, err
	}
	return g.db.NewSnapshot(), nil
}

// move writes the front to Pebble. The pen is held.
func (g *generation) move() error {
	if err := g.fence.err(); err != nil {
		return err
	}
	f := g.layers.start()
	if f == nil {
		return nil
	}
	n, err := g.writer.write(f, []metaValue{appliedValue(f.lsn)})
	if err != nil {
		g.fence.fail(err) // what was applied goes on being read from the front
		return g.fence.err()
	}
	g.layers.done()
	g.unmeasured.Add(int64(n))
	return g.fence.err()
}
