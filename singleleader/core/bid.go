package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// forcedStep is how far a forced promotion moves the term. An old leader that
// comes back where it can ask nobody takes the next term; the step keeps it
// from meeting the forced one's.
const forcedStep = 1 << 10

// Why says why a term is started.
type Why uint8

const (
	Restart  Why = iota // this node led the last term, as far as it knows
	Chosen              // an operator named it
	Forced              // and takes the loss
	Founded             // it is the first
	Elected             // the leader before was not heard of any more
	Switched            // the leader before handed over
	Admitted            // a member is to be counted again that lost its directory
	Restored            // an operator goes on from a point of the past, and takes the loss
	whyMax   = Restored
)

// String returns the cause in the words of the history.
func (w Why) String() string {
	return [...]string{"restart of the leader", "failover by hand", "failover by force", "first start", "election", "switchover", "admission of a new directory", "restore to a point of the past", "not known"}[min(w, whyMax+1)]
}

// Voting is what a node's configuration says about who is counted.
type Voting struct {
	Sync         quorum.Policy
	MinInSync    int // under First, the least size of an in-sync set that commits, the leader included; 0: the policy's
	ReadReplicas []topology.NodeID
	Members      []topology.NodeID
	Lease        time.Duration // for which a leader may answer by itself; 0: it may not
	Drift        time.Duration // by which two clocks run apart in a second, at most
	Lag          uint64        // of an asynchronous group: how many records an election may lose; 0: nobody is elected
}

// Candidates returns who may lead, in the order of members, which a view gives by name.
func (v Voting) Candidates() []topology.NodeID {
	return slices.DeleteFunc(slices.Clone(v.Members), func(m topology.NodeID) bool { return slices.Contains(v.ReadReplicas, m) })
}

// First returns the document of a group that never had one.
func (v Voting) First(leader topology.NodeID) (Group, error) {
	switch {
	case !slices.Contains(v.Members, leader):
		return Group{}, fmt.Errorf("single-leader: the first leader %q is not among the members", leader)
	case slices.Contains(v.ReadReplicas, leader):
		return Group{}, fmt.Errorf("single-leader: the first leader %q is a read replica", leader)
	}
	g := Group{Reign: Reign{Term: 1, Leader: leader}, Origin: version.Origin{ID: 1, Incarnation: 1}}
	return g, v.count(&g, nil)
}

// count sets whom g counts: by this node's policy, its list completed by the
// leader and by who was a voter before, so that who is counted in one term is
// counted in the next.
func (v Voting) count(g *Group, before []topology.NodeID) error {
	v, before = v.within(g, before)
	p := v.Sync
	if p.Kind == quorum.KindAsync && v.Lag == 0 {
		g.Policy, g.Voters = p.String(), []topology.NodeID{g.Leader}
		return nil
	}
	of := slices.Clone(p.Of)
	if len(of) == 0 {
		for _, m := range v.Members {
			if !slices.Contains(v.ReadReplicas, m) {
				of = append(of, string(m))
			}
		}
	}
	for _, n := range append(slices.Clone(before), g.Leader) {
		if !slices.Contains(of, string(n)) {
			of = append(of, string(n))
		}
	}
	p.Of, g.Voters = of, nil
	for _, n := range of {
		if !slices.Contains(v.Members, topology.NodeID(n)) {
			return fmt.Errorf("single-leader: sync %v names %q, which is not a member", v.Sync, n)
		}
		g.Voters = append(g.Voters, topology.NodeID(n))
	}
	if p.Kind == quorum.KindAsync {
		p.Of = nil
	}
	g.Policy = p.String()
	_, _, err := g.Rule()
	return err
}

// Bid is one attempt of a node to start a term (K2): all are polled, a document
// is proposed by what they report, all are told, and what they answer then
// confirms it or does not.
type Bid struct {
	Voting
	Self   topology.NodeID
	Life   uint64
	Why    Why
	Own    Group // the newest document that is durable here
	Waited bool  // the other members have been waited for before the first term
	Founds bool  // the own directory founded the cluster: no term of it can be forgotten here
	Leads  bool  // this node leads, and begins a new term to count who lost its directory
	Resync bool  // the own log and store do not fit together

	Accepted uint64          // the term that was durably accepted here,
	Obeys    topology.NodeID // and its leader
	Told     uint64          // the newest term that this node was told of while it led an older one; 0: none
	For      topology.NodeID // who asked for it, and must answer; empty: nobody did

	latest Group   // the newest document that was reported
	rivals []Group // of its term, and any of them may be the one that was confirmed
	first  bool    // no term was ever accepted: there is nothing to lose
}

// ErrResync refuses to make a node leader, by force too: it would give places out
// again that its store holds already, or end where it misses what its log has dropped.
var ErrResync = fmt.Errorf("%w: this node waits for a snapshot: its own log and store do not fit together, and no force mends that", topology.ErrUnavailable)

