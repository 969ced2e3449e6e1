package oneleader

import (
	"slices"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// membersLeast is how many members a group under all is left with: with one alone its
// directory would be the last.
const membersLeast = 2

// isMember reports whether a node is a member, by what the control holds.
func (w *cluster) isMember(n *node) bool {
	if w.agreed == nil || w.agreed.document == nil || w.agreed.document.Roster == nil {
		return slices.Contains(w.c.nodes, n.id)
	}
	return w.agreed.document.Roster.Has(n.id)
}

// changeMembers is a fault: an operator who adds and removes members for no reason, and
// now and then takes back what has begun.
func (w *cluster) changeMembers() {
	w.s.Fault(sim.Fault{Name: "an operator changes the members", Weight: 6, Do: func() (func(), bool) {
		lead := w.leader()
		if lead == nil || lead.council.keeper.Doc.Agreed == nil || w.c.sync.Kind == quorum.KindAsync {
			return nil, false
		}
		n := w.nodes[w.s.Rand.IntN(len(w.nodes))]
		g := &lead.council.keeper.Doc
		if g.Changes() {
			if w.s.Chance(0.8) {
				return nil, false
			}
			n = w.node(g.Roster.Change.Node)
		}
		return nil, lead.council.member(n)
	}})
}

// seats are the members by the configuration.
func (w *cluster) seats() (out []topology.Seat) {
	for _, id := range w.c.nodes {
		s := topology.Seat{Member: topology.Member{ID: id, Addr: string(id)}, Role: topology.MemberVoter}
		if slices.Contains(w.c.replicas, id) {
			s.Role = topology.MemberReadReplica
		}
		out = append(out, s)
	}
	return out
}

// member begins to add n, where it is no member or is just being removed, or to remove it.
func (c *council) member(n *node) bool {
	p, g := c.p, c.keeper.Doc
	if c.busy || p.core.Role != core.Leader || g.Leader != p.n.id || g.Term != p.core.Term {
		return false
	}
	adds := g.Lacks(n.id) || g.Roster == nil && !slices.Contains(p.w.c.nodes, n.id)
	if g.Changes() {
		adds = g.Roster.Change.Op == topology.Removing
	}
	var next core.Group
	var err error
	if adds {
		seat := topology.Seat{Member: topology.Member{ID: n.id, Addr: string(n.id)}, Role: topology.MemberVoter}
		if slices.Contains(p.w.c.replicas, n.id) {
			seat.Role = topology.MemberReadReplica
		}
		next, err = g.AddMember(p.w.seats(), seat)
	} else {
		if p.w.c.sync.Kind == quorum.KindAll && len(g.Voters) <= membersLeast {
			return false
		}
		next, err = g.RemoveMember(p.w.seats(), n.id)
	}
	if err != nil || next.Roster == g.Roster {
		return false
	}
	p.s.Say(string(p.n.id), "members: adds %v, %s", adds, n.id)
	p.w.agreed.swap(p, c.keeper.Version, next, func(now uint64, known bool) {
		if known && now > 0 {
			c.learn(now, next.Encode())
		}
	})
	return true
}

// removed reports whether this node knows that it is no member any more.
func removed(c *council) bool { return c.keeper.Version > 0 && c.keeper.Doc.Lacks(c.p.n.id) }

// muster ships to whom the newest document names, and to nobody else.
func (r *reign) muster(p *process) {
	if p.dead || p.core.Role != core.Leader || r.heard == nil {
		return
	}
	member := func(n *node) bool {
		if p.w.agreed == nil || p.council.keeper.Doc.Roster == nil {
			return slices.Contains(p.w.c.nodes, n.id)
		}
		return !p.council.keeper.Doc.Lacks(n.id)
	}
	r.ships = slices.DeleteFunc(r.ships, func(h *ship) bool {
		if member(h.to) {
			return false
		}
		h.stop()
		return true
	})
	for _, to := range p.w.nodes {
		there := slices.ContainsFunc(r.ships, func(h *ship) bool { return h.to == to })
		if to != p.n && !there && member(to) {
			h := &ship{p: p, to: to, term: p.core.Term}
			r.ships = append(r.ships, h)
			h.dial()
		}
	}
}

func (h *ship) stop() {
	h.over = true
	if h.conn != nil {
		h.conn.Close()
	}
}

// recruited: members change one at a time, and each change is noticed (S15).
func (a *agreed) recruited(was, g *core.Group) {
	l := a.w.ledger
	var came, left int
	for _, v := range g.Voters {
		if !slices.Contains(was.Voters, v) {
			came++
		}
	}
	for _, v := range was.Voters {
		if !slices.Contains(g.Voters, v) {
			left++
		}
	}
	if came+left > 1 {
		l.s.Fail("S15", "the voters %v were replaced by %v in one swap", was.Voters, g.Voters)
	}
	if came == 1 {
		l.s.Reach("a member was added")
	}
	if left == 1 {
		l.s.Reach("a member was removed")
	}
	if was.Changes() && g.Changes() && g.Term > was.Term {
		l.s.Reach("a change of the members outlived its leader")
	}
	if was.Changes() && !g.Changes() && came+left == 0 {
		l.s.Reach("a change of the members was taken back")
	}
}
