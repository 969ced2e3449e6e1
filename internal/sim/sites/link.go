package sites

import (
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
)

// end is one end of a link while it is up, at who leads its site.
type end struct {
	g       *reign
	peer    *site
	conn    *sim.Conn
	session uint64
	dialing bool
}

// relink has the links be those of the roster.
func (g *reign) relink() {
	r := g.core.Roster()
	for _, t := range g.p.w.sites {
		if l := g.links[t.name]; l != nil && !l.dialing && !g.p.w.c.shape.linked(r, g.p.n.site.name, t.name) {
			l.drop()
		}
	}
	g.redial()
}

// redial connects to the peers that are not: of two sites the one with the smaller
// number dials.
func (g *reign) redial() {
	r, self := g.core.Roster(), g.p.n.site
	for _, t := range g.p.w.sites {
		if t.index > self.index && g.links[t.name] == nil && g.p.w.c.shape.linked(r, self.name, t.name) {
			g.links[t.name] = &end{g: g, peer: t, dialing: true}
			g.p.n.m.After(g.p.s.Lasting(0, g.p.w.c.ticks.redial), func() { g.dial(t) })
		}
	}
}

// dial connects to whoever leads a peer.
func (g *reign) dial(t *site) {
	if !g.live() {
		return
	}
	far := t.reign()
	if far == nil {
		delete(g.links, t.name)
		return
	}
	p := g.p
	p.s.Net.Dial(p.n.m, far.p.n.m, func(c *sim.Conn) {
		if !far.welcomes(p.n.site) {
			c.Close()
			return
		}
		c.Take = func(b []byte) { // who dials speaks first: before that he may not hear yet
			if !far.welcomes(p.n.site) {
				c.Close()
				return
			}
			far.link(p.n.site, c)
			c.Take(b)
		}
	}, func(c *sim.Conn) {
		if l := g.links[t.name]; l != nil && l.dialing {
			delete(g.links, t.name)
		}
		switch {
		case c == nil:
		case !g.live() || g.core == nil:
			c.Close()
		default:
			g.link(t, c)
		}
	})
}

// welcomes reports whether a session with a site may begin: not with one that is given
// up and does not know, as it would take the silence for a link that is up, and not ask.
func (g *reign) welcomes(t *site) bool {
	return g.live() && g.core != nil && g.p.w.c.shape.linked(g.core.Roster(), g.p.n.site.name, t.name)
}

// link tells the core of a session. A newer connection takes the place of one whose end
// was not heard of.
func (g *reign) link(t *site, c *sim.Conn) {
	if old := g.links[t.name]; old != nil && !old.dialing {
		g.p.s.Reach("a link took the place of another")
		old.drop()
	}
	g.session++
	l := &end{g: g, peer: t, conn: c, session: g.session}
	g.links[t.name] = l
	c.Take, c.Closed = l.take, l.closed
	g.step(core.Event{Kind: core.EvLinkUp, Peer: t.name, Session: l.session})
}

// drop ends it here.
func (l *end) drop() {
	g := l.g
	delete(g.links, l.peer.name)
	if l.conn != nil {
		l.conn.Close()
	}
	if !l.dialing {
		g.step(core.Event{Kind: core.EvLinkDown, Peer: l.peer.name, Session: l.session})
	}
}

// send sends a message, which may be lost, come twice and be overtaken: the core
// relies on none of what connections promise.
func (l *end) send(b []byte) {
	s, m := l.g.p.s, l.g.p.w.c.mangle
	if l.g.p.w.calm {
		m = mangle{}
	}
	switch {
	case s.Chance(m.lost):
		s.Reach("a message between sites was lost")
		return
	case s.Chance(m.late):
		s.Reach("a message between sites was overtaken")
		s.After(s.Lasting(0, 300*time.Millisecond), func() { l.conn.Send(b) })
		return
	case s.Chance(m.twice):
		s.Reach("a message between sites came twice")
		s.After(s.Lasting(0, 100*time.Millisecond), func() { l.conn.Send(b) })
	}
	l.conn.Send(b)
}

func (l *end) take(b []byte) {
	g := l.g
	m, err := core.DecodeMessage(b)
	if err != nil {
		g.p.s.Fail("floor", "%s does not understand %s: %v", g.p.n.name, l.peer.name, err)
		return
	}
	if m.Kind == core.MsgAsk {
		g.p.s.Reach("a gap was asked for")
	}
	g.step(core.Event{Kind: core.EvMessage, Peer: l.peer.name, Session: l.session, Message: m})
}

func (l *end) closed() {
	if l.g.links[l.peer.name] == l {
		delete(l.g.links, l.peer.name)
		l.g.step(core.Event{Kind: core.EvLinkDown, Peer: l.peer.name, Session: l.session})
	}
}
