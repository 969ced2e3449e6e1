package oneleader

import (
	"context"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// naming is what a leader knows of named requests behind what it has applied
// (S17).
type naming struct {
	asked *core.Asked
	joins []*write // repeat what is being accepted just now
}

// undo forgets, because the log did not take the group.
func (n *naming) undo(err error) {
	for _, w := range n.joins {
		w.reply(reply{outcome: topology.NotApplied, err: err})
	}
	n.joins, n.asked = nil, nil
}

// recall reports whether some of the writes are named, and sees to it that all are
// known then that the log holds and the store does not show.
func (n *naming) recall(p *process, ws []*write) bool {
	if !slices.ContainsFunc(ws, func(w *write) bool { return !w.batch.Request.IsZero() }) {
		return false
	}
	if n.asked != nil {
		n.asked.Forget(p.store.Applied())
		return true
	}
	n.asked = core.NewAsked()
	for e, err := range p.log.Read(context.Background(), p.store.Applied()+1) {
		var rec record.Record
		if err == nil {
			err = record.Decode(e.Bytes, &rec)
		}
		if err != nil {
			p.fail(err)
			return false
		}
		if !rec.Request.IsZero() {
			n.asked.Add(rec.Request, core.AnswerOf(&rec))
		}
	}
	return true
}

func (n *naming) accepts(p *process, w *write, lsn record.LSN) {
	if id := w.batch.Request; !id.IsZero() {
		n.asked.Add(id, core.Answer{Seq: id.Seq, LSN: lsn, Term: p.core.Term, Time: w.time, Sum: core.SumOf(w.batch.Mutations)})
	}
}

// repeats reports whether a write was accepted before: it then gets the answer of
// the first, or waits for that.
func (wr *writing) repeats(p *process, w *write) bool {
	id := w.batch.Request
	if id.IsZero() {
		return false
	}
	a, known := wr.named.asked.Find(id)
	if !known {
		var m core.Memory
		switch a, m = p.applying.requests.Find(id); m {
		case core.RequestNew:
			return false
		case core.RequestForgotten:
			p.s.Reach("a retry came when its first was forgotten")
			w.reply(reply{outcome: topology.Unknown, err: topology.ErrForgotten})
			return true
		}
	}
	if a.Sum != core.SumOf(w.batch.Mutations) {
		p.s.Fail("S17", "%s takes request %d of client %d for entry %d, which is another", p.n.id, id.Seq, id.Client, a.LSN)
	}
	w.lsn, w.term, w.time, w.dot = a.LSN, a.Term, a.Time, p.group.Dot(a.LSN)
	if a.Term != p.core.Term {
		p.s.Reach("a retry was known to another leader")
	}
	if a.LSN > p.core.End {
		wr.named.joins = append(wr.named.joins, w)
	} else {
		wr.waitAmong(p, w)
	}
	return true
}

// waitAmong queues a write whose place in the log is not the last, or answers it
// if what it waits for has come.
func (wr *writing) waitAmong(p *process, w *write) {
	at := p.core.Commit
	if w.durability == topology.Applied {
		at = p.core.Applied
	}
	if w.lsn <= at {
		p.s.Reach("a retry got the first answer")
		p.w.ledger.acknowledges(p, w)
		w.reply(reply{term: w.term, lsn: w.lsn, dot: w.dot})
		return
	}
	p.s.Reach("a retry joined its first")
	q := &wr.waits[w.durability]
	i := len(*q)
	for i > 0 && (*q)[i-1].lsn > w.lsn {
		i--
	}
	*q = slices.Insert(*q, i, w)
}

// loadRequests reads what is remembered of requests back from the store.
func (p *process) loadRequests() error {
	s, err := p.store.Snapshot()
	if err != nil {
		return err
	}
	defer s.Close()
	p.applying.requests, err = core.LoadRequests(s)
	return err
}
