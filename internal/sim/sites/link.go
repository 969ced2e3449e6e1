package sites

import (
	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
)

// end is one end of a link while it is up.
type end struct {
	p       *process
	peer    *node
	conn    *sim.Conn
	session uint64
}

// dial connects to a peer, and again when it does not answer. Of two sites the
// first dials.
func (p *process) dial(peer *node) {
	if p.dead || p.links[peer.index] != nil {
		return
	}
	p.s.Net.Dial(p.n.m, peer.m, func(c *sim.Conn) {
		q := peer.live()
		if q == nil {
			c.Close()
			return
		}
		c.Take = func(b []byte) { // who dials speaks first: before that he may not hear yet
			q.begin(p.n, c)
			c.Take(b)
		}
	}, func(c *sim.Conn) {
		switch {
		case c == nil:
			p.redial(peer)
		case p.dead:
			c.Close()
		default:
			p.begin(peer, c)
		}
	})
}

func (p *process) redial(peer *node) {
	if p.n.index < peer.index {
		p.n.m.After(p.s.Lasting(p.w.c.redial/2, 2*p.w.c.redial), func() { p.dial(peer) })
	}
}

// begin tells the core of a session. A newer connection takes the place of one
// whose end was not heard of.
func (p *process) begin(peer *node, c *sim.Conn) {
	if old := p.links[peer.index]; old != nil {
		p.s.Reach("a link took the place of another")
		p.links[peer.index] = nil
		old.conn.Close()
		p.step(core.Event{Kind: core.EvLinkDown, Peer: peer.name, Session: old.session})
	}
	p.session++
	l := &end{p: p, peer: peer, conn: c, session: p.session}
	p.links[peer.index] = l
	c.Take, c.Closed = l.take, l.closed
	p.step(core.Event{Kind: core.EvLinkUp, Peer: peer.name, Session: l.session})
}

func (l *end) take(b []byte) {
	m, err := core.DecodeMessage(b)
	if err != nil {
		l.p.s.Fail("floor", "%s does not understand %s: %v", l.p.n.name, l.peer.name, err)
		return
	}
	if m.Kind == core.MsgAsk {
		l.p.s.Reach("a gap was asked for")
	}
	l.p.step(core.Event{Kind: core.EvMessage, Peer: l.peer.name, Session: l.session, Message: m})
}

func (l *end) closed() {
	p := l.p
	if p.dead || p.links[l.peer.index] != l {
		return
	}
	p.links[l.peer.index] = nil
	p.step(core.Event{Kind: core.EvLinkDown, Peer: l.peer.name, Session: l.session})
	p.redial(l.peer)
}
