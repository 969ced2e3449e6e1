package multileader

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	sl "github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// write is one caller's batch on its way.
type write struct {
	batch      record.Batch
	update     *topology.Update   // nil: batch is what is to be written
	context    topology.Context   // of the client; zero: none
	unseen     *version.Set       // what of its key's siblings that leaves; with context
	guard      func(*sight) error // what has to hold where it is placed; nil: nothing
	durability topology.Durability
	bytes      int64
	own        bool // it is the site's own doing, and not a client's
	idle       bool // it changes nothing, and is answered once what it has seen is committed
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
	if err := wr.awaitContext(ctx, o.Context); err != nil {
		return topology.Receipt{}, e.keyed(&b, e.errorOf("write", topology.NotApplied, err))
	}
	return wr.send(ctx, o, &write{batch: b, context: o.Context})
}

// post gives writes to the loop, with nothing of others between them, once there is
// room for them.
func (wr *writer) post(ctx context.Context, o topology.WriteOptions, ws ...*write) error {
	var bytes int64
	for _, w := range ws {
		w.done = make(chan struct{})
		if w.durability = o.Durability; w.durability == topology.DurabilityDefault {
			w.durability = wr.e.o.Group.Durability
		}
		w.bytes = min(w.bytes, wr.most/int64(len(ws)))
		bytes += w.bytes
	}
	if err := wr.budget.Acquire(ctx, bytes); err != nil {
		return wr.e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: %d bytes of writes are waiting already: %w", topology.ErrOverloaded, wr.most, err))
	}
	wr.e.loop.write(ws...)
	return nil
}

