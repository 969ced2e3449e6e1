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
	fits, leads := c.fits(time.Now())
	if !leads {
		return nil
	}
	c.mu.Lock()
	if g := &c.keeper.Doc; g.Agreed == nil || g.Leader != c.self.Node || g.Life != c.self.Life {
		c.mu.Unlock()
		return nil
	}
	next, ok := c.keeper.Next(fits)
	version := c.keeper.Version
	changes := c.keeper.Doc.Changes()
	c.mu.Unlock()
	if ok || changes {
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
	if !leads {
		return nil, false
	}
	g := e.group.Load()
	caught := g.Caught(commit, start)
	for _, s := range *e.reign.ships.Load() {
		if g.Judges(s.to) {
			fits = append(fits, s.fit(term, caught, flushed, now, e.o.DropAfter))
		}
	}
	return fits, true
}

// fit judges the member: it keeps up if it answers, and has what this node has
// flushed or gets nearer to it.
func (s *ship) fit(term uint64, caught, flushed record.LSN, now time.Time, patience time.Duration) core.Fit {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ack.Flushed >= flushed || s.ack.Flushed > s.moved {
		s.moved, s.movedAt = s.ack.Flushed, now
	}
	return core.Fit{
		Counted: core.Counted{Node: s.to, Life: s.life},
		Healthy: s.up && now.Sub(s.contact) <= patience && now.Sub(s.movedAt) <= patience,
		Caught:  s.up && s.ack.Term == term && s.ack.Flushed >= caught,
	}
}

// wants reports whether a member that acknowledges might be let in.
func (c *council) wants(n topology.NodeID, life uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.keeper.Doc.Agreed
	return a != nil && len(a.InSync) < a.Minimum && !slices.Contains(a.InSync, core.Counted{Node: n, Life: life})
}
