package core

import (
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// enrol takes the newest roster that is known: of the log, or of the configuration.
func enrol(c *Core, cfg *Config) {
	c.council = cfg.Assembly.Council
	switch {
	case cfg.Assembly.Roster != nil && (cfg.Roster == nil || cfg.Roster.Version <= cfg.Assembly.Roster.Version):
		c.roster = cfg.Assembly.Roster
	case cfg.Roster != nil:
		c.roster = cfg.Roster
	default:
		c.roster = Founding(cfg.Members)
	}
	c.noted = c.roster.Version == 1 || c.roster == cfg.Assembly.Roster
	seated(c)
}

// seated goes by a roster: who takes part, how much of whom counts, and who is linked.
func seated(c *Core) {
	c.cfg.Members = c.cfg.Members[:0:0]
	for i := range c.roster.Seats {
		c.cfg.Members = append(c.cfg.Members, c.roster.Seats[i].Member)
	}
	c.log.roster = c.roster
	for _, o := range c.log.origins {
		c.log.cap(o)
	}
	links := c.cfg.Links
	if c.cfg.Linked != nil {
		links = c.cfg.Linked(c.roster)
	}
	was := c.links
	c.links = nil
	for _, l := range links {
		i := slices.IndexFunc(was, func(w *link) bool { return w.Peer == l.Peer })
		if i < 0 {
			c.links = append(c.links, &link{Link: l, share: shareOf(c.cfg.Filters, c.Self, l.Peer)})
			continue
		}
		was[i].Link = l
		c.links = append(c.links, was[i])
	}
}

// cap says how much of an origin counts: of a life that has ended what the sites agreed
// upon, of a site that is given up what is here (rule M6a).
func (g *ledger) cap(o *origin) {
	o.last = math.MaxUint64
	s := g.roster.Numbered(o.ID)
	switch {
	case s == nil:
	case o.Incarnation < s.Life:
		o.last = s.Final.Get(o.Origin)
	case s.Standing == Evicting:
		o.last = o.placed.Seq
	}
	o.queue = slices.DeleteFunc(o.queue, func(q queued) bool { return q.Dot.Seq > o.last })
}

// beyond returns an origin of which more stands here than counts, nil if there is none.
func (g *ledger) beyond() *origin {
	for _, o := range g.origins {
		if o.placed.Seq > o.last {
			return o
		}
	}
	return nil
}

// Beyond reports whether the log holds more of a life that has ended than counts.
func (c *Core) Beyond() bool { return c.log.beyond() != nil }

// Roster returns which sites there are, as far as this site's log says.
func (c *Core) Roster() *Roster { return c.roster }

// seat is what the roster says of this site.
func seat(c *Core) *SiteSeat {
	if s := c.roster.Seat(c.Self); s != nil {
		return s
	}
	return &SiteSeat{}
}

// Writes reports whether this site takes writes of clients.
func (c *Core) Writes() bool {
	return c.Open() && seat(c).Standing == Active && !readOnly(c) && owing(c) == nil && !c.Beyond()
}

// Barred says why this site takes no writes for what it is in its cluster, nil if it does.
func (c *Core) Barred() error {
	switch s := seat(c); s.Standing {
	case Active:
		return late(c)
	case Joining:
		if o := c.log.beyond(); o != nil {
			return fmt.Errorf("%w: site %s is to take part again, and its log holds write %d of %v, of which no more than %d counts since it was given up: it starts with empty directories; what the others lack is put aside, see `triad rewound list`", topology.ErrUnavailable, c.Self, o.placed.Seq, o.Origin, o.last)
		}
		return fmt.Errorf("%w: site %s joins, and has not all that the others have yet; write at another site", topology.ErrUnavailable, c.Self)
	case Retiring, Retired:
		return fmt.Errorf("%w: site %s is %v, by version %d of the roster; write at another site", topology.ErrUnavailable, c.Self, s.Standing, c.roster.Version)
	case Evicting, Evicted:
		return fmt.Errorf("%w: the other sites have given site %s up, by version %d of the roster: what they lack of it is put aside, see `triad rewound list`; to take part again it starts with empty directories, after `triad site add %s`", topology.ErrUnavailable, c.Self, c.roster.Version, c.Self)
	}
	return fmt.Errorf("%w: site %s is not in version %d of the roster; run `triad site add %s`", topology.ErrUnavailable, c.Self, c.roster.Version, c.Self)
}

// late says of a site that takes part that its log holds more of a life that has ended
// than counts, nil if it does not. It had lost its log, and with it the roster, and took
// that from a site that was given up and did not know either. The others take nothing
// more of it, so what it wrote from there on would be nowhere else: it writes nothing.
func late(c *Core) error {
	o := c.log.beyond()
	if o == nil {
		return nil
	}
	return fmt.Errorf("%w: the log of site %s holds write %d of %v, of which no more than %d counts: it had lost its log, and took that from a site that was given up; the others take nothing of it. Give it up with `triad site evict %s`, so that what they lack is put aside, and add it again with empty directories", topology.ErrUnavailable, c.Self, o.placed.Seq, o.Origin, o.last, c.Self)
}

// convene hears of a note about the roster.
func convene(c *Core, r *record.Record) {
	was := c.roster
	a, ok, err := Assembly{Roster: c.roster, Council: c.council}.Add(r)
	if err != nil || !ok {
		return
	}
	c.roster, c.council, c.noted = a.Roster, a.Council, true
	if a.Roster == was {
		return
	}
	seated(c)
	if s := seat(c).Standing; s == Active || s == Retiring {
		if err := late(c); err != nil {
			c.do(Effect{Kind: DoAlarm, Origin: c.log.beyond().Origin, Err: err})
		}
	}
	c.do(Effect{Kind: DoRoster})
	for _, l := range c.links {
		l.tell(c)
	}
}

// tell tells a peer the roster, if it is not that of the configuration.
func (l *link) tell(c *Core) {
	if l.up() && c.roster.Version > 1 {
		l.send(c, Message{Kind: MsgRoster, Body: c.roster.Encode()})
	}
}

// told hears a peer's roster.
func (l *link) roster(c *Core, b []byte) {
	r, err := DecodeRoster(b)
	switch {
	case err != nil:
		c.freeze(l, c.Origin, err)
	case r.Version == c.roster.Version && r.Digest() != c.roster.Digest():
		c.freeze(l, c.Origin, fmt.Errorf("%w: version %d of the roster is another one at site %s (%s) than here (%s): two rosters were forced, or the configurations differ", topology.ErrConflict, r.Version, l.Peer, r.Cause, c.roster.Cause))
	case r.Version < c.roster.Version:
		l.tell(c)
	default:
		learn(c, r)
	}
}

// stranger: a peer has records of who is no site here. It may know a newer roster, of
// which word was lost, or came while this site could not note it: who hears an older one
// tells his own.
func (l *link) stranger(c *Core, o version.Origin) {
	c.do(Effect{Kind: DoAlarm, Peer: l.Peer, Origin: o, Err: fmt.Errorf("%w: site %s holds records of %v, who is no site in version %d of the roster; it is asked for its own, and nothing is taken from it until then", topology.ErrConflict, l.Peer, o, c.roster.Version)})
	l.send(c, Message{Kind: MsgRoster, Body: c.roster.Encode()})
}

// orphaned says that a peer has more of a life that has ended than counts: it is the
// site that was given up, and must not come back with that.
func orphaned(c *Core, l *link, m Mark) bool {
	s := c.roster.Numbered(m.ID)
	if s == nil || m.Incarnation >= s.Life || m.Seq <= s.Final.Get(m.Origin) {
		return false
	}
	l.barred = true
	c.do(Effect{Kind: DoAlarm, Peer: l.Peer, Origin: m.Origin, Err: fmt.Errorf("%w: it holds write %d of %v, and of that life of site %s no more than %d counts since it was given up: its directories must be empty before it takes part again", topology.ErrConflict, m.Seq, m.Origin, s.Site, s.Final.Get(m.Origin))})
	return true
}

// placedMarks returns what stands in the log, by origin.
func (g *ledger) placedMarks() (out []Mark) {
	for _, o := range g.origins {
		if o.placed.Seq > 0 {
			out = append(out, o.placed)
		}
	}
	return out
}
