package core

import "github.com/triad-kv/triad/version"

// fillGaps asks for what is missing here and known to be somewhere: of any
// origin, at any peer that has it (M2).
func (c *Core) fillGaps() {
	for _, o := range c.log.origins {
		if o.missing++; !o.lacks(c) {
			o.missing = 0
		} else if o.missing >= c.cfg.Limits.GapTicks {
			o.ask(c)
		}
	}
}

// fillMore goes on with gaps of which a part has come: whoever is behind by much
// asks at his own pace, and not at that of ticks.
func fillMore(c *Core) {
	for _, o := range c.log.origins {
		if o.filled && o.lacks(c) {
			o.ask(c)
		}
		o.filled = false
	}
}

// lacks reports whether a peer has what is missing here of an origin.
func (o *origin) lacks(c *Core) bool {
	_, upTo := holder(c.links, o)
	_, _, any := o.wanted(upTo)
	return any && o.Origin != c.Origin
}

// ask asks for what is missing of an origin, as much as one message holds.
func (o *origin) ask(c *Core) {
	l, upTo := holder(c.links, o)
	first, last, _ := o.wanted(upTo)
	last = min(last, first+uint64(c.cfg.Limits.Shipment)-1)
	o.missing = 0
	c.Counts.Asked++
	l.send(c, Message{Kind: MsgAsk, Origin: o.Origin, First: first, Last: last})
}

// holder returns the peer that has most of an origin, the first in order of
// configuration among equals, and how much that is.
func holder(links []*link, o *origin) (best *link, upTo uint64) {
	for _, l := range links {
		if !l.up() || !l.told {
			continue
		}
		for _, m := range l.marks {
			if m.Origin == o.Origin && m.Seq > upTo {
				best, upTo = l, m.Seq
			}
		}
	}
	return best, upTo
}

// asked: a peer lacks records. Whatever is committed here is given, whoever
// wrote it (M2); what is not is not here yet (M1).
func (l *link) asked(c *Core, m *Message) {
	o := c.log.origin(m.Origin)
	last := min(m.Last, o.committed.Seq)
	if m.First == 0 || m.First > last {
		return
	}
	n := min(last-m.First+1, uint64(c.cfg.Limits.Shipment))
	c.do(Effect{Kind: DoFill, Peer: l.Peer, Session: l.session, Origin: o.Origin, First: m.First, Last: m.First + n - 1, N: int(n)})
}

// Lag returns how many records of o some peer is known to have and this log has not.
func (c *Core) Lag(o version.Origin) uint64 {
	own := c.log.origin(o)
	_, upTo := holder(c.links, own)
	return upTo - min(upTo, own.placed.Seq)
}
