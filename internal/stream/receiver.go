package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Sink takes what arrives. All methods but Ack are called by one goroutine, in
// the order of the messages; an error ends the stream and reaches the sender
// as a refusal.
type Sink interface {
	// Begin accepts a sender and its term, durably before it returns, or
	// refuses, and says what this node holds.
	Begin(ctx context.Context, from topology.Peer, b Begin) (Tail, error)
	// Cut hears where the sender's log meets ours: To equal to Asked is
	// agreement; otherwise what is behind To is exported and dropped, and the
	// new tail returned. An answer that is not to the present tail is refused.
	Cut(ctx context.Context, c Cut) (Tail, error)
	// Append takes a group of entries, or a heartbeat.
	Append(ctx context.Context, a *Append) error
	// Install makes a received snapshot this node's state, and the log
	// continue after it, and returns the new tail.
	Install(ctx context.Context, o Offer, s topology.Stage) (Tail, error)
	// Ack says how far this node has come. It is called by any goroutine.
	Ack() Ack
}

// ReceiverConfig is what a Receiver works with.
type ReceiverConfig struct {
	From   topology.Peer
	Stream topology.Stream
	Store  topology.Store
	Sink   Sink
	// AppliedDelay is how long progress of the applied position alone waits for
	// something more urgent to ride with, at first; default 2 ms.
	AppliedDelay time.Duration
}

// appliedPauseMax bounds how long a receiver does not look at its applied
// position while nothing else happens.
const appliedPauseMax = 100 * time.Millisecond

// Receiver takes one stream. It is made for one connection and serves it with
// Run.
type Receiver struct {
	c    ReceiverConfig
	wake chan struct{}
	due  atomic.Bool // a heartbeat came: answer it even with nothing new
}

// NewReceiver returns a receiver; it starts nothing.
func NewReceiver(c ReceiverConfig) *Receiver {
	if c.AppliedDelay == 0 {
		c.AppliedDelay = 2 * time.Millisecond
	}
	return &Receiver{c: c, wake: make(chan struct{}, 1)}
}

// Wake tells the receiver that its node has come further, so that an ack is
// due. It never blocks.
func (r *Receiver) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run takes messages until the stream ends, ctx ends, or the sink refuses.
func (r *Receiver) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		return r.c.Stream.Close()
	})
	g.Go(func() error {
		w := pack.NewWriter(nil)
		err := r.reconcile(ctx, w)
		if err == nil {
			g.Go(func() error { return r.acknowledge(ctx) })
			err = r.replicate(ctx)
		}
		if err == nil {
			err = io.EOF
		}
		return err
	})
	err := g.Wait()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// refuse tells the sender why, and returns the reason.
func (r *Receiver) refuse(w *pack.Writer, term uint64, err error) error {
	x := &Refusal{Term: term, Err: err}
	x.encode(w)
	_ = r.c.Stream.Send(w.Bytes()) // the stream ends either way
	return x
}

func (r *Receiver) send(w *pack.Writer, m interface{ encode(*pack.Writer) }) error {
	m.encode(w)
	return r.c.Stream.Send(w.Bytes())
}

// reconcile answers until the logs agree.
func (r *Receiver) reconcile(ctx context.Context, w *pack.Writer) error {
	b, err := r.c.Stream.Recv()
	if err != nil {
		return err
	}
	var begin Begin
	if err := decodeAs(b, kindBegin, &begin); err != nil {
		return err
	}
	tail, err := r.c.Sink.Begin(ctx, r.c.From, begin)
	for {
		if err != nil {
			return r.refuse(w, tail.Term, err)
		}
		if err := r.send(w, &tail); err != nil {
			return err
		}
		if b, err = r.c.Stream.Recv(); err != nil {
			return err
		}
		if len(b) > 0 && b[0] == kindOffer {
			tail, err = r.snapshot(ctx, w, b)
			continue
		}
		var c Cut
		if err := decodeAs(b, kindCut, &c); err != nil {
			return err
		}
		if tail, err = r.c.Sink.Cut(ctx, c); err == nil && c.To == c.Asked {
			return nil
		}
	}
}

