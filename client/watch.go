package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// WatchOptions say what of a table to follow, and from where.
type WatchOptions = call.Watch

// Change is one step of a watch: what one transaction did to the keys that are
// watched, or a key that was there before.
type Change = call.Change

// KeyChange is what became of one key.
type KeyChange = call.KeyChange

// PartChange is what became of a member, a field or a column of a key.
type PartChange = call.PartChange

// Slot is a durable position of a watch.
type Slot = call.Slot

// Watch yields what is committed to a table, in the order of the log, every
// transaction once, from any one node, on a stream of its own. It waits for more
// until ctx ends. A node that goes away is replaced by another where the last
// change left off; within the state that is not possible, nor with a slot, which
// stands where it was acknowledged: the watch then ends with the error, and the
// next one goes on. An error is the last thing it yields: those of triad's
// Node.Watch.
//
// With a slot, a change counts as consumed when the loop comes back for the next
// one. A slow loop is waited for.
func (c *Client) Watch(ctx context.Context, table string, o WatchOptions) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w := watching{c: c, table: table, o: o, yield: yield}
		if err := w.run(ctx); err != nil && !w.enough {
			yield(Change{}, errorOf("watch", table, nil, err))
		}
	}
}

// watching is one watch, over as many streams as it takes.
type watching struct {
	c      *Client
	table  string
	o      WatchOptions
	yield  func(Change, error) bool
	enough bool
	come   bool           // something was yielded
	last   topology.Token // of what was yielded
}

// run goes from stream to stream.
func (w *watching) run(ctx context.Context) error {
	if err := w.o.Check(); err != nil {
		return call.NotApplied(err)
	}
	pause := w.c.options.RetryMin
	for attempt := 1; ; attempt++ {
		addr, before := w.c.addrs.first(), w.last
		err := w.stream(ctx, addr)
		if w.enough || err == nil {
			return err
		}
		if ctx.Err() != nil {
			return call.NotApplied(fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
		}
		if w.last != before {
			attempt, pause = 1, w.c.options.RetryMin
		}
		if w.come && (w.last.IsZero() || w.o.Slot != "") || !again(err, reads) || attempt >= w.c.options.AttemptsMax {
			return err
		}
		w.c.addrs.pass(addr)
		if !w.c.sleep(ctx, pause) {
			return err
		}
		pause = min(2*pause, w.c.options.RetryMax)
	}
}

// request is what a stream begins with: what was asked for, or where the stream
// before left off.
func (w *watching) request() []byte {
	o := w.o
	if !w.last.IsZero() {
		o.From, o.State = w.last, false
	}
	return o.Encode(w.table)
}

// stream yields what one node sends.
func (w *watching) stream(ctx context.Context, addr string) (err error) {
	s, err := w.c.transport.OpenAddr(ctx, addr, call.ProtocolWatch)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer func() { stop(); err = errors.Join(err, s.Close()) }()
	if err := s.Send(w.request()); err != nil {
		return err
	}
	for {
		b, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the node has ended the watch: %w", topology.ErrUnavailable)
		}
		if err != nil {
			return err
		}
		ch, err := call.DecodeFed(slices.Clone(b))
		if err != nil {
			return call.NotApplied(err)
		}
		w.come = true
		if w.enough = !w.yield(ch, nil); w.enough {
			return nil
		}
		if !ch.Token.IsZero() {
			w.last = ch.Token
		}
		if err := w.acknowledge(s, ch); err != nil {
			return err
		}
	}
}

// acknowledge tells the node that a change was consumed, where a slot moves by it.
func (w *watching) acknowledge(s topology.Stream, ch Change) error {
	if w.o.Slot == "" || ch.Token.IsZero() {
		return nil
	}
	ack := Change{Kind: ch.Kind, Token: ch.Token}
	return s.Send(ack.Encode())
}

// Slots returns all slots, by name.
func (o Operator) Slots(ctx context.Context) ([]Slot, error) {
	all, err := read(ctx, o.c, call.MethodSlots, call.EncodeNothing, call.DecodeSlots)
	if err != nil {
		return nil, errorOf("slots", "", nil, err)
	}
	return all, nil
}

// DropSlot removes a slot; what is not there is topology.ErrNotFound.
func (o Operator) DropSlot(ctx context.Context, name string) error {
	m := call.SlotRequest{Op: call.SlotDrop, Name: name}
	if len(name) > call.SlotBytesMax {
		return errorOf("drop slot", "", nil, call.NotApplied(fmt.Errorf("a name of %d bytes, at most %d: %w", len(name), call.SlotBytesMax, topology.ErrNotFound)))
	}
	answer, err := o.c.ask(ctx, writes, call.MethodSlot, m.Encode())
	if err == nil {
		_, err = call.DecodeSlots(answer)
	}
	if err != nil {
		return errorOf("drop slot", "", nil, err)
	}
	return nil
}
