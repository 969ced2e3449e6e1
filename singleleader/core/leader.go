package core

import "github.com/triad-kv/triad/record"

// startLeading starts a term that was accepted durably before, at most once
// (S2): the term's mark is appended first, and writes are taken once it is
// durable.
func (c *Core) startLeading(ev Event) {
	if c.Role == Leader || ev.Term != c.Term || c.Leader != c.Self || c.LastTerm >= ev.Term {
		return
	}
	n := ev.Rule.Len()
	c.Role = Leader
	c.follow = following{}
	c.End++
	c.LastTerm = ev.Term
	c.Lead = Leading{
		Start:   c.End,
		Rule:    ev.Rule,
		Written: make([]uint64, n),
		Flushed: make([]uint64, n),
		Rounds:  make([]uint64, n),
		Lives:   make([]uint64, n),
	}
	c.Lead.Written[0] = uint64(c.End)
	c.Lead.Flushed[0] = uint64(c.Flushed)
	c.do(Effect{Kind: DoStart, Term: ev.Term, LSN: c.End})
}

// notStarted: the log did not take the start of the term. Nobody has seen it, so
// the term is left to its number and the next one tried.
func (c *Core) NotStarted(end record.LSN, term uint64) {
	c.Role, c.Lead = Idle, Leading{}
	c.End, c.LastTerm = end, term
}

// open reports whether the leader takes writes: its term's start is durable here.
func (c *Core) Open() bool { return c.Role == Leader && c.Flushed >= c.Lead.Start }

// settled reports whether the term's start is committed, before which the
// leader's commit LSN may be older than what its predecessor acknowledged (S7).
func (c *Core) Settled() bool { return c.Role == Leader && c.Commit >= c.Lead.Start }

// appended: n writes were appended behind the end, which only an open leader
// does.
func (c *Core) appended(ev Event) {
	if !c.Open() {
		return
	}
	c.End += record.LSN(ev.N)
	c.Lead.Written[0] = uint64(c.End)
	c.advanceReceived()
}

// acked: positions in this term, from a member whose log agrees with ours.
// Those of another term say nothing about this one.
func (c *Core) acked(ev Event) {
	if c.Role != Leader || ev.Ack.Term != c.Term {
		return
	}
	i := c.Lead.Rule.Index(ev.Node)
	if i <= 0 {
		return
	}
	if c.Lead.Lives[i] != ev.Life { // another directory: what the old one had counts for nothing (C1)
		c.Lead.Lives[i], c.Lead.Written[i], c.Lead.Flushed[i], c.Lead.Rounds[i] = ev.Life, 0, 0, 0
	}
	end := uint64(c.End)
	c.Lead.Written[i] = max(c.Lead.Written[i], min(uint64(ev.Ack.Written), end))
	c.Lead.Flushed[i] = max(c.Lead.Flushed[i], min(uint64(ev.Ack.Flushed), end))
	c.Lead.Rounds[i] = max(c.Lead.Rounds[i], ev.Ack.Round)
	c.advance()
	c.advanceRounds()
}

// advance moves the commit LSN to what the rule's members have flushed in this
// term (S3). A term commits nothing below its own start but by committing the
// start, which covers everything below it.
func (c *Core) advance() {
	to := record.LSN(c.Lead.Rule.Commit(c.Lead.Flushed))
	if to >= c.Lead.Start && to > c.Commit {
		c.Commit = to
		c.do(Effect{Kind: DoCommit, LSN: to})
		c.do(Effect{Kind: DoApply, LSN: to})
		c.advanceRounds()
	}
	c.advanceReceived()
}

func (c *Core) advanceReceived() {
	to := record.LSN(c.Lead.Rule.Commit(c.Lead.Written))
	if to >= c.Lead.Start && to > c.Lead.Received {
		c.Lead.Received = to
		c.do(Effect{Kind: DoReceived, LSN: to})
	}
}

// read opens a round: every member that a commit needs must answer it in this
// term before the reads that wait for it are served (S7).
func (c *Core) read() {
	if c.Role != Leader {
		return
	}
	c.Lead.Round++
	c.Lead.Rounds[0] = c.Lead.Round
	c.do(Effect{Kind: DoRound, Round: c.Lead.Round})
	c.advanceRounds()
}

func (c *Core) advanceRounds() {
	if !c.Settled() || c.Lead.Answered == c.Lead.Round {
		return
	}
	if to := c.Lead.Rule.Commit(c.Lead.Rounds); to > c.Lead.Answered {
		c.Lead.Answered = to
		c.do(Effect{Kind: DoAnswer, Round: to})
	}
}
