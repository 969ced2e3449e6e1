package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Limits of what goes to the leader at once. A single command may be longer: it
// fits a message of the transport, as a record does.
const (
	forwardBytesMax   = 1 << 20               // arguments of one message, but for its last command
	forwardAnswersMax = record.RecordBytesMax // answers of one message
)

// forwarder is a connection that has the leader do what it may not.
type forwarder struct{ *conn }

// forward has the leader do commands, in order, and answers with its answers. What
// was sent and is not answered has an outcome that is not known; what stands
// behind it is not sent.
func (c forwarder) forward(ctx context.Context, leader topology.NodeID, rs []*request) {
	for len(rs) > 0 {
		n, m := c.load(rs)
		if err := c.pass(ctx, leader, &m, rs[:n]); err != nil {
			for _, r := range rs[n:] {
				r.fail(replyErrorf("TRYAGAIN not applied: what stood before it was lost on the way to the leader %s: %v", leader, err))
			}
			return
		}
		rs = rs[n:]
	}
}

// load makes a message of the first of rs, and of more as long as they are small.
func (c forwarder) load(rs []*request) (n int, m call.Forward) {
	s := &c.session
	m = call.Forward{Proto: s.proto, Durability: s.durability, Token: s.token}
	m.Reads.Guarantee, m.Reads.MaxStale = s.reads.Guarantee, s.reads.MaxStale
	for size := 0; n < len(rs) && n < call.ForwardCommandsMax; n++ {
		if size += rs[n].bytes(); n > 0 && size > forwardBytesMax {
			break
		}
		m.Commands = append(m.Commands, rs[n].forwarded())
	}
	return n, m
}

// forwarded is the request as it goes to the leader. Of a transaction that is what
// works on keys: the rest is this connection's, and answered already.
func (r *request) forwarded() call.Command {
	if r.tx == nil {
		return call.Command{Queue: [][][]byte{r.args}}
	}
	m := call.Command{Atomic: true}
	for _, q := range r.tx.queued {
		if !q.settled {
			m.Queue = append(m.Queue, q.args)
		}
	}
	for _, w := range r.tx.watched {
		m.Watched = append(m.Watched, call.Place{Table: w.Key.Table, Key: w.Key.Name, Dot: w.Dot})
	}
	return m
}

// pass sends a message and takes its answers. An error is the end of the way.
func (c forwarder) pass(ctx context.Context, leader topology.NodeID, m *call.Forward, rs []*request) error {
	c.server.counts.forwarded.Add(uint64(len(rs)))
	var f call.Forwarded
	b, err := c.server.o.Forward(ctx, leader, m.Encode())
	if err == nil {
		f, err = call.DecodeForwarded(b)
	}
	if err == nil && len(f.Answers) != len(rs) {
		err = fmt.Errorf("%d answers to %d commands: %w", len(f.Answers), len(rs), topology.ErrMalformed)
	}
	if err != nil {
		for _, r := range rs {
			r.fail(lost(leader, r, err))
		}
		return err
	}
	c.seen(f.Receipt, f.Wrote)
	for i, r := range rs {
		r.before, r.answers = nil, 0
		if i > 0 {
			r.answers = rs[i-1].answers + rs[i-1].out.Len()
		}
		if err := r.takeOver(f.Answers[i]); err != nil {
			r.fail(replyErrorf("UNKNOWN it was forwarded, and may have happened: %v", err))
		}
	}
	return nil
}

// lost is the answer to what was forwarded and not answered.
func lost(leader topology.NodeID, r *request, err error) error {
	switch {
	case topology.OutcomeOf(err) == topology.NotApplied:
		return replyErrorf("TRYAGAIN not applied: the leader %s was not reached: %v", leader, err)
	case !r.writing():
		return replyErrorf("TRYAGAIN the leader %s did not answer: %v", leader, err)
	}
	return replyErrorf("UNKNOWN the outcome is not known, it may have happened or may yet: it was forwarded to the leader %s: %v", leader, err)
}

// takeOver makes the leader's answer the request's. In the answer of a transaction
// stand also those that were given here.
func (r *request) takeOver(answer []byte) error {
	r.out.Truncate(0)
	if r.tx == nil || len(answer) == 0 || answer[0] != '*' || bytes.HasPrefix(answer, []byte("*-1")) {
		r.out.Raw(answer)
		return r.fits()
	}
	in := bufio.NewReaderSize(bytes.NewReader(answer), resp.BufferBytesMin)
	if _, err := in.ReadSlice('\n'); err != nil {
		return err
	}
	r.out.Array(len(r.tx.queued))
	for _, q := range r.tx.queued {
		if q.settled {
			r.out.Raw(q.out.Bytes())
			continue
		}
		b, err := resp.AppendAnswer(r.out.Bytes(), in, len(answer))
		if err != nil {
			return err
		}
		r.out.Reset(b)
	}
	return r.fits()
}

