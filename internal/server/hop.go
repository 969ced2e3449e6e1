package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/topology"
)

// hop is one client's way to the leader's RESP port: commands go there as they
// came, answers come back as they are. It goes one node far: who is reached this
// way, and does not lead either, refuses.
type hop struct {
	addr   string
	proto  int
	sock   net.Conn
	in     *bufio.Reader
	out    resp.Writer
	loaded int // requests in what is sent next, or was sent last
}

// forwarder is a connection that has the leader do what it may not.
type forwarder struct{ *conn }

// forward has the leader do what only it may do. Without forwarding every
// request is refused, each with why.
func (c forwarder) forward(ctx context.Context, rs []*request) {
	addr := ""
	var e *topology.Error
	if c.server.o.Forward && !c.session.forwarded && errors.As(rs[0].refusal, &e) && e.Leader != "" {
		addr = c.server.o.Addr(e.Leader)
	}
	if addr == "" {
		for _, r := range rs {
			r.fail(c.reply(r.refusal, true))
		}
		return
	}
	h, err := c.reach(ctx, addr)
	if err != nil {
		for _, r := range rs {
			r.fail(replyErrorf("TRYAGAIN not applied: the leader at %s could not be reached: %v", addr, err))
		}
		return
	}
	for len(rs) > 0 && err == nil {
		n := h.load(c.conn, rs)
		if err = h.relay(c.conn, rs[:n]); err == nil {
			rs = rs[n:]
		}
	}
	if err != nil {
		h.close()
		c.hop = nil
	}
	for _, r := range rs[min(len(rs), h.loaded):] {
		if err != nil {
			r.fail(replyErrorf("TRYAGAIN not applied: the leader at %s is gone: %v", addr, err))
		}
	}
}

// reach returns the way to addr, a new one if there is none yet.
func (c forwarder) reach(ctx context.Context, addr string) (*hop, error) {
	if h := c.hop; h != nil {
		if h.addr == addr && h.proto == c.session.proto {
			return h, nil
		}
		h.close()
		c.hop = nil
	}
	sock, err := c.server.o.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	h := &hop{addr: addr, proto: c.session.proto, sock: sock, in: bufio.NewReaderSize(sock, resp.BufferBytesMin)}
	if err := h.greet(c.conn); err != nil {
		h.close()
		return nil, err
	}
	c.hop = h
	return h, nil
}

func (h *hop) close() { _ = h.sock.Close() }

// greet shows the leader who this is, and that what follows was forwarded.
func (h *hop) greet(c *conn) error {
	hello := []string{"HELLO", fmt.Sprint(h.proto)}
	if c.server.o.Password != "" {
		hello = append(hello, "AUTH", "default", c.server.o.Password)
	}
	n := 2
	h.command(hello...)
	h.command("TRIAD", "FORWARDED")
	if d := c.session.durability; d != topology.DurabilityDefault {
		h.command("TRIAD", "DURABILITY", d.String())
		n++
	}
	if err := h.send(time.Now().Add(c.server.o.Limits.CallTimeout)); err != nil {
		return err
	}
	for range n {
		answer, err := resp.AppendAnswer(nil, h.in, helloBytesMax)
		if err != nil {
			return err
		}
		if answer[0] == '-' {
			return fmt.Errorf("it refuses this node: %q", answer)
		}
	}
	return nil
}

// helloBytesMax bounds the answer to HELLO.
const helloBytesMax = 4 << 10

func (h *hop) command(args ...string) {
	h.out.Array(len(args))
	for _, a := range args {
		h.out.BulkString(a)
	}
}

func (h *hop) raw(args [][]byte) {
	h.out.Array(len(args))
	for _, a := range args {
		h.out.Bulk(a)
	}
}

func (h *hop) send(until time.Time) error {
	if err := h.sock.SetDeadline(until); err != nil {
		return err
	}
	_, err := h.sock.Write(h.out.Bytes())
	if h.out.Len() > outBytesKept {
		h.out.Reset(nil)
	}
	h.out.Truncate(0)
	return err
}

// hopBytesMax bounds what is sent before answers are taken, so that neither side
// waits for the other to read.
const hopBytesMax = 32 << 10

// load puts the first of rs, and more as long as they are small, into what is
// sent next, and returns how many.
func (h *hop) load(c *conn, rs []*request) int {
	n := 0
	for ; n < len(rs) && (n == 0 || h.out.Len() < hopBytesMax); n++ {
		switch r := rs[n]; {
		case r.tx == nil:
			h.raw(r.args)
		case r.tx.watched != nil:
			r.fail(c.reply(r.refusal, true)) // what was seen here, the leader can not compare
		default:
			h.command("MULTI")
			for _, q := range r.tx.queued {
				h.raw(q.args)
			}
			h.command("EXEC")
		}
	}
	h.loaded = n
	return n
}

// relay sends what was loaded and takes its answers. Once something was sent and
// no answer came, the outcome is not known, and the way is lost.
func (h *hop) relay(c *conn, rs []*request) error {
	err := h.send(time.Now().Add(c.server.o.Limits.CallTimeout))
	for _, r := range rs {
		if r.tx != nil && r.tx.watched != nil {
			continue
		}
		if err == nil {
			err = h.answer(c, r)
		}
		if err != nil {
			r.fail(replyErrorf("UNKNOWN the outcome is not known, it may have happened or may yet: the leader at %s, to which it was forwarded: %v", h.addr, err))
		}
	}
	return err
}

// answer takes the answer of one request; of a transaction that of EXEC.
func (h *hop) answer(c *conn, r *request) error {
	before := 0
	if r.tx != nil {
		before = 1 + len(r.tx.queued)
	}
	most := c.server.o.Limits.AnswerBytesMax
	for range before {
		if _, err := resp.AppendAnswer(nil, h.in, resp.BufferBytesMin); err != nil {
			return err
		}
	}
	r.out.Truncate(0)
	b, err := resp.AppendAnswer(r.out.Bytes(), h.in, most)
	r.out.Reset(b)
	if err == nil {
		err = r.fits()
	}
	return err
}
