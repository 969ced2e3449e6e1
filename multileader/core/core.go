package core

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Site is a site's name from the configuration.
type Site string

// Member is a site that takes part, with the number its name was given; its
// lives differ in their incarnation alone (rule C1).
type Member struct {
	Site   Site
	Number uint32
}

// Link says with whom a site exchanges its log. It is configured at both ends.
type Link struct {
	Peer Site
	// Relay sends the peer what came from other sites, too: a ring or a star
	// needs it. In a mesh every site sends its own, and others only fill gaps.
	Relay bool
}

// Limits bound what a core holds and sends. A zero field is its default.
type Limits struct {
	Queue       int // records of one origin that wait for their turn: 1,024; more are dropped and asked for again
	Uncommitted int // records in the log that are not committed: 4,096; more are refused, or wait
	Shipment    int // records of one message: 64
	Window      int // records sent to a peer and not acknowledged: 512,
	WindowBytes int // or so many bytes of them: 32 MiB
	GapTicks    int // ticks a gap must last before it is asked for, and before it is asked for again: 2
	ResendTicks int // ticks without progress after which what is not acknowledged is sent again: 4
	PartBytes   int // bytes of cells in one part of a snapshot, but for the first: 1 MiB
	FetchTicks  int // ticks after which a snapshot is given up whose site is away: 64
}

// Or returns l with the fields of d where those of l are zero.
func (l Limits) Or(d Limits) Limits {
	for _, p := range [...][2]*int{
		{&l.Queue, &d.Queue}, {&l.Uncommitted, &d.Uncommitted}, {&l.Shipment, &d.Shipment},
		{&l.Window, &d.Window}, {&l.WindowBytes, &d.WindowBytes}, {&l.GapTicks, &d.GapTicks}, {&l.ResendTicks, &d.ResendTicks},
		{&l.FetchTicks, &d.FetchTicks}, {&l.PartBytes, &d.PartBytes},
	} {
		if *p[0] <= 0 {
			*p[0] = *p[1]
		}
	}
	return l
}

var limitsDefault = Limits{Queue: 1024, Uncommitted: 4096, Shipment: 64, Window: 512, WindowBytes: 32 << 20, GapTicks: 2, ResendTicks: 4, FetchTicks: 64, PartBytes: 1 << 20}

// chainsKept is how many sums of each origin's newest records are remembered,
// so that a copy of one of them with other bytes is found at once. An older one
// is found by the next record that follows it.
const chainsKept = 64

// Config is what a core is told once.
type Config struct {
	Self    Site
	Origin  version.Origin // under which this site writes; its life is C1's business
	Members []Member       // all sites, this one included
	Links   []Link
	// Linked returns with whom this site exchanges by a roster; nil: Links, whatever it says.
	Linked func(*Roster) []Link
	// Roster is the first one that is known, where the log has none yet; nil: Members.
	Roster *Roster
	// Assembly is what the log comes to of rosters.
	Assembly Assembly
	MaxSkew  time.Duration // 0: version.MaxSkewDefault
	Limits   Limits
	Filters  Filters // tables that not all sites hold
	ReadOnly []Site  // that take no writes of clients
}

// Core decides for one site. Its exported state is there to be read; nobody
// changes it but Step.
type Core struct {
	Self   Site
	Origin version.Origin
	Term   uint64 // under which this site takes writes; 0: it does not

	Counts Counts

	cfg     Config
	clock   *version.Clock
	now     time.Time
	log     ledger
	links   []*link // in the order of the configuration
	refused bool    // since the last tick the log took nothing
	forgot  bool    // a peer knows records of this origin that this site does not (C1)
	last    uint64  // the greatest term the log was written in
	fetch   fetching
	roster  *Roster
	council Council
	noted   bool             // the roster is in the log, or needs not be
	without []record.TableID // what this site does not hold

	enc *record.Encoder
	out []Effect
}

