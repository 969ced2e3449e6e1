package core

import (
	"slices"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Keeper keeps the in-sync set of a term that its node leads: it says whom a commit
// waits for, and what to ask of the control (S3, S5).
//
// Whoever is asked to be let in is waited for before the question is sent; whoever
// is asked to be let out is waited for until the answer is known. Under Any, where one
// more is one more who may do for another, a newcomer counts for nothing until the
// answer is known: an election asks enough of those in the document alone. A question whose
// answer is not known is asked again from the same version: whichever of the two
// comes first, a higher version then settles both.
type Keeper struct {
	Doc     Group // the newest known
	Version uint64

	asked    *Group          // from Version, and not settled
	proposed []Counted       // whom it lets in
	awaited  []Counted       // who is to be let in once he has caught up, and has nearly
	heir     topology.NodeID // who is to be in sync though the policy has others, as he is to lead next; empty: nobody
	released topology.NodeID // under Any, who counts no more although he is in the document: he is about to be removed (S15)
}

// Fit is what a leader knows of a member.
type Fit struct {
	Counted
	Healthy bool // it answers, and keeps up
	Caught  bool // it has flushed, in this term, the start of the term and all that is committed
	Near    bool // it lacks so little of that that commits may wait for it
}

// noLife is no node's directory: who is counted in two of them at once is waited for
// in neither until one is settled.
const noLife = ^uint64(0)

// Learn takes a document that the control has shown, and reports whether it is news.
func (k *Keeper) Learn(g Group, version uint64) bool {
	if version <= k.Version {
		return false
	}
	heir := k.heir
	if g.Term != k.Doc.Term {
		heir = ""
	}
	*k = Keeper{Doc: g, Version: version, heir: heir}
	return true
}

// Waits returns whom a commit waits for, the leader first, and whether it waits for
// more members than there are (S3): those that are proposed do not make up the
// minimum.
func (k *Keeper) Waits() (set []Counted, frozen bool) {
	set = slices.Clone(k.Doc.Agreed.InSync)
	policy, _, err := k.Doc.Rule()
	for _, p := range k.proposed {
		i := slices.IndexFunc(set, func(c Counted) bool { return c.Node == p.Node })
		switch {
		case i >= 0:
			set[i].Life = noLife
		case err == nil && policy.Kind != quorum.KindAny:
			set = append(set, p)
		}
	}
	for _, p := range k.awaited {
		if err == nil && policy.Kind != quorum.KindAny && !slices.ContainsFunc(set, func(c Counted) bool { return c.Node == p.Node }) {
			set = append(set, p)
		}
	}
	for i := range set {
		if set[i].Node == k.released {
			set[i].Life = noLife
		}
	}
	return set, len(k.Doc.Agreed.InSync) < k.Doc.Agreed.Minimum
}

// Next returns the document to swap for that of Version, if any. From the moment it
// returns one, Waits knows whom it lets in.
func (k *Keeper) Next(fits []Fit) (Group, bool) {
	if k.asked != nil {
		return *k.asked, true
	}
	have := k.Doc.Agreed.InSync
	k.await(fits)
	next, ok := k.step(fits)
	if !ok {
		want := k.wanted(fits)
		if same(have, want) {
			return Group{}, false
		}
		a := k.Doc.Agreed.become(want)
		next = k.Doc
		next.Agreed = &a
	}
	k.asked, k.awaited = &next, nil
	for _, c := range next.Agreed.InSync {
		if !slices.Contains(have, c) {
			k.proposed = append(k.proposed, c)
		}
	}
	return next, true
}

// await has commits wait for who would be let in had he caught up, and nearly has. Else
// a member that is behind by no more than what is under way, under a load that does not
// rest, might never be seen to have everything.
func (k *Keeper) await(fits []Fit) {
	to := Keeper{Doc: k.Doc, heir: k.heir}
	if k.Doc.changing(topology.Adding) != "" {
		if next, err := k.Doc.target(); err == nil {
			to.Doc = next
		}
	}
	near := slices.Clone(fits)
	for i := range near {
		near[i].Caught = near[i].Caught || near[i].Near
	}
	k.awaited = nil
	for _, c := range to.wanted(near) {
		if !k.Doc.Agreed.has(c.Node, c.Life) {
			k.awaited = append(k.awaited, c)
		}
	}
}

// Expect has a voter let in whom the policy does not ask for, as long as this term lasts
// or until nobody is expected.
func (k *Keeper) Expect(heir topology.NodeID) { k.heir = heir }

// Awaits reports whether commits wait for a member until it has caught up.
func (k *Keeper) Awaits(m Counted) bool { return slices.Contains(k.awaited, m) }

func same(a, b []Counted) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(c Counted) bool { return !slices.Contains(b, c) })
}

// wanted returns the set that the policy would have, the leader first.
func (k *Keeper) wanted(fits []Fit) []Counted {
	doc := &k.Doc
	policy, _, err := doc.Rule()
	if err != nil || policy.Kind == quorum.KindAsync && doc.Slack() == 0 {
		return doc.Agreed.InSync[:1:1]
	}
	want := doc.Agreed.InSync[:1:1]
	most := policy.K
	if policy.Kind != quorum.KindFirst { // under async too
		most = len(doc.Voters) - 1
	}
	for _, n := range order(doc, policy) {
		if c, ok := k.fit(n, fits); ok && len(want) <= most {
			want = append(want, c)
		}
	}
	if c, ok := k.fit(k.heir, fits); ok && slices.Contains(doc.Voters, k.heir) && !slices.Contains(want, c) {
		want = append(want, c)
	}
	for _, c := range doc.Agreed.InSync[1:] { // who fell silent stays where nobody takes his place, and under Any always
		if len(want) >= doc.Agreed.Minimum && policy.Kind != quorum.KindAny {
			break
		}
		if slices.Contains(doc.Voters, c.Node) && !slices.ContainsFunc(want, func(w Counted) bool { return w.Node == c.Node }) {
			want = append(want, c)
		}
	}
	return want
}

// fit returns the directory of n that is to be in sync, if there is one: a member
// that keeps up, or a newcomer that has caught up.
func (k *Keeper) fit(n topology.NodeID, fits []Fit) (Counted, bool) {
	for _, f := range fits {
		if f.Node == n && f.Healthy && (f.Caught || k.Doc.Agreed.has(n, f.Life)) {
			return f.Counted, true
		}
	}
	return Counted{}, false
}

// order returns the voters but the leader, as the policy prefers them.
func order(g *Group, p quorum.Policy) []topology.NodeID {
	var out []topology.NodeID
	for _, n := range p.Of {
		out = append(out, topology.NodeID(n))
	}
	for _, n := range g.Voters {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return slices.DeleteFunc(out, func(n topology.NodeID) bool { return n == g.Leader })
}
