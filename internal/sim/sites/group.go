package sites

import (
	"slices"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A site of several nodes is a log that its leader writes and the others copy: what more
// than half have on their disks is committed, and whoever leads next has it. What is not
// may be lost with its leader. Package oneleader is where that protocol is put to the
// proof; here it is what multileader/core asks of it and no more: terms, a committed
// prefix that lasts, a tail that may not. Messages are datagrams, and any may be lost.

// shipment is what a leader tells another node of its site.
type shipment struct {
	id        uint64 // so that its answer is told from those to others
	by        *reign
	term      uint64
	prev      record.LSN // behind which the entries stand
	prevTerm  uint64
	entries   []record.Entry
	committed record.LSN
	store     *state // in place of all entries up to where it stands
	history   topology.History
}

// echo is what a node answers: up to where its log is the leader's, on its disk.
type echo struct {
	id    uint64 // of the shipment that it answers; 0: none
	from  *node
	disk  int
	term  uint64
	match record.LSN
	next  record.LSN // where to go on, if the logs do not meet
	fails bool
}

// entriesMax is how many entries go in one shipment.
const entriesMax = 64

// progress is what a leader knows of another node.
type progress struct {
	n     *node
	disk  int // of the node: on another one nothing is of what it had
	next  record.LSN
	match record.LSN
	still int    // ticks since something was sent
	id    uint64 // of the last shipment
	waits bool   // for its answer
}

// ship sends each node what it may lack.
func (g *reign) ship() {
	p := g.p
	for i := range g.others {
		if q := &g.others[i]; !q.waits && (q.next <= p.end() || q.still > 2) {
			g.send(q)
		}
	}
}

func (g *reign) send(q *progress) {
	p := g.p
	a := shipment{by: g, term: g.term, committed: p.known}
	if q.next < p.first || q.next < p.log.Bounds().First {
		a.store, a.history = p.store.clone(), slices.Clone(p.log.History().Until(p.store.pos.LSN))
	} else {
		a.prev, a.prevTerm = q.next-1, p.termAt(q.next-1)
		for _, it := range p.since(q.next) {
			if len(a.entries) == entriesMax {
				break
			}
			a.entries = append(a.entries, it.Entry)
		}
	}
	q.id++
	q.waits, q.still, a.id = true, 0, q.id
	to := q.n
	p.s.Net.Send(p.n.m, to.m, func() { to.hear(&a) })
}

// hear takes a shipment of whoever leads the site.
func (n *node) hear(a *shipment) {
	p := n.live()
	if p == nil {
		return
	}
	reply := echo{id: a.id, from: n, disk: n.disk, term: n.term, fails: true}
	if a.term >= n.term {
		if a.term > n.term || p.reign != nil {
			n.promise(a.term)
			p.agreed = 0
		}
		p.take(a, &reply)
		reply.term = n.term
	}
	p.echo(a.by, reply)
}

func (p *process) echo(to *reign, e echo) {
	if p.dead {
		return
	}
	leader := to.p
	p.s.Net.Send(p.n.m, leader.n.m, func() { to.echoed(e) })
}

// promise has a node follow nobody of an older term.
func (n *node) promise(term uint64) {
	n.term = term
	if p := n.live(); p != nil {
		p.agreed = 0
		if p.reign != nil && p.reign.term < term {
			p.reign.over()
		}
	}
}

// take makes the log the leader's, as far as the shipment goes.
func (p *process) take(a *shipment, reply *echo) {
	p.leader(a.by)
	if a.store != nil {
		p.replace(a, reply)
		return
	}
	b := p.log.Bounds()
	if a.prev > b.End || a.prev >= b.First && p.termAt(a.prev) != a.prevTerm {
		reply.next = max(min(b.End, a.prev-1), p.known) + 1
		return
	}
	at := a.prev
	for _, e := range a.entries {
		if e.LSN <= p.end() {
			if e.LSN < p.first || p.termAt(e.LSN) == e.Term {
				at = e.LSN
				continue
			}
			if !p.cut(e.LSN - 1) {
				return
			}
		}
		if p.copies(e) != nil || p.dead {
			break
		}
		at = e.LSN
	}
	if p.dead {
		return
	}
	p.agreed = max(p.agreed, at)
	reply.fails, reply.match = false, min(p.agreed, p.log.Bounds().Flushed)
	p.knows(min(a.committed, at))
}

// replace has the store of the leader take the place of the own one, whose log is too
// far behind.
func (p *process) replace(a *shipment, reply *echo) {
	lsn := a.store.pos.LSN
	if lsn <= p.known {
		reply.next = p.known + 1
		return
	}
	p.n.saved, p.n.begin = a.store.clone(), true
	at := a.store.pos
	if err := p.log.Truncate(topology.Range{First: at.LSN + 1, Last: at.LSN, History: a.history}); err != nil {
		p.fail(err)
		return
	}
	p.n.begin = false
	p.store, p.known, p.agreed = a.store.clone(), lsn, lsn
	if err := p.load(); err != nil {
		p.fail(err)
		return
	}
	p.s.Reach("a node of a site took its leader's store")
	p.s.Note(p.n.name, "takes a store", uint64(lsn))
	reply.fails, reply.match = false, lsn
}

// leader is who sends: what he has is on its way to the disk, and he is told once it is.
func (p *process) leader(g *reign) { p.n.site.sender = g }

// acknowledge tells the leader what has come to the disk.
func (p *process) acknowledge() {
	g := p.n.site.sender
	if g == nil || g.term != p.n.term || g.p == p || p.agreed == 0 {
		return
	}
	p.echo(g, echo{from: p.n, disk: p.n.disk, term: p.n.term, match: min(p.agreed, p.log.Bounds().Flushed)})
}

// echoed hears what a node of the site has.
func (g *reign) echoed(e echo) {
	p := g.p
	if p.dead || p.reign != g {
		return
	}
	if e.term > g.term {
		p.n.promise(e.term)
		return
	}
	i := slices.IndexFunc(g.others, func(q progress) bool { return q.n == e.from })
	q := &g.others[i]
	if e.disk < q.n.disk {
		return
	}
	if q.disk < e.disk {
		q.disk, q.match = e.disk, 0
	}
	answers := e.id == q.id
	q.waits = q.waits && !answers
	switch {
	case e.fails && e.next == 0 || e.term < g.term:
		return // of an older term, or its disk was full
	case e.fails:
		q.next = max(min(e.next, p.end()+1), 1)
	default:
		q.match = max(q.match, min(e.match, p.end()))
		q.next = max(q.next, q.match+1)
		if q.n.blank && g.crowned && q.match >= max(g.start, p.known) {
			q.n.blank = false
		}
	}
	if g.count(); answers && p.reign == g {
		g.ship()
	}
}

// count finds what is committed: what more than half have on their disks, the leader
// among them, if it is of this term.
func (g *reign) count() {
	p := g.p
	if p.reign != g {
		return
	}
	has := []record.LSN{p.log.Bounds().Flushed}
	for i := range g.others {
		if q := &g.others[i]; !q.n.blank || p.n.site.empty {
			has = append(has, q.match)
		}
	}
	if need := p.n.site.majority(); len(has) >= need {
		slices.SortFunc(has, func(a, b record.LSN) int { return int(b) - int(a) })
		lsn := has[need-1]
		if lsn >= g.start && lsn > p.known {
			g.committed(lsn)
		}
	}
}

// committed goes on behind lsn.
func (g *reign) committed(lsn record.LSN) {
	p := g.p
	if p.knows(lsn); p.dead || p.s.Failed() {
		return
	}
	if !g.crowned {
		g.crown()
		return
	}
	if g.core == nil {
		return
	}
	if lsn >= g.born {
		p.n.site.lossy = false
	}
	if p.known == p.end() {
		_ = g.tail.from(p.store, nil)
	}
	g.step(core.Event{Kind: core.EvCommitted, LSN: lsn})
	if g.live() {
		g.council.settle(lsn)
	}
	if g.live() {
		g.settle()
	}
}
