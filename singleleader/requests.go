package singleleader

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// RequestsMax is how many sequences of one client the group remembers: a retry
// of an older one is refused with topology.ErrForgotten (S17).
func (wr *writer) RequestsMax() uint64 { return core.RequestsKept }

// requests is the memory of what is applied, for the applier that feeds it and
// the turns that ask it. The lock is a leaf.
type requests struct {
	mu  sync.Mutex
	all *core.Requests
}

func (q *requests) set(all *core.Requests) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = all
}

func (q *requests) add(edits []topology.Edit, arena []byte, enc *record.Encoder, r *record.Record) ([]topology.Edit, []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all.Add(edits, arena, enc, r)
}

func (q *requests) find(id record.RequestID) (core.Answer, core.Memory) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all.Find(id)
}

// named is what a leader knows of named requests behind what is applied.
type named struct {
	asked *core.Asked // nil until a named request comes in this term
	joins []*write    // repeat what is being accepted in this very turn
}

// undo forgets, because the log did not take the group. Whoever repeats one of it
// shares its fate.
func (n *named) undo(p *pending, err error) {
	p.answerAll(n.joins, err)
	n.joins, n.asked = nil, nil
}

// join lets those wait that repeat what was appended just now.
func (n *named) join(e *engine) {
	for _, w := range n.joins {
		e.pending.waitAmong(e, w)
	}
	n.joins = n.joins[:0]
}

// checkRequest refuses a name that is none.
func checkRequest(id record.RequestID) error {
	if (id.Client == 0) != (id.Seq == 0) {
		return fmt.Errorf("%w: request %d of client %d: both begin with 1", topology.ErrMalformed, id.Seq, id.Client)
	}
	return nil
}

// id is the name of a write, if it has one.
func (w *write) id() record.RequestID {
	if w.update != nil {
		return w.update.Request
	}
	return w.batch.Request
}

// keepResult adds to an update that has decided what a retry is to be told.
func (w *write) keepResult() error {
	b := w.update.Result()
	switch {
	case len(b) > record.ResultBytesMax:
		return fmt.Errorf("%w: a result of %d bytes, at most %d", topology.ErrTooLarge, len(b), record.ResultBytesMax)
	case len(w.batch.Mutations) >= record.MutationsMax:
		return fmt.Errorf("%w: %d mutations and a result, at most %d", topology.ErrTooLarge, len(w.batch.Mutations), record.MutationsMax)
	}
	w.result = b
	w.batch.Mutations = append(w.batch.Mutations, core.Result(b))
	return nil
}

// recall reports whether some of the group are named, and sees to it that the
// named ones that are not applied yet are known then: all that the log holds,
// committed or not.
func (n *named) recall(e *engine) bool {
	p := e.pending
	if !slices.ContainsFunc(p.group, func(w *write) bool { return !w.id().IsZero() }) {
		return false
	}
	applied := e.applier.applied()
	if n.asked != nil {
		n.asked.Forget(applied)
		return true
	}
	var err error
	if n.asked, err = readAsked(e.env.Log, applied); err == nil {
		return true
	}
	p.group = slices.DeleteFunc(p.group, func(w *write) bool {
		is := !w.id().IsZero()
		if is {
			p.answer(w, e.errorOf("write", nil, topology.NotApplied, err))
		}
		return is
	})
	return false
}

// readAsked reads what a log holds behind what is applied.
func readAsked(log topology.Log, applied record.LSN) (*core.Asked, error) {
	k := core.NewAsked()
	var rec record.Record
	for ent, err := range log.Read(context.Background(), applied+1) {
		if err == nil {
			err = record.Decode(ent.Bytes, &rec)
		}
		if err != nil {
			return nil, fmt.Errorf("what was accepted after entry %d: %w", applied, err)
		}
		if !rec.Request.IsZero() {
			k.Add(rec.Request, core.AnswerOf(&rec))
		}
	}
	return k, nil
}

// accepts notes that a write of the group gets a place in the log.
func (n *named) accepts(e *engine, w *write, lsn record.LSN) {
	id := w.id()
	if id.IsZero() {
		return
	}
	a := core.Answer{Seq: id.Seq, LSN: lsn, Term: e.core.Term, Time: w.receipt.Time, Sum: w.sum, Result: w.result}
	if w.update != nil {
		a.Sum = core.SumOf(w.batch.Mutations)
	}
	n.asked.Add(id, a)
}

// repeats reports whether a write was accepted before, and if so gives it the
// answer of the first, or lets it wait for that: nothing is judged again.
func (n *named) repeats(e *engine, w *write) bool {
	id := w.id()
	if id.IsZero() {
		return false
	}
	p := e.pending
	// First what is not applied, then what is: between the two nothing is missed,
	// as it is in the second before it leaves the first.
	a, known := n.asked.Find(id)
	if !known {
		var m core.Memory
		switch a, m = e.requests.find(id); m {
		case core.RequestNew:
			return false
		case core.RequestForgotten:
			p.answer(w, e.errorOf("write", &w.batch, topology.Unknown,
				fmt.Errorf("%w: request %d of client %d: the last %d of each of %d clients are remembered", topology.ErrForgotten, id.Seq, id.Client, core.RequestsKept, core.ClientsKept)))
			return true
		}
	}
	// What an update writes is not known before it has decided, which it does not.
	if w.update == nil && a.Sum != w.sum {
		p.answer(w, e.errorOf("write", &w.batch, topology.NotApplied,
			fmt.Errorf("%w: request %d of client %d was another write, which is entry %d", topology.ErrConflict, id.Seq, id.Client, a.LSN)))
		return true
	}
	g := e.group.Load()
	w.repeated, w.result = true, a.Result
	w.receipt = topology.Receipt{
		Token: topology.Token{Origin: g.Origin, Term: a.Term, LSN: a.LSN},
		Dot:   g.Dot(a.LSN), LSN: a.LSN, Term: a.Term, Time: a.Time,
	}
	w.state.Store(writeAppended)
	if a.LSN > e.core.End {
		n.joins = append(n.joins, w)
	} else {
		p.waitAmong(e, w)
	}
	return true
}

// waitAmong queues a write whose place in the log is not the last, or answers it
// if what it waits for has come.
func (p *pending) waitAmong(e *engine, w *write) {
	at := [...]record.LSN{topology.Received: e.core.Lead.Received, topology.Flushed: e.core.Commit, topology.Applied: e.core.Applied}[w.durability]
	if w.durability == topology.Received {
		at = max(at, e.core.Commit)
	}
	if w.receipt.LSN <= at {
		w.receipt.Durability, w.receipt.Durable = w.durability, e.durableAt(w.receipt.LSN)
		p.answer(w, nil)
		return
	}
	p.wait(w)
	q := &p.queues[w.durability]
	for i := len(q.ws) - 1; i > q.head && q.ws[i-1].receipt.LSN > w.receipt.LSN; i-- {
		q.ws[i-1], q.ws[i] = q.ws[i], q.ws[i-1]
	}
	if w.durability == topology.Applied {
		e.applier.want()
	}
}
