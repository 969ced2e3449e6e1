package singleleader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

var _ topology.MemberChanger = (*engine)(nil)

// AddMember implements topology.MemberChanger, where nodes agree through their control.
func (d *desk) AddMember(ctx context.Context, s topology.Seat) error {
	const op = "member add"
	switch {
	case !s.ID.Valid():
		return d.order(op, fmt.Errorf("%w: %q is not a node's name", topology.ErrMalformed, s.ID))
	case !s.Role.Valid():
		return d.order(op, fmt.Errorf("%w: role %q: one of %s, %s, %s", topology.ErrMalformed, s.Role, topology.MemberVoter, topology.MemberReadReplica, topology.MemberWitness))
	case s.Addr == "":
		return d.order(op, fmt.Errorf("%w: no address of %s was named", topology.ErrMalformed, s.ID))
	}
	return d.member(ctx, op, s.ID, func(g core.Group) (core.Group, error) { return g.AddMember(d.e.seats.configured(), s) })
}

// RemoveMember implements topology.MemberChanger.
func (d *desk) RemoveMember(ctx context.Context, id topology.NodeID) error {
	return d.member(ctx, "member remove", id, func(g core.Group) (core.Group, error) { return g.RemoveMember(d.e.seats.configured(), id) })
}

// Seats implements topology.MemberChanger.
func (d *desk) Seats() []topology.Seat {
	if r := d.e.seats.newest.Load(); r != nil {
		return slices.Clone(r.Seats)
	}
	return nil
}

func (d *desk) member(ctx context.Context, op string, n topology.NodeID, begin func(core.Group) (core.Group, error)) error {
	c := d.e.council
	if c == nil {
		return d.order(op, fmt.Errorf("%w: nobody agrees upon the members with control static: change `members` in every node's configuration", topology.ErrUnsupported))
	}
	over, err := recruiter{c}.begin(ctx, op, begin)
	if err == nil {
		err = recruiter{c}.settled(ctx, op, n, over)
	}
	return d.order(op, err)
}

// recruiter is a council that changes who its members are.
type recruiter struct{ *council }

// begin swaps the group's document for one in which the change has begun, or is over,
// and returns the members by it. What was asked before and is not known to have come
// about is asked again by the same name, and so happens once.
func (c recruiter) begin(ctx context.Context, op string, begin func(core.Group) (core.Group, error)) (*core.Roster, error) {
	for {
		g, version := c.known()
		if !c.e.leads.Load() || g.Leader != c.self.Node || g.Life != c.self.Life {
			return nil, c.e.notLeader(op, topology.NotApplied)
		}
		next, err := begin(g)
		if err != nil || next.Roster == g.Roster {
			return next.Roster, err
		}
		if !c.votes(&g) && !core.Frees(&g, &next) {
			return nil, fmt.Errorf("%w: who votes in the control is still changing, and one change is under way at a time: `triad status` says what it waits for", topology.ErrConflict)
		}
		d, err := c.e.env.Control.Swap(ctx, topology.Document{Name: topology.DocumentGroup, Version: version, Body: next.Encode()})
		if err == nil {
			c.e.log.Info("a change of the members has begun", "change", next.Roster.Change.Op, "node", next.Roster.Change.Node)
			return next.Roster, c.learn(ctx, d)
		}
		e := c.reread(ctx, err)
		if _, now := c.known(); now == version { // only a higher version settles it
			return nil, e
		}
	}
}

