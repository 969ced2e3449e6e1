package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// behindMax is how many entries a server may be behind and still get a vote.
const behindMax = 16

// seekAdmission asks the leader to take this directory in; see founding.
func (c *Control) seekAdmission(ctx context.Context, applied uint64) {
	ctx, cancel := context.WithTimeout(ctx, 4*c.timing.attempt)
	defer cancel()
	if _, err := (reaching{c}).reach(ctx, methodAdmit, question{server: c.self.String(), applied: applied}); err != nil && ctx.Err() == nil {
		c.trouble(fmt.Sprintf("%v is not admitted as a voter: %v", c.self, err))
		return
	}
	c.trouble("")
}

// admit takes one step towards a vote for a directory that asks for it: its
// predecessor is removed, it is added without a vote, it gets one when it has
// caught up. Each step is one change of raft's configuration, and the next
// question takes the next one.
func (s *seat) admit(ctx context.Context, who server, q question) error {
	if q.server != who.String() {
		return fail("admit", topology.NotApplied, fmt.Errorf("%v speaks for %s: %w", who, q.server, topology.ErrDenied))
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	f := s.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return fail("admit", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrUnavailable, err))
	}
	at, within := f.Index(), s.control.timing.attempt
	var known *raft.Server
	for _, v := range f.Configuration().Servers {
		if nodeOf(v.ID) == who.node {
			known = &v
		}
	}
	var step func() raft.Future
	switch {
	case !slices.Contains(electing{s.control}.voters(), who.node):
		return fail("admit", topology.NotApplied, fmt.Errorf("%s is none of the voters %v: `triad member add --vote` makes it one: %w", who.node, electing{s.control}.voters(), topology.ErrDenied))
	case known == nil:
		step = func() raft.Future { return s.raft.AddNonvoter(who.id(), who.address(), at, within) }
	case known.ID != who.id():
		s.control.logger.Warn("control: a voter comes back with another directory; the one before is removed", "before", known.ID, "now", who)
		step = func() raft.Future { return s.raft.RemoveServer(known.ID, at, within) }
	case known.Suffrage == raft.Voter:
		return nil
	case q.applied+behindMax < s.raft.CommitIndex():
		return nil // it is asked again
	default:
		step = func() raft.Future { return s.raft.AddVoter(who.id(), who.address(), at, within) }
	}
	if err := s.wait(ctx, step); err != nil {
		return fail("admit", topology.Unknown, fmt.Errorf("%w: %w", topology.ErrUnavailable, err))
	}
	return nil
}

// steer hands the lead over if this node is the one to stay away from. It does not
// wait for the outcome, and tries again after a while.
func (s *seat) steer(ctx context.Context) {
	away := s.control.away.Load()
	now := time.Now()
	if away == nil || *away != s.control.env.Self || now.Sub(s.handing) < s.control.timing.steer {
		return
	}
	to, ok := s.heir()
	if !ok {
		return
	}
	s.handing = now
	f := s.raft.LeadershipTransferToServer(to.ID, to.Address)
	s.moving.Go(func() {
		if err := s.lines.await(f); err != nil && !errors.Is(err, raft.ErrNotLeader) && ctx.Err() == nil {
			s.control.logger.Debug("control: the lead could not be handed over", "to", to.ID, "error", err)
		}
	})
}

// heir returns a voter that may lead in place of this one: not this one, and not
// one that the membership holds for dead. It is another one each time.
func (s *seat) heir() (raft.Server, bool) {
	f := s.raft.GetConfiguration()
	if f.Error() != nil {
		return raft.Server{}, false
	}
	var heirs []raft.Server
	for _, v := range f.Configuration().Servers {
		if v.ID != s.control.self.id() && v.Suffrage == raft.Voter && s.control.alive(nodeOf(v.ID)) {
			heirs = append(heirs, v)
		}
	}
	if len(heirs) == 0 {
		return raft.Server{}, false
	}
	s.turn++
	return heirs[s.turn%len(heirs)], true
}

// alive reports whether nobody says that a node is dead.
func (c *Control) alive(id topology.NodeID) bool {
	if c.env.Membership == nil {
		return true
	}
	view, _ := c.env.Membership.View()
	m, ok := view.Find(id)
	return !ok || m.Liveness != topology.LivenessFailed && m.Liveness != topology.LivenessLeft
}

// Report implements topology.ControlReporter.
func (c *Control) Report() topology.ControlStatus {
	c.mu.Lock()
	r := topology.ControlStatus{Kind: "raft", Leader: c.hints.last, Voters: electing{c}.voters(), Problem: c.problem}
	s := c.seat
	c.mu.Unlock()
	if s == nil {
		return r
	}
	r.Leader, r.Term = s.leader(), s.raft.CurrentTerm()
	r.First, r.Last = s.logs.bounds()
	r.Commit, r.Applied = s.raft.CommitIndex(), s.raft.AppliedIndex()
	_, r.Votes = s.place()
	if s.lines.mute.Load() {
		r.Problem = "the disk of this voter hangs"
	}
	return r
}
