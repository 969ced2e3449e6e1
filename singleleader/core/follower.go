package core

import (
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// TermStepMax is how far a term may be ahead of the accepted one. A frame with
// a term near the end of its range would otherwise leave no term to go on with.
const TermStepMax = 1 << 32

// begin: a node asks to be followed. An older term is refused with ours; a
// newer one is made durable before anything is answered in it (S7).
func (c *Core) begin(ev Event) {
	switch {
	case ev.Term < c.Term:
		c.refuse(topology.ErrNotLeader, "term %d is over, %s leads term %d", ev.Term, c.Leader, c.Term)
	case ev.Term < c.Pledge:
		c.refuse(topology.ErrNotLeader, "term %d is over, an election for term %d is under way", ev.Term, c.Pledge)
	case ev.Term-c.Term > TermStepMax:
		c.refuse(topology.ErrMalformed, "term %d is more than %d ahead of %d", ev.Term, uint64(TermStepMax), c.Term)
	case ev.Term == c.Term && ev.Node != c.Leader:
		c.refuse(topology.ErrConflict, "two leaders in term %d: %s and %s; run failover to the right one", c.Term, c.Leader, ev.Node)
	case ev.Term == c.Term && ev.Life != c.Life:
		c.refuse(topology.ErrConflict, "%s leads term %d from another data directory; run failover to start a new term", c.Leader, c.Term)
	case ev.Node == c.Self:
		c.refuse(topology.ErrConflict, "%s is this node", ev.Node)
	case unwanted(c, ev) != nil:
		c.do(Effect{Kind: DoRefuse, Err: unwanted(c, ev)})
	case ev.Term > c.Term:
		overtaken(c, ev.Term)
		c.do(Effect{Kind: DoPersist, Term: ev.Term, Node: ev.Node, Life: ev.Life})
	default:
		c.Role = Follower
		c.follow = following{session: ev.Session, relay: ev.Relay}
		c.tail(false)
	}
}

// tail tells the leader what this node holds, and notes what was told.
func (c *Core) tail(snapshot bool) {
	c.follow.asked = stream.Place{Term: c.LastTerm, LSN: c.End}
	c.do(Effect{Kind: DoTail, Tail: stream.Tail{Term: c.Term, Last: c.follow.asked, Snapshot: snapshot}})
}

// obeys reports whether a message over session in term is the followed
// leader's, and refuses it otherwise.
func (c *Core) obeys(session, term uint64) bool {
	if c.Role == Follower && term == c.Term && session == c.follow.session {
		return true
	}
	c.refuse(topology.ErrNotLeader, "this stream of term %d was replaced; %s leads term %d", term, c.Leader, c.Term)
	return false
}

// cut: the leader says where its log meets ours (S8). It counts only if it
// answers the tail we still have.
func (c *Core) cut(ev Event) {
	if !c.obeys(ev.Session, ev.Cut.Term) {
		return
	}
	to := ev.Cut.To
	switch {
	case ev.Cut.Asked != c.follow.asked || c.follow.asked != (stream.Place{Term: c.LastTerm, LSN: c.End}):
		c.refuse(topology.ErrConflict, "the answer is to tail %d of term %d, ours is %d of term %d", ev.Cut.Asked.LSN, ev.Cut.Asked.Term, c.End, c.LastTerm)
	case to == ev.Cut.Asked:
		c.follow.agreed = true
	case c.follow.relay.lacks(ev.Cut.Asked):
		c.refuse(topology.ErrConflict, "%s, which feeds this node, has no newer term than %d and can not say that entry %d is not the leader's", c.follow.relay.From(), c.LastTerm, c.End)
	case to.LSN > c.End || to.LSN == c.End && to.Term >= c.LastTerm:
		c.refuse(topology.ErrMalformed, "entry %d of term %d is not behind our tail", to.LSN, to.Term)
	default:
		c.doCut(before(ev.History, to), ev.Forks)
	}
}

// before returns the newest LSN at or below to that may be the leader's: up to
// there the leader's log has no term above to.Term, so ours must have none.
func before(own topology.History, to stream.Place) record.LSN {
	for _, t := range own {
		if t.Term > to.Term && t.Start <= to.LSN {
			return t.Start - 1
		}
	}
	return to.LSN
}

func (c *Core) doCut(to record.LSN, forks []Fork) {
	switch {
	case to >= c.Commit && to >= c.Applied:
		c.do(Effect{Kind: DoTruncate, LSN: to})
	case c.Async, takesBack(forks, c.LastTerm, to):
		c.tail(true)
		c.do(Effect{Kind: DoKeep, LSN: to})
	default:
		c.refuse(topology.ErrConflict, "the leader of term %d lacks entry %d, which is applied here up to %d: it must not be cut; run failover to a node that holds it", c.Term, to+1, max(c.Applied, c.Commit))
	}
}

// truncated: the log now ends at lsn, of term; tell the new tail.
func (c *Core) truncated(ev Event) {
	c.End, c.LastTerm = ev.LSN, ev.Term
	c.Flushed = min(c.Flushed, c.End)
	if ev.N > 0 { // by a snapshot: everything up to lsn is durable and applied
		c.Flushed, c.Applied, c.Commit = ev.LSN, ev.LSN, ev.LSN
	}
	c.tail(false)
}

// restored: the own log ends at lsn, by the will of an operator who has this node lead
// from there. It obeys no stream meanwhile.
func restored(c *Core, ev Event) {
	if c.Role == Leader || ev.LSN < c.Applied {
		return
	}
	c.End, c.LastTerm = ev.LSN, ev.Term
	c.Flushed, c.Commit = min(c.Flushed, c.End), min(c.Commit, c.End)
	c.follow = following{}
}

// take: entries, or a heartbeat. What is already here is skipped: once agreed,
// an entry at one LSN of one term is the same entry.
func (c *Core) take(ev Event) {
	a := ev.Append
	if !c.obeys(ev.Session, a.Term) {
		return
	}
	if !c.follow.agreed {
		c.refuse(topology.ErrConflict, "entries before the logs agreed")
		return
	}
	if c.follow.relay == nil { // else it is another's word
		c.heard = c.now
	}
	if a.Prev.LSN > c.End {
		c.refuse(topology.ErrConflict, "entries after %d, our log ends at %d", a.Prev.LSN, c.End)
		return
	}
	skip := int(min(c.End-a.Prev.LSN, record.LSN(len(a.Entries))))
	if n := len(a.Entries); skip < n {
		if skip == 0 && a.Prev.Term != c.LastTerm && a.Prev.LSN > 0 {
			c.refuse(topology.ErrConflict, "entry %d has term %d here, %d at the leader", a.Prev.LSN, c.LastTerm, a.Prev.Term)
			return
		}
		c.do(Effect{Kind: DoCopy, N: skip})
		c.End, c.LastTerm = a.Entries[n-1].LSN, a.Entries[n-1].Term
	}
	c.follow.commit = max(c.follow.commit, min(a.Commit, c.End))
	c.follow.end = max(c.follow.end, a.End)
	c.follow.round = max(c.follow.round, a.Round)
	c.advanceApply()
}

// notCopied: the log did not take the entries; the stream must begin again.
func (c *Core) NotCopied(end record.LSN, term uint64) {
	c.End, c.LastTerm = end, term
	c.follow.session, c.follow.agreed = 0, false
}
