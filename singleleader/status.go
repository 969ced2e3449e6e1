package singleleader

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// Status implements topology.Engine.
func (e *engine) Status() topology.Status {
	g := e.group.Load()
	b := e.env.Log.Bounds()
	s := topology.Status{
		Node: e.env.Self, Kind: "single-leader", Policy: g.Policy, Role: topology.RoleCandidate,
		First: b.First, End: b.End, Flushed: b.Flushed, Applied: e.applier.applied(),
		Standing: topology.Standing{Delay: e.late()}, Rewound: e.rewound.Load(),
	}
	var members []topology.NodeID
	e.turn.call(func() {
		s.Leader, s.Term, s.Commit, s.Since = e.core.Leader, e.core.Term, e.core.Commit, e.since
		switch {
		case e.core.Role == core.Leader:
			s.Role = topology.RoleLeader
			members = e.reign.names
			s.Reached = e.reign.reached(&e.core.Lead)
		case e.core.Role == core.Follower && e.readReplica():
			s.Role = topology.RoleReadReplica
		case e.core.Role == core.Follower:
			s.Role = topology.RoleFollower
		}
		leaseOf(e, &s)
		if e.core.Role == core.Leader && !e.core.Settled() {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the start of term %d is not committed yet: it waits for %s", e.core.Term, g.Policy))
		}
	})
	if s.Role == topology.RoleLeader {
		if g.Agreed != nil { // who is waited for before he is in sync is not
			members = g.Agreed.Members()
		}
		s.Peers = e.reign.peers(s.End, members)
		if lag := s.Commit - min(s.Commit, s.Applied); lag > 0 {
			s.Lag.Records = uint64(lag)
		}
	} else {
		_, s.Stale, s.Lag = e.staleness()
		if s.Stale < 0 {
			s.Warnings = append(s.Warnings, "this node has not caught up with a leader since it started")
		}
	}
	s.Sync = s.Role == topology.RoleFollower && counts(g, e.env.Self, s.Leader)
	if a := g.Agreed; a != nil {
		s.Paused = a.Paused
		if s.Role == topology.RoleLeader && len(a.InSync) < a.Minimum {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%d in sync, and a commit needs %d: writes wait", len(a.InSync), a.Minimum))
		}
	}
	e.seats.tell(&s, g)
	e.sinks.intake.tell(&s)
	if why := thin(g); why != "" && s.Role == topology.RoleLeader {
		s.Warnings = append(s.Warnings, why+thinSince(e.council))
	}
	if e.resync.Load() {
		s.Warnings = append(s.Warnings, "the log and the store of this node do not fit together: it waits for a snapshot from the leader")
	}
	if f := e.roles.fence.Load(); f != nil && f.term == g.Term {
		s.Warnings = append(s.Warnings, f.why)
	}
	e.warn(&s)
	if g.Policy != "async" && e.o.Sync.Kind.String() == "async" {
		s.Warnings = append(s.Warnings, "this node is configured async, the group runs "+g.Policy+"; the next term led by this node changes it")
	}
	if e.wasReplica() {
		s.Warnings = append(s.Warnings, "this node is configured a read replica and stays a voter: it was one before, or was made leader by force")
	}
	if err := e.broken(); err != nil {
		s.Role, s.Failure = topology.RoleFailed, err.Error()
	}
	return s
}

// thin says that commits go on with fewer in sync than the policy names; empty where
// they do not.
func thin(g *core.Group) string {
	_, rule, err := g.Rule()
	a := g.Agreed
	if err != nil || a == nil || len(a.InSync) < a.Minimum || len(a.InSync) >= rule.Needed() {
		return ""
	}
	return fmt.Sprintf("%d of %d in sync: what is acknowledged now is on fewer disks than %s says", len(a.InSync), rule.Needed(), g.Policy)
}

// thinSince is since when commits have gone on so, as far as this process knows.
func thinSince(c *council) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.thin.IsZero() {
		return ""
	}
	return ", since " + c.thin.UTC().Format(time.RFC3339)
}

// counts reports whether commits in the term of g wait for a node, which
// follows leader in it, or may count it.
func counts(g *core.Group, self, leader topology.NodeID) bool {
	if g.Agreed != nil {
		return g.Leader == leader && self != leader && slices.ContainsFunc(g.Agreed.InSync, func(c core.Counted) bool { return c.Node == self })
	}
	_, rule, err := g.Rule()
	return err == nil && g.Leader == leader && rule.Index(self) > 0
}

// reached returns when as many members as a commit needs were last heard of, zero
// if they were not in this term. It is called within a turn.
func (r *reign) reached(l *core.Leading) time.Time {
	now := time.Now()
	heard := make([]uint64, l.Rule.Len())
	for i, m := range l.Rule.Members() {
		if i == 0 {
			heard[i] = uint64(now.UnixNano())
			continue
		}
		for _, s := range *r.ships.Load() {
			if s.to == m {
				heard[i] = s.heard()
			}
		}
	}
	at := l.Rule.Commit(heard)
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(at))
}

// heard is when the member last acknowledged anything, in nanoseconds; 0 for never.
func (s *ship) heard() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contact.IsZero() {
		return 0
	}
	return uint64(s.contact.UnixNano())
}

// readReplica reports whether this node is there for readers alone: it is named so
// and no voter.
func (e *engine) readReplica() bool {
	self := e.env.Self
	return slices.Contains(e.seats.replicas(), self) && !slices.Contains(e.group.Load().Voters, self)
}

// wasReplica reports whether this node is configured a read replica, and is a voter.
func (e *engine) wasReplica() bool {
	return slices.Contains(e.o.ReadReplicas, e.env.Self) && !e.readReplica()
}

// Retain returns the first LSN of the log that must be kept, where the store
// has everything up to flushed durable: a leader keeps what its members still
// need, and every node what the watches on it do, within its budget of bytes.
func (e *engine) Retain(flushed record.LSN) record.LSN {
	keep, end := flushed+1, e.env.Log.Bounds().End
	e.turn.call(func() { keep = min(keep, core.Keep(&e.core, e.group.Load())) })
	return min(keep, e.reign.needs(end, e.o.RetainBytesMax), e.watched.needs(e.env.Log, end, e.o.RetainBytesMax))
}

// Term returns the newest term this node has knows of.
func (e *engine) Term() uint64 { return e.group.Load().Term }
