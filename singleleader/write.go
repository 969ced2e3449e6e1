package singleleader

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// write is one caller's batch on its way.
type write struct {
	batch      record.Batch
	known      []known // of its conditions, or reads, as before it was posted
	sum        uint32  // of its mutations, if it has a name
	result     []byte  // of an update that has a name
	update     *topology.Update
	call       *calls
	repeated   bool  // it was accepted before, and joins that
	idle       bool  // it changes nothing: an update that decided so, or a condition that does not hold
	looked     bool  // and has come upon nothing that is due: it is not appended
	ground     error // why it would not
	durability topology.Durability
	bytes      int64
	state      atomic.Int32
	receipt    topology.Receipt
	err        error
	done       chan struct{}
}

// A write is queued until a turn takes it; then nobody but the turn touches it
// until it is appended or answered.
const (
	writeQueued int32 = iota
	writeTaken
	writeAppended
	writeCancelled
)

// writer is the writing side of an engine.
type writer struct {
	e        *engine
	requests requests
	free     sync.Pool // of writes that nobody knows any more; of this engine alone, as its channels are
}

func newWriter(e *engine) *writer {
	return &writer{e: e, free: sync.Pool{New: func() any { return &write{done: make(chan struct{}, 1)} }}}
}

// Write implements topology.Engine.
func (wr *writer) Write(ctx context.Context, b record.Batch, o topology.WriteOptions) (topology.Receipt, error) {
	if err := wr.check(&b); err != nil {
		return topology.Receipt{}, wr.e.errorOf("write", &b, topology.NotApplied, err)
	}
	if err := ctx.Err(); err != nil {
		return topology.Receipt{}, wr.e.errorOf("write", &b, topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, err))
	}
	if err := wr.e.starting(ctx); err != nil {
		return topology.Receipt{}, wr.e.errorOf("write", &b, topology.NotApplied, err)
	}
	for {
		receipt, err := wr.post(ctx, b, o)
		if err != errAgain {
			return receipt, err
		}
	}
}

// post gives a batch to a turn and waits for its fate.
func (wr *writer) post(ctx context.Context, b record.Batch, o topology.WriteOptions) (topology.Receipt, error) {
	w := wr.free.Get().(*write)
	w.batch, w.durability, w.bytes = b, o.Durability, b.Footprint()
	if w.durability == topology.DurabilityDefault {
		w.durability = wr.e.o.Durability
	}
	if !b.Request.IsZero() {
		w.sum = core.SumOf(b.Mutations)
	}
	if err := wr.prepareWrite(ctx, w); err != nil {
		return topology.Receipt{}, wr.e.errorOf("write", &b, topology.NotApplied, err)
	}
	wr.e.turn.write(w)
	if err := wr.await(ctx, w, "write"); err != nil {
		return topology.Receipt{}, err
	}
	return wr.reuse(w)
}

// knownKept bounds what a write keeps of its list of reads for the next one.
const knownKept = 16

// reuse returns the answer of a write, and gives it back: nobody else knows it
// any more.
func (wr *writer) reuse(w *write) (receipt topology.Receipt, err error) {
	if err = w.err; err == nil {
		receipt = w.receipt
	}
	clear(w.known)
	*w = write{known: w.known[:0], done: w.done}
	if cap(w.known) > knownKept {
		w.known = nil
	}
	wr.free.Put(w)
	return receipt, err
}

// abandon takes a write back that no turn has taken yet.
func (w *write) abandon() bool {
	return w.state.CompareAndSwap(writeQueued, writeCancelled)
}

// prepareWrite takes what a write needs of the budget, and then looks at the
// cells of its conditions, so that little time passes until it is judged.
func (wr *writer) prepareWrite(ctx context.Context, w *write) error {
	cs := w.batch.Conditions
	if len(cs) > 0 || !w.batch.Request.IsZero() {
		if err := wr.closeEnough(ctx); err != nil {
			return err
		}
	}
	if err := wr.e.pending.reserve(ctx, w.bytes); err != nil {
		return err
	}
	if len(cs) == 0 {
		return nil
	}
	var err error
	if w.known, err = wr.read(cs); err != nil {
		wr.e.pending.free(w.bytes)
	}
	return err
}

// await returns nil once a write is answered, or the error of a caller whose
// context has ended before. If a turn has taken the write, it may then be
// committed any moment: the turn still reads the caller's bytes until it has
// appended or refused them, which takes it microseconds.
func (wr *writer) await(ctx context.Context, w *write, op string) error {
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	}
	outcome := topology.NotApplied
	if !w.abandon() {
		for w.state.Load() == writeTaken && len(w.done) == 0 {
			runtime.Gosched()
		}
		select {
		case <-w.done:
			return nil
		default:
		}
		if !w.idle {
			outcome = topology.Unknown
		}
	}
	err := wr.e.errorOf(op, &w.batch, outcome, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
	if outcome == topology.Unknown {
		err.Dot, err.Term = w.receipt.Dot, w.receipt.Term
	}
	return err
}

