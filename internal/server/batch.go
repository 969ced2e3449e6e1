package server

import (
	"context"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/topology"
)

// batch is what has come of one client's pipeline, on its way to the answers.
type batch struct {
	requests  []*request
	n         int      // of requests that are in use
	args      [][]byte // of all of them
	group     []*request
	reads     int // of the group
	updates   []topology.Update
	sight     gathered
	confirmed bool // a read of this batch has shown that this node is up to date
}

// next returns a request to use.
func (b *batch) next(s *Server) *request {
	if b.n == len(b.requests) {
		b.requests = append(b.requests, newRequest(s))
	}
	r := b.requests[b.n]
	b.n++
	return r
}

// requestsKept bounds the requests that a batch keeps for later.
const requestsKept = 256

// reset forgets everything.
func (b *batch) reset() {
	for _, r := range b.requests[:b.n] {
		r.reset()
	}
	if len(b.requests) > requestsKept {
		clear(b.requests[requestsKept:])
		b.requests = b.requests[:requestsKept]
	}
	if cap(b.args) > 16*requestsKept {
		b.args = nil
	}
	if cap(b.updates) > requestsKept {
		b.updates = nil
	}
	clear(b.args)
	b.n, b.args, b.group, b.reads, b.updates, b.confirmed = 0, b.args[:0], b.group[:0], 0, b.updates[:0], false
	b.sight.reset()
}

// turn does what has come of the pipeline, and reports whether anything had.
// An error is the end of the connection.
func (c *conn) turn(contextAt func(time.Time) context.Context) (bool, error) {
	b := c.server.batches.Get().(*batch)
	defer func() {
		c.batch = nil
		b.reset()
		c.server.batches.Put(b)
	}()
	c.batch = b
	err := c.gather(b)
	if b.n == 0 {
		return false, err
	}
	c.began = time.Time{}
	now := time.Now()
	c.visible.used.Store(now.UnixMilli())
	c.server.counts.commands.Add(uint64(b.n))
	ctx := contextAt(now)
	wall := c.server.wall(now)
	for i, r := range b.requests[:b.n] {
		r.now = wall
		if c.take(ctx, r); c.closes {
			b.n = i + 1
		}
	}
	c.settle(ctx)
	for _, r := range b.requests[:b.n] {
		if r.silenced {
			continue
		}
		if err := c.send(r.out.Bytes()); err != nil {
			return true, err
		}
	}
	return true, err
}

// gather takes the commands that have been read, up to a number.
func (c *conn) gather(b *batch) error {
	for b.n < c.server.o.Limits.PipelineCommandsMax {
		from := len(b.args)
		args, ok, err := c.reader.Next(b.args)
		if err != nil {
			return err
		}
		b.args = args
		if !ok {
			if first, _ := c.reader.First(); first == tlsHandshake {
				return errTLS
			}
			return nil
		}
		if httpLike(args[from]) {
			return errHTTP
		}
		b.next(c.server).args = args[from:len(args):len(args)]
	}
	return nil
}

// tlsHandshake is the first byte of a client that speaks TLS.
const tlsHandshake = 0x16

var (
	errTLS  = &resp.ProtocolError{Text: "this port does not speak TLS"}
	errHTTP = &resp.ProtocolError{Text: "this port does not speak HTTP"}
)

// httpLike reports whether a name is what a browser's request would bring, that
// somebody made it send here.
func httpLike(name []byte) bool {
	return len(name) >= 4 && (equalFold(name, "POST") || equalFold(name, "HOST:"))
}

