package server

import (
	"context"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/topology"
)

// conn is one client. Its goroutine reads what has come of a pipeline, does it,
// and writes the answers; nothing of it runs at the same time.
type conn struct {
	wire
	closes bool // after the answers that are there

	session  session
	tx       *transaction   // between MULTI and EXEC
	watched  []kind.Watched // what WATCH has seen
	failures int            // of AUTH

	batch   *batch // during a turn
	visible visible
}

// session is what a client has asked for beyond single commands.
type session struct {
	proto      int // 3, or RESP2
	trusted    bool
	forwarded  bool // it is a client's of another node: what it brings goes no further
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

func newConn(s *Server, sock net.Conn, id int64) *conn {
	c := &conn{wire: wire{server: s, sock: sock, id: id, since: time.Now()}}
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
		if err := c.fill(c.session.trusted); err != nil {
			c.left(err)
			return
		}
	}
	_ = c.flush()
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

// release closes the connection and gives back what it holds.
func (c *conn) release() {
	_ = c.sock.Close()
	c.reader.Close()
}
