package leaderless

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Status implements topology.Engine.
func (e *engine) Status() topology.Status {
	b := e.env.Log.Bounds()
	s := topology.Status{
		Node: e.env.Self, Kind: "leaderless", Role: topology.RoleReplica, Policy: e.policy(),
		First: b.First, End: b.End, Flushed: b.Flushed, Commit: b.Flushed, Applied: b.Flushed,
	}
	s.Stale = -1
	if at := e.stats.shown.Load(); at != nil {
		s.Applied, s.Commit = record.LSN(at.flushed), record.LSN(at.flushed)
		s.Since = e.stats.started
		if at.stays != "" {
			s.Warnings = append(s.Warnings, "this node is not to be restarted now: "+at.stays)
		}
	}
	if votes, why := e.life.voting(); !votes {
		s.Role = topology.RoleCandidate
		s.Warnings = append(s.Warnings, why)
	}
	if why := e.chart.problem(); why != "" {
		s.Role = topology.RoleCandidate
		s.Warnings = append(s.Warnings, why)
	} else if _, in := e.place.Current().Node(e.env.Self); !in {
		s.Warnings = append(s.Warnings, fmt.Sprintf("this node is no member any more, by map %d: it may be stopped", e.place.Epoch()))
	} else if _, moving := e.place.Current().Target(); moving {
		s.Warnings = append(s.Warnings, fmt.Sprintf("partitions move to other nodes: %d are left; `triad ring` shows them", len(e.place.Current().Moves())))
	}
	if err := e.failure(); err != nil {
		s.Role, s.Failure = topology.RoleFailed, err.Error()
	}
	s.Warnings = append(s.Warnings, e.warnings()...)
	for _, p := range e.others() {
		s.Peers = append(s.Peers, p.status())
	}
	n := e.place.N()
	if w, r := e.o.Write.Needed(n), e.o.Read.Needed(n); w+r <= n && !e.o.Write.Sited() && !e.o.Read.Sited() {
		s.Warnings = append(s.Warnings, fmt.Sprintf("reads may be stale: %d of %d replicas are written before an answer and %d are read", w, n, r))
	}
	return s
}

// policy says in words what requests wait for.
func (e *engine) policy() string {
	return fmt.Sprintf("n=%d write=%v read=%v repair=%v", e.place.N(), e.o.Write, e.o.Read, e.o.Repair)
}

func (p *peer) status() topology.PeerStatus {
	view, _ := p.e.env.Membership.View()
	m, _ := view.Find(p.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := topology.PeerStatus{Node: p.id, Addr: m.Addr, State: "down", Contact: p.contact, Problem: p.problem}
	switch {
	case p.refused != "":
		s.State, s.Problem = "refused", p.refused
	case p.up:
		s.State = "replicate"
	}
	return s
}
