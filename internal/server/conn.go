package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/topology"
)

// conn is one client. Its goroutine reads what has come of a pipeline, does it,
// and writes the answers; nothing of it runs at the same time.
type conn struct {
	server *Server
	sock   net.Conn
	id     int64
	since  time.Time
	reader *resp.Reader
	out    []byte // answers that are not sent
	closes bool   // after the answers that are there

	session  session
	tx       *transaction // between MULTI and EXEC
	watched  *watched     // what WATCH has seen; nil: nothing
	hop      *hop         // the way to the leader's RESP port, once it was needed
	failures int          // of AUTH

	batch   *batch    // during a turn
	began   time.Time // a command's first byte; zero: no part of one is there
	bounds  bounds
	visible visible
}

// session is what a client has asked for beyond single commands.
type session struct {
	proto      int // 3, or RESP2
	trusted    bool
	forwarded  bool // it is another node's: what it brings goes no further
	muted      bool // nothing is answered
	skips      bool // the next command is not
	durability topology.Durability
	reads      topology.ReadOptions
	token      topology.Token // what the session has seen
	last       topology.Receipt
	written    bool // last is the receipt of a write
}

// visible is what other connections may see of this one, for CLIENT LIST.
type visible struct {
	mu                 sync.Mutex // guards the texts; a leaf
	name, lib, version string
	command            atomic.Pointer[command]
	used               atomic.Int64 // Unix milliseconds
}

// bounds are the deadlines of a connection.
type bounds struct {
	mu      sync.Mutex // guards what follows; a leaf
	ended   bool       // no read is begun any more
	read    time.Time  // the deadline that is set; zero: none
	written time.Time
}

func newConn(s *Server, sock net.Conn, id int64) *conn {
	c := &conn{server: s, sock: sock, id: id, since: time.Now()}
	c.reader = resp.NewReader(sock, resp.LimitsStranger, func(n int) bool { return s.buffers.take(int64(n)) })
	c.visible.used.Store(c.since.UnixMilli())
	c.reset()
	return c
}

// reset makes the session that of a new connection.
func (c *conn) reset() {
	c.session = session{proto: 2}
	c.tx, c.watched = nil, nil
	c.trust(c.server.o.Password == "")
}

func (c *conn) trust(yes bool) {
	c.session.trusted = yes
	if yes {
		c.reader.Trust(resp.LimitsDefault)
	} else {
		c.reader.Distrust(resp.LimitsStranger)
	}
}

// end makes the connection end once it waits for the client.
func (c *conn) end() {
	c.bounds.mu.Lock()
	defer c.bounds.mu.Unlock()
	c.bounds.ended = true
	_ = c.sock.SetReadDeadline(time.Unix(1, 0))
}

