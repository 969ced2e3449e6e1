package transport

import (
	"sync"

	"github.com/triad-kv/triad/record/pack"
)

// outboxKeptMax is the capacity above which an outbox does not keep a buffer.
const outboxKeptMax = 1 << 20

// outbox gathers the frames of one control connection until its writer takes
// them, all with one write. Its lock is a leaf.
type outbox struct {
	mu      sync.Mutex
	buf     []byte // what is to be written next
	spare   []byte // the buffer that was written last
	w       *pack.Writer
	max     int
	queued  uint64 // bytes ever put
	begun   uint64 // bytes of which the writer may have written
	written uint64 // bytes whose writing is over
	closed  bool

	wake chan struct{} // holds one token while buf is not empty
	room chan struct{} // closed when bytes have been written, or never will be; nil while nobody waits
}

func newOutbox(max int) *outbox {
	return &outbox{w: pack.NewWriter(nil), max: max, wake: make(chan struct{}, 1)}
}

// placement is what became of a letter that was put.
type placement uint8

const (
	placed placement = iota
	full             // over QueueBytesMax
	gone             // the connection has ended
)

// put encodes l behind what waits, and returns where it begins in all that was
// ever put. One letter is taken whatever its size if nothing else waits.
func (o *outbox) put(l *letter) (uint64, placement) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return 0, gone
	case !o.fits(l.size()):
		return 0, full
	}
	return o.add(func(b []byte) []byte { return l.append(b, o.w) }), placed
}

// fits reports whether n more bytes may wait.
func (o *outbox) fits(n int) bool {
	waiting := o.queued - o.written
	return waiting == 0 || waiting+uint64(n) <= uint64(o.max)
}

// putFrame adds a beat, a ping or a pong, or drops it where there is no room:
// the other side does not read then, and would not be told anything.
func (o *outbox) putFrame(f []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && o.fits(len(f)) {
		o.add(func(b []byte) []byte { return append(b, f...) })
	}
}

func (o *outbox) add(encode func([]byte) []byte) uint64 {
	at, before := o.queued, len(o.buf)
	o.buf = encode(o.buf)
	o.queued += uint64(len(o.buf) - before)
	select {
	case o.wake <- struct{}{}:
	default: // a token is there
	}
	return at
}

// take returns what is to be written, nil if nothing is. The writer calls done
// once it has written it.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.buf
	if len(b) == 0 {
		return nil
	}
	o.buf, o.spare = o.spare[:0], nil
	o.begun = o.queued
	return b
}

func (o *outbox) done(b []byte) {
	o.mu.Lock()
	o.written += uint64(len(b))
	if cap(b) <= outboxKeptMax {
		o.spare = b[:0]
	}
	room := o.room
	o.room = nil
	o.mu.Unlock()
	if room != nil {
		close(room)
	}
}

// vacancy returns a channel that is closed once bytes have been written, nil if
// there is room for n bytes now.
func (o *outbox) vacancy(n int) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.fits(n) {
		return nil
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// congestion returns a channel that is closed once bytes have been written, nil
// if nobody waits for that and less than the limit waits.
func (o *outbox) congestion() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.room == nil && !o.closed && !o.fits(0) {
		o.room = make(chan struct{})
	}
	return o.room
}

// close makes put refuse, and returns up to where bytes may have left.
func (o *outbox) close() uint64 {
	o.mu.Lock()
	o.closed = true
	room, begun := o.room, o.begun
	o.room = nil
	o.mu.Unlock()
	if room != nil {
		close(room) // there will be none, and none is needed
	}
	return begun
}
