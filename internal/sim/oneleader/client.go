package oneleader

import (
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// client asks for one thing after another, of whom it takes for the leader.
type client struct {
	w      *cluster
	number int
	id     uint64 // names its requests
	asked  uint64 // how many it has named
	to     *node
	token  record.LSN // what its session has seen
	op     *op
	seen   version.Dot // what it last saw of the key it compares
	value  string      // and its value
	key    int
	reads  bool // and nothing else
}

// op is one thing that a client asks for.
type op struct {
	number  int
	key     string
	value   string // empty for a read
	cas     bool
	expect  version.Dot // by a cas, zero for nothing
	session record.LSN  // of a read at any node
	local   bool
	invoked time.Duration
	floor   record.LSN // what was known of the key when it was asked
	id      record.RequestID
	tries   int
	era     int
	doubt   bool // some try of it, or a copy, may have happened or may yet
	said    history.Op
}

func (w *cluster) addClient() {
	w.numbers++
	c := &client{w: w, number: w.numbers, id: uint64(w.numbers), to: w.nodes[0]}
	w.clients = append(w.clients, c)
}

func (c *client) next() {
	w := c.w
	w.s.After(w.s.Lasting(0, w.c.think), func() {
		if !w.still {
			c.ask()
		}
	})
}

// draw makes the next operation.
func (c *client) draw() *op {
	w := c.w
	w.ops++
	o := &op{number: w.ops, invoked: w.s.Now()}
	if c.key < 0 || !w.s.Chance(0.7) {
		c.key, c.seen, c.value = w.s.Rand.IntN(w.c.keys), version.Dot{}, ""
	}
	o.key = fmt.Sprintf("k%d", c.key)
	switch at := w.s.Rand.Float64(); {
	case c.reads:
		c.to = w.nodes[w.s.Rand.IntN(len(w.nodes))]
	case at < 0.45:
		o.value = c.fill(o.number)
	case at < 0.7:
		o.value, o.cas, o.expect = c.fill(o.number), true, c.seen
	case at < 0.8:
		o.local, o.session = true, c.token
	}
	o.floor, o.era = w.ledger.keys[o.key], w.ledger.era
	o.said = history.Op{Client: uint64(c.number), Kind: history.Get, Key: o.key, Value: o.value}
	switch {
	case o.cas:
		o.said.Kind, o.said.Expect = history.CompareAndSet, c.value
	case o.value != "":
		o.said.Kind = history.Put
	case o.local:
		o.said.Want.Guarantee = history.Any
	}
	o.said = w.told.Begin(o.said)
	if o.value != "" && w.s.Chance(w.c.named) {
		c.asked++
		o.id = record.RequestID{Client: c.id, Seq: c.asked}
	}
	return o
}

// tell notes in the history what a client was told.
func (c *client) tell(o *op, r reply) {
	h := o.said
	switch {
	case r.err == nil:
		h.Outcome = history.Applied
		if o.value == "" {
			h.Place.LSN = uint64(r.lsn)
			if r.value != "" {
				h.Got = []string{r.value}
			}
		} else {
			h.Place = history.Place{Dot: r.dot, Term: r.term, LSN: uint64(r.lsn)}
		}
	case r.outcome == topology.NotApplied || o.value == "":
		h.Outcome, h.Refused = history.NotApplied, r.refused
	default:
		h.Outcome = history.Unknown
		c.w.numbers++
		c.number = c.w.numbers // who asked this asks no more
	}
	c.w.told.End(h)
}

// fill is a value that no other operation writes.
func (c *client) fill(number int) string {
	n := c.w.s.Rand.IntN(c.w.c.valueBytes + 1)
	return fmt.Sprintf("v%d-%0*d", number, n, 0)
}

// ask sends one operation and waits for its answer, as long as it has patience.
func (c *client) ask() {
	c.op = c.draw()
	c.try(c.op)
}

// try sends an operation, again if it has a name.
func (c *client) try(o *op) {
	w, to := c.w, c.to
	o.tries++
	if o.local {
		to = w.nodes[w.s.Rand.IntN(len(w.nodes))]
	}
	answered := false
	end := func(r reply) {
		if answered {
			return
		}
		answered = true
		if c.again(o, &r) {
			return
		}
		c.op = nil
		c.answered(o, r)
	}
	send := func(r reply) { w.s.After(w.s.Net.Delay(), func() { end(r) }) }
	if !w.s.Chance(w.c.lossy) {
		w.s.After(w.s.Net.Delay(), func() {
			to.m.Do(func() {
				if p := to.live(); p != nil {
					p.serveClient(o, send)
				}
			})
		})
	}
	if !o.id.IsZero() && w.s.Chance(0.1) { // the network delivers it once more, to whoever leads by then
		o.doubt = true
		late := w.nodes[w.s.Rand.IntN(len(w.nodes))]
		w.s.After(w.s.Lasting(0, 3*time.Second), func() {
			late.m.Do(func() {
				if p := late.live(); p != nil {
					p.serveClient(o, func(reply) {})
				}
			})
		})
	}
	patience := w.c.patience
	if c.reads {
		patience = min(patience, w.c.lease/10) // who waits sees nothing of what goes on
	}
	w.s.After(patience, func() { end(reply{outcome: topology.Unknown, err: topology.ErrTimeout}) })
}

// triesMax is how often one named request is sent.
const triesMax = 5

// again reports whether a named request is sent once more because it is not known
// what became of it; and makes an answer that says nothing of earlier tries one
// that leaves them open.
func (c *client) again(o *op, r *reply) bool {
	if r.err == nil || o.id.IsZero() {
		return false
	}
	o.doubt = o.doubt || r.outcome == topology.Unknown
	if !o.doubt {
		return false
	}
	r.outcome, r.refused = topology.Unknown, false
	if o.tries == triesMax || errors.Is(r.err, topology.ErrForgotten) || c.w.still {
		return false
	}
	c.to = c.w.nodes[c.w.s.Rand.IntN(len(c.w.nodes))]
	if r.leader != "" {
		c.to = c.w.node(r.leader)
	}
	c.w.s.After(c.w.s.Lasting(0, c.w.c.think), func() { c.try(o) })
	return true
}

// serveClient does what a client asks for.
func (p *process) serveClient(o *op, answer func(reply)) {
	cell := record.Cell{Table: record.TableDefault, Key: []byte(o.key)}
	switch {
	case o.local:
		p.applying.wait(p, o.session, func() { p.reading.readAt(cell, 0, answer) })
		return
	case o.value == "":
		p.reading.read(cell, p.s.Chance(p.w.c.leased), answer)
		return
	}
	w := &write{durability: topology.Flushed, reply: answer}
	w.batch.Request = o.id
	if p.s.Chance(0.2) {
		w.durability = topology.Applied
	}
	w.batch.Mutations = []record.Mutation{{Table: cell.Table, Key: cell.Key, Op: record.OpPut, Kind: record.KindBytes, Value: []byte(o.value)}}
	if o.cas {
		w.batch.Conditions = []record.Condition{{Cell: cell, Version: o.expect, Absent: o.expect == version.Dot{}}}
	}
	p.write(w)
}

// answered judges an answer and goes on.
func (c *client) answered(o *op, r reply) {
	w := c.w
	w.ledger.answered(c, o, r)
	c.tell(o, r)
	if r.err == nil {
		if !o.local || r.lsn >= c.token {
			c.token = max(c.token, r.lsn)
		}
		if o.value == "" {
			c.seen, c.value = r.seen, r.value
		} else {
			c.seen, c.value = r.dot, o.value
			w.progress = w.s.Now()
			w.acked++
		}
	} else {
		c.seen, c.value = version.Dot{}, ""
		c.to = w.nodes[w.s.Rand.IntN(len(w.nodes))]
		if r.leader != "" {
			c.to = w.node(r.leader)
		}
	}
	if r.leader == "" && !c.reads {
		w.s.Op()
	}
	c.next()
}