// Propose returns the document of the term that may be started by what was
// polled, or why there is none.
func (b *Bid) Propose(polled []Report) (Group, error) {
	force := b.Why.Losing()
	if b.Resync {
		return Group{}, ErrResync
	}
	if b.For != "" && find(polled, b.For) == nil {
		return Group{}, fmt.Errorf("%w: %s asked for a newer term, and does not answer", topology.ErrUnavailable, b.For)
	}
	var top uint64
	b.latest, b.rivals, top = newest(polled, b.Own)
	if b.Why == Restart && b.Told > b.latest.Term {
		return Group{}, fmt.Errorf("%w: term %d was begun by a node that does not answer; this node follows once it hears from it", topology.ErrNotLeader, b.Told)
	}
	top = max(top, b.Told)
	if b.Why == Restart && b.latest.Leader != b.Self {
		return Group{}, fmt.Errorf("%w: %s was made leader of term %d meanwhile; this node follows once it hears from it", topology.ErrNotLeader, b.latest.Leader, b.latest.Term)
	}
	next := succeed(b.latest, b.rivals, polled)
	if n := len(next.Before); n > 0 && vain(b.latest, b.Self, b.Life, polled) {
		next.Before = next.Before[:n-1] // its own, which is the last
	}
	next.Leader, next.Life, next.Term, next.Why = b.Self, b.Life, top+1, b.Why
	b.first = !force && top == 0 && b.latest.Term == 1 && b.latest.Leader == b.Self && (b.Founds || len(polled) == len(b.Members))
	switch {
	case force:
		next.Term = top + forcedStep
	case b.first:
		next.Why = Founded
	case b.Leads && b.Why == Restart:
		next.Why = Admitted
	}
	if own := find(polled, b.Self); own != nil {
		next.Forks = forked(&next, own.Last, next.Term, b.Why == Restored)
	}
	if err := b.count(&next, b.latest.Voters); err != nil {
		return Group{}, err
	}
	if force {
		next.Before = nil // what is missing is given up
	}
	if len(next.Before) > beforeMax {
		return Group{}, fmt.Errorf("%w: %d terms were begun and never started", topology.ErrUnavailable, len(next.Before))
	}
	next.Lives = nil
	for _, v := range next.Voters {
		life := b.latest.life(b.latest.Voters, v) // one that is away is known by the directory it had
		if r := find(polled, v); r != nil {
			life = r.Life
		}
		next.Lives = append(next.Lives, life)
	}
	if b.first && len(polled) < len(b.Members) && !b.Waited {
		return Group{}, fmt.Errorf("%w: waiting for the other members before the first term", topology.ErrUnavailable)
	}
	return next, b.judge(polled)
}

// Latest returns the term that was the last before the proposed one.
func (b *Bid) Latest() Reign { return b.latest.Reign }

// Confirm returns why the term must not be started after all, by what was
// answered to those who were told; nil if it may.
func (b *Bid) Confirm(next Group, told []Report) error {
	if find(told, b.Self) == nil {
		return fmt.Errorf("%w: term %d was not accepted by this node itself", topology.ErrConflict, next.Term)
	}
	return b.judge(told)
}

func (b *Bid) judge(rs []Report) error {
	if b.Why.Losing() || b.first {
		return nil
	}
	return b.electable(b.Self, rs)
}

// electable returns why target must not lead, whichever bid for the last term was
// confirmed.
func (b *Bid) electable(target topology.NodeID, rs []Report) error {
	for _, g := range b.rivals {
		if err := electable(g, target, rs); err != nil {
			return err
		}
	}
	return electable(b.latest, target, rs)
}

// Heir returns who is to start a newer term because this node, which may start
// none, can follow nobody in the present one: it promised to obey another in it,
// itself where it bid in vain. Nobody, where that is not so or nobody may.
func (b *Bid) Heir(polled []Report) topology.NodeID {
	follows := b.Obeys == b.latest.Leader && b.Obeys != b.Self
	if b.first || b.Accepted < b.latest.Term || b.Accepted == b.latest.Term && follows {
		return ""
	}
	return b.Best(polled)
}

// Best returns who of the others that were told may lead, with the longest log;
// nobody where none may.
func (b *Bid) Best(told []Report) topology.NodeID {
	var best *Report
	for i := range told {
		r := &told[i]
		if r.Node != b.Self && b.electable(r.Node, told) == nil && (best == nil || best.Last.Behind(r.Last)) {
			best = r
		}
	}
	if best == nil {
		return ""
	}
	return best.Node
}

// Acceptable returns why a node must not promise to obey the term of g, nil if
// it may: it is not older than what was accepted here, and not somebody else's.
func Acceptable(c *Core, g *Group) error {
	switch {
	case g.Term < c.Term || g.Term == c.Term && (c.Leader != g.Leader || c.Life != g.Life):
		return fmt.Errorf("%w: term %d of %s is accepted here", topology.ErrConflict, c.Term, c.Leader)
	case g.Term < c.Pledge:
		return fmt.Errorf("%w: term %d is known here to have been begun", topology.ErrConflict, c.Pledge)
	case g.Term-c.Term > TermStepMax:
		return fmt.Errorf("%w: term %d is too far ahead of %d", topology.ErrMalformed, g.Term, c.Term)
	}
	return nil
}
