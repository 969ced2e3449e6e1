package singleleader

import (
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// termStepMax is how far a term may be ahead of the accepted one. A frame with
// a term near the end of its range would otherwise leave no term to go on with.
const termStepMax = 1 << 32

// begin: a node asks to be followed. An older term is refused with ours; a
// newer one is made durable before anything is answered in it (S7).
func (c *core) begin(ev event) {
	switch {
	case ev.term < c.term:
		c.refuse(topology.ErrNotLeader, "term %d is over, %s leads term %d", ev.term, c.leader, c.term)
	case ev.term-c.term > termStepMax:
		c.refuse(topology.ErrMalformed, "term %d is more than %d ahead of %d", ev.term, uint64(termStepMax), c.term)
	case ev.term == c.term && ev.node != c.leader:
		c.refuse(topology.ErrConflict, "two leaders in term %d: %s and %s; run failover to the right one", c.term, c.leader, ev.node)
	case ev.term == c.term && ev.life != c.life:
		c.refuse(topology.ErrConflict, "%s leads term %d from another data directory; run failover to start a new term", c.leader, c.term)
	case ev.node == c.self:
		c.refuse(topology.ErrConflict, "%s is this node", ev.node)
	case ev.term > c.term:
		c.do(effect{kind: doPersist, term: ev.term, node: ev.node, life: ev.life})
	default:
		c.role = follower
		c.follow = following{session: ev.session}
		c.tail(false)
	}
}

// tail tells the leader what this node holds, and notes what was told.
func (c *core) tail(snapshot bool) {
	c.follow.asked = stream.Place{Term: c.lastTerm, LSN: c.end}
	c.do(effect{kind: doTail, tail: stream.Tail{Term: c.term, Last: c.follow.asked, Snapshot: snapshot}})
}

// obeys reports whether a message over session in term is the followed
// leader's, and refuses it otherwise.
func (c *core) obeys(session, term uint64) bool {
	if c.role == follower && term == c.term && session == c.follow.session {
		return true
	}
	c.refuse(topology.ErrNotLeader, "this stream of term %d was replaced; %s leads term %d", term, c.leader, c.term)
	return false
}

// cut: the leader says where its log meets ours (S8). It counts only if it
// answers the tail we still have.
func (c *core) cut(ev event) {
	if !c.obeys(ev.session, ev.cut.Term) {
		return
	}
	to := ev.cut.To
	switch {
	case ev.cut.Asked != c.follow.asked || c.follow.asked != (stream.Place{Term: c.lastTerm, LSN: c.end}):
		c.refuse(topology.ErrConflict, "the answer is to tail %d of term %d, ours is %d of term %d", ev.cut.Asked.LSN, ev.cut.Asked.Term, c.end, c.lastTerm)
	case to == ev.cut.Asked:
		c.follow.agreed = true
	case to.LSN > c.end || to.LSN == c.end && to.Term >= c.lastTerm:
		c.refuse(topology.ErrMalformed, "entry %d of term %d is not behind our tail", to.LSN, to.Term)
	default:
		c.doCut(before(ev.history, to))
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

func (c *core) doCut(to record.LSN) {
	switch {
	case to >= c.commit && to >= c.applied:
		c.do(effect{kind: doTruncate, lsn: to})
	case c.async:
		c.tail(true)
		c.do(effect{kind: doKeep, lsn: to})
	default:
		c.refuse(topology.ErrConflict, "the leader of term %d lacks entry %d, which is applied here up to %d: it must not be cut; run failover to a node that holds it", c.term, to+1, max(c.applied, c.commit))
	}
}

// truncated: the log now ends at lsn, of term; tell the new tail.
func (c *core) truncated(ev event) {
	c.end, c.lastTerm = ev.lsn, ev.term
	c.flushed = min(c.flushed, c.end)
	if ev.n > 0 { // by a snapshot: everything up to lsn is durable and applied
		c.flushed, c.applied, c.commit = ev.lsn, ev.lsn, ev.lsn
	}
	c.tail(false)
}

// take: entries, or a heartbeat. What is already here is skipped: once agreed,
// an entry at one LSN of one term is the same entry.
func (c *core) take(ev event) {
	a := ev.append
	if !c.obeys(ev.session, a.Term) {
		return
	}
	if !c.follow.agreed {
		c.refuse(topology.ErrConflict, "entries before the logs agreed")
		return
	}
	if a.Prev.LSN > c.end {
		c.refuse(topology.ErrConflict, "entries after %d, our log ends at %d", a.Prev.LSN, c.end)
		return
	}
	skip := int(min(c.end-a.Prev.LSN, record.LSN(len(a.Entries))))
	if n := len(a.Entries); skip < n {
		if skip == 0 && a.Prev.Term != c.lastTerm && a.Prev.LSN > 0 {
			c.refuse(topology.ErrConflict, "entry %d has term %d here, %d at the leader", a.Prev.LSN, c.lastTerm, a.Prev.Term)
			return
		}
		c.do(effect{kind: doCopy, n: skip})
		c.end, c.lastTerm = a.Entries[n-1].LSN, a.Entries[n-1].Term
	}
	c.follow.commit = max(c.follow.commit, min(a.Commit, c.end))
	c.follow.end = max(c.follow.end, a.End)
	c.follow.round = max(c.follow.round, a.Round)
	c.advanceApply()
}

// notCopied: the log did not take the entries; the stream must begin again.
func (c *core) notCopied(end record.LSN, term uint64) {
	c.end, c.lastTerm = end, term
	c.follow.session, c.follow.agreed = 0, false
}
