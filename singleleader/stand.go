package singleleader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// stand tries to make this node leader by a swap of the group's document (S6): because
// an operator ordered it, or else if it is still due once nothing else is under way here.
func (c *council) stand(ctx context.Context, why core.Why, ordered bool) error {
	if err := c.e.ballot.one.enter(ctx); err != nil {
		return err
	}
	defer c.e.ballot.one.leave()
	if _, now, stands := c.due(time.Now()); !ordered && (!stands || now != why) {
		return nil // this node may lead by now
	}
	seen, _ := c.known()
	claim := core.Claim{Voting: c.e.ballot.voting(), Self: c.self, Why: why}
	c.e.turn.call(func() {
		claim.Accepted = max(c.e.core.Term, c.e.core.LastTerm)
		claim.Last = stream.Place{Term: c.e.core.LastTerm, LSN: c.e.core.End}
	})
	ask, cancel := context.WithTimeout(ctx, c.e.o.CallTimeout)
	defer cancel()
	d, err := c.e.env.Control.Load(ask, topology.DocumentGroup)
	if err != nil {
		return err
	}
	if err := c.learn(ask, d); err != nil {
		return err
	}
	g, _ := c.known()
	if (why == core.Elected || why == core.Restart) && g.Term != seen.Term {
		return nil // somebody was faster
	}
	claim.Settled = c.tenure.settled(g.Term)
	return campaign{c}.claim(ctx, d, &claim)
}

// campaign is one attempt to lead.
type campaign struct{ *council }

// claim swaps d for a document of a term that this node leads. d must be the newest
// document that was known when the claim was begun.
func (c campaign) claim(ctx context.Context, d topology.Document, claim *core.Claim) error {
	e := c.e
	if e.resync.Load() {
		return core.ErrResync
	}
	ask, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
	next, err := c.next(ask, claim, d)
	var behind *core.BehindError
	if errors.As(err, &behind) && claim.Why != core.Chosen {
		_, err = e.env.Transport.Call(ask, behind.Best, methodStand, nil)
		cancel()
		return err
	}
	cancel()
	if err != nil {
		return err
	}
	old, _ := c.known()
	if err := e.roles.secure(ctx, old.Leader, old.Term); err != nil { // takes its own time; the swap finds out what changed
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, e.o.CallTimeout)
	defer cancel()
	d, err = e.env.Control.Swap(ctx, topology.Document{Name: topology.DocumentGroup, Version: d.Version, Body: next.Encode()})
	if err != nil {
		return c.reread(ctx, err)
	}
	e.log.Info("elected", "term", next.Term, "in_sync", next.Agreed.InSync, "minimum", next.Agreed.Minimum)
	return c.learn(ctx, d)
}

func (c campaign) next(ctx context.Context, claim *core.Claim, d topology.Document) (core.Group, error) {
	if d.Version == 0 {
		return claim.Found()
	}
	g, err := core.DecodeGroup(d.Body)
	if err != nil {
		return g, err
	}
	switch p, _, err := g.Rule(); {
	case err != nil:
		return g, err
	case g.Agreed != nil && p.Kind == quorum.KindAny && !claim.Why.Losing():
		// Who is asked first whether enough would promise binds nobody in vain, who would
		// then obey the present leader no more.
		claim.Pledged = c.pledges(ctx, &g, claim.Why, false)
		if _, err := claim.Succeed(g); err != nil {
			return g, err
		}
		claim.Pledged = c.pledges(ctx, &g, claim.Why, true)
	case g.Agreed != nil:
		claim.Alive, claim.Pledged = c.alive(ctx, &g, claim.Why)
	}
	return claim.Succeed(g)
}

