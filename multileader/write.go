package multileader

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// write is one caller's batch on its way.
type write struct {
	batch      record.Batch
	durability topology.Durability
	bytes      int64
	state      atomic.Int32
	receipt    topology.Receipt
	err        error
	done       chan struct{}
}

// A write is queued until the loop takes it; then nobody but the loop touches it until
// it is answered.
const (
	writeQueued int32 = iota
	writeTaken
	writePlaced
	writeCancelled
)

// pendingBytesMax bounds the bytes of writes that are accepted and not answered yet,
// where the group's options name no other bound.
const pendingBytesMax = 32 << 20

// writer is the writing side of an engine.
type writer struct {
	e      *engine
	budget *semaphore.Weighted
	most   int64
}

func newWriter(e *engine) *writer {
	most := e.o.Group.PendingBytesMax
	if most <= 0 {
		most = pendingBytesMax
	}
	return &writer{e: e, budget: semaphore.NewWeighted(most), most: most}
}

// Write implements topology.Engine.
func (wr *writer) Write(ctx context.Context, b record.Batch, o topology.WriteOptions) (topology.Receipt, error) {
	e := wr.e
	if err := wr.check(&b); err != nil {
		return topology.Receipt{}, e.keyed(&b, e.errorOf("write", topology.NotApplied, err))
	}
	if err := ctx.Err(); err != nil {
		return topology.Receipt{}, e.keyed(&b, e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, err)))
	}
	if err := e.group.Starting(ctx); err != nil {
		return topology.Receipt{}, e.keyed(&b, e.errorOf("write", topology.NotApplied, err))
	}
	w := &write{batch: b, durability: o.Durability, bytes: batchBytes(&b), done: make(chan struct{})}
	if w.durability == topology.DurabilityDefault {
		w.durability = e.o.Group.Durability
	}
	if err := wr.budget.Acquire(ctx, min(w.bytes, wr.most)); err != nil {
		return topology.Receipt{}, e.keyed(&b, e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: %d bytes of writes are waiting already: %w", topology.ErrOverloaded, wr.most, err)))
	}
	e.loop.write(w)
	return wr.await(ctx, w)
}

// await returns the answer of a write, or the error of a caller whose context has ended
// before.
func (wr *writer) await(ctx context.Context, w *write) (topology.Receipt, error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.state.CompareAndSwap(writeQueued, writeCancelled) {
			wr.budget.Release(min(w.bytes, wr.most))
			return topology.Receipt{}, wr.e.keyed(&w.batch, wr.e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())))
		}
		return wr.abandoned(ctx, w)
	}
	wr.budget.Release(min(w.bytes, wr.most))
	if w.err == nil && w.durability == topology.Applied {
		if err := wr.e.group.Wait(ctx, w.receipt.LSN); err != nil {
			return topology.Receipt{}, wr.unknown(w, w.receipt, err)
		}
		w.receipt.Durability = topology.Applied
	}
	return w.receipt, wr.e.keyed(&w.batch, w.err)
}

