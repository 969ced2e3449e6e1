package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// pumpBytes is how much is moved between a flow and its connection at once.
const pumpBytes = 64 << 10

// conn is a delayed connection: what is written goes through out to the connection
// below, what comes from there through in to who reads.
type conn struct {
	net.Conn // below
	out, in  *flow
	done     func() // tells that both pumps have ended

	mu      sync.Mutex // guards what follows; a leaf
	closed  bool
	sent    bool // nothing more goes out to the connection below
	giveUp  *time.Timer
	patient time.Duration // how long after Close that may take
}

func newConn(c net.Conn, out, in *lane, done func()) *conn {
	return &conn{
		Conn: c, out: newFlow(out), in: newFlow(in), done: done,
		patient: out.o.Delay + out.o.Jitter + LingerTimeout,
	}
}

func (c *conn) run() {
	var pumps sync.WaitGroup
	pumps.Go(c.send)
	pumps.Go(c.receive)
	go func() {
		pumps.Wait()
		c.mu.Lock()
		if c.giveUp != nil {
			c.giveUp.Stop()
		}
		c.mu.Unlock()
		c.done()
	}()
}

// send writes to the connection below what is due.
func (c *conn) send() {
	_, err := io.CopyBuffer(writer{c.Conn}, flowReader{c.out}, make([]byte, pumpBytes))
	if err != nil {
		c.out.abandon(err)
	} else if half, ok := c.Conn.(closeWriter); ok {
		_ = half.CloseWrite() // if it fails, so does what the other side does next
	}
	c.mu.Lock()
	c.sent = true
	closed := c.closed
	c.mu.Unlock()
	if closed {
		_ = c.Conn.Close() // nothing was promised of what comes now
	}
}

// writer hides what else a connection can, so that the delay is not bypassed.
type writer struct{ io.Writer }

type closeWriter interface{ CloseWrite() error }

// receive queues what comes from the connection below, until it ends.
func (c *conn) receive() {
	b := make([]byte, pumpBytes)
	for {
		n, err := c.Conn.Read(b)
		if n > 0 {
			if _, gone := c.in.put(b[:n]); gone != nil {
				return
			}
		}
		if err != nil {
			c.in.finish(err)
			return
		}
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.take(b)
	return n, c.explain("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.out.put(b)
	return n, c.explain("write", err)
}

// explain says where an error of this side happened; one of the connection below
// says it itself, and io.EOF is nobody's.
func (c *conn) explain(op string, err error) error {
	var below *net.OpError
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &below) {
		return err
	}
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// CloseWrite says that nothing more will be written, behind what was.
func (c *conn) CloseWrite() error {
	if _, ok := c.Conn.(closeWriter); !ok {
		return c.explain("close", errors.ErrUnsupported)
	}
	c.out.finish(io.EOF)
	return nil
}

func (c *conn) Close() error {
	c.mu.Lock()
	was, sent := c.closed, c.sent
	if c.closed = true; !was && !sent {
		c.giveUp = time.AfterFunc(c.patient, c.drop)
	}
	c.mu.Unlock()
	if was {
		return c.explain("close", net.ErrClosed)
	}
	c.out.finish(io.EOF)
	c.in.mute()
	if sent {
		return c.Conn.Close()
	}
	return nil
}

// drop gives up what was written and could not be delivered.
func (c *conn) drop() {
	c.out.abandon(net.ErrClosed)
	_ = c.Conn.Close() // there is nobody left to hear of it
}

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error { return c.setBy(c.in.setTakeBy, t) }

func (c *conn) SetWriteDeadline(t time.Time) error { return c.setBy(c.out.setPutBy, t) }

func (c *conn) setBy(set func(time.Time), t time.Time) error {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return c.explain("set", net.ErrClosed)
	}
	set(t)
	return nil
}

// openConns are the connections that have not ended.
type openConns struct {
	mu   sync.Mutex // guards what follows; a leaf
	all  map[*conn]struct{}
	less chan struct{} // closed when one has ended; nil while nobody waits
}

func (o *openConns) wrap(below net.Conn, out, in *lane) net.Conn {
	var c *conn
	c = newConn(below, out, in, func() { o.drop(c) })
	o.mu.Lock()
	if o.all == nil {
		o.all = map[*conn]struct{}{}
	}
	o.all[c] = struct{}{}
	o.mu.Unlock()
	c.run()
	return c
}

func (o *openConns) drop(c *conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, c)
	if o.less != nil {
		close(o.less)
		o.less = nil
	}
}

// lingering returns what is closed when a closed connection has ended; nil if
// there is none.
func (o *openConns) lingering() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.all {
		if c.isClosed() {
			if o.less == nil {
				o.less = make(chan struct{})
			}
			return o.less
		}
	}
	return nil
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (o *openConns) drain(ctx context.Context) error {
	for less := o.lingering(); less != nil; less = o.lingering() {
		select {
		case <-less:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
