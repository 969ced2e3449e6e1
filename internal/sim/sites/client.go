package sites

import (
	"fmt"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// request is what a client asks of a site.
type request struct {
	key    string
	value  string // of a write; empty deletes
	write  bool
	dot    version.Dot // of a write, once it has one
	floor  stamp       // what a read at that site must find, or what sorts after it
	answer func(reply)
}

// reply is what a client is told.
type reply struct {
	err     error
	outcome topology.Outcome // of an error
	state   record.State     // of a read
}

// client asks one site for one thing after another, and goes to another site now
// and then.
type client struct {
	w    *cluster
	at   *node
	busy bool
}

func (c *client) next() {
	w := c.w
	w.s.After(w.s.Lasting(0, w.c.think), func() {
		if !w.still {
			c.ask()
		}
	})
}

// ask sends one request and waits for its answer, as long as it has patience.
func (c *client) ask() {
	w := c.w
	w.asked++
	if w.s.Chance(0.05) {
		c.at = w.nodes[w.s.Rand.IntN(len(w.nodes))]
	}
	at := c.at
	r := &request{key: fmt.Sprintf("k%d", w.s.Rand.IntN(w.c.keys)), write: w.s.Chance(w.c.writes)}
	if r.write && !w.s.Chance(0.1) {
		r.value = fmt.Sprintf("v%d-%0*d", w.asked, w.s.Rand.IntN(w.c.valueBytes+1), 0)
	}
	r.floor = w.ledger.floor(at, r.key)
	life := at.life
	c.busy = true
	over := false
	end := func(a reply) {
		if over {
			return
		}
		over, c.busy = true, false
		w.ledger.heard(at, life, r, &a)
		if a.err == nil && r.write {
			w.acked++
		}
		w.s.Op()
		c.next()
	}
	r.answer = func(a reply) { w.s.After(w.s.Net.Delay(), func() { end(a) }) }
	w.s.After(w.s.Net.Delay(), func() {
		at.m.Do(func() {
			if p := at.live(); p != nil {
				p.serve(r)
			}
		})
	})
	w.s.After(w.c.patience, func() { end(reply{err: topology.ErrTimeout, outcome: topology.Unknown}) })
}

// serve does what a client asks for.
func (p *process) serve(r *request) {
	if !r.write {
		r.answer(reply{state: p.store[r.key]})
		return
	}
	m := record.Mutation{Table: record.TableDefault, Key: []byte(r.key), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(r.value)}
	if r.value == "" {
		m.Op = record.OpDelete
	}
	for _, e := range p.step(core.Event{Kind: core.EvWrite, Writes: []record.Batch{{Mutations: []record.Mutation{m}}}}) {
		switch {
		case e.Kind == core.DoRefuse:
			r.answer(reply{err: e.Err, outcome: topology.OutcomeOf(e.Err)})
		case e.Kind == core.DoAccept && e.LSN <= p.log.Bounds().End && p.items[e.LSN-1].Dot == e.Item.Dot:
			r.dot = e.Item.Dot
			p.waiting[e.LSN] = r
		case e.Kind == core.DoAccept:
			r.answer(reply{err: topology.ErrDiskFull})
		}
	}
}

// answer answers the writes that are committed up to lsn.
func (p *process) answer(lsn record.LSN) {
	for at := p.answered + 1; at <= lsn; at++ {
		if r := p.waiting[at]; r != nil {
			delete(p.waiting, at)
			p.w.ledger.answers(p, r)
			r.answer(reply{})
		}
	}
	p.answered = lsn
}

// stamp is where a version sorts.
type stamp struct {
	time version.Timestamp
	dot  version.Dot
}

func (a stamp) before(b stamp) bool { return version.CompareWrites(a.time, a.dot, b.time, b.dot) < 0 }