// abandoned is the answer of a caller who waits no more for a write that the loop has
// taken: it may be committed any moment.
func (wr *writer) abandoned(ctx context.Context, w *write) (topology.Receipt, error) {
	placed := make(chan topology.Receipt, 1)
	wr.e.loop.post(func() { placed <- w.receipt }) // once the loop has read the caller's bytes
	select {
	case r := <-placed:
		go func() {
			<-w.done
			wr.budget.Release(min(w.bytes, wr.most))
		}()
		return topology.Receipt{}, wr.unknown(w, r, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
	case <-w.done:
		wr.budget.Release(min(w.bytes, wr.most))
		return w.receipt, wr.e.keyed(&w.batch, w.err)
	}
}

func (wr *writer) unknown(w *write, r topology.Receipt, err error) error {
	x := wr.e.errorOf("write", topology.Unknown, err)
	x.Dot, x.Term = r.Dot, r.Term
	return wr.e.keyed(&w.batch, x)
}

// check holds a batch to the limits before it can reach the log.
func (wr *writer) check(b *record.Batch) error {
	if err := wr.e.group.Failure(); err != nil {
		return err
	}
	most := wr.e.o.Group.ValueBytesMax
	if most == 0 {
		most = record.ValueBytesMax
	}
	if err := b.Check(most); err != nil {
		if errors.Is(err, record.ErrTooLarge) {
			return err
		}
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	return nil
}

// batchBytes estimates what a batch holds in memory and in the log.
func batchBytes(b *record.Batch) int64 {
	n := 128
	for i := range b.Mutations {
		m := &b.Mutations[i]
		n += 32 + len(m.Key) + len(m.Field) + len(m.Value)
	}
	return int64(n)
}

// accept takes writes as one group, on the loop.
func (e *engine) accept(ws []*write) {
	taken := ws[:0]
	for _, w := range ws {
		if w.state.CompareAndSwap(writeQueued, writeTaken) {
			taken = append(taken, w)
		}
	}
	if len(taken) == 0 {
		return
	}
	if e.reign.core == nil {
		for _, w := range taken {
			w.answer(topology.Receipt{}, e.refusal())
		}
		return
	}
	if e.group.Frozen() {
		for _, w := range taken {
			w.answer(topology.Receipt{}, e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: fewer members of this site are in sync than a commit needs", topology.ErrUnavailable)))
		}
		return
	}
	ev := core.Event{Kind: core.EvWrite, Now: e.env.Clock.Wall()}
	for _, w := range taken {
		ev.Writes = append(ev.Writes, w.batch)
	}
	e.perform(e.reign.core.Step(ev), taken)
	lsn, err := e.flush()
	if err != nil {
		for _, w := range taken {
			if w.receipt.LSN > 0 {
				w.answer(topology.Receipt{}, e.notTaken(err))
			}
		}
		e.step(core.Event{Kind: core.EvNotAppended, LSN: lsn})
		return
	}
	for _, w := range taken {
		if w.receipt.LSN > 0 {
			w.state.Store(writePlaced)
			e.reign.waiting.push(w)
		}
	}
}

// notTaken is the answer of a write that the group's log did not take.
func (e *engine) notTaken(err error) error {
	if errors.Is(err, topology.ErrNotLeader) {
		return e.refusal()
	}
	return e.errorOf("write", topology.NotApplied, err)
}

// refusal names the leader of the site (S14).
func (e *engine) refusal() error { return e.group.Refusal("write") }

// accepted notes what a write is called.
func (w *write) accepted(x *core.Effect) {
	dot := x.Item.Dot
	w.receipt = topology.Receipt{
		Token: topology.TokenOf(x.Deps.With(dot.Origin, dot.Seq)),
		Dot:   dot, LSN: x.LSN, Term: x.Item.Entry.Term, Time: x.Time,
	}
}

// refused answers a write that the core does not take.
func (w *write) refused(e *engine, err error) {
	if errors.Is(err, topology.ErrNotLeader) {
		err = e.refusal()
	}
	w.answer(topology.Receipt{}, err)
}

// answer ends a write.
func (w *write) answer(r topology.Receipt, err error) {
	w.receipt, w.err = r, err
	close(w.done)
}

// queue is writes in the order of their LSNs.
type queue struct {
	ws   []*write
	head int
}

func (q *queue) push(w *write) { q.ws = append(q.ws, w) }

// all returns what waits, and forgets it.
func (q *queue) all() []*write {
	ws := q.ws[q.head:]
	*q = queue{}
	return ws
}

// release answers the writes that are committed up to lsn.
func (q *queue) release(e *engine, lsn record.LSN) {
	var durable []topology.NodeID
	for q.head < len(q.ws) && q.ws[q.head].receipt.LSN <= lsn {
		w := q.ws[q.head]
		q.ws[q.head] = nil
		q.head++
		if durable == nil {
			durable = e.group.Durable(lsn)
		}
		r := w.receipt
		r.Durability, r.Durable = topology.Flushed, durable
		w.answer(r, nil)
	}
	switch {
	case q.head == len(q.ws):
		q.ws, q.head = q.ws[:0], 0
	case q.head > len(q.ws)/2:
		q.ws, q.head = append(q.ws[:0], q.ws[q.head:]...), 0
	}
}

func (e *engine) errorOf(op string, o topology.Outcome, err error) *topology.Error {
	var t *topology.Error
	if errors.As(err, &t) {
		c := *t
		return &c
	}
	return &topology.Error{Op: op, Node: e.env.Self, Outcome: o, Err: err}
}

// keyed gives an error the key of the batch it is about.
func (e *engine) keyed(b *record.Batch, err error) error {
	var t *topology.Error
	if errors.As(err, &t) && len(t.Key) == 0 && len(b.Mutations) > 0 {
		c := *t
		c.Key = append([]byte(nil), b.Mutations[0].Key...)
		return &c
	}
	return err
}
