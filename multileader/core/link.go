package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// MessageKind says what a message between sites is.
type MessageKind uint8

const (
	MsgBeat   MessageKind = iota + 1 // what the sender has committed, and from where in the receiver's log it goes on
	MsgShip                          // records of the sender's log
	MsgAsk                           // a gap: the receiver may hold what the sender lacks
	MsgGone                          // its answer: the sender's log does not hold First
	MsgRoster                        // Body is the newest roster that the sender knows
	MsgFetch                         // the next step of snapshot First is wanted, of a new one if that is 0; Body says where it begins
	MsgPart                          // the next step, as a note; without one, snapshot First is not kept any more
)

// Message is what sites tell each other over a link.
type Message struct {
	Kind  MessageKind
	Marks []Mark // Beat: what is committed at the sender, never more (C2a)

	// From and Next are places in one log. Beat: of your log everything before
	// Next is taken; go on there. Ship: Items are what this log holds from From
	// on, before Next, and you lack; a shipment with From 0 fills a gap.
	From, Next record.LSN
	Items      []Item

	Origin      version.Origin // Ask: whose records
	First, Last uint64         // Ask: which

	Body []byte // Fetch: opaque; Part: an entry
}

// link is what a core knows of one peer.
type link struct {
	Link
	session uint64 // 0: down
	frozen  bool
	barred  bool // in this session: it holds what does not count

	// Of the own log, sent to the peer.
	told    bool           // the peer has said what it has
	has     version.Vector // what the peer has, as far as it is known
	at      record.LSN     // the next entry to look at
	edge    record.LSN     // what is before it stood in a shipment, or nobody needs it
	acked   record.LSN     // what is before it the peer has taken
	reading bool           // the shell reads from at on
	sent    []shipment     // what is not acknowledged, in order
	flight  int            // records in sent,
	bytes   int            // and their bytes
	still   int            // ticks without progress
	behind  bool           // the log does not hold what the peer lacks: until it has more

	// Of the peer's log, taken here.
	marks []Mark         // what the peer has committed
	past  []Mark         // what it had, when the link went down
	gone  version.Vector // what its log does not hold any more, as far as it was asked
	from  record.LSN     // where to go on in its log; kept over sessions
	share share          // of the tables
}

// shipment is one message of records: how much, and where the next one begins.
type shipment struct {
	next    record.LSN
	records int
	bytes   int
}

func (l *link) reset(session uint64) {
	past := l.marks
	if past == nil {
		past = l.past
	}
	*l = link{Link: l.Link, share: l.share, frozen: l.frozen, from: l.from, past: past, session: session}
}

// step takes an event of one link. What belongs to another session is late.
func (l *link) step(c *Core, ev *Event) {
	here := l.up() && ev.Session == l.session
	switch ev.Kind {
	case EvLinkUp:
		l.begin(c, ev.Session)
	case EvLinkDown:
		if ev.Session == l.session {
			l.reset(0)
		}
	case EvMessage:
		if here {
			l.message(c, ev.Message)
		}
	case EvRead:
		if here {
			l.read(c, ev)
		}
	case EvThaw:
		l.frozen = false
	case EvGone:
		if here {
			l.dropped(c, ev)
		}
	case EvServed:
		if here {
			l.send(c, *ev.Message)
		}
	}
}

func (l *link) up() bool { return l.session != 0 && !l.frozen && !l.barred }

// begin: a session begins. Each side says what it has and where the other is
// to go on.
func (l *link) begin(c *Core, session uint64) {
	if session > l.session {
		l.reset(session)
		l.tell(c)
		l.beat(c)
	}
}

func (l *link) send(c *Core, m Message) {
	c.do(Effect{Kind: DoSend, Peer: l.Peer, Session: l.session, Message: m})
}

// message takes what came from the peer.
func (l *link) message(c *Core, m *Message) {
	switch m.Kind {
	case MsgBeat:
		if l.known(c, m.Marks) {
			l.acknowledged(c, m.Next)
		}
	case MsgShip:
		l.arrived(c, m.Items, m.From == 0)
		if m.From != 0 && m.From <= max(l.from, 1) && m.Next > l.from && l.up() {
			l.from = m.Next
			l.beat(c)
		}
	case MsgAsk:
		l.asked(c, m)
	case MsgGone:
		l.lacksOf(c, version.Dot{Origin: m.Origin, Seq: m.First})
	case MsgRoster:
		l.roster(c, m.Body)
	case MsgFetch:
		c.do(Effect{Kind: DoServe, Peer: l.Peer, Session: l.session, First: m.First, At: m.Body})
	case MsgPart:
		l.part(c, m)
	}
}

// known notes what a peer has. A mark that can not be of our records freezes the
// link; one beyond our own records shows that we have lost some.
func (l *link) known(c *Core, marks []Mark) bool {
	for _, m := range marks {
		if _, ok := c.cfg.site(m.Origin); !ok {
			c.freeze(l, m.Origin, fmt.Errorf("%w: it holds records of %v, who is no site that takes part", topology.ErrMalformed, m.Origin))
			return false
		}
		if orphaned(c, l, m) {
			return false
		}
		o := c.log.origin(m.Origin)
		if !o.agrees(m) {
			c.freeze(l, m.Origin, c.cfg.errForked(o, m.Seq))
			return false
		}
		if o.Origin == c.Origin && m.Seq > o.placed.Seq {
			forgotten(c, m.Seq)
		}
		l.has = l.has.With(m.Origin, max(l.has.Get(m.Origin), m.Seq))
	}
	if !slices.Equal(l.marks, marks) {
		l.behind = false
	}
	l.marks = marks
	return true
}