// check holds a batch to the limits before it can reach the log.
func (wr *writer) check(b *record.Batch) error {
	if err := b.Check(wr.e.o.ValueBytesMax); err != nil {
		if errors.Is(err, record.ErrTooLarge) {
			return err
		}
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if err := checkRequest(b.Request); err != nil {
		return err
	}
	for i := range b.Mutations {
		if b.Mutations[i].Op == record.OpMerge {
			return fmt.Errorf("%w: a delta: this topology takes the result, not the delta", topology.ErrUnsupported)
		}
	}
	return wr.e.broken()
}

// accept appends writes as one group, within a turn. Writes that come while the
// term's start is not durable yet wait for it (S2).
func (wr *writer) accept(ws []*write) {
	p := wr.e.pending
	if wr.e.core.Role == core.Leader && (p.pausing || !wr.e.core.Open()) && wr.e.broken() == nil {
		p.held = append(p.held, ws...)
		return
	}
	if len(p.held) > 0 {
		ws = append(p.held, ws...)
		p.held = nil
	}
	p.group = p.group[:0]
	for _, w := range ws {
		if !w.state.CompareAndSwap(writeQueued, writeTaken) {
			p.free(w.bytes)
			continue
		}
		p.group = append(p.group, w)
	}
	if len(p.group) == 0 {
		return
	}
	if err := wr.e.broken(); err != nil {
		p.answerAll(p.group, wr.e.errorOf("write", nil, topology.NotApplied, err))
		return
	}
	if !wr.e.core.Open() {
		p.answerAll(p.group, wr.e.notLeader("write", topology.NotApplied))
		return
	}
	if wr.e.o.FailFast && core.Barred(&wr.e.core, clock(wr.e)) {
		p.answerAll(p.group, wr.e.errorOf("write", nil, topology.NotApplied, fmt.Errorf("%w: %s", topology.ErrUnavailable, unleased)))
		return
	}
	if wr.e.core.Lead.Frozen && wr.e.o.FailFast {
		p.answerAll(p.group, wr.e.errorOf("write", nil, topology.NotApplied, fmt.Errorf("%w: fewer members are in sync than a commit needs", topology.ErrUnavailable)))
		return
	}
	wr.judge()
	if len(p.group) > 0 {
		wr.append()
	}
	if len(p.looks) > 0 {
		wr.confirm()
	}
}

// append gives the group its places in the log.
func (wr *writer) append() {
	p, g := wr.e.pending, wr.e.group.Load()
	at := wr.e.core.End
	p.records = p.records[:0]
	for i, w := range p.group {
		lsn := at + 1 + record.LSN(i)
		now := w.receipt.Time
		if now == 0 {
			now = wr.e.env.Clock.Now()
		}
		p.records = append(p.records, record.Record{
			Dot: g.Dot(lsn), Time: now, Term: wr.e.core.Term, Request: w.batch.Request, Mutations: w.batch.Mutations,
		})
		w.receipt = topology.Receipt{
			Token: topology.Token{Origin: g.Origin, Term: wr.e.core.Term, LSN: lsn},
			Dot:   g.Dot(lsn), LSN: lsn, Term: wr.e.core.Term, Time: now,
		}
	}
	term := wr.e.core.Term
	end, err := wr.e.env.Log.Append(term, p.records...)
	clear(p.records)
	if err == nil && end != at+record.LSN(len(p.group)) {
		err = fmt.Errorf("the log ends at %d, expected %d: somebody else writes it", end, at+record.LSN(len(p.group)))
	}
	if err != nil {
		if !wr.e.passing(err) {
			wr.e.fail(err)
			err = wr.e.broken()
		}
		p.answerAll(append(p.group, p.looks...), wr.e.errorOf("write", nil, topology.NotApplied, err))
		p.looks, p.recent = nil, nil // they saw what is not to be
		p.named.undo(p, wr.e.errorOf("write", nil, topology.NotApplied, err))
		return
	}
	for _, w := range p.group {
		p.wait(w)
	}
	effects := step(wr.e, core.Event{Kind: core.EvAppended, N: len(p.group)})
	for _, w := range p.group {
		w.state.Store(writeAppended)
	}
	wr.e.reign.wake()
	p.named.join(wr.e)
	wr.e.perform(&ask{}, effects)
}