// Counts are what a core has seen since it started, for status and for tests;
// nothing is decided by them.
type Counts struct {
	Delivered  uint64 // records of other sites appended
	Duplicates uint64 // records that were there already
	Dropped    uint64 // records that found their queue full
	Asked      uint64 // gaps asked for
	Parked     uint64 // times an origin was parked because its clock is ahead
	Resent     uint64 // times a peer was sent again what it did not acknowledge
	Forks      uint64 // times a link was frozen
	Fetched    uint64 // snapshots asked for
	Lacking    uint64 // records of which a peer left out what this site holds
}

// EventKind says what happened.
type EventKind uint8

const (
	EvLead        EventKind = iota + 1 // this site's leader opens Term, which is greater than every one before
	EvStepDown                         // it takes no more writes
	EvWrite                            // Writes are asked for
	EvCommitted                        // the log is committed up to LSN
	EvNotAppended                      // the log ends at LSN: it took nothing of what was to stand behind
	EvLinkUp                           // a session with Peer begins
	EvLinkDown                         // it ended
	EvMessage                          // Message came from Peer over Session
	EvRead                             // the answer to DoRead, with its LSN, or to DoFill, with LSN 0: Items
	EvTick                             // time passes: beats, gaps, what is parked
	EvIncarnate                        // this site writes as Origin from now on (C1)
	EvCut                              // Cut is what this site has for good
	EvRepair                           // Repair is what a cell is to hold from now on
	EvThaw                             // a person lets the link to Peer go on
	EvGone                             // the log does not hold what DoRead (its LSN) or DoFill (LSN 0; Origin, First, Last) asked for
	EvServed                           // the answer to DoServe: Message
	EvAsk                              // another site's leader, or this one, asks Ask
	EvSettle                           // more of a snapshot is to be put in its place; Over: all is
)

// Event is something that happened, and when. Which fields count is said by Kind.
type Event struct {
	Kind        EventKind
	Now         time.Time // the site's wall clock; it may jump
	Peer        Site
	Session     uint64
	Term        uint64
	LSN, To     record.LSN
	Origin      version.Origin
	Writes      []record.Batch // without conditions, and checked against their limits
	Cut         *Cut
	Repair      *Repair
	Message     *Message // owned by the core from then on
	Items       []Item   // likewise
	First, Last uint64
	Over        bool
	Ask         *Ask
	Own         bool // EvWrite: the site writes of its own accord, and not for a client
}

// EffectKind says what is to be done.
type EffectKind uint8

const (
	DoAppend    EffectKind = iota + 1 // put Item's entry in the log at LSN, and its dot and chain in its index; else tell EvNotAppended
	DoAccept                          // the write N of the event is the record Item.Dot, if the log took LSN: not yet an answer
	DoRefuse                          // the write N of the event is refused with Err, not applied
	DoCommit                          // the log is committed up to LSN: answer, and apply, what it holds
	DoSend                            // send Message to Peer over Session
	DoRead                            // read entries from LSN to To, at most N, of which Peer has Has, and tell EvRead for Peer and Session
	DoFill                            // read the records of Origin from First to Last, at most N, and tell EvRead with LSN 0
	DoFreeze                          // Peer is frozen because of Err: tell a person
	DoAlarm                           // tell a person Err
	DoReply                           // the answer to EvAsk is Reply, once the log is committed up to LSN
	DoRoster                          // the roster is another one: end links with who has left, begin those with who has come
	DoServe                           // read what follows At of snapshot First of this site's store, of a new one if that is 0, and tell EvServed for Peer and Session
	DoIncarnate                       // have a new incarnation given to this site, and tell EvIncarnate
)

// Effect is something to do. Which fields count is said by Kind.
type Effect struct {
	Kind        EffectKind
	Peer        Site
	Session     uint64
	LSN, To     record.LSN
	N           int
	Item        Item
	Origin      version.Origin
	First, Last uint64
	Time        version.Timestamp // DoAccept: of the record,
	Deps        version.Vector    // and what stood before it
	Has         version.Vector
	At          []byte
	Relay       bool // DoRead: what came from other sites is for Peer, too
	Message     Message
	Reply       *Reply
	Err         error
}

