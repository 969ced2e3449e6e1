package core

import (
	"slices"

	"github.com/triad-kv/triad/record"
)

// startLeading starts a term that was accepted durably before, at most once
// (S2): the term's mark is appended first, and writes are taken once it is
// durable.
func (c *Core) startLeading(ev Event) {
	if c.Role == Leader || ev.Term != c.Term || ev.Term < c.Pledge || c.Leader != c.Self || c.LastTerm >= ev.Term {
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
		Strange: make([]uint64, n),
		Round:   c.rounds, Answered: c.rounds,
		Free:  freeAt(c, ev),
		Lease: Lease{For: ev.Lease},
	}
	c.Lead.Held = ev.Wait > 0 && c.now < c.Lead.Free
	copy(c.Lead.Lives, ev.Lives)
	c.Lead.Frozen, c.Lead.Slack = ev.Frozen, ev.Slack
	c.Lead.Written[0] = uint64(c.End)
	c.Lead.Flushed[0] = uint64(c.Flushed)
	c.do(Effect{Kind: DoStart, Term: ev.Term, LSN: c.End})
}

// count: from now on commits and reads wait for the members of another rule, each in
// the directory that it lists. What those who stay have acknowledged counts on; the
// others are to acknowledge again.
func (l *Leading) count(ev Event) {
	was := *l
	n := ev.Rule.Len()
	l.Rule, l.Frozen, l.Slack = ev.Rule, ev.Frozen, ev.Slack
	l.Written, l.Flushed, l.Rounds = make([]uint64, n), make([]uint64, n), make([]uint64, n)
	l.Lives, l.Strange = slices.Clone(ev.Lives), make([]uint64, n)
	grown := false
	for i, m := range ev.Rule.Members() {
		if o := was.Rule.Index(m); o == 0 || o > 0 && was.Lives[o] == ev.Lives[i] {
			l.Written[i], l.Flushed[i], l.Rounds[i] = was.Written[o], was.Flushed[o], was.Rounds[o]
		} else {
			grown = true
		}
	}
	l.Lease.recounted(grown)
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

// meet: a member is about to be told of the term. Whom the term's document knows
// no directory of is counted by the first that is met: before it was told of this
// term it can have promised to obey a newer one only with everybody's answer.
func (c *Core) meet(ev Event) {
	if c.Role != Leader || ev.Term != c.Term {
		return
	}
	i := c.Lead.Rule.Index(ev.Node)
	switch {
	case i <= 0:
	case c.Lead.Lives[i] == 0:
		c.Lead.Lives[i] = ev.Life
	case c.Lead.Lives[i] != ev.Life: // what was acknowledged from the lost directory counts for nothing
		c.Lead.Written[i], c.Lead.Flushed[i], c.Lead.Rounds[i] = 0, 0, 0
	}
}

// strange: an ack from a directory that the term does not count (C1). Whoever
// lost his disk has forgotten what he promised, a newer term perhaps, to whose
// election he was needed; counted here, he would commit what that term replaces
// (S4). A term that lists the directory is what admits it.
func (l *Leading) strange(i int, ev Event, commit record.LSN) {
	if ev.Ack.Flushed >= max(commit, l.Start) {
		l.Strange[i] = ev.Life
	}
}

// Admits reports whether this leader should begin a new term, by itself, so that
// members count again who have lost their directory and caught up since.
func (l *Leading) Admits() bool {
	return slices.ContainsFunc(l.Strange, func(life uint64) bool { return life != 0 })
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
	if c.Lead.Lives[i] != ev.Life {
		c.Lead.strange(i, ev, c.Commit)
		return
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
	if barred(c) {
		return
	}
	to := c.Lead.reach(c.Lead.Flushed)
	if to >= c.Lead.Start && to > c.Commit {
		c.Commit = to
		c.do(Effect{Kind: DoCommit, LSN: to})
		c.do(Effect{Kind: DoApply, LSN: to})
		c.advanceRounds()
	}
	c.advanceReceived()
}

func (c *Core) advanceReceived() {
	if barred(c) {
		return
	}
	to := c.Lead.reach(c.Lead.Written)
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
	c.rounds++
	c.Lead.Round = c.rounds
	c.Lead.Rounds[0] = c.Lead.Round
	c.Lead.Lease.ask(c.rounds, c.now)
	c.do(Effect{Kind: DoRound, Round: c.Lead.Round})
	c.advanceRounds()
}

func (c *Core) advanceRounds() {
	if c.Lead.Frozen || c.Lead.Answered == c.Lead.Round && len(c.Lead.Lease.asked) == 0 {
		return
	}
	to := c.Lead.Rule.Commit(c.Lead.Rounds)
	if c.Lead.Lease.answered(to) && c.Lead.Slack > 0 {
		c.advance()
	}
	if to > c.Lead.Answered && c.Settled() {
		c.Lead.Answered = to
		c.do(Effect{Kind: DoAnswer, Round: to})
	}
}