// serve answers the client until it leaves, must be left, or ctx ends. work is
// the context of what is done for it.
func (c *conn) serve(ctx, work context.Context) {
	defer c.release()
	defer func() {
		if p := recover(); p != nil {
			c.server.counts.panics.Add(1)
			c.server.logger.Error("a connection failed", "client", c.id, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if !c.shake(ctx) {
		return
	}
	calls, end := callContexts(work, c.server.o.Limits.CallTimeout)
	defer end()
	for !c.closes {
		more, err := c.turn(calls)
		if err != nil {
			c.farewell(err)
			return
		}
		if more {
			continue
		}
		if c.flush() != nil {
			return
		}
		if err := c.fill(); err != nil {
			c.left(err)
			return
		}
	}
	_ = c.flush()
}

// shake does the handshake of TLS, so that it has a deadline of its own.
func (c *conn) shake(ctx context.Context) bool {
	t, ok := c.sock.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, c.server.o.Limits.AuthTimeout)
	defer cancel()
	err := t.HandshakeContext(ctx)
	if err != nil {
		c.server.logger.Info("a client's TLS handshake failed", "client", c.id, "from", c.sock.RemoteAddr(), "error", err)
	}
	return err == nil
}

// callContexts returns a function that gives what is done for a client its time
// limit: a context that ends no sooner than after the time-out, and no later
// than a quarter after that. One serves many calls, so that no timer is set for each.
func callContexts(work context.Context, timeout time.Duration) (at func(now time.Time) context.Context, end func()) {
	var until time.Time
	ctx, cancel := work, context.CancelFunc(func() {})
	at = func(now time.Time) context.Context {
		if now.Add(timeout).After(until) {
			cancel()
			until = now.Add(timeout + timeout/4)
			ctx, cancel = context.WithDeadline(work, until)
		}
		return ctx
	}
	return at, func() { cancel() }
}

// fill reads once from the client, within the time that what it is doing may take.
func (c *conn) fill() error {
	l := &c.server.o.Limits
	var deadline time.Time
	switch {
	case c.reader.Partial():
		if c.began.IsZero() {
			c.began = time.Now()
		}
		deadline = c.began.Add(l.CommandTimeout)
	case l.IdleTimeout > 0:
		deadline = time.Now().Add(l.IdleTimeout)
	}
	if !c.session.trusted {
		if auth := c.since.Add(l.AuthTimeout); deadline.IsZero() || auth.Before(deadline) {
			deadline = auth
		}
	}
	if !c.bounds.setRead(c.sock, deadline) {
		return errEnding
	}
	c.reader.Shrink()
	return c.reader.Fill()
}

// errEnding is why a connection is closed that the server ends.
var errEnding = errors.New("the server ends")

// setRead sets the deadline of the next read, unless the connection ends.
func (b *bounds) setRead(sock net.Conn, deadline time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	if !deadline.Equal(b.read) {
		b.read = deadline
		return sock.SetReadDeadline(deadline) == nil
	}
	return true
}

// outBytesKept is how much is gathered before it is sent, even within a pipeline.
const outBytesKept = 64 << 10

// send adds an answer to what will be sent.
func (c *conn) send(answer []byte) error {
	if len(answer) >= outBytesKept {
		if err := c.flush(); err != nil {
			return err
		}
		return c.write(answer)
	}
	c.out = append(c.out, answer...)
	if len(c.out) >= outBytesKept {
		return c.flush()
	}
	return nil
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.write(c.out)
	if c.out = c.out[:0]; cap(c.out) > outBytesKept {
		c.out = nil
	}
	return err
}

// write sends b; a client that does not read it in time has left.
func (c *conn) write(b []byte) error {
	timeout := c.server.o.Limits.WriteTimeout
	now := time.Now()
	// One deadline serves many writes: it is set anew when a quarter has passed.
	if c.bounds.written.Sub(now) < timeout {
		c.bounds.written = now.Add(timeout + timeout/4)
		if err := c.sock.SetWriteDeadline(c.bounds.written); err != nil {
			return err
		}
	}
	_, err := c.sock.Write(b)
	if err != nil {
		if isTimeout(err) {
			c.server.counts.timeouts.Add(1)
		}
		c.server.logger.Debug("a client does not take its answers", "client", c.id, "from", c.sock.RemoteAddr(), "error", err)
	}
	return err
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// farewell tells a client why it is left: what it sends is no command.
func (c *conn) farewell(err error) {
	var p *resp.ProtocolError
	if errors.As(err, &p) {
		c.server.counts.protocolErrors.Add(1)
		c.server.logger.Info("a client is left", "client", c.id, "from", c.sock.RemoteAddr(), "error", err)
		w := resp.Writer{}
		w.Error("ERR " + p.Error())
		c.out = append(c.out, w.Bytes()...)
	}
	_ = c.flush()
}

// left notes why no more is read from a client.
func (c *conn) left(err error) {
	if isTimeout(err) && !errors.Is(err, errEnding) {
		c.server.counts.timeouts.Add(1)
	}
	var p *resp.ProtocolError
	if errors.As(err, &p) {
		c.farewell(err)
	} else if !errors.Is(err, io.EOF) {
		c.server.logger.Debug("a client is gone", "client", c.id, "from", c.sock.RemoteAddr(), "error", err)
	}
}

// release closes the connection and gives back what it holds.
func (c *conn) release() {
	_ = c.sock.Close()
	c.reader.Close()
	if c.hop != nil {
		c.hop.close()
	}
}
