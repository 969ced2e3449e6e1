package ideal

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"
)

// followers is how many there are; copies counts the leader's own too.
const (
	followers = 2
	copies    = followers + 1
	own       = 0 // the leader's place among the copies
)

// spareBytes is how far the slowest copy may lag before the bytes that all
// others have taken are dropped from the front of the buffer.
const spareBytes = 1 << 20

// ErrStopped is the answer to a write that waits when the leader stops.
var ErrStopped = errors.New("the log has stopped")

// Leader is the log. Run works; a [Writer] writes.
type Leader struct {
	file  *File
	conns [followers]net.Conn

	mu      sync.Mutex
	work    sync.Cond // there is something to take, or the end has come
	stopped bool
	pending []byte         // what not every copy has taken; its first byte is at base
	base    uint64         // position of pending[0]
	end     uint64         // position behind the newest byte
	taken   [copies]uint64 // by the goroutine that serves a copy
	durable [copies]uint64 // on a copy's disk
	commit  uint64         // on the leader's and one follower's
	waiting []*Writer      // in the order of their writes, from first on
	first   int            // the oldest that waits
	index   map[string]int // what a log is for: where the newest value of a key is
}

// NewLeader returns a leader over its own file and a connection to each
// follower. It owns the connections once Run is called.
func NewLeader(file *File, conns [followers]net.Conn) *Leader {
	l := &Leader{file: file, conns: conns, index: map[string]int{}}
	l.work.L = &l.mu
	return l
}

// Run works until ctx ends (nil) or a copy fails (the reason). Whoever waits
// then gets ErrStopped.
func (l *Leader) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.each(own, l.file.Append) })
	for i, c := range l.conns {
		g.Go(func() error {
			return l.each(1+i, func(b []byte) error { _, err := c.Write(b); return err })
		})
		g.Go(func() error { return l.answers(1+i, c) })
	}
	g.Go(func() error {
		<-ctx.Done()
		l.stop()
		return nil
	})
	if err := g.Wait(); err != nil && !errors.Is(err, ErrStopped) {
		return err
	}
	return nil
}

// each hands every byte to a copy, as much at a time as there is. Only the
// leader's own copy is durable once that returns.
func (l *Leader) each(replica int, put func([]byte) error) error {
	var b []byte
	for {
		var to uint64
		var ok bool
		if b, to, ok = l.take(replica, b[:0]); !ok {
			return ErrStopped
		}
		if err := put(b); err != nil {
			return l.ended(err)
		}
		if replica == own {
			l.reached(replica, to)
		}
	}
}

// answers reads a follower's positions.
func (l *Leader) answers(replica int, c net.Conn) error {
	var position [8]byte
	for {
		if _, err := io.ReadFull(c, position[:]); err != nil {
			return l.ended(err)
		}
		l.reached(replica, binary.LittleEndian.Uint64(position[:]))
	}
}

// ended is what an error of a connection means: nothing, once the leader has
// stopped and closed it.
func (l *Leader) ended(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return ErrStopped
	}
	return err
}

// take waits for bytes that the copy has not taken, appends all of them to b
// and says which position they reach.
func (l *Leader) take(replica int, b []byte) ([]byte, uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.taken[replica] == l.end && !l.stopped {
		l.work.Wait()
	}
	if l.stopped {
		return b, 0, false
	}
	b = append(b, l.pending[l.taken[replica]-l.base:]...)
	l.taken[replica] = l.end
	switch least := min(l.taken[0], l.taken[1], l.taken[2]); {
	case least == l.end:
		l.pending, l.base = l.pending[:0], l.end
	case least-l.base > spareBytes:
		l.pending = append(l.pending[:0], l.pending[least-l.base:]...)
		l.base = least
	}
	return b, l.end, true
}

// reached notes that a copy has everything up to position on its disk, and
// releases whoever waited for that.
func (l *Leader) reached(replica int, position uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.durable[replica] = position
	l.commit = max(l.commit, min(l.durable[own], max(l.durable[1], l.durable[2])))
	for l.first < len(l.waiting) && l.waiting[l.first].position <= l.commit {
		l.waiting[l.first].done <- nil
		l.first++
	}
	if l.first == len(l.waiting) {
		l.waiting, l.first = l.waiting[:0], 0
	}
}

func (l *Leader) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	for _, w := range l.waiting[l.first:] {
		w.done <- ErrStopped
	}
	l.waiting, l.first = nil, 0
	for _, c := range l.conns {
		_ = c.Close() // unblocks those who read and write it
	}
	l.work.Broadcast()
}

// Writer is one client of the log. It has one write in flight.
type Writer struct {
	leader   *Leader
	position uint64     // behind its write
	done     chan error // of one: a release never waits for the released
}

// Writer returns a new client.
func (l *Leader) Writer() *Writer { return &Writer{leader: l, done: make(chan error, 1)} }

// Put appends one write and returns once the leader and one follower have it
// on disk. It keeps neither slice.
func (w *Writer) Put(key, value []byte) error {
	l := w.leader
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return ErrStopped
	}
	from := len(l.pending)
	l.pending = binary.LittleEndian.AppendUint32(l.pending, uint32(len(key)+len(value)))
	l.pending = append(append(l.pending, key...), value...)
	l.index[string(key)] = int(l.end)
	l.end += uint64(len(l.pending) - from)
	w.position = l.end
	l.waiting = append(l.waiting, w)
	l.work.Broadcast()
	l.mu.Unlock()
	return <-w.done
}