// alive asks the in-sync members whether they are there. The old leader is not waited
// for where it was just found silent.
func (c campaign) alive(ctx context.Context, g *core.Group, why core.Why) (out []core.Counted, said []core.Report) {
	ctx, cancel := context.WithTimeout(ctx, c.e.o.FailAfter/2)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	if own, err := core.DecodeReport(c.e.ballot.report()); err == nil {
		said = append(said, own)
	}
	for _, m := range g.Agreed.InSync {
		if m.Node == c.self.Node || m.Node == g.Leader && why == core.Elected {
			continue
		}
		wg.Go(func() {
			b, err := c.e.env.Transport.Call(ctx, m.Node, methodPoll, nil)
			if err != nil {
				return
			}
			if r, err := core.DecodeReport(b); err == nil && r.Node == m.Node && r.Life == m.Life {
				mu.Lock()
				out, said = append(out, m), append(said, r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return out, said
}

// promote makes this node leader because a person asked for it.
func (c *council) promote(ctx context.Context, force bool) (topology.Promotion, error) {
	why := core.Chosen
	if force {
		why = core.Forced
	}
	if g, _ := c.known(); g.Leader == c.self.Node && c.e.leads.Load() {
		why = core.Restart // a new term of its own
	}
	return campaign{c}.lead(ctx, why)
}

// lead makes this node leader, and says of which term.
func (c campaign) lead(ctx context.Context, why core.Why) (topology.Promotion, error) {
	before, _ := c.known()
	if err := c.stand(ctx, why, true); err != nil {
		return topology.Promotion{}, err
	}
	var p topology.Promotion
	c.e.turn.call(func() {
		p.Term, p.Leader = c.e.core.Term, c.e.core.Leader
		if c.e.core.Role == core.Leader {
			p.Start = c.e.core.Lead.Start
		}
	})
	if p.Start == 0 || p.Term == before.Term {
		return p, fmt.Errorf("%w: %s leads term %d", topology.ErrConflict, p.Leader, p.Term)
	}
	return p, nil
}

// switchover hands over to another node: new writes are held back until it has
// everything, then one swap changes the leader (S10). Nothing is lost, and while the
// control answers, nobody's write ends unknown.
func (c *council) switchover(ctx context.Context, to topology.NodeID) error {
	e := c.e
	if err := e.ballot.one.enter(ctx); err != nil {
		return err
	}
	defer e.ballot.one.leave()
	if g, _ := c.known(); !e.leads.Load() || g.Leader != c.self.Node {
		return e.notLeader("switchover", topology.NotApplied)
	}
	defer handover{c}.expect("")
	if err := (handover{c}).letIn(ctx, to); err != nil {
		return err
	}
	g, version := c.known()
	next, err := g.Handover(to)
	if err != nil {
		return err
	}
	e.turn.call(func() { e.pending.pausing = true })
	defer e.turn.call(func() { e.pending.pausing = false; e.accept(nil) })
	if err := c.equal(ctx, to); err != nil {
		return err
	}
	c.tenure.yield(g.Term, true)
	for {
		d, err := e.env.Control.Swap(ctx, topology.Document{Name: topology.DocumentGroup, Version: version, Body: next.Encode()})
		if err == nil {
			return c.learn(ctx, d)
		}
		if topology.OutcomeOf(err) == topology.NotApplied {
			c.tenure.yield(g.Term, false)
			return errors.Join(err, ignored(c.reread(ctx, err), err))
		}
		if c.reread(ctx, err) == nil { // settled by a higher version, perhaps by this one
			if now, _ := c.known(); now.Leader == to && now.Term == next.Term {
				return nil
			}
			c.tenure.yield(g.Term, false)
			return err
		}
		if ctx.Err() != nil {
			return err // it may have happened: nothing goes on until it is known
		}
	}
}

// ignored is nil where err is the known one.
func ignored(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}

// pause keeps the group from electing a leader by itself, or ends that.
func (c *council) pause(ctx context.Context, paused bool) error {
	for {
		d, err := c.e.env.Control.Load(ctx, topology.DocumentGroup)
		if err != nil {
			return err
		}
		g, err := core.DecodeGroup(d.Body)
		switch {
		case err != nil:
			return err
		case g.Agreed == nil:
			return fmt.Errorf("%w: there is no group yet", topology.ErrUnavailable)
		case g.Agreed.Paused == paused:
			return c.learn(ctx, d)
		}
		a := *g.Agreed
		a.Paused, g.Agreed = paused, &a
		d.Body = g.Encode()
		if d, err = c.e.env.Control.Swap(ctx, d); err == nil {
			c.e.log.Info("automatic failover", "paused", paused)
			return c.learn(ctx, d)
		}
		if !errors.Is(err, topology.ErrConflict) {
			return err
		}
	}
}

// equal waits until the member has everything this node has, and all of it is
// committed: whoever waits for a write of it is answered before another leads.
func (c *council) equal(ctx context.Context, to topology.NodeID) error {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for {
		var end record.LSN
		var settled bool
		c.e.turn.call(func() { end, settled = c.e.core.End, c.e.core.Commit >= c.e.core.End })
		for _, s := range *c.e.reign.ships.Load() {
			s.mu.Lock()
			there := settled && s.to == to && s.ack.Flushed >= end
			s.mu.Unlock()
			if there {
				return nil
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s did not catch up: %w", topology.ErrTimeout, to, ctx.Err())
		}
	}
}
