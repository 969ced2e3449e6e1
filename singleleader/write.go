package singleleader

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// dotAt is the dot of the record at lsn. In a group every entry is a record of
// its one origin, so the sequence is the LSN. A record cut from a log before it
// was committed leaves its dot to another one: until a record is committed, it
// is the pair of dot and term that names it.
func dotAt(g *group, lsn record.LSN) version.Dot {
	return version.Dot{Origin: g.Origin, Seq: uint64(lsn)}
}

// write is one caller's batch on its way.
type write struct {
	batch      record.Batch
	known      []known // of its conditions, read before it was posted
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

var writes = sync.Pool{New: func() any { return &write{done: make(chan struct{}, 1)} }}

// Write implements topology.Engine.
func (e *engine) Write(ctx context.Context, b record.Batch, o topology.WriteOptions) (topology.Receipt, error) {
	if err := e.check(&b); err != nil {
		return topology.Receipt{}, e.errorOf("write", &b, topology.NotApplied, err)
	}
	if err := ctx.Err(); err != nil {
		return topology.Receipt{}, e.errorOf("write", &b, topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, err))
	}
	w := writes.Get().(*write)
	w.batch, w.durability, w.bytes, w.err = b, o.Durability, batchBytes(&b), nil
	w.state.Store(writeQueued)
	if w.durability == topology.DurabilityDefault {
		w.durability = e.o.Durability
	}
	if len(b.Conditions) > 0 {
		var err error
		if w.known, err = e.read(ctx, b.Conditions); err != nil {
			return topology.Receipt{}, e.errorOf("write", &b, topology.NotApplied, err)
		}
	}
	if err := e.pending.reserve(ctx, w.bytes); err != nil {
		return topology.Receipt{}, e.errorOf("write", &b, topology.NotApplied, err)
	}
	e.turn.write(w)
	select {
	case <-w.done:
	case <-ctx.Done():
		if !w.abandon() {
			return topology.Receipt{}, e.unanswered(ctx, w)
		}
		return topology.Receipt{}, e.errorOf("write", &b, topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
	}
	receipt, err := w.receipt, w.err
	w.batch, w.known, w.receipt = record.Batch{}, nil, topology.Receipt{}
	writes.Put(w)
	return receipt, err
}

// abandon takes a write back that no turn has taken yet.
func (w *write) abandon() bool {
	return w.state.CompareAndSwap(writeQueued, writeCancelled)
}

// unanswered is the fate of a caller whose context ended after a turn took the
// write: it may be committed any moment. The turn still reads the caller's
// bytes until it has appended them, which takes it microseconds.
func (e *engine) unanswered(ctx context.Context, w *write) error {
	for w.state.Load() == writeTaken {
		runtime.Gosched()
	}
	err := e.errorOf("write", nil, topology.Unknown, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
	err.Dot = w.receipt.Dot
	return err
}

// check holds a batch to the limits before it can reach the log.
func (e *engine) check(b *record.Batch) error {
	if err := b.Check(e.o.ValueBytesMax); err != nil {
		if errors.Is(err, record.ErrTooLarge) {
			return fmt.Errorf("%w: %w", topology.ErrTooLarge, err)
		}
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	for i := range b.Mutations {
		if b.Mutations[i].Op == record.OpMerge {
			return fmt.Errorf("%w: a delta: this topology takes the result, not the delta", topology.ErrUnsupported)
		}
	}
	return e.broken()
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

func (e *engine) errorOf(op string, b *record.Batch, o topology.Outcome, err error) *topology.Error {
	t := &topology.Error{Op: op, Node: e.env.Self, Outcome: o, Err: err}
	if b != nil && len(b.Mutations) > 0 {
		t.Key = append([]byte(nil), b.Mutations[0].Key...)
	}
	return t
}

// notLeader is the refusal that names the leader (S14).
func (e *engine) notLeader(op string, o topology.Outcome) *topology.Error {
	t := &topology.Error{Op: op, Node: e.env.Self, Outcome: o, Err: topology.ErrNotLeader}
	if g := e.group.Load(); g.Leader != e.env.Self {
		v, _ := e.env.Membership.View()
		m, _ := v.Find(g.Leader)
		t.Leader, t.Addr = g.Leader, m.Addr
	}
	return t
}

// accept appends writes as one group, within a turn. Writes that come while the
// term's start is not durable yet wait for it (S2).
func (e *engine) accept(ws []*write) {
	p := e.pending
	if e.core.role == leader && !e.core.open() && e.broken() == nil {
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
			e.pending.budget.Release(w.bytes)
			continue
		}
		p.group = append(p.group, w)
	}
	if len(p.group) == 0 {
		return
	}
	if err := e.broken(); err != nil {
		p.answerAll(p.group, e.errorOf("write", nil, topology.NotApplied, err))
		return
	}
	if !e.core.open() {
		p.answerAll(p.group, e.notLeader("write", topology.NotApplied))
		return
	}
	e.judge()
	if len(p.group) > 0 {
		e.append()
	}
}

// append gives the group its places in the log.
func (e *engine) append() {
	p, g := e.pending, e.group.Load()
	at := e.core.end
	p.records = p.records[:0]
	for i, w := range p.group {
		lsn := at + 1 + record.LSN(i)
		now := e.env.Clock.Now()
		p.records = append(p.records, record.Record{
			Dot: dotAt(g, lsn), Time: now, Term: e.core.term, Request: w.batch.Request, Mutations: w.batch.Mutations,
		})
		w.receipt = topology.Receipt{
			Token: topology.Token{Origin: g.Origin, Term: e.core.term, LSN: lsn},
			Dot:   dotAt(g, lsn), LSN: lsn, Term: e.core.term, Time: now,
		}
	}
	term := e.core.term
	end, err := e.env.Log.Append(term, p.records...)
	clear(p.records)
	if err == nil && end != at+record.LSN(len(p.group)) {
		err = fmt.Errorf("the log ends at %d, expected %d: somebody else writes it", end, at+record.LSN(len(p.group)))
	}
	if err != nil {
		if !e.fullDisk(err) {
			e.fail(err)
			err = e.broken()
		}
		p.answerAll(p.group, e.errorOf("write", nil, topology.NotApplied, err))
		return
	}
	for _, w := range p.group {
		p.wait(w)
	}
	effects := e.core.step(event{kind: evAppended, n: len(p.group)})
	for _, w := range p.group {
		w.state.Store(writeAppended)
	}
	e.reign.wake()
	e.perform(&ask{}, effects)
}

// fullDisk reports whether err says no more than that there is no room in the
// log now: nothing was appended, and it may be tried again (C67).
func (e *engine) fullDisk(err error) bool {
	return errors.Is(err, topology.ErrDiskFull) && !errors.Is(err, topology.ErrFailed)
}