// Step takes one event. The effects are valid until the next step.
func (c *Core) Step(ev Event) []Effect {
	c.out = c.out[:0]
	if !ev.Now.IsZero() {
		c.now = ev.Now
	}
	switch ev.Kind {
	case EvLead:
		c.lead(ev.Term)
	case EvStepDown:
		c.Term = 0
	case EvWrite:
		for i := range ev.Writes {
			write(c, i, &ev.Writes[i], ev.Own)
		}
	case EvCommitted:
		if c.log.commit(ev.LSN) {
			c.do(Effect{Kind: DoCommit, LSN: c.log.committed})
		}
	case EvNotAppended:
		c.refused = true
		note, was := c.log.retract(ev.LSN)
		if was != nil {
			c.fetch, c.roster, c.council = fetching{Incoming: was.in}, was.roster, was.council
			seated(c)
		}
		if note {
			c.Term = 0
		}
	case EvTick:
		tick(c)
	case EvIncarnate:
		incarnate(c, ev.Origin)
	case EvCut:
		cut(c, ev.Cut)
	case EvSettle:
		c.fetch.settle(c, ev.Over)
	case EvAsk:
		r := answer(c, ev.Ask)
		c.do(Effect{Kind: DoReply, LSN: c.log.end, Reply: &r})
	case EvRepair:
		repair(c, ev.Repair)
	default:
		if l := c.link(ev.Peer); l != nil {
			l.step(c, &ev)
		}
	}
	c.deliver()
	fillMore(c)
	c.fetch.more(c)
	for _, l := range c.links {
		l.pump(c)
	}
	return c.out
}

func (c *Core) do(e Effect) { c.out = append(c.out, e) }

// tick: what only time can tell.
func tick(c *Core) {
	c.refused = false
	for _, o := range c.log.origins {
		o.parked = false
	}
	fillGaps(c)
	c.fetch.tick(c)
	for _, l := range c.links {
		l.beat(c)
		l.resend(c)
	}
}

// incarnate: control gave this site a new life to write under. The old one is an
// origin like any other from now on, and what peers know of it is taken from them.
func incarnate(c *Core, o version.Origin) {
	if o.ID != c.Origin.ID || o.Incarnation <= c.Origin.Incarnation {
		return
	}
	c.log.rename(o)
	c.Origin, c.forgot = o, false
	if c.Term > 0 {
		noteOrigin(c)
	}
}

// End returns the end of the site's log.
func (c *Core) End() record.LSN { return c.log.end }

// Commit returns up to where it is committed.
func (c *Core) Commit() record.LSN { return c.log.committed }

// Marks returns what the log holds that is committed, by origin: what beats show.
func (c *Core) Marks() []Mark { return c.log.marks() }

// Known returns every origin that stands in the log or that a peer has told of.
func (c *Core) Known() []version.Origin {
	var out []version.Origin
	for _, o := range c.log.origins {
		out = append(out, o.Origin)
	}
	return out
}

// Queued returns how many records of o wait for their turn.
func (c *Core) Queued(o version.Origin) int { return len(c.log.origin(o).queue) }

// Frozen reports whether the link to a peer is frozen.
func (c *Core) Frozen(peer Site) bool { l := c.link(peer); return l != nil && l.frozen }

// Next returns the dot that the next write gets, if it is taken.
func (c *Core) Next() version.Dot {
	return version.Dot{Origin: c.Origin, Seq: c.log.origin(c.Origin).placed.Seq + 1}
}

// Open reports whether this site takes writes.
func (c *Core) Open() bool { return c.Term > 0 && !c.forgot }

func (c *Core) link(peer Site) *link {
	i := slices.IndexFunc(c.links, func(l *link) bool { return l.Peer == peer })
	if i < 0 {
		return nil
	}
	return c.links[i]
}

// site returns who writes under o's number.
func (g *Config) site(o version.Origin) (Site, bool) {
	i := slices.IndexFunc(g.Members, func(m Member) bool { return m.Number == o.ID })
	if i < 0 {
		return "", false
	}
	return g.Members[i].Site, true
}
