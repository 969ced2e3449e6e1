package singleleader

import (
	"fmt"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// core decides for one node: what is taken, what is committed, who is obeyed.
// It is a function of its state and an event; the shell tells it what happened
// and carries out the effects, in order. It knows no goroutine, clock, disk or
// network, so one loop can run a whole group of cores.
type core struct {
	self  topology.NodeID
	async bool // the policy is async: an applied tail may have to be given up (S9)

	term   uint64 // accepted, durably
	leader topology.NodeID
	life   uint64 // of the leader's directory: another one is not the same leader (C1)
	role   role

	end      record.LSN // of the own log
	flushed  record.LSN
	lastTerm uint64 // of the entry at end
	applied  record.LSN
	commit   record.LSN // known to be committed, and in the own log

	lead   leading
	follow following

	out []effect
}

type role uint8

const (
	idle role = iota // knows nobody to follow yet
	follower
	leader
)

// leading is what a leader keeps, by member of its rule; itself first.
type leading struct {
	start    record.LSN // where its term starts
	rule     quorum.Rule[topology.NodeID]
	written  []uint64
	flushed  []uint64
	rounds   []uint64
	lives    []uint64   // of the directories that acknowledged
	round    uint64     // the newest read round asked
	answered uint64     // the newest one that enough members have answered
	received record.LSN // written at as many members as a commit needs
}

// following is what a follower keeps of the stream it obeys.
type following struct {
	session uint64       // the stream; 0 for none
	asked   stream.Place // the tail this node told, to which an answer must belong
	agreed  bool         // the logs agree up to asked (S8)
	commit  record.LSN   // the leader's
	end     record.LSN   // the leader's
	round   uint64
}

type eventKind uint8

const (
	evAccepted  eventKind = iota + 1 // term and node (the leader) are durable here
	evLead                           // start leading term by rule
	evAppended                       // n writes were appended to the own log
	evFlushed                        // the own log is durable up to lsn
	evApplied                        // the own store shows lsn
	evAck                            // node acknowledged ack
	evRead                           // a linearizable read waits
	evBegin                          // node asks to be followed in term, over stream session
	evCut                            // the leader's answer to the tail, over session
	evTruncated                      // the own log now ends at lsn, of term
	evAppend                         // entries over session
	evGone                           // stream session ended
)

// event is something that happened. Which fields count is said by kind.
type event struct {
	kind    eventKind
	node    topology.NodeID
	life    uint64
	term    uint64
	lsn     record.LSN
	n       int
	session uint64
	ack     stream.Ack
	cut     stream.Cut
	history topology.History // of the own log, with evCut
	rule    quorum.Rule[topology.NodeID]
	append  *stream.Append
}

type effectKind uint8

const (
	doStart    effectKind = iota + 1 // append the mark that starts term; it gets lsn
	doReceived                       // lsn is received by those a commit needs
	doCommit                         // lsn is committed
	doAnswer                         // reads of rounds up to round may be served at the commit LSN they noted
	doRound                          // ask every member for round
	doStepDown                       // stop leading: what is not committed ends Unknown
	doPersist                        // make term and node durable, then tell evAccepted
	doTail                           // tell the sender tail
	doKeep                           // before a snapshot replaces the log, export what is behind lsn
	doTruncate                       // export and drop what is behind lsn, then tell evTruncated
	doCopy                           // copy the entries of the append from index n on
	doRefuse                         // end the stream with err
	doShow                           // the own store shows lsn
	doApply                          // what is committed and flushed here reaches lsn
)

// effect is something to do.
type effect struct {
	kind  effectKind
	node  topology.NodeID
	life  uint64
	term  uint64
	lsn   record.LSN
	n     int
	round uint64
	tail  stream.Tail
	err   error
}

// step takes one event. The effects are valid until the next step.
func (c *core) step(ev event) []effect {
	c.out = c.out[:0]
	switch ev.kind {
	case evAccepted:
		c.accepted(ev)
	case evLead:
		c.startLeading(ev)
	case evAppended:
		c.appended(ev)
	case evFlushed:
		c.flushedTo(ev.lsn)
	case evApplied:
		c.applied = max(c.applied, ev.lsn)
		c.do(effect{kind: doShow, lsn: c.applied})
	case evAck:
		c.acked(ev)
	case evRead:
		c.read()
	case evBegin:
		c.begin(ev)
	case evCut:
		c.cut(ev)
	case evTruncated:
		c.truncated(ev)
	case evAppend:
		c.take(ev)
	case evGone:
		if c.follow.session == ev.session {
			c.follow.session, c.follow.agreed = 0, false
		}
	}
	return c.out
}

func (c *core) do(e effect) { c.out = append(c.out, e) }

func (c *core) refuse(err error, format string, args ...any) {
	c.do(effect{kind: doRefuse, err: fmt.Errorf("%w: "+format, append([]any{err}, args...)...)})
}

// accepted: a term became durable here, with its leader.
func (c *core) accepted(ev event) {
	if ev.term <= c.term {
		return
	}
	if c.role == leader {
		c.do(effect{kind: doStepDown, term: c.term})
	}
	c.term, c.leader, c.life = ev.term, ev.node, ev.life
	c.role, c.lead, c.follow = follower, leading{}, following{}
	if ev.node == c.self {
		c.role = idle
	}
}

// flushedTo: the own log is durable up to lsn.
func (c *core) flushedTo(lsn record.LSN) {
	if lsn <= c.flushed {
		return
	}
	c.flushed = min(lsn, c.end)
	if c.role == leader {
		c.lead.flushed[0] = uint64(c.flushed)
		c.advance()
		return
	}
	c.advanceApply()
}

// advanceApply moves the commit LSN of a follower, and with it what may be
// applied: never beyond what is durable here, so that the store can not get
// ahead of the log.
func (c *core) advanceApply() {
	if c.role != follower || !c.follow.agreed {
		return
	}
	if to := min(c.follow.commit, c.flushed); to > c.commit {
		c.commit = to
		c.do(effect{kind: doApply, lsn: to})
	}
}