// settled waits until the change that was begun with roster r is over.
func (c recruiter) settled(ctx context.Context, op string, n topology.NodeID, r *core.Roster) error {
	wanted := r.Change.Op != topology.Removing && r.Has(n)
	poll := time.NewTicker(electEvery)
	defer poll.Stop()
	for {
		d, stale := c.e.env.Control.Latest(topology.DocumentGroup)
		if err := c.learn(ctx, d); err != nil && ctx.Err() == nil {
			return err
		}
		g, _ := c.known()
		now := g.Roster
		switch {
		case now.Change.Node == n:
		case now.Has(n) != wanted:
			return &topology.Error{Op: op, Node: c.self.Node, Outcome: topology.Unknown, Err: fmt.Errorf("%w: the change of %s was taken back", topology.ErrConflict, n)}
		case c.votes(&g):
			return nil
		}
		select {
		case <-stale:
		case <-poll.C:
		case <-c.e.failed:
			return c.e.broken()
		case <-ctx.Done():
			if !g.Changes() {
				return &topology.Error{Op: op, Node: c.self.Node, Outcome: topology.Unknown, Err: fmt.Errorf("%w: the members are as they are to be; who votes in the control is not yet, and goes on by itself: %w", topology.ErrTimeout, ctx.Err())}
			}
			return &topology.Error{Op: op, Node: c.self.Node, Outcome: topology.Unknown, Err: fmt.Errorf("%w: %v %s has begun and goes on by itself, as `triad status` shows; `triad member %s %s` takes it back: %w",
				topology.ErrTimeout, now.Change.Op, n, now.Change.Op.Back(), n, ctx.Err())}
		}
	}
}

// electEvery is how often it is looked whether those vote who are to.
const electEvery = 20 * time.Millisecond

// votes reports whether those vote in the control who are to by g, and nobody else.
func (c recruiter) votes(g *core.Group) bool {
	v, ok := c.e.env.Control.(topology.Electorate)
	ids, named := g.Electors()
	if !ok || !named {
		return true
	}
	now, settled := v.Electors()
	slices.Sort(ids)
	return settled && slices.Equal(ids, slices.Sorted(slices.Values(now)))
}

// elect has the control let those vote who are to, where members keep it themselves:
// who is added, once it is a member and counted; who was removed no longer.
func (c recruiter) elect(ctx context.Context) error {
	v, ok := c.e.env.Control.(topology.Electorate)
	g, _ := c.known()
	if !ok || !c.e.leads.Load() || g.Leader != c.self.Node {
		return nil
	}
	ids, ok := g.Electors()
	now, _ := v.Electors()
	if slices.Sort(ids); !ok || slices.Equal(ids, slices.Sorted(slices.Values(now))) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.e.o.CallTimeout)
	defer cancel()
	return v.Elect(ctx, ids)
}

// seats is who the members are, as far as this node knows.
type seats struct {
	e      *engine
	newest atomic.Pointer[core.Roster] // by the group's document; nil as long as the configuration says it
}

// enrol takes in who the members are by a document of the group: they can be reached,
// and this node knows it at its next start.
func (m *seats) enrol(g *core.Group) {
	if g.Roster == nil {
		return
	}
	was := m.newest.Swap(g.Roster)
	if was != nil && slices.Equal(was.Seats, g.Roster.Seats) {
		return
	}
	admit(m.e.env.Membership, g.Roster)
	if err := m.e.env.Stable.Save(stableRoster, g.Roster.Encode()); err != nil {
		m.e.log.Warn("who the members are could not be kept for the next start", "reason", err)
	}
	if g.Lacks(m.e.env.Self) {
		m.e.log.Warn("this node was removed from its group: it follows nobody and is not counted")
	}
	m.e.reign.changed()
}

const stableRoster = "members"

// recall is enrol by what was known when this node ran last.
func (m *seats) recall() error {
	b, err := m.e.env.Stable.Load(stableRoster)
	if err != nil || b == nil {
		return err
	}
	r, err := core.DecodeRoster(b)
	if err != nil {
		return err
	}
	m.newest.Store(r)
	admit(m.e.env.Membership, r)
	return nil
}

func admit(m topology.Membership, r *core.Roster) {
	a, ok := m.(topology.Admitter)
	if !ok {
		return
	}
	view, _ := m.View()
	var ms []topology.Member
	for _, s := range r.Seats {
		if _, named := view.Find(s.ID); s.Given || !named {
			ms = append(ms, s.Member)
		}
	}
	a.Admit(ms...)
}

