package core

import "github.com/triad-kv/triad/version"

// fillGaps asks for what is missing here and known to be somewhere: of any
// origin, at any peer that has it (M2).
func fillGaps(c *Core) {
	for _, o := range c.log.origins {
		if o.missing++; !o.lacks(c) {
			o.missing = 0
		} else if o.missing >= c.cfg.Limits.GapTicks {
			if o.ask(c); o.missing >= c.cfg.Limits.GapTicks {
				c.fetch.want(c, o)
			}
		}
	}
}

// fillMore goes on with gaps of which a part has come, and asks again for what
// found no room, once there is some: whoever is behind sets the pace by his room,
// and not by ticks. A log that has just taken nothing is left alone until the next
// one, else what it refuses would come again and again.
func fillMore(c *Core) {
	if c.refused {
		return
	}
	for _, o := range c.log.origins {
		if o.due > o.placed.Seq && o.asking == 0 && o.lacks(c) {
			o.ask(c)
		}
	}
}

// came notes that a record came which had been asked for. What is left of the gap
// is due.
func (o *origin) came(c *Core, seq uint64) {
	_, upTo := holder(c.links, o, false)
	o.due = max(o.due, upTo)
	if seq >= o.asking {
		o.asking = 0
	}
}

// room returns how many records of an origin could be taken from sequence first
// on: those whose turn has come go by the queue, as far as the log has room.
func (o *origin) room(c *Core, first uint64) uint64 {
	n := c.cfg.Limits.Queue - len(o.queue)
	if first == o.placed.Seq+1 {
		n = max(n, 1) // it takes the place of the last
		if c.Term > 0 && !o.parked {
			n += max(c.cfg.Limits.Uncommitted-len(c.log.tail), 0)
		}
	}
	return uint64(max(n, 0))
}

// lacks reports whether a peer has what is missing here of an origin, in its log or not.
func (o *origin) lacks(c *Core) bool {
	_, upTo := holder(c.links, o, true)
	_, _, any := o.wanted(min(upTo, o.last))
	return any && o.Origin != c.Origin
}

// ask asks for what is missing of an origin, as much as there is room for, and no
// more at once than a link's window, a shipment a message.
func (o *origin) ask(c *Core) {
	l, upTo := holder(c.links, o, false)
	first, last, some := o.wanted(min(upTo, o.last))
	if l == nil || !some {
		return
	}
	room := min(o.room(c, first), uint64(c.cfg.Limits.Window))
	if room == 0 {
		return
	}
	last = min(last, first+room-1)
	o.missing, o.asking = 0, last
	for size := uint64(c.cfg.Limits.Shipment); first <= last; first += size {
		c.Counts.Asked++
		l.send(c, Message{Kind: MsgAsk, Origin: o.Origin, First: first, Last: min(last, first+size-1)})
	}
}

// holder returns the peer that has most of an origin, the first in order of
// configuration among equals, and how much that is: among those that have it in their
// logs, as far as is known, or all. Of the former one that holds all tables that this
// site holds comes first, if it has what is missing.
func holder(links []*link, o *origin, all bool) (best *link, upTo uint64) {
	var first bool
	for _, l := range links {
		if !l.up() || !l.told || !all && l.gone.Get(o.Origin) > o.placed.Seq {
			continue
		}
		for _, m := range l.marks {
			if m.Origin != o.Origin {
				continue
			}
			whole := !all && !l.share.lacks && m.Seq > o.placed.Seq
			if whole && !first || whole == first && m.Seq > upTo {
				best, upTo, first = l, m.Seq, whole
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
	_, upTo := holder(c.links, own, true)
	return upTo - min(upTo, own.placed.Seq)
}