// take begins one command: it is answered at once, queued, or joins the group.
func (c *conn) take(ctx context.Context, r *request) {
	r.out.Proto = c.session.proto
	r.silenced, c.session.skips = c.session.muted || c.session.skips, false
	cmd, err := c.server.find(r.args)
	if r.cmd = cmd; err == nil {
		c.visible.command.Store(cmd)
	}
	switch {
	case !c.session.trusted && (err != nil || cmd.flags&stranger == 0):
		err = errNoAuth
	case err != nil:
		if c.tx != nil {
			c.tx.aborted = true
		}
	case c.tx != nil && cmd.flags&direct == 0:
		err = c.enqueue(r)
	case cmd.answer != nil:
		if cmd.flags&cuts != 0 {
			c.settle(ctx)
		}
		err = cmd.answer(ctx, c, r)
	default:
		err = c.keyed(ctx, r)
	}
	switch {
	case err == nil:
	case refusedHere(err) && r.cmd != nil:
		r.refusal = err
		c.lead(ctx, []*request{r})
	default:
		r.fail(c.reply(err, false))
	}
}

// reply is an error as the client gets it.
func (c *conn) reply(err error, writing bool) error {
	return replyError(c.server.wording(err, writing))
}

// keyed begins a command that works on keys.
func (c *conn) keyed(ctx context.Context, r *request) error {
	err := c.server.locate(ctx, r)
	if err == nil {
		err = r.prepare()
	}
	if err != nil {
		return err
	}
	if r.cmd.flags&writes == 0 {
		if r.cmd.flags&whole != 0 { // long to read, while others wait for the engine
			c.settle(ctx)
		}
		if len(c.batch.group) == 0 && (len(r.places) == 1 || !c.session.strong()) {
			c.read(ctx, r)
			return nil
		}
	}
	c.batch.sight.reset()
	if err := (looker{c}).affordable(ctx, r.reads); err != nil {
		return err
	}
	c.join(ctx, r)
	return nil
}

// groupReadsMax bounds what the commands of one group read together; it is what
// the node takes at once.
const groupReadsMax = 4096

// join makes a request part of the group.
func (c *conn) join(ctx context.Context, r *request) {
	b := c.batch
	if b.reads+len(r.reads) > groupReadsMax {
		c.settle(ctx)
	}
	b.reads += len(r.reads)
	if n := len(b.group); n > 0 {
		r.before = b.group[n-1]
	}
	b.group = append(b.group, r)
}

// settle does the group: one call of the node, one group commit.
func (c *conn) settle(ctx context.Context) {
	b := c.batch
	if len(b.group) == 0 {
		return
	}
	b.updates = b.updates[:0]
	for _, r := range b.group {
		b.updates = append(b.updates, topology.Update{Reads: r.reads, Decide: r.deciding, Bytes: r.bytes()})
	}
	c.server.counts.groups.Add(1)
	c.server.node.Update(ctx, b.updates, topology.WriteOptions{Durability: c.session.durability})
	b.confirmed = false // committed may not be applied yet
	elsewhere := b.group[:0]
	for i, r := range b.group {
		u := &b.updates[i]
		switch {
		case u.Err == nil:
			c.seen(u.Receipt, r.changes)
		case refusedHere(u.Err):
			elsewhere = append(elsewhere, r)
			r.refusal = u.Err
		default:
			r.fail(c.reply(u.Err, r.writing()))
		}
	}
	c.elsewhere(ctx, elsewhere)
	b.group, b.reads = b.group[:0], 0
}

// seen raises what the session has seen.
func (c *conn) seen(r topology.Receipt, wrote bool) {
	if c.session.token.LSN <= r.Token.LSN || c.session.token.Origin != r.Token.Origin {
		c.session.token = r.Token
	}
	if wrote {
		c.session.last, c.session.written = r, true
	}
}

// elsewhere answers what only a leader may do, in order: reads from here, writes
// as the routing has it, and with those that are forwarded reads that came upon
// what is due.
func (c *conn) elsewhere(ctx context.Context, rs []*request) {
	away := func(r *request) bool {
		return r.writing() || r.due && c.forwards()
	}
	for i := 0; i < len(rs); {
		n := 0
		for i+n < len(rs) && away(rs[i+n]) {
			n++
		}
		if n > 0 {
			c.lead(ctx, rs[i:i+n])
		} else {
			n = 1
			c.read(ctx, rs[i])
		}
		i += n
	}
}
