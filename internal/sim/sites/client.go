package sites

import (
	"fmt"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// siblingsMax is how many concurrent values a key may come to hold by writes of clients
// that had not seen the others.
const siblingsMax = 24

// request is what a client asks of a site.
type request struct {
	use    *use
	key    string
	write  *asked // nil: a read
	token  version.Vector
	shown  *version.Set // where siblings are kept: what the client has been shown
	dot    version.Dot  // of a write, once it has one
	answer func(reply)
}

// reply is what a client is told.
type reply struct {
	err     error
	outcome topology.Outcome // of an error
	seen    version.Vector
	dots    []version.Dot // of a read: what its key holds
}

// client asks for one thing after another, at one site and then at another, in one
// session: it never reads less than it has seen.
type client struct {
	w      *cluster
	at     *site
	busy   bool
	token  version.Vector
	shown  map[keyID]*version.Set
	behind int // how often in a row it was not answered
}

func (c *client) next() {
	w := c.w
	w.s.After(w.s.Lasting(0, w.c.load.think), func() {
		if !w.still {
			c.ask()
		}
	})
}

// ask sends one request and waits for its answer, as long as it has patience.
func (c *client) ask() {
	w, s := c.w, c.w.s
	w.asked++
	for again := s.Chance(w.c.load.roam); again || c.at.out; again = false {
		c.at = w.sites[s.Rand.IntN(len(w.sites))]
	}
	if c.behind > 4 {
		s.Reach("a session asked for what is lost, or far away, and began anew")
		c.token, c.shown, c.behind = nil, map[keyID]*version.Set{}, 0
	}
	u := w.c.uses[s.Rand.IntN(len(w.c.uses))]
	if s.Chance(0.3) {
		u = w.c.uses[0]
	}
	r := &request{use: u, key: fmt.Sprintf("%s%d", u.name, s.Rand.IntN(w.c.load.keys)), token: c.token}
	if s.Chance(w.c.load.writes) {
		r.write = u.ask(s, r.key, w.asked, w.c.load.valueBytes)
		if u.name == "siblings" && s.Chance(0.8) {
			r.shown = c.shown[keyID{u.table, r.key}].Clone()
			if r.shown == nil {
				r.shown = &version.Set{}
			}
		}
	}
	c.send(r)
}

func (c *client) send(r *request) {
	w, at := c.w, c.at
	c.busy = true
	over := false
	end := func(a reply) {
		if over {
			return
		}
		over, c.busy = true, false
		c.heard(r, &a)
		w.s.Op()
		c.next()
	}
	r.answer = func(a reply) { w.s.After(w.s.Net.Delay(), func() { end(a) }) }
	n := at.nodes[w.s.Rand.IntN(len(at.nodes))]
	w.s.After(w.s.Net.Delay(), func() {
		if r.write != nil {
			if g := at.reign(); g != nil && !at.shut() && !at.silent() {
				g.p.n.m.Do(func() { g.write(r) })
			}
			return
		}
		n.m.Do(func() {
			if p := n.live(); p != nil && !at.shut() {
				p.reads(r, 0)
			}
		})
	})
	w.s.After(w.c.load.patience, func() { end(reply{err: topology.ErrTimeout, outcome: topology.Unknown}) })
}

// heard takes an answer.
func (c *client) heard(r *request, a *reply) {
	w := c.w
	if a.err != nil {
		c.behind++
		w.ledger.failed(r, a)
		return
	}
	c.behind = 0
	c.token = c.token.Join(a.seen)
	if r.write != nil {
		w.acked++
		return
	}
	if r.use.name == "siblings" {
		set := &version.Set{}
		for _, d := range a.dots {
			set.Add(d)
		}
		c.shown[keyID{r.use.table, r.key}] = set
	}
}

// reads serves a read, once the node shows all that its session has seen (PM10).
func (p *process) reads(r *request, tries int) {
	if p.dead {
		return
	}
	x := p.store
	if !x.vector.Descends(r.token) {
		if tries == 0 {
			p.s.Reach("a read waited for what its session had seen")
		}
		if tries < 100 {
			p.n.m.After(10*time.Millisecond, func() { p.reads(r, tries+1) })
		}
		return
	}
	p.w.ledger.read(p, r)
	var dots []version.Dot
	for _, v := range x.keys[keyID{r.use.table, r.key}][""].Siblings {
		dots = append(dots, v.Dot)
	}
	r.answer(reply{seen: x.vector, dots: dots})
}

// write takes a write of a client.
func (g *reign) write(r *request) {
	p := g.p
	refuse := func(err error) { r.answer(reply{err: err, outcome: topology.NotApplied}) }
	if g.core == nil || g.tail.stuck {
		refuse(errAway)
		return
	}
	ms := make([]record.Mutation, len(r.write.mutation))
	copy(ms, r.write.mutation)
	if err := conflict.SealAll(ms, g.core.Next(), g.tail.Cell); err != nil {
		p.s.Fail("X", "%s can not seal a write of %s: %v", p.n.name, r.key, err)
		return
	}
	b := record.Batch{Mutations: ms}
	if r.shown != nil {
		if !g.tail.vector.Descends(r.shown.Prefix) {
			refuse(errAway)
			return
		}
		for _, d := range r.shown.Dots {
			if !g.tail.vector.Has(d) {
				refuse(errAway)
				return
			}
		}
		held, err := g.tail.Cell(record.Cell{Table: r.use.table, Key: []byte(r.key)})
		if err == nil {
			b.Context = core.Unseen(held.Siblings, r.shown, g.tail.told)
		}
		if b.Context != nil && len(held.Siblings) >= siblingsMax {
			refuse(topology.ErrTooLarge)
			return
		}
		if b.Context != nil {
			p.s.Reach("a write left siblings beside it")
		}
	}
	for _, e := range g.step(core.Event{Kind: core.EvWrite, Writes: []record.Batch{b}}) {
		switch {
		case e.Kind == core.DoRefuse:
			r.answer(reply{err: e.Err, outcome: topology.OutcomeOf(e.Err)})
		case e.Kind == core.DoAccept && g.live() && e.LSN <= p.end() && p.item(e.LSN).Dot == e.Item.Dot:
			r.dot = e.Item.Dot
			p.w.ledger.accepted(r, &e.Item)
			g.waiting[e.LSN] = r
		case e.Kind == core.DoAccept && !p.dead:
			p.w.ledger.refused(&e.Item)
			refuse(topology.ErrDiskFull)
		}
	}
}
