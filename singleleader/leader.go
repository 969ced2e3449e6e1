package singleleader

import "github.com/triad-kv/triad/record"

// startLeading starts a term that was accepted durably before, at most once
// (S2): the term's mark is appended first, and writes are taken once it is
// durable.
func (c *core) startLeading(ev event) {
	if c.role == leader || ev.term != c.term || c.leader != c.self || c.lastTerm >= ev.term {
		return
	}
	n := ev.rule.Len()
	c.role = leader
	c.follow = following{}
	c.end++
	c.lastTerm = ev.term
	c.lead = leading{
		start:   c.end,
		rule:    ev.rule,
		written: make([]uint64, n),
		flushed: make([]uint64, n),
		rounds:  make([]uint64, n),
		lives:   make([]uint64, n),
	}
	c.lead.written[0] = uint64(c.end)
	c.lead.flushed[0] = uint64(c.flushed)
	c.do(effect{kind: doStart, term: ev.term, lsn: c.end})
}

// notStarted: the log did not take the start of the term. Nobody has seen it, so
// the term is left to its number and the next one tried.
func (c *core) notStarted(end record.LSN, term uint64) {
	c.role, c.lead = idle, leading{}
	c.end, c.lastTerm = end, term
}

// open reports whether the leader takes writes: its term's start is durable here.
func (c *core) open() bool { return c.role == leader && c.flushed >= c.lead.start }

// settled reports whether the term's start is committed, before which the
// leader's commit LSN may be older than what its predecessor acknowledged (S7).
func (c *core) settled() bool { return c.role == leader && c.commit >= c.lead.start }

// appended: n writes were appended behind the end, which only an open leader
// does.
func (c *core) appended(ev event) {
	if !c.open() {
		return
	}
	c.end += record.LSN(ev.n)
	c.lead.written[0] = uint64(c.end)
	c.advanceReceived()
}

// acked: positions in this term, from a member whose log agrees with ours.
// Those of another term say nothing about this one.
func (c *core) acked(ev event) {
	if c.role != leader || ev.ack.Term != c.term {
		return
	}
	i := c.lead.rule.Index(ev.node)
	if i <= 0 {
		return
	}
	if c.lead.lives[i] != ev.life { // another directory: what the old one had counts for nothing (C1)
		c.lead.lives[i], c.lead.written[i], c.lead.flushed[i], c.lead.rounds[i] = ev.life, 0, 0, 0
	}
	end := uint64(c.end)
	c.lead.written[i] = max(c.lead.written[i], min(uint64(ev.ack.Written), end))
	c.lead.flushed[i] = max(c.lead.flushed[i], min(uint64(ev.ack.Flushed), end))
	c.lead.rounds[i] = max(c.lead.rounds[i], ev.ack.Round)
	c.advance()
	c.advanceRounds()
}

// advance moves the commit LSN to what the rule's members have flushed in this
// term (S3). A term commits nothing below its own start but by committing the
// start, which covers everything below it.
func (c *core) advance() {
	to := record.LSN(c.lead.rule.Commit(c.lead.flushed))
	if to >= c.lead.start && to > c.commit {
		c.commit = to
		c.do(effect{kind: doCommit, lsn: to})
		c.do(effect{kind: doApply, lsn: to})
		c.advanceRounds()
	}
	c.advanceReceived()
}

func (c *core) advanceReceived() {
	to := record.LSN(c.lead.rule.Commit(c.lead.written))
	if to >= c.lead.start && to > c.lead.received {
		c.lead.received = to
		c.do(effect{kind: doReceived, lsn: to})
	}
}

// read opens a round: every member that a commit needs must answer it in this
// term before the reads that wait for it are served (S7).
func (c *core) read() {
	if c.role != leader {
		return
	}
	c.lead.round++
	c.lead.rounds[0] = c.lead.round
	c.do(effect{kind: doRound, round: c.lead.round})
	c.advanceRounds()
}

func (c *core) advanceRounds() {
	if !c.settled() || c.lead.answered == c.lead.round {
		return
	}
	if to := c.lead.rule.Commit(c.lead.rounds); to > c.lead.answered {
		c.lead.answered = to
		c.do(effect{kind: doAnswer, round: to})
	}
}
