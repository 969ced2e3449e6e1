package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Counted is a node in one of its directories: after the loss of a directory, the
// node is another one for whoever counts (C1).
type Counted struct {
	Node topology.NodeID
	Life uint64
}

func (c Counted) String() string { return string(c.Node) }

// Agreed is what the document of a group says beyond its term where nodes agree
// upon it through their control: who has everything that is committed.
type Agreed struct {
	InSync   []Counted // a commit waits for all of them (S3), under Any for enough of them; the leader first
	Eligible []Counted // left the in-sync set when it fell below its minimum, after which nothing was committed without them (S1)
	Minimum  int       // fewer in-sync members than that commit nothing
	Paused   bool      // an operator leads: no automatic failover
	Why      Why       // the term began

	Lease time.Duration // for which its leader may answer by itself; 0: it does not (S7)
	Wait  time.Duration // for which its leader acknowledges nothing at first: others' leases
	Lag   uint64        // asynchronous: how many records who is in sync may lack; 0: nobody else is (S9)
}

func (a *Agreed) has(n topology.NodeID, life uint64) bool {
	return slices.Contains(a.InSync, Counted{n, life})
}

// Members are the nodes in sync, the leader first.
func (a *Agreed) Members() (ids []topology.NodeID) {
	for _, c := range a.InSync {
		ids = append(ids, c.Node)
	}
	return ids
}

// LifeOf is the directory in which a node is in sync, 0 where it is not. Nobody is where
// a is nil.
func (a *Agreed) LifeOf(n topology.NodeID) uint64 {
	if a != nil {
		for _, c := range a.InSync {
			if c.Node == n {
				return c.Life
			}
		}
	}
	return 0
}

// elects reports whether a node may be elected in that directory: it has
// everything that was committed.
func (a *Agreed) elects(n topology.NodeID, life uint64) bool {
	return a.has(n, life) || slices.Contains(a.Eligible, Counted{n, life})
}

// become returns the document in which set is in sync. The eligible set is a
// function of the document it replaces (S1): who leaves a set that falls below its
// minimum stays electable, as nothing is committed without him.
func (a Agreed) become(set []Counted) Agreed {
	var left []Counted
	if len(set) < a.Minimum {
		for _, c := range append(slices.Clone(a.InSync), a.Eligible...) {
			if !slices.Contains(set, c) && !slices.Contains(left, c) {
				left = append(left, c)
			}
		}
	}
	a.InSync, a.Eligible = set, left
	return a
}

// minimum is the least size of an in-sync set that commits: as many as the policy of g
// promises to hold a write; under First fewer, where the configuration has it that
// writes go on with those who are left. Whoever is in sync may lead, so a smaller
// minimum loses nothing by an election: only directories that are lost can, that many.
func (v Voting) minimum(g *Group) (int, error) {
	p, r, err := g.Rule()
	if p.Kind == quorum.KindFirst && v.MinInSync > 0 {
		return min(v.MinInSync, r.Needed()), err
	}
	return r.Needed(), err
}

// Waits returns the rule of a commit for which set counts, the leader first, and the
// directories it counts. All of set are waited for; but under Any the policy's number of
// all voters is, of whom those that are not in the set have nothing that counts.
func (g *Group) Waits(set []Counted) (quorum.Rule[topology.NodeID], []uint64, error) {
	p, r, err := g.Rule()
	if err == nil && p.Kind != quorum.KindAny {
		voters := make([]topology.NodeID, len(set))
		for i, c := range set {
			voters[i] = c.Node
		}
		r, err = quorum.NewRule(quorum.All(), g.Leader, voters)
	}
	if err != nil {
		return r, nil, err
	}
	lives := make([]uint64, r.Len())
	for i, m := range r.Members() {
		lives[i] = noLife
		if at := slices.IndexFunc(set, func(c Counted) bool { return c.Node == m }); at >= 0 {
			lives[i] = set[at].Life
		}
	}
	return r, lives, nil
}