// acknowledged: the peer has taken our log up to next, in its queues at least.
// The first beat of a session says where to begin.
func (l *link) acknowledged(c *Core, next record.LSN) {
	next = min(next, c.log.committed+1)
	if !l.told {
		l.told, l.at, l.edge, l.acked = true, next, next, next
		return
	}
	if next <= l.acked {
		return
	}
	l.acked, l.still = next, 0
	for len(l.sent) > 0 && l.sent[0].next <= next {
		l.flight, l.bytes = l.flight-l.sent[0].records, l.bytes-l.sent[0].bytes
		l.sent = l.sent[1:]
	}
}

// pump asks for the next part of the log that is committed and not sent.
func (l *link) pump(c *Core) {
	if !l.up() || !l.told || l.reading || l.behind || l.at > c.log.committed || l.flight >= c.cfg.Limits.Window || l.bytes >= c.cfg.Limits.WindowBytes {
		return
	}
	l.reading = true
	n := min(c.cfg.Limits.Shipment, c.cfg.Limits.Window-l.flight)
	c.do(Effect{Kind: DoRead, Peer: l.Peer, Session: l.session, LSN: l.at, To: c.log.committed, N: n, Has: l.has, Relay: l.Relay})
}

// read: a part of the log for a peer. What the peer has, and what it gets from
// somebody else, is left out (M1: in order, committed, each with its chain).
func (l *link) read(c *Core, ev *Event) {
	if ev.LSN == 0 {
		l.fills(c, ev.Items)
		return
	}
	if !l.reading {
		return
	}
	l.reading = false
	if ev.LSN == l.at {
		l.at = max(l.at, min(ev.To, c.log.committed+1))
	}
	m := Message{Kind: MsgShip, From: l.edge}
	for _, it := range ev.Items {
		if it.Entry.LSN != l.at || it.Entry.LSN > c.log.committed {
			break
		}
		l.at++
		if it.Dot.IsZero() || !l.Relay && it.Dot.Origin.ID != c.Origin.ID || l.has.Has(it.Dot) {
			continue
		}
		if it, all := lean(c, l, it); all {
			m.Items = append(m.Items, it)
		}
	}
	if len(m.Items) == 0 {
		return
	}
	m.Next, l.edge = l.at, l.at
	ship := shipment{next: l.at, records: len(m.Items)}
	for i := range m.Items {
		ship.bytes += len(m.Items[i].Entry.Bytes)
	}
	l.flight, l.bytes = l.flight+ship.records, l.bytes+ship.bytes
	l.sent = append(l.sent, ship)
	l.send(c, m)
}

// fills gives a peer a part of a gap, as far as this log has what the peer holds: of the
// rest he is told that it is not here.
func (l *link) fills(c *Core, items []Item) {
	m, gone := Message{Kind: MsgShip}, version.Dot{}
	for _, it := range items {
		it, all := lean(c, l, it)
		if !all {
			gone = it.Dot
			break
		}
		m.Items = append(m.Items, it)
	}
	if len(m.Items) > 0 {
		l.send(c, m)
	}
	if !gone.IsZero() {
		l.send(c, Message{Kind: MsgGone, Origin: gone.Origin, First: gone.Seq, Last: gone.Seq})
	}
}

// dropped: the log does not hold what was to be read for the peer. Who asked for a gap is
// told, and takes what he lacks from somebody else, or a snapshot; then it goes on here.
func (l *link) dropped(c *Core, ev *Event) {
	if ev.LSN == 0 {
		l.send(c, Message{Kind: MsgGone, Origin: ev.Origin, First: ev.First, Last: ev.Last})
		return
	}
	l.reading, l.behind = false, true
}

// beat tells a peer what is committed here, and taken of its log.
func (l *link) beat(c *Core) {
	if l.up() {
		l.send(c, Message{Kind: MsgBeat, Marks: c.log.marks(), Next: max(l.from, 1)})
	}
}

// resend sends again what the peer has not acknowledged for some ticks.
func (l *link) resend(c *Core) {
	if len(l.sent) == 0 {
		l.still = 0
		return
	}
	if l.still++; l.still >= c.cfg.Limits.ResendTicks {
		l.still, l.reading = 0, false
		l.at, l.edge, l.sent = l.acked, l.acked, nil
		l.flight, l.bytes = 0, 0
		l.has = vector(l.marks)
		c.Counts.Resent++
	}
}

func vector(marks []Mark) version.Vector {
	var v version.Vector
	for _, m := range marks {
		v = v.With(m.Origin, m.Seq)
	}
	return v
}

// Has returns what a peer has said that it has committed; what it last said, if its
// link is down.
func (c *Core) Has(peer Site) version.Vector {
	l := c.link(peer)
	switch {
	case l == nil:
		return nil
	case l.marks == nil:
		return vector(l.past)
	}
	return vector(l.marks)
}
