package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Claim is one attempt of a node to lead by a swap of the group's document, where
// nodes agree upon it (S6). No logs are compared: who is in sync has everything
// that was committed, and the swap says that he still is.
type Claim struct {
	Voting
	Self     Counted
	Why      Why
	Accepted uint64       // the greatest term that was durably accepted or logged here before the control was asked
	Alive    []Counted    // who answered just now; this node need not be among them
	Last     stream.Place // the durable end of the own log
	Settled  bool         // the start of the last term is known to be committed here: its leader has waited, if it had to
	Pledged  []Report     // under Any, what those reported who promised to obey no older term than the next, this node among them; where an election may lose something, what who is alive did
}

// Found returns the first document, of a group that has none: the node with the
// first claim leads, alone until others have caught up.
func (c *Claim) Found() (Group, error) {
	if c.Accepted > 0 {
		return Group{}, fmt.Errorf("%w: the control has no document of this group, whose term %d is accepted here: it was lost, or is another cluster's; restore it, or start a new cluster with empty directories", topology.ErrConflict, c.Accepted)
	}
	g, err := c.First(c.Self.Node)
	if err != nil {
		return Group{}, err
	}
	g.Life, g.Agreed = c.Self.Life, &Agreed{InSync: []Counted{c.Self}, Why: Founded, Lease: c.Lease, Lag: c.lag()}
	g.Agreed.Minimum, err = c.minimum(&g)
	return g, err
}

// Succeed returns the document of the term after g in which this node leads, or
// why there is none.
func (c *Claim) Succeed(g Group) (Group, error) {
	if err := c.allowed(&g); err != nil {
		return Group{}, err
	}
	next := g
	next.Leader, next.Life, next.Term, next.Lives, next.Before = c.Self.Node, c.Self.Life, g.Term+1, nil, nil
	if c.Why.Losing() {
		next.Term = max(g.Term, c.Accepted) + forcedStep
	}
	next.Forks = forked(&g, c.Last, next.Term, c.Why == Restored)
	if err := c.count(&next, g.Voters); err != nil {
		return Group{}, err
	}
	set := []Counted{c.Self}
	a := *g.Agreed
	any, err := c.elected(&g)
	if err != nil {
		return Group{}, err
	}
	if c.Why.Losing() {
		a.InSync, a.Eligible = nil, nil // what they have and this node lacks is given up
	}
	for _, m := range a.InSync {
		if m.Node != c.Self.Node && (any || slices.Contains(c.Alive, m)) && slices.Contains(next.Voters, m.Node) {
			set = append(set, m)
		}
	}
	if a.Minimum, err = c.minimum(&next); err != nil {
		return Group{}, err
	}
	a.Why, a.Lease, a.Wait, a.Lag = c.Why, c.Lease, c.waits(&g), c.lag()
	next.Agreed = &a
	if next.Slack() < g.Slack() { // they may lack more than the new document lets them
		a.InSync, a.Eligible, set = nil, nil, set[:1]
	}
	a = a.become(trim(&next, set))
	next.Agreed = &a
	return next, nil
}

// waits returns how long this node has to wait for leases of leaders before it to be
// over: that of the last one, and what that one had to wait for, unless it has. Its own
// lease ended with its process.
func (c *Claim) waits(g *Group) time.Duration {
	var wait time.Duration
	if g.Leader != c.Self.Node {
		wait = Stretched(g.Agreed.Lease, c.Drift)
	}
	if !c.Settled {
		wait = max(wait, g.Agreed.Wait)
	}
	return wait
}

// allowed returns why the claim comes to nothing, whoever answers.
func (c *Claim) allowed(g *Group) error {
	a := g.Agreed
	switch {
	case a == nil:
		return fmt.Errorf("%w: the document of term %d was made where nothing is agreed upon (control static)", topology.ErrConflict, g.Term)
	case c.Accepted > g.Term && !c.Why.Losing():
		return fmt.Errorf("%w: term %d is accepted here, the control knows term %d: it has lost what it knew, or is another cluster's", topology.ErrConflict, c.Accepted, g.Term)
	case g.Lacks(c.Self.Node):
		return fmt.Errorf("%w: %s is no member of this group any more, and leads it no more", topology.ErrConflict, c.Self.Node)
	case c.Why.Losing():
		return nil
	case slices.Contains(c.ReadReplicas, c.Self.Node) && !slices.Contains(g.Voters, c.Self.Node):
		return fmt.Errorf("%w: %s is a read replica, which is not made leader; with force it leads nevertheless, and what it lacks is lost", topology.ErrUnavailable, c.Self.Node)
	case !a.elects(c.Self.Node, c.Self.Life):
		return fmt.Errorf("%w: %s is not in sync in term %d: %v are, and may lead; with force it leads nevertheless, and what it lacks is lost", topology.ErrUnavailable, c.Self.Node, g.Term, append(slices.Clone(a.InSync), a.Eligible...))
	case a.Paused && c.Why == Elected:
		return fmt.Errorf("%w: automatic failover is paused", topology.ErrUnavailable)
	}
	return nil
}

