package core

import (
	"fmt"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Core decides for one node: what is taken, what is committed, who is obeyed.
// It is a function of its state and an event; the shell tells it what happened
// and carries out the effects, in order. It knows no goroutine, clock, disk or
// network, so one loop can run a whole group of cores.
//
// Its state is there to be read. Nobody changes it but Step, NotStarted and
// NotCopied.
type Core struct {
	Self  topology.NodeID
	Async bool // the policy is async: an applied tail may have to be given up (S9)

	Term   uint64 // accepted, durably
	Pledge uint64 // no older term is obeyed, durably: the promise of an election under Any, kept apart from the accepted term (S4)
	Leader topology.NodeID
	Life   uint64 // of the leader's directory: another one is not the same leader (C1)
	Role   Role

	End      record.LSN // of the own log
	Flushed  record.LSN
	LastTerm uint64 // of the entry at End
	Applied  record.LSN
	Commit   record.LSN // known to be committed, and in the own log

	Feeder topology.NodeID // who is asked to feed this node instead of the leader; empty: the leader is to
	Lead   Leading
	follow following
	rounds uint64 // the newest read round this core has asked, in any term: an old one's echo answers no newer one
	now    time.Duration
	heard  time.Duration // when a leader was last obeyed, in any term; 0: not since the start

	out []Effect
}

// Role is what a node does in its term.
type Role uint8

const (
	Idle Role = iota // knows nobody to follow yet
	Follower
	Leader
)

// Leading is what a leader keeps, by member of its rule; itself first.
type Leading struct {
	Start    record.LSN // where its term starts
	Rule     quorum.Rule[topology.NodeID]
	Written  []uint64
	Flushed  []uint64
	Rounds   []uint64
	Lives    []uint64      // of the directories that count: as the term lists them, or as first met
	Strange  []uint64      // of those that acknowledge and do not count, once they have caught up
	Round    uint64        // the newest read round asked
	Answered uint64        // the newest one that enough members have answered
	Received record.LSN    // written at as many members as a commit needs
	Frozen   bool          // fewer are in sync than a commit needs: nothing is committed, and no read confirmed (S3, S7)
	Slack    uint64        // asynchronous: how far a commit may be ahead of each other member; 0: it waits for them (S9)
	Held     bool          // the leader before may still answer by its lease: nothing is acknowledged (S11)
	Free     time.Duration // when it is over
	Lease    Lease
}

// following is what a follower keeps of the stream it obeys.
type following struct {
	session uint64       // the stream; 0 for none
	asked   stream.Place // the tail this node told, to which an answer must belong
	agreed  bool         // the logs agree up to asked (S8)
	relay   *Relay       // nil: the leader feeds this node itself
	commit  record.LSN   // the leader's
	end     record.LSN   // the leader's
	round   uint64
}

// EventKind says what happened.
type EventKind uint8

const (
	EvAccepted  EventKind = iota + 1 // term and node (the leader) are durable here
	EvPledged                        // that no term before term is obeyed is durable here
	EvLead                           // start leading term by rule
	EvAppended                       // n writes were appended to the own log
	EvFlushed                        // the own log is durable up to lsn
	EvApplied                        // the own store shows lsn
	EvCount                          // from now on commits of term wait for rule
	EvMeet                           // node was reached in directory life, and was told nothing yet
	EvAck                            // node acknowledged ack
	EvRead                           // a linearizable read waits
	EvBegin                          // node asks to be followed in term, over stream session
	EvCut                            // the leader's answer to the tail, over session
	EvTruncated                      // the own log now ends at lsn, of term
	EvAppend                         // entries over session
	EvGone                           // stream session ended
	EvTick                           // time has passed: a lease is to be renewed, or over
	EvYield                          // the lease is given up, for a successor; n is 0: it is taken again
	EvRestored                       // the own log was cut behind lsn, of term, to go on from there: nothing after it is committed any more
	EvFeeder                         // node is asked to feed this one, nobody: the leader is
	EvOutrun                         // a member that this node ships to as the leader obeys term, and refuses the own one
)

// Event is something that happened. Which fields count is said by Kind.
type Event struct {
	Kind    EventKind
	At      time.Duration // by the node's monotonic clock; 0: as of the event before
	Node    topology.NodeID
	Life    uint64
	Term    uint64
	LSN     record.LSN
	N       int
	Session uint64
	Ack     stream.Ack
	Cut     stream.Cut
	History topology.History // of the own log, with EvCut
	Rule    quorum.Rule[topology.NodeID]
	Lives   []uint64 // of the rule's members, by the term's document
	Frozen  bool     // the rule has fewer members than a commit needs
	Slack   uint64   // of the rule's members but the leader
	Lending
	Append *stream.Append
	Relay  *Relay // of a Begin that does not come from the leader
	Forks  []Fork // of the term's document, with EvCut
}

// Lending is what EvLead says of leases.
type Lending struct {
	Lease time.Duration // the own one,
	Wait  time.Duration // for others' to be over,
	Heard bool          // counted from when a leader was last heard of, not from now
}

// EffectKind says what is to be done.
type EffectKind uint8

const (
	DoStart    EffectKind = iota + 1 // append the mark that starts term; it gets lsn
	DoReceived                       // lsn is received by those a commit needs
	DoCommit                         // lsn is committed
	DoAnswer                         // reads of rounds up to round may be served at the commit LSN they noted
	DoRound                          // ask every member for round
	DoStepDown                       // stop leading: what is not committed ends Unknown
	DoPersist                        // make term and node durable, then tell EvAccepted
	DoTail                           // tell the sender tail
	DoKeep                           // before a snapshot replaces the log, export what is behind lsn
	DoTruncate                       // export and drop what is behind lsn, then tell EvTruncated
	DoCopy                           // copy the entries of the append from index n on
	DoRefuse                         // end the stream with err
	DoShow                           // the own store shows lsn
	DoApply                          // what is committed and flushed here reaches lsn
)

// Effect is something to do.
type Effect struct {
	Kind  EffectKind
	Node  topology.NodeID
	Life  uint64
	Term  uint64
	LSN   record.LSN
	N     int
	Round uint64
	Tail  stream.Tail
	Err   error
}

// Step takes one event. The effects are valid until the next step.
func (c *Core) Step(ev Event) []Effect {
	c.out = c.out[:0]
	c.now = max(c.now, ev.At)
	switch ev.Kind {
	case EvAccepted, EvPledged:
		c.accepted(ev)
	case EvLead:
		c.startLeading(ev)
	case EvAppended:
		c.appended(ev)
	case EvFlushed:
		c.flushedTo(ev.LSN)
	case EvApplied:
		c.Applied = max(c.Applied, ev.LSN)
		c.do(Effect{Kind: DoShow, LSN: c.Applied})
	case EvCount:
		if c.Role == Leader && ev.Term == c.Term {
			c.Lead.count(ev)
			c.advance()
			c.advanceRounds()
		}
	case EvMeet:
		c.meet(ev)
	case EvAck:
		c.acked(ev)
	case EvRead:
		c.read()
	case EvTick:
		tick(c)
	case EvYield:
		yield(c, ev)
	case EvBegin:
		c.begin(ev)
	case EvCut:
		c.cut(ev)
	case EvTruncated:
		c.truncated(ev)
	case EvRestored:
		restored(c, ev)
	case EvAppend:
		c.take(ev)
	case EvFeeder:
		c.Feeder = ev.Node
	case EvOutrun:
		if c.Async { // else who refuses is missing where it matters: what is committed waits for members
			overtaken(c, ev.Term)
		}
	case EvGone:
		if c.follow.session == ev.Session {
			c.follow.session, c.follow.agreed = 0, false
		}
	}
	return c.out
}

func (c *Core) do(e Effect) { c.out = append(c.out, e) }

func (c *Core) refuse(err error, format string, args ...any) {
	c.do(Effect{Kind: DoRefuse, Err: fmt.Errorf("%w: "+format, append([]any{err}, args...)...)})
}

// accepted: a term became durable here, with its leader; or the promise to obey none
// before it. Older ones are obeyed no more, nor led.
func (c *Core) accepted(ev Event) {
	c.Pledge = max(c.Pledge, ev.Term)
	if ev.Term <= c.Term {
		return
	}
	if c.Role == Leader {
		c.do(Effect{Kind: DoStepDown, Term: c.Term})
	}
	c.Role, c.Lead, c.follow = Idle, Leading{}, following{}
	if ev.Kind == EvPledged {
		return
	}
	c.Term, c.Leader, c.Life = ev.Term, ev.Node, ev.Life
	if ev.Node != c.Self {
		c.Role = Follower
	}
}

// overtaken: a newer term than the one that this node leads is obeyed elsewhere. It
// leads no more from now on, before its disk, which may be full or hang, has recorded
// that (S7); what it has promised so far is forgotten by a restart, and nothing else.
func overtaken(c *Core, term uint64) {
	if c.Role == Leader && term > max(c.Term, c.Pledge) && term-c.Term <= TermStepMax {
		c.accepted(Event{Kind: EvPledged, Term: term})
	}
}

// flushedTo: the own log is durable up to lsn.
func (c *Core) flushedTo(lsn record.LSN) {
	if lsn <= c.Flushed {
		return
	}
	c.Flushed = min(lsn, c.End)
	if c.Role == Leader {
		c.Lead.Flushed[0] = uint64(c.Flushed)
		c.Lead.Lease.look(c.now, c.End, c.Flushed)
		c.advance()
		return
	}
	c.advanceApply()
}

// advanceApply moves the commit LSN of a follower, and with it what may be
// applied: never beyond what is durable here, so that the store can not get
// ahead of the log.
func (c *Core) advanceApply() {
	if c.Role != Follower || !c.follow.agreed {
		return
	}
	if to := min(c.follow.commit, c.Flushed); to > c.Commit {
		c.Commit = to
		c.do(Effect{Kind: DoApply, LSN: to})
	}
}
