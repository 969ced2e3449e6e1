package world

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/triad-kv/triad/internal/link"
)

// relay carries connections from a port of its own to a node's, through the link between
// two nodes that are processes. What passes is counted.
type relay struct {
	l     net.Listener
	link  *link.Link
	to    string
	bytes atomic.Uint64 // both ways

	end  context.CancelFunc
	wait sync.WaitGroup

	mu   sync.Mutex // guards open; a leaf
	open map[net.Conn]struct{}
}

// newRelay listens. It carries nothing before run.
func newRelay(l *link.Link, to string) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &relay{l: listener, link: l, to: to, open: map[net.Conn]struct{}{}}, nil
}

func (r *relay) addr() string { return r.l.Addr().String() }

// run begins to carry connections, until close.
func (r *relay) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	r.wait.Go(func() {
		for {
			near, err := r.l.Accept()
			if err != nil {
				return // it was closed
			}
			if !r.hold(ctx, near) {
				continue
			}
			r.wait.Go(func() { r.carry(ctx, near) })
		}
	})
}

// hold notes a connection, or closes it if the relay has ended.
func (r *relay) hold(ctx context.Context, c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		_ = c.Close() // nobody is left to hear of it
		return false
	}
	r.open[c] = struct{}{}
	return true
}

func (r *relay) drop(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
	_ = c.Close() // of both ends, one says itself why
}

func (r *relay) carry(ctx context.Context, near net.Conn) {
	defer r.drop(near)
	far, err := r.link.Dial(ctx, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", r.to)
	})
	if err != nil || !r.hold(ctx, far) {
		return // who dialled meets the end of its connection
	}
	defer r.drop(far)
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		n, err := io.Copy(onlyWriter{to}, from)
		r.bytes.Add(uint64(n))
		half, can := to.(interface{ CloseWrite() error })
		if err != nil || !can || half.CloseWrite() != nil {
			_, _ = to.Close(), from.Close() // one side is gone: the other hears of it
		}
	}
	both.Go(func() { pass(far, near) })
	both.Go(func() { pass(near, far) })
	both.Wait()
}

// onlyWriter hides how else a connection can be written to, so that every byte is seen.
type onlyWriter struct{ io.Writer }

// close ends every connection and waits for that.
func (r *relay) close() error {
	err := r.l.Close()
	if r.end == nil {
		return err
	}
	r.end()
	r.mu.Lock()
	for c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.wait.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