// removed reports whether this node is no member by the newest document.
func (m *seats) removed() bool {
	r := m.newest.Load()
	return r != nil && !r.Has(m.e.env.Self)
}

// configured are the members by this node's configuration.
func (m *seats) configured() []topology.Seat {
	e := m.e
	view, _ := e.env.Membership.View()
	var votes []topology.NodeID
	if v, ok := e.env.Control.(topology.ControlReporter); ok {
		votes = v.Report().Voters
	}
	var out []topology.Seat
	for _, o := range view.Members {
		s := topology.Seat{Member: o, Role: topology.MemberVoter, Votes: slices.Contains(votes, o.ID)}
		switch {
		case slices.Contains(e.o.Witnesses, o.ID):
			s.Role = topology.MemberWitness
		case slices.Contains(e.o.ReadReplicas, o.ID):
			s.Role = topology.MemberReadReplica
		}
		s.Liveness = topology.LivenessUnknown
		out = append(out, s)
	}
	return out
}

// members are who has a part in the group's data, this node included: all but the
// witnesses, by name.
func (m *seats) members() []topology.Member {
	e := m.e
	view, _ := e.env.Membership.View()
	r := m.newest.Load()
	if r == nil {
		return slices.DeleteFunc(slices.Clone(view.Members), func(m topology.Member) bool { return slices.Contains(e.o.Witnesses, m.ID) })
	}
	var out []topology.Member
	for _, s := range r.Seats {
		if s.Role == topology.MemberWitness {
			continue
		}
		o, there := view.Find(s.ID)
		if !there {
			o = s.Member
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b topology.Member) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// replicas are the members that are there for readers alone.
func (m *seats) replicas() []topology.NodeID {
	r := m.newest.Load()
	if r == nil {
		return m.e.o.ReadReplicas
	}
	var out []topology.NodeID
	for _, s := range r.Seats {
		if s.Role == topology.MemberReadReplica {
			out = append(out, s.ID)
		}
	}
	return out
}

// tell adds to the status of this node what there is to say of its members.
func (m *seats) tell(s *topology.Status, g *core.Group) {
	s.Change = changing(g, s.Peers)
	if c := m.e.council; c != nil && s.Role == topology.RoleLeader && !g.Changes() && !(recruiter{c}).votes(g) {
		s.Warnings = append(s.Warnings, "who votes in the control is not yet as it is to be: one that was added with a vote asks for it where its control.voters names itself; one that was removed goes once a majority of the others answers")
	}
	if m.removed() {
		s.Role, s.Sync = topology.RoleRemoved, false
		s.Warnings = append(s.Warnings, errRemoved.Error()+": it follows nobody, is not counted, and takes no writes; stop it, or `triad member add` it again")
	}
}

var errRemoved = errors.New("this node was removed from its group")

// changing is the change of the members that is under way, as status shows it. ships
// says what the leader knows of who is added.
func changing(g *core.Group, peers []topology.PeerStatus) (m topology.MemberChange) {
	if g.Roster == nil || g.Roster.Change.Op == topology.NoChange {
		return m
	}
	m.Op, m.Node = g.Roster.Change.Op, g.Roster.Change.Node
	i := slices.IndexFunc(peers, func(p topology.PeerStatus) bool { return p.Node == m.Node })
	switch {
	case m.Node == g.Leader:
		m.Waits = "it leads: `triad switchover` lets it go"
	case m.Op == topology.Removing:
		m.Waits = "it is counted until enough others are in its place"
	case i < 0:
		m.Waits = "it is not counted before it has caught up"
	case peers[i].State == "down" || peers[i].State == "refused":
		m.Waits = "it does not answer: " + peers[i].Problem
	default:
		m.Waits = fmt.Sprintf("it is %d records behind", peers[i].Lag.Records)
	}
	return m
}