// guest is a client of another node, for one message.
type guest struct{ *conn }

// Forwarded does what a client of another node asks for, as if it had asked here.
// Where this node does not lead, each command is refused: it goes no further.
func (s *Server) Forwarded(ctx context.Context, msg []byte) (answer []byte, err error) {
	m, err := call.DecodeForward(msg)
	if err != nil {
		return nil, &topology.Error{Op: "forward", Outcome: topology.NotApplied, Err: err}
	}
	c := guest{&conn{wire: wire{server: s, since: time.Now()}}}
	c.session = session{proto: m.Proto, trusted: true, forwarded: true, durability: m.Durability, reads: m.Reads, token: m.Token}
	defer func() {
		if p := recover(); p != nil {
			s.counts.panics.Add(1)
			s.logger.Error("a forwarded command failed", "panic", p, "stack", string(debug.Stack()))
			err = &topology.Error{Op: "forward", Outcome: topology.Unknown, Err: topology.ErrFailed}
		}
	}()
	b := s.batches.Get().(*batch)
	c.batch = b
	defer func() {
		b.reset()
		s.batches.Put(b)
	}()
	now := s.wall(c.since)
	for i := range m.Commands {
		r := b.next(s)
		r.now, r.out.Proto, r.most = now, c.session.proto, forwardAnswersMax
		if err := c.begin(ctx, r, &m.Commands[i]); err != nil {
			r.fail(c.reply(err, r.cmd != nil && r.writing()))
		}
	}
	c.settle(ctx)
	s.counts.commands.Add(uint64(b.n))
	return c.answers(b)
}

// begin begins one command of the message: those that work on keys, and FLUSHALL.
func (c guest) begin(ctx context.Context, r *request, m *call.Command) error {
	if m.Atomic {
		return c.exec(ctx, r, m)
	}
	cmd, err := c.find(m.Queue[0])
	if err != nil {
		return err
	}
	r.cmd, r.args = cmd, m.Queue[0]
	if cmd.answer == nil {
		return c.keyed(ctx, r)
	}
	c.settle(ctx)
	return cmd.answer(ctx, c.conn, r)
}

// find returns the command that args call, unless it is a connection's.
func (c guest) find(args [][]byte) (*command, error) {
	cmd, err := c.server.find(args)
	if err == nil && cmd.answer != nil && cmd.flags&writes == 0 {
		return nil, replyErrorf("ERR %s is bound to the connection of its client, and is not forwarded to the leader", cmd.name)
	}
	return cmd, err
}

// exec makes a transaction of what was queued at the other node.
func (c guest) exec(ctx context.Context, r *request, m *call.Command) error {
	c.tx, c.watched = &transaction{}, nil
	for _, args := range m.Queue {
		cmd, err := c.find(args)
		if err != nil {
			return err
		}
		r.cmd, r.args = cmd, args
		if err := c.enqueue(r); err != nil {
			return err
		}
	}
	for _, p := range m.Watched {
		c.watched = append(c.watched, kind.Watched{Key: kind.Key{Table: p.Table, Name: p.Key}, Dot: p.Dot})
	}
	r.out.Truncate(0)
	r.cmd, r.args = c.server.commands["exec"], nil
	return answerExec(ctx, c.conn, r)
}

// answers is what goes back, with what the session has seen by now.
func (c guest) answers(b *batch) ([]byte, error) {
	f := call.Forwarded{Wrote: c.session.written, Receipt: c.session.last}
	if !f.Wrote {
		f.Receipt = topology.Receipt{Token: c.session.token}
	}
	size := 0
	for _, r := range b.requests[:b.n] {
		f.Answers = append(f.Answers, r.out.Bytes())
		size += r.out.Len()
	}
	if size > forwardAnswersMax {
		return nil, &topology.Error{Op: "forward", Outcome: topology.Unknown, Err: fmt.Errorf("answers of %d bytes to one message, at most %d: %w", size, forwardAnswersMax, topology.ErrTooLarge)}
	}
	return f.Encode(), nil
}
