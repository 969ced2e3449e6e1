package quorums

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// request is what a client waits for, wherever it is served.
type request struct {
	event  core.Event
	key    string
	value  string // of a put; empty deletes
	floor  stamp  // what a read must find, or what sorts after it
	acked  stamp  // the greatest write that a client knew of when a read was asked
	said   history.Op
	answer func(core.Answer)
}

func (r *request) puts() bool { return r.event.Kind == core.EvPut }

// client asks for one thing after another, of whatever node it meets.
type client struct {
	w      *cluster
	number uint64
	busy   bool
	seen   map[string]core.Context // what it read last, by key
}

func (c *client) next() {
	w := c.w
	w.s.After(w.s.Lasting(0, w.c.think), func() {
		if !w.still {
			c.ask()
		}
	})
}

// draw makes the next request.
func (c *client) draw() *request {
	w := c.w
	w.asked++
	r := &request{key: fmt.Sprintf("k%d", w.s.Rand.IntN(w.c.keys))}
	if w.s.Chance(0.5) {
		r.event = core.Event{Kind: core.EvGet, Range: topology.CellRange{Cell: record.Cell{Table: record.TableDefault, Key: []byte(r.key)}}, Level: w.c.read, Met: w.c.write, Repair: w.c.repair}
		r.floor, r.acked = w.ledger.floor(r.key), w.ledger.acked[r.key]
		c.says(r, history.Get)
		return r
	}
	m := record.Mutation{Table: record.TableDefault, Key: []byte(r.key), Op: record.OpPut, Kind: record.KindBytes}
	if w.s.Chance(0.1) {
		m.Op = record.OpDelete
	} else {
		r.value = fmt.Sprintf("v%d-%0*d", w.asked, w.s.Rand.IntN(w.c.valueBytes+1), 0)
		m.Value = []byte(r.value)
	}
	r.event = core.Event{Kind: core.EvPut, Mutations: []record.Mutation{m}, Level: w.c.write, Met: w.c.read}
	if w.c.linear() {
		r.event.Repair = core.RepairWriteBack
	}
	if !w.s.Chance(w.c.blind) {
		r.event.Context = c.seen[r.key]
	}
	if m.Op == record.OpDelete {
		c.says(r, history.Delete)
	} else {
		c.says(r, history.Put)
	}
	return r
}

// says notes in the history what the client asks.
func (c *client) says(r *request, k history.Kind) {
	r.said = c.w.told.Begin(history.Op{Client: c.number, Kind: k, Key: r.key, Value: r.value})
}

// told notes what it was answered. Who does not know what became of a write asks no more
// under that number.
func (c *client) told(r *request, a *core.Answer) {
	h := r.said
	switch {
	case a.Err == nil:
		h.Outcome, h.Place = history.Applied, history.Place{Dot: a.Dot, Time: a.Time}
		for _, v := range a.State().Siblings {
			h.Place = history.Place{Dot: v.Dot, Time: v.Time}
			if !v.Absent {
				h.Got = []string{string(v.Value)}
			}
		}
	case !r.puts() || topology.OutcomeOf(a.Err) == topology.NotApplied:
		h.Outcome = history.NotApplied
	default:
		h.Outcome = history.Unknown
		c.w.numbers++
		c.number = c.w.numbers
	}
	c.w.told.End(h)
}

// ask sends one request and waits for its answer, as long as it has patience.
func (c *client) ask() {
	w := c.w
	c.busy = true
	r, over := c.draw(), false
	end := func(a core.Answer) {
		if !over {
			over, c.busy = true, false
			c.answered(r, a)
		}
	}
	r.answer = func(a core.Answer) { w.s.After(w.s.Net.Delay(), func() { end(a) }) }
	to := w.serving()
	w.s.After(w.s.Net.Delay(), func() {
		to.m.Do(func() {
			if p := to.live(); p != nil {
				p.serve(r)
			}
		})
	})
	w.s.After(2*w.c.patience, func() {
		end(core.Answer{Err: &topology.Error{Op: "wait", Outcome: topology.Unknown, Err: topology.ErrTimeout}})
	})
}

// serve gives a request to this node's core.
func (p *process) serve(r *request) {
	p.n.op++
	op := p.n.op
	r.event.Op = op
	p.requests[op] = r
	p.step(r.event)
	p.n.m.After(p.w.c.patience, func() { p.step(core.Event{Kind: core.EvDeadline, Op: op}) })
	if p.w.c.hedge > 0 {
		p.n.m.After(p.w.c.hedge, func() { p.step(core.Event{Kind: core.EvHedge, Op: op}) })
	}
}

// pass gives a request to another node; the answer goes straight to the client.
func (p *process) pass(e core.Effect) {
	r := p.requests[e.Op]
	delete(p.requests, e.Op)
	to := p.w.node(e.Node)
	passed := *r
	passed.event.Forwarded = true
	served := false // a request is no datagram: it does not come twice
	p.s.Net.Send(p.n.m, to.m, func() {
		if q := to.live(); q != nil && !served {
			served = true
			q.serve(&passed)
		}
	})
}

// answered judges an answer and goes on.
func (c *client) answered(r *request, a core.Answer) {
	w := c.w
	c.told(r, &a)
	w.ledger.heard(r, &a)
	switch {
	case a.Err == nil && r.puts():
		w.acked++
		w.s.Note("", "put", a.Dot.Seq)
	case a.Err == nil:
		c.seen[r.key] = a.Context
		w.read++
		w.s.Note("", "got", uint64(len(a.State().Siblings)))
	case topology.OutcomeOf(a.Err) == topology.Unknown:
		w.s.Reach("a request ended unknown")
	case errors.Is(a.Err, topology.ErrUnavailable):
		w.s.Reach("a request was refused: too few are alive")
	case errors.Is(a.Err, topology.ErrOverloaded):
		w.s.Reach("a request was refused: too much is under way")
	}
	w.s.Op()
	c.next()
}

// stamp is where a version sorts.
type stamp struct {
	time version.Timestamp
	dot  version.Dot
}

func stampOf(v record.Version) stamp { return stamp{v.Time, v.Dot} }

func (a stamp) before(b stamp) bool { return version.CompareWrites(a.time, a.dot, b.time, b.dot) < 0 }