// elected reports whether the group commits by Any, where logs are compared: enough
// of those who may have committed anything have promised to commit no more, and none
// of them has a longer log than this node (S4).
func (c *Claim) elected(g *Group) (any bool, err error) {
	p, rule, err := g.Rule()
	if err == nil && g.Slack() > 0 {
		return false, c.longest(g)
	}
	if err != nil || p.Kind != quorum.KindAny {
		return false, err
	}
	if c.Why.Losing() {
		return true, nil
	}
	// Only who is in the document was ever counted: whoever counts another one has
	// changed it first, and this claim comes too late.
	need := max(1, len(g.Agreed.InSync)-rule.Needed()+1)
	n := 0
	self, best := Report{}, Report{}
	for _, r := range c.Pledged {
		if rule.Index(r.Node) < 0 || !g.Agreed.has(r.Node, r.Life) || r.Accepted > g.Term {
			continue // a new directory neither answers nor counts
		}
		n++
		if r.Node == c.Self.Node {
			self = r
		}
		if best.Node == "" || best.Last.Behind(r.Last) {
			best = r
		}
	}
	switch {
	case self.Node == "" || n < need:
		return true, fmt.Errorf("%w: %d of %v must promise to obey no older term, this node among them, and %d did", topology.ErrUnavailable, need, g.Agreed.InSync, n)
	case self.Last.Behind(best.Last):
		return true, &BehindError{Best: best.Node, Last: best.Last}
	}
	return true, nil
}

// BehindError says that another node has a longer log, and should lead.
type BehindError struct {
	Best topology.NodeID
	Last stream.Place
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("%v: %s ends at entry %d of term %d, and goes first", topology.ErrUnavailable, e.Best, e.Last.LSN, e.Last.Term)
}

func (e *BehindError) Unwrap() error { return topology.ErrUnavailable }

// trim holds set, the leader first, to as many members as the group's policy has a
// commit wait for.
func trim(g *Group, set []Counted) []Counted {
	p, r, err := g.Rule()
	switch {
	case err != nil || p.Kind == quorum.KindAll || p.Kind == quorum.KindAny:
		return set
	case p.Kind == quorum.KindAsync && g.Slack() > 0:
		return set
	case p.Kind == quorum.KindAsync:
		return set[:1]
	}
	return set[:min(len(set), r.Needed())]
}

// Rank returns how many of those who may be elected go before this node: the
// in-sync set by the order of voters, who is about to be removed last of them, then
// those that left it. −1 for who may not.
func (g *Group) Rank(self Counted) int {
	if g.Agreed == nil {
		return -1
	}
	voters := g.Voters
	if leaves := g.changing(topology.Removing); leaves != "" {
		voters = append(slices.DeleteFunc(slices.Clone(voters), func(n topology.NodeID) bool { return n == leaves }), leaves)
	}
	n := 0
	for _, set := range [][]Counted{g.Agreed.InSync, g.Agreed.Eligible} {
		for _, v := range voters {
			i := slices.IndexFunc(set, func(c Counted) bool { return c.Node == v })
			switch {
			case i < 0 || v == g.Leader && self.Node != v:
			case set[i] == self:
				return n
			default:
				n++
			}
		}
	}
	return -1
}

// Names reports whether g makes this directory of this node the leader of a term
// that it has not accepted before, so that it may start it (S2).
func (g *Group) Names(self Counted, accepted uint64) bool {
	return g.Agreed != nil && g.Leader == self.Node && g.Life == self.Life && g.Term > accepted
}

// Handover returns the document in which to leads, by the will of the present
// leader, who has made sure that it has everything (S10).
func (g Group) Handover(to topology.NodeID) (Group, error) {
	i := slices.IndexFunc(g.Agreed.InSync, func(c Counted) bool { return c.Node == to })
	if g.changing(topology.Removing) == to {
		return Group{}, fmt.Errorf("%w: %s is being removed", topology.ErrConflict, to)
	}
	if i <= 0 {
		return Group{}, fmt.Errorf("%w: %s is not in sync; %v are", topology.ErrUnavailable, to, g.Agreed.InSync[1:])
	}
	next, a := g, *g.Agreed
	set := slices.Clone(a.InSync)
	set[0], set[i] = set[i], set[0]
	a.InSync, a.Why, a.Wait = set, Switched, 0 // who hands over has given up his lease (EvYield)
	next.Term, next.Leader, next.Life, next.Agreed = g.Term+1, set[0].Node, set[0].Life, &a
	return next, nil
}