// replicate takes appends.
func (r *Receiver) replicate(ctx context.Context) error {
	var a Append
	var round uint64
	w := pack.NewWriter(nil)
	for {
		b, err := r.c.Stream.Recv()
		if err != nil {
			return err
		}
		if len(b) == 0 || b[0] != kindAppend {
			return decodeAs(b, kindAppend, &Ack{})
		}
		rd := pack.NewReader(b[1:])
		if err := a.decode(&rd); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		if err := r.c.Sink.Append(ctx, &a); err != nil {
			return r.refuse(w, a.Term, err)
		}
		if a.Count == 0 {
			r.due.Store(true)
		}
		if a.Count == 0 || a.Eager || a.Round != round {
			r.Wake()
		}
		round = a.Round
	}
}

// acknowledge sends an ack whenever there is something new to say. A sink wakes
// it after a flush; entries that were only written ride along unless the sender
// is eager, and what was applied rides along or is looked for a little later.
func (r *Receiver) acknowledge(ctx context.Context) error {
	w := pack.NewWriter(nil)
	var now, told Ack
	pause := r.c.AppliedDelay
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for {
		now = r.c.Sink.Ack()
		if r.due.Swap(false) || now != told {
			if err := r.send(w, &now); err != nil {
				return err
			}
			told, pause = now, r.c.AppliedDelay
			if now.Applied < now.Flushed {
				late.Reset(pause)
			}
		}
		select {
		case <-r.wake:
		case <-late.C:
			if told.Applied < told.Flushed { // nobody wakes us for what is applied: look again
				pause = min(2*pause, appliedPauseMax)
				late.Reset(pause)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// snapshot receives the one that b offers, into the side place.
func (r *Receiver) snapshot(ctx context.Context, w *pack.Writer, b []byte) (Tail, error) {
	var o Offer
	if err := decodeAs(b, kindOffer, &o); err != nil {
		return Tail{}, err
	}
	st, err := r.c.Store.Stage(o.ID)
	if err != nil {
		return Tail{}, err
	}
	t, err := r.stage(ctx, w, o, st)
	if cerr := st.Close(); err == nil {
		err = cerr
	}
	return t, err
}

func (r *Receiver) stage(ctx context.Context, w *pack.Writer, o Offer, st topology.Stage) (Tail, error) {
	m, err := DecodeMark(st.Resume())
	if err != nil {
		return Tail{}, fmt.Errorf("mark of snapshot %s: %w", o.ID, err)
	}
	if err := r.send(w, (*Resume)(&m)); err != nil {
		return Tail{}, err
	}
	var c Chunk
	for {
		b, err := r.c.Stream.Recv()
		if err != nil {
			return Tail{}, err
		}
		if err := decodeAs(b, kindChunk, &c); err != nil {
			return Tail{}, err
		}
		if m, err = m.Over(&c); err != nil {
			return Tail{}, err
		}
		if c.Done {
			return r.c.Sink.Install(ctx, o, st)
		}
		if err := st.Put(m.Encode(), c.Edits); err != nil {
			return Tail{}, err
		}
	}
}

// Over returns the mark after c, if c is whole and follows m.
func (m Mark) Over(c *Chunk) (Mark, error) {
	if c.Done && len(c.Edits) > 0 {
		return m, fmt.Errorf("%w: it ends in cells", errSnapshot)
	}
	for _, e := range c.Edits {
		if len(e.Key) == 0 || len(e.State) == 0 {
			return m, fmt.Errorf("%w: a cell without key or state", errSnapshot)
		}
		m = m.With(e)
	}
	if n := len(c.Edits); n > 0 {
		m.Last = c.Edits[n-1].Cell.Clone()
	}
	if m.Count != c.Mark.Count || m.Sum != c.Mark.Sum {
		return m, fmt.Errorf("%w: %d cells with sum %08x, sent %d with %08x", errSnapshot, m.Count, m.Sum, c.Mark.Count, c.Mark.Sum)
	}
	return m, nil
}
