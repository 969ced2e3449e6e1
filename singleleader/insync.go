package singleleader

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// keepsPerDrop is how often within DropAfter the in-sync set is looked at.
const keepsPerDrop = 5

// keep keeps the in-sync set as long as this node leads.
func (c *council) keep(ctx context.Context) error {
	t := time.NewTicker(c.e.o.DropAfter / keepsPerDrop)
	defer t.Stop()
	var told string
	var disk progress
	for {
		select {
		case <-t.C:
		case <-c.counts:
		case <-ctx.Done():
			return nil
		}
		err := errors.Join(c.change(ctx), recruiter{c}.elect(ctx), c.hangs(ctx, &disk, time.Now()))
		if err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			c.e.log.Warn("the in-sync set could not be kept as it should be", "reason", err)
		}
		if err == nil {
			told = ""
		}
	}
}

// change asks the control for another in-sync set, if there is to be one. A newcomer
// is waited for from before the question; who leaves, until the answer is known
// (S5).
func (c *council) change(ctx context.Context) error {
	now := time.Now()
	fits, leads := c.fits(now)
	if !leads {
		return nil
	}
	c.mu.Lock()
	if g := &c.keeper.Doc; g.Agreed == nil || g.Leader != c.self.Node || g.Life != c.self.Life {
		c.mu.Unlock()
		return nil
	}
	was, _ := c.keeper.Waits()
	next, ok := c.keeper.Next(fits)
	waits, _ := c.keeper.Waits()
	version := c.keeper.Version
	changes := c.keeper.Doc.Changes()
	c.mu.Unlock()
	for _, s := range *c.e.reign.ships.Load() {
		s.await(c, now)
	}
	if ok || changes || !slices.Equal(was, waits) {
		c.recount()
	}
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.e.o.CallTimeout)
	defer cancel()
	d, err := c.e.env.Control.Swap(ctx, topology.Document{Name: topology.DocumentGroup, Version: version, Body: next.Encode()})
	if err == nil {
		c.e.log.Info("in sync", "term", next.Term, "set", next.Agreed.InSync)
		if changes {
			c.e.log.Info("members", "voters", next.Voters, "changing", next.Changes())
		}
		return c.learn(ctx, d)
	}
	return c.reread(ctx, err)
}

// reread looks what became of a swap that did not succeed. Only a higher version
// settles it; nil if there was one.
func (c *council) reread(ctx context.Context, why error) error {
	_, version := c.known()
	d, err := c.e.env.Control.Load(ctx, topology.DocumentGroup)
	if err != nil {
		return errors.Join(why, err)
	}
	if d.Version <= version {
		return why
	}
	return c.learn(ctx, d)
}

// recount tells the core whom to wait for, and what those have acknowledged.
func (c *council) recount() {
	c.mu.Lock()
	if c.keeper.Doc.Agreed == nil {
		c.mu.Unlock()
		return
	}
	doc := c.keeper.Doc
	term := doc.Term
	set, frozen := c.keeper.Waits()
	c.mu.Unlock()
	rule, lives, err := doc.Waits(set)
	if err != nil {
		c.e.log.Error("the in-sync set can not be counted", "set", set, "reason", err)
		return
	}
	e := c.e
	e.turn.call(func() {
		if e.core.Role != core.Leader || e.core.Term != term {
			return
		}
		e.reign.names = rule.Members()
		e.perform(&ask{}, step(e, core.Event{Kind: core.EvCount, Term: term, Rule: rule, Lives: lives, Frozen: frozen, Slack: doc.Slack()}))
	})
	for _, s := range *e.reign.ships.Load() {
		s.repeat(e)
	}
	nudge(c.tenure.news) // who is new is to answer for the lease
}