const (
	agreedParts = 5
	leasedParts = 8 // where there is, or was, a lease, or a failover may lose something
)

func (a *Agreed) encode(w *pack.Writer) {
	leased := a.Lease > 0 || a.Wait > 0 || a.Lag > 0
	if leased {
		w.Array(leasedParts)
	} else {
		w.Array(agreedParts)
	}
	encodeCounted(w, a.InSync)
	encodeCounted(w, a.Eligible)
	w.Uint(uint64(a.Minimum))
	w.Bool(a.Paused)
	w.Uint(uint64(a.Why))
	if leased {
		w.Uint(uint64(a.Lease))
		w.Uint(uint64(a.Wait))
		w.Uint(a.Lag)
	}
}

func encodeCounted(w *pack.Writer, cs []Counted) {
	w.Array(len(cs))
	for _, c := range cs {
		w.Array(2)
		w.Str(string(c.Node))
		w.Uint(c.Life)
	}
}

func decodeAgreed(r *pack.Reader) *Agreed {
	parts := r.Array()
	if r.Err() == nil && parts != agreedParts && parts != leasedParts {
		r.Fail("it has neither the parts of what is agreed upon nor those with a lease")
	}
	a := &Agreed{
		InSync: decodeCounted(r), Eligible: decodeCounted(r),
		Minimum: int(r.UintMax(votersMax)), Paused: r.Bool(), Why: Why(r.UintMax(uint64(whyMax))),
	}
	if parts == leasedParts {
		a.Lease, a.Wait = time.Duration(r.UintMax(uint64(LeaseMax))), time.Duration(r.UintMax(uint64(2*LeaseMax)))
		a.Lag = r.UintMax(LagMax)
	}
	return a
}

func decodeCounted(r *pack.Reader) []Counted {
	var cs []Counted
	for n := r.ArrayMax(votersMax); n > 0; n-- {
		r.ArrayOf(2)
		cs = append(cs, Counted{topology.NodeID(r.StrMax(nameBytesMax)), r.Uint()})
	}
	return cs
}

// fits returns why the parts of an agreed document contradict one another.
func (g *Group) fits() error {
	a := g.Agreed
	if a == nil {
		return nil
	}
	if len(a.InSync) == 0 || a.InSync[0] != (Counted{g.Leader, g.Life}) {
		return fmt.Errorf("the in-sync set %v does not begin with the leader %s", a.InSync, g.Leader)
	}
	seen := map[topology.NodeID]bool{}
	for _, c := range a.InSync {
		if seen[c.Node] || !slices.Contains(g.Voters, c.Node) {
			return fmt.Errorf("%s is in the in-sync set twice, or no voter", c.Node)
		}
		seen[c.Node] = true
	}
	if g.Roster != nil {
		return g.Roster.fits(g)
	}
	return nil
}

// Lead is the event by which the leader of g starts its term.
func (g *Group) Lead() (Event, error) {
	ev := Event{Kind: EvLead, Term: g.Term}
	var err error
	if a := g.Agreed; a != nil {
		ev.Rule, ev.Lives, err = g.Waits(a.InSync)
		ev.Frozen, ev.Slack, ev.Lease, ev.Wait = len(a.InSync) < a.Minimum, g.Slack(), a.Lease, a.Wait
		// Where a commit waits for all who may be elected, so does the renewal of a lease.
		p, _, perr := g.Rule()
		ev.Heard = perr == nil && p.Kind != quorum.KindAny && !a.Why.Losing()
		return ev, err
	}
	if _, ev.Rule, err = g.Rule(); err != nil {
		return ev, err
	}
	for _, m := range ev.Rule.Members() {
		ev.Lives = append(ev.Lives, g.life(g.Voters, m))
	}
	return ev, nil
}

// cause is why the term of g was started.
func (g *Group) cause() Why {
	if g.Agreed != nil {
		return g.Agreed.Why
	}
	return g.Why
}