// await returns the answer of a write, or the error of a caller whose context has ended
// before.
func (wr *writer) await(ctx context.Context, w *write) (topology.Receipt, error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.state.CompareAndSwap(writeQueued, writeCancelled) {
			wr.budget.Release(w.bytes)
			return topology.Receipt{}, wr.e.keyed(&w.batch, wr.e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())))
		}
		return wr.abandoned(ctx, w)
	}
	wr.budget.Release(w.bytes)
	if w.err == nil && w.durability == topology.Applied && !w.idle {
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
			wr.budget.Release(w.bytes)
		}()
		return topology.Receipt{}, wr.unknown(w, r, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
	case <-w.done:
		wr.budget.Release(w.bytes)
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

// accept takes writes as one group, on the loop.
func (wr *writer) accept(ws []*write) {
	e := wr.e
	taken := ws[:0]
	for _, w := range ws {
		if w.state.CompareAndSwap(writeQueued, writeTaken) {
			taken = append(taken, w)
		}
	}
	if len(taken) == 0 {
		return
	}
	if err := wr.closed(); err != nil {
		for _, w := range taken {
			w.answer(topology.Receipt{}, err)
		}
		return
	}
	for _, w := range taken {
		if err := wr.take(w); err != nil {
			w.answer(topology.Receipt{}, e.errorOf("write", topology.NotApplied, err))
		}
	}
	lsn, err := e.flush()
	for _, w := range taken {
		switch {
		case w.answered():
		case err != nil && w.receipt.LSN > lsn:
			w.answer(topology.Receipt{}, wr.notTaken(err))
		default:
			w.state.Store(writePlaced)
			e.reign.waiting.push(w)
		}
	}
	if err != nil {
		e.step(core.Event{Kind: core.EvNotAppended, LSN: lsn})
	}
	if c := e.reign.core; c != nil {
		e.reign.waiting.release(e, c.Commit())
	}
}

// closed says why this node takes no writes now, nil if it does.
func (wr *writer) closed() error {
	e := wr.e
	switch {
	case e.reign.core == nil:
		return e.refusal()
	case e.group.Frozen():
		return e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: fewer members of this site are in sync than a commit needs", topology.ErrUnavailable))
	}
	return nil
}

// take decides one write and places it, behind what this node has placed before it. An
// error means that it was not; one that was refused by the core is answered already.
func (wr *writer) take(w *write) error {
	e := wr.e
	ms, err := wr.decided(w)
	if err != nil {
		return err
	}
	if len(ms) == 0 {
		w.idle = true
		w.receipt = topology.Receipt{
			Token: topology.TokenOf(e.reign.tail.vector), LSN: e.reign.core.End(), Term: e.reign.term,
		}
		return nil
	}
	b := record.Batch{Mutations: ms, Request: w.batch.Request, Context: w.unseen}
	ev := core.Event{Kind: core.EvWrite, Now: e.env.Clock.Wall(), Writes: []record.Batch{b}, Own: w.own}
	e.perform(e.reign.core.Step(ev), []*write{w})
	return nil
}

// decided returns what a write comes to: decided over what the site's log holds, if it
// depends on that, and in the form in which it goes into a record.
func (wr *writer) decided(w *write) ([]record.Mutation, error) {
	e := wr.e
	known := e.machine.tables.known.Load()
	t := e.reign.tail
	needs := w.update != nil || len(w.batch.Conditions) > 0 || !w.context.IsZero() || w.guard != nil
	for i := range w.batch.Mutations {
		m := &w.batch.Mutations[i]
		of := known.of(m.Table)
		needs = needs || m.Op == record.OpMerge || of.shows == joined && !kind.Parted(of.kind)
	}
	if needs {
		if err := t.use(); err != nil {
			return nil, err
		}
		known = &t.tables.tableSet
	}
	ms := w.batch.Mutations
	if w.update != nil {
		if err := wr.retire(w.update.Reads); err != nil {
			return nil, err
		}
		s, err := wr.look(w.update.Reads)
		if err == nil {
			ms, err = w.update.Decide(s)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := wr.holds(w.batch.Conditions); err != nil {
		return nil, err
	}
	if err := wr.admits(w, known, ms); err != nil {
		return nil, err
	}
	out := make([]record.Mutation, 0, len(ms))
	for i := range ms {
		of := known.of(ms[i].Table)
		if err := errors.Join(notHeld(e, ms[i].Table), e.judge.teller.refusalOf(of)); err != nil {
			return nil, err
		}
		drop, err := fit(of.kind, &ms[i])
		if err != nil {
			return nil, err
		}
		if !drop {
			out = append(out, ms[i])
		}
	}
	if !needs {
		return out, nil
	}
	return out, t.seal(out, e.reign.core.Next())
}

// admits sees to what a write was given besides conditions: its client's context, and
// what an operator's order rests on.
func (wr *writer) admits(w *write, known *tableSet, ms []record.Mutation) (err error) {
	switch {
	case w.guard != nil:
		err = w.guard(&sight{e: wr.e})
	case w.context.IsZero() || len(ms) == 0:
	case len(w.batch.Conditions) > 0:
		err = fmt.Errorf("%w: a context is the only condition of its write", topology.ErrUnsupported)
	default:
		w.unseen, err = wr.unseen(w.context, known.of(ms[0].Table), ms)
	}
	return err
}

// holds evaluates conditions over what this site has accepted: another site may have
// accepted what would make them fail.
func (wr *writer) holds(cs []record.Condition) error {
	for i := range cs {
		c := &cs[i]
		if wr.e.reign.tail.tables.of(c.Cell.Table).siblings() {
			return fmt.Errorf("%w: a condition on one of several values: write with the context of a read, which replaces what was read", topology.ErrUnsupported)
		}
		s, err := wr.look([]topology.CellRange{{Cell: c.Cell}})
		if err != nil {
			return err
		}
		var v *record.Version
		if cells := s.Cells(0); len(cells) > 0 {
			v = &cells[0].Version
		}
		if err := sl.Satisfied(c, v); err != nil {
			return err
		}
	}
	return nil
}

// Update implements topology.Updater. What is decided holds at this site: other sites
// decide over what they have, and what both have written is settled as the table wants.
func (wr *writer) Update(ctx context.Context, us []topology.Update, o topology.WriteOptions) {
	e := wr.e
	err := e.group.Failure()
	if err == nil {
		err = e.group.Starting(ctx)
	}
	ws := make([]*write, len(us))
	for i := range us {
		ws[i] = &write{update: &us[i], context: o.Context, bytes: int64(us[i].Bytes) + 256}
		if !us[i].Request.IsZero() && err == nil {
			err = fmt.Errorf("%w: a named update, where several sites write", topology.ErrUnsupported)
		}
	}
	if err == nil && !o.Context.IsZero() && len(us) != 1 {
		err = fmt.Errorf("%w: a context is of one write", topology.ErrUnsupported)
	}
	if err == nil {
		err = wr.awaitContext(ctx, o.Context)
	}
	if err == nil {
		err = wr.post(ctx, o, ws...)
	}
	if err != nil {
		for i := range us {
			us[i].Receipt, us[i].Err = topology.Receipt{}, e.errorOf("update", topology.NotApplied, err)
		}
		return
	}
	idle := false
	for i, w := range ws {
		us[i].Receipt, us[i].Err = wr.await(ctx, w)
		idle = idle || w.answered() && w.idle && us[i].Err == nil
	}
	if !idle {
		return
	}
	if _, err := e.group.Ready(ctx, topology.ReadOptions{Guarantee: topology.ReadLinearizable}); err != nil {
		for i, w := range ws {
			if w.answered() && w.idle && us[i].Err == nil {
				us[i].Receipt, us[i].Err = topology.Receipt{}, e.errorOf("update", topology.NotApplied, err)
			}
		}
	}
}

// answered reports whether a write was.
func (w *write) answered() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// notTaken is the answer of a write that the group's log did not take.
func (wr *writer) notTaken(err error) error {
	e := wr.e
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
		if w.idle {
			r.LSN = 0
		}
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