// repeat tells the core once more what the member acknowledged last.
func (s *ship) repeat(e *engine) {
	s.mu.Lock()
	a, life := s.ack, s.life
	s.mu.Unlock()
	if a.Term != 0 {
		e.turn.post(core.Event{Kind: core.EvAck, Node: s.to, Life: life, Ack: a})
	}
}

// fits is what this leader knows of its members.
func (c *council) fits(now time.Time) (fits []core.Fit, leads bool) {
	e := c.e
	var commit, start, flushed record.LSN
	var term uint64
	e.turn.call(func() {
		leads = e.core.Role == core.Leader
		term, commit, start, flushed = e.core.Term, e.core.Commit, e.core.Lead.Start, e.core.Flushed
	})
	if !leads || e.reign.term.Load() != term {
		return nil, false // nobody is spoken to yet
	}
	g := e.group.Load()
	caught := g.Caught(commit, start)
	at := e.env.Log.Offset(caught)
	for _, s := range *e.reign.ships.Load() {
		if g.Judges(s.to) {
			f := s.fit(term, caught, flushed, now, e.o.DropAfter)
			if f.Life == 0 { // not reached yet: who it is the document says
				f.Life = g.Agreed.LifeOf(s.to)
			}
			f.Near = s.near(term, start, now, e.o.DropAfter, func(lsn record.LSN) bool { return at-min(at, e.env.Log.Offset(lsn)) <= nearBytesMax })
			fits = append(fits, f)
		}
	}
	return fits, true
}

// nearBytesMax is how far behind a newcomer may be that commits wait for until it is
// not: about what one message of a stream carries.
const nearBytesMax = 1 << 20

// awaitsRest is how many times as long as it was waited for in vain a newcomer is not
// waited for again.
const awaitsRest = 10

// fit judges the member: it keeps up if it answers, and has what this node has
// flushed or gets nearer to it.
func (s *ship) fit(term uint64, caught, flushed record.LSN, now time.Time, patience time.Duration) core.Fit {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ack.Flushed >= flushed || s.ack.Flushed > s.moved {
		s.moved, s.movedAt = s.ack.Flushed, now
	}
	up, contact := s.up, s.contact
	if contact.IsZero() { // it has said nothing in this term yet
		up, contact = up || s.problem == "", s.began
	}
	return core.Fit{
		Counted: core.Counted{Node: s.to, Life: s.life},
		Healthy: up && now.Sub(contact) <= patience && now.Sub(s.movedAt) <= patience,
		Caught:  s.up && s.ack.Term == term && s.ack.Flushed >= caught,
	}
}

// near reports whether the member, which follows this term, lacks so little that commits
// may wait for it. They do not again for a while where that was in vain.
func (s *ship) near(term uint64, start record.LSN, now time.Time, patience time.Duration, little func(record.LSN) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.awaited.IsZero() && now.Sub(s.awaited) > patience {
		s.tired, s.awaited = now, time.Time{}
	}
	if !s.tired.IsZero() && now.Sub(s.tired) <= awaitsRest*patience {
		return false
	}
	return s.up && s.ack.Term == term && s.ack.Flushed >= start && little(s.ack.Flushed)
}

// await notes since when commits wait for the member until it has caught up, or that
// they do not.
func (s *ship) await(c *council, now time.Time) {
	s.mu.Lock()
	m := core.Counted{Node: s.to, Life: s.life}
	s.mu.Unlock()
	c.mu.Lock()
	on := c.keeper.Awaits(m)
	c.mu.Unlock()
	s.awaits(on, now)
}

func (s *ship) awaits(on bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !on:
		s.awaited = time.Time{}
	case s.awaited.IsZero():
		s.awaited = now
	}
}

// wants reports whether a member that acknowledges might be let in.
func (c *council) wants(n topology.NodeID, life uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, m := c.keeper.Doc.Agreed, core.Counted{Node: n, Life: life}
	return a != nil && (len(a.InSync) < a.Minimum && !slices.Contains(a.InSync, m) || c.keeper.Awaits(m))
}
