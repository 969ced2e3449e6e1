package oneleader

import (
	"context"
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// writing is what waits of clients' writes.
type writing struct {
	queued []*write // for a turn
	turn   bool     // one is coming
	held   []*write // for the term's start to be durable
	waits  [topology.Applied + 1][]*write
	looks  []look
	recent *core.Recent
	named  naming
}

// look is a refusal that may be told once what it saw is committed.
type look struct {
	lsn    record.LSN
	w      *write
	ground error
}

// write is one client's batch on its way.
type write struct {
	batch      record.Batch
	durability topology.Durability
	known      []known
	lsn        record.LSN
	term       uint64
	time       version.Timestamp
	dot        version.Dot
	reply      func(reply)
}

// known is what the store showed of a condition's cell, at applied or later.
type known struct {
	applied record.LSN
	state   []byte
}

// reply is what a client is told.
type reply struct {
	outcome topology.Outcome // of an error
	err     error
	leader  topology.NodeID // where that is what is wrong
	term    uint64
	lsn     record.LSN
	dot     version.Dot
	refused bool   // a condition does not hold
	value   string // of a read
	seen    version.Dot
}

// write takes a client's write, which looks at the store now, and is judged in a
// turn later.
func (p *process) write(w *write) {
	w.known = w.known[:0]
	for _, c := range w.batch.Conditions {
		b, err := p.store.Get(c.Cell)
		if err != nil {
			w.reply(reply{outcome: topology.NotApplied, err: err})
			return
		}
		w.known = append(w.known, known{p.store.Applied(), b})
	}
	p.writing.queued = append(p.writing.queued, w)
	p.writing.turnLater(p)
}

func (wr *writing) turnLater(p *process) {
	if wr.turn {
		return
	}
	wr.turn = true
	p.after(p.s.Lasting(0, time.Millisecond), func() {
		wr.turn = false
		ws := wr.queued
		wr.queued = nil
		if p.dead {
			return
		}
		wr.accept(p, ws)
	})
}

// accept appends writes as one group. Those that come while the term's start is
// not durable yet wait for it (S2).
func (wr *writing) accept(p *process, ws []*write) {
	if p.core.Role == core.Leader && (p.council.pauses || !p.core.Open()) {
		wr.held = append(wr.held, ws...)
		p.after(time.Millisecond, func() { wr.turnLater(p) })
		return
	}
	ws = append(wr.held, ws...)
	wr.held = nil
	if !p.core.Open() {
		for _, w := range ws {
			w.reply(p.notLeader())
		}
		return
	}
	ws, refused := wr.judge(p, ws)
	err := wr.append(p, ws)
	for _, l := range refused {
		if err != nil { // it saw what is not to be
			l.w.reply(reply{outcome: topology.NotApplied, err: err})
			continue
		}
		wr.refuse(p, l)
	}
}

func (p *process) notLeader() reply {
	r := reply{outcome: topology.NotApplied, err: topology.ErrNotLeader}
	if p.group.Leader != p.n.id {
		r.leader = p.group.Leader
	}
	return r
}

// judge takes out the writes whose conditions do not hold, in log order (S16).
func (wr *writing) judge(p *process, ws []*write) (keep []*write, refused []look) {
	wr.remember(p, ws)
	named := wr.named.recall(p, ws)
	keep = ws[:0]
	for _, w := range ws {
		if named && wr.repeats(p, w) {
			continue
		}
		w.time = p.clock.Now()
		again, seen, err := wr.holds(w)
		switch {
		case again:
			p.s.Reach("a condition had to be looked at again")
			p.write(w)
			continue
		case err != nil:
			p.s.Reach("a condition did not hold")
			refused = append(refused, look{seen, w, err})
			continue
		}
		keep = append(keep, w)
		lsn := p.core.End + record.LSN(len(keep))
		if named {
			wr.named.accepts(p, w, lsn)
		}
		if wr.recent != nil {
			wr.recent.Add(lsn, &record.Record{Dot: p.group.Dot(lsn), Time: w.time, Mutations: w.batch.Mutations})
		}
	}
	return keep, refused
}

// remember sees to it that what is recent is known, if this group needs it.
func (wr *writing) remember(p *process, ws []*write) {
	end, applied := p.core.End, p.store.Applied()
	needed, from := false, applied
	for _, w := range ws {
		for i := range w.known {
			needed = true
			from = min(from, w.known[i].applied)
		}
	}
	switch r := wr.recent; {
	case r != nil:
		r.Forget(applied)
		if !needed && r.Idle(end) {
			wr.recent = nil
		}
	case needed:
		r = core.NewRecent(core.RecentFloor(from, applied))
		r.Floor = max(r.Floor, p.log.Bounds().First-1)
		for e, err := range p.log.Read(context.Background(), r.Floor+1) {
			var rec record.Record
			if err == nil {
				err = record.Decode(e.Bytes, &rec)
			}
			if err != nil {
				p.fail(err)
				return
			}
			r.Add(e.LSN, &rec)
		}
		wr.recent = r
	}
	if needed {
		wr.recent.Use(end)
	}
}

// refuse answers a write whose condition does not hold, once this node is known
// to have led then, and what it has seen is committed: it may be rewound before.
func (wr *writing) refuse(p *process, l look) {
	p.reading.index(func(_ record.LSN, err error) {
		if err != nil {
			l.w.reply(p.notLeader())
			return
		}
		wr.looks = append(wr.looks, l)
		wr.tellLooks(p)
	})
}

// tellLooks tells the refusals whose sight is committed.
func (wr *writing) tellLooks(p *process) {
	wr.looks = slices.DeleteFunc(wr.looks, func(l look) bool {
		told := l.lsn <= p.core.Commit
		if told {
			l.w.reply(reply{outcome: topology.NotApplied, err: l.ground, refused: true})
		}
		return told
	})
}

// holds evaluates the conditions of w; seen is the entry that refuses it.
func (wr *writing) holds(w *write) (again bool, seen record.LSN, err error) {
	for i := range w.known {
		k := &w.known[i]
		if k.applied < wr.recent.Floor {
			return true, 0, nil
		}
		c := &w.batch.Conditions[i]
		v, err := core.Stored(k.state)
		if err == nil {
			v, seen = wr.recent.Cell(c.Cell, k.applied, v)
			err = core.Satisfied(c, v)
		}
		if err != nil {
			return false, max(seen, k.applied), err
		}
	}
	return false, 0, nil
}

// append gives the group its places in the log.
func (wr *writing) append(p *process, ws []*write) error {
	if len(ws) == 0 {
		return nil
	}
	at, term := p.core.End, p.core.Term
	rs := make([]record.Record, len(ws))
	for i, w := range ws {
		w.lsn, w.term = at+1+record.LSN(i), term
		w.dot = p.group.Dot(w.lsn)
		rs[i] = record.Record{Dot: w.dot, Time: w.time, Term: term, Request: w.batch.Request, Mutations: w.batch.Mutations}
	}
	end, err := p.log.Append(term, rs...)
	if err == nil && end != at+record.LSN(len(ws)) {
		p.s.Fail("S2", "the log of %s ends at %d, expected %d", p.n.id, end, at+record.LSN(len(ws)))
		return nil
	}
	if err != nil {
		if !passing(err) {
			p.fail(err)
		}
		p.s.Reach("a leader's log took no writes")
		for _, w := range ws {
			w.reply(reply{outcome: topology.NotApplied, err: err})
		}
		wr.recent = nil
		wr.named.undo(err)
		p.flushLater() // looks for space
		return err
	}
	p.w.ledger.appended(p, at+1, end)
	for _, w := range ws {
		p.w.ledger.asked[ending{w.term, w.lsn}] = w.batch.Conditions
		wr.waits[w.durability] = append(wr.waits[w.durability], w)
	}
	for _, w := range wr.named.joins {
		wr.waitAmong(p, w)
	}
	wr.named.joins = nil
	p.step(core.Event{Kind: core.EvAppended, N: len(ws)}, nil)
	p.reign.wake(p)
	p.flushLater()
	return nil
}

// release answers the writes up to lsn that wait for durability d.
func (wr *writing) release(p *process, d topology.Durability, lsn record.LSN) {
	q := wr.waits[d]
	n := 0
	for n < len(q) && q[n].lsn <= lsn {
		p.w.ledger.acknowledges(p, q[n])
		q[n].reply(reply{term: q[n].term, lsn: q[n].lsn, dot: q[n].dot})
		n++
	}
	wr.waits[d] = append(q[:0], q[n:]...)
}

// stop answers everything that waits, because this node does not lead any more.
func (wr *writing) stop(p *process) {
	for d := range wr.waits {
		for _, w := range wr.waits[d] {
			p.s.Reach("a write ended unknown with its leader's term")
			w.reply(reply{outcome: topology.Unknown, err: topology.ErrNotLeader, term: w.term, lsn: w.lsn})
		}
		wr.waits[d] = nil
	}
	for _, w := range wr.held {
		w.reply(p.notLeader())
	}
	for _, l := range wr.looks {
		l.w.reply(p.notLeader())
	}
	wr.held, wr.looks, wr.recent, wr.named.asked = nil, nil, nil, nil
}
