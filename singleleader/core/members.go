package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Roster is who belongs to a group, by its own document. Before the first member was
// added or removed a document has none: then the configurations say it.
type Roster struct {
	Seats  []topology.Seat // of all members, in order of preference
	Change Change
}

// Change is the one change of the members that has begun and is not over (S15). The
// zero value is none.
type Change struct {
	Op   topology.MemberOp
	Node topology.NodeID
}

// seat returns where n stands among the seats, −1 for who is no member.
func (r *Roster) seat(n topology.NodeID) int {
	return slices.IndexFunc(r.Seats, func(s topology.Seat) bool { return s.ID == n })
}

// Has reports whether n is a member.
func (r *Roster) Has(n topology.NodeID) bool { return r.seat(n) >= 0 }

// electorsMax is how many members vote in the control, where they keep that themselves.
const electorsMax = 5

func (r *Roster) votes() (n int) {
	for _, s := range r.Seats {
		if s.Votes {
			n++
		}
	}
	return n
}

// Electors returns who is to vote in the control, nil where nobody is or the document
// does not say; and false while a change is under way, after which it is time to see to it.
func (g *Group) Electors() (ids []topology.NodeID, ok bool) {
	if g.Roster == nil || g.Changes() {
		return nil, false
	}
	for _, s := range g.Roster.Seats {
		if s.Votes {
			ids = append(ids, s.ID)
		}
	}
	return ids, len(ids) > 0
}

// Frees reports whether g, which comes after old, takes or begins to take a vote in the
// control from a member that has one.
func Frees(old, g *Group) bool {
	if old.Roster == nil {
		return false
	}
	for _, s := range old.Roster.Seats {
		if s.Votes && (g.Lacks(s.ID) || g.changing(topology.Removing) == s.ID) {
			return true
		}
	}
	return false
}

// Lacks reports whether the document names the members, and n is none of them: it was
// removed, or was never added.
func (g *Group) Lacks(n topology.NodeID) bool { return g.Roster != nil && g.Roster.seat(n) < 0 }

// Changes reports whether a change of the members is under way.
func (g *Group) Changes() bool { return g.Roster != nil && g.Roster.Change.Op != topology.NoChange }

// Judges reports whether the leader looks at how n keeps up: it votes, or is to.
func (g *Group) Judges(n topology.NodeID) bool {
	return slices.Contains(g.Voters, n) || g.changing(topology.Adding) == n
}

// changing returns whom a change is about that is under way, nobody where it is not of
// that kind.
func (g *Group) changing(k topology.MemberOp) topology.NodeID {
	if g.Roster == nil || g.Roster.Change.Op != k {
		return ""
	}
	return g.Roster.Change.Node
}

// Leaving returns who is being removed, nobody where no one is.
func Leaving(g *Group) topology.NodeID { return g.changing(topology.Removing) }

// begin returns a document with other seats and another change under way.
func (g Group) begin(seats []topology.Seat, c Change) Group {
	g.Roster = &Roster{Seats: seats, Change: c}
	return g
}

// rosterOf returns the members, which are those of the configuration where the document
// has never named them.
func rosterOf(g *Group, configured []topology.Seat) Roster {
	if g.Roster != nil {
		return *g.Roster
	}
	return Roster{Seats: configured}
}

// busy returns why no other change may begin than one of n, of that kind or of its
// opposite.
func (r *Roster) busy(op string, n topology.NodeID) error {
	if c := r.Change; c.Op != topology.NoChange && c.Node != n {
		return fmt.Errorf("%w: %s %s: one change at a time, and %v %s is not over: `triad status` shows what it waits for; `triad member %s %s` takes it back",
			topology.ErrConflict, op, n, c.Op, c.Node, c.Op.Back(), c.Node)
	}
	return nil
}

// AddMember returns the document that begins to add s, or is what adding it comes to;
// that of g where it is under way or done.
func (g Group) AddMember(configured []topology.Seat, s topology.Seat) (Group, error) {
	const op = "add"
	r := rosterOf(&g, configured)
	if err := changeable(&g); err != nil {
		return g, err
	}
	if err := r.busy(op, s.ID); err != nil {
		return g, err
	}
	if at := r.seat(s.ID); at >= 0 {
		have := r.Seats[at]
		switch {
		case have.Addr != s.Addr || have.Role != s.Role || have.Votes != s.Votes:
			return g, fmt.Errorf("%w: add %s: it is a member already, a %s at %s", topology.ErrConflict, s.ID, have.Role, have.Addr)
		case g.changing(topology.Removing) == s.ID:
			return g.begin(r.Seats, Change{}), nil // it never ceased to be counted
		}
		return g, nil
	}
	if at := slices.IndexFunc(r.Seats, func(o topology.Seat) bool { return o.Addr == s.Addr }); at >= 0 {
		return g, fmt.Errorf("%w: add %s: its address %s is that of %s", topology.ErrConflict, s.ID, s.Addr, r.Seats[at].ID)
	}
	if len(r.Seats) >= votersMax {
		return g, fmt.Errorf("%w: add %s: %d members are as many as there may be", topology.ErrTooLarge, s.ID, len(r.Seats))
	}
	if s.Votes && r.votes() >= electorsMax {
		return g, fmt.Errorf("%w: add %s: %d members vote in the control, as many as may: remove one first", topology.ErrTooLarge, s.ID, r.votes())
	}
	p, _, err := g.Rule()
	if err != nil {
		return g, err
	}
	var c Change
	if s.Role == topology.MemberVoter && p.Kind != quorum.KindAsync {
		c = Change{topology.Adding, s.ID}
	}
	s.Liveness, s.Given = topology.LivenessUnknown, true
	return g.begin(append(slices.Clone(r.Seats), s), c), nil
}

// RemoveMember returns the document that begins to remove n, or is what removing it
// comes to; that of g where it is under way.
func (g Group) RemoveMember(configured []topology.Seat, n topology.NodeID) (Group, error) {
	const op = "remove"
	r := rosterOf(&g, configured)
	if err := changeable(&g); err != nil {
		return g, err
	}
	if err := r.busy(op, n); err != nil {
		return g, err
	}
	switch {
	case r.seat(n) < 0:
		return g, fmt.Errorf("%w: remove %s: it is no member", topology.ErrNotFound, n)
	case n == g.Leader:
		return g, fmt.Errorf("%w: remove %s: it leads: run `triad switchover --to` another node first", topology.ErrConflict, n)
	case g.changing(topology.Removing) == n:
		return g, nil
	case r.Seats[r.seat(n)].Votes && r.votes() == 1:
		return g, fmt.Errorf("%w: remove %s: nobody else votes in the control: add one that does first", topology.ErrConflict, n)
	case !slices.Contains(g.Voters, n): // nothing was ever counted on it
		return g.begin(without(r.Seats, n), Change{}), nil
	}
	g = g.begin(r.Seats, Change{topology.Removing, n})
	next, err := g.target()
	if err == nil {
		_, _, err = next.Rule()
	}
	if err != nil {
		return g, fmt.Errorf("%w: remove %s: too few would be left: %w", topology.ErrConflict, n, err)
	}
	return g, nil
}

func changeable(g *Group) error {
	if g.Agreed == nil {
		return fmt.Errorf("%w: nobody agrees upon the members here (control static): change `members` in every node's configuration", topology.ErrUnsupported)
	}
	return nil
}

func without(seats []topology.Seat, n topology.NodeID) []topology.Seat {
	return slices.DeleteFunc(slices.Clone(seats), func(s topology.Seat) bool { return s.ID == n })
}

// target returns the document that a change under way leads to, but for who is in sync:
// who is added is a voter, who is removed is nothing any more.
func (g Group) target() (Group, error) {
	p, _, err := g.Rule()
	if err != nil {
		return g, err
	}
	c, a := g.Roster.Change, *g.Agreed
	next := g.begin(g.Roster.Seats, Change{})
	switch c.Op {
	case topology.Adding:
		p.Of = append(slices.Clone(p.Of), string(c.Node))
		next.Voters = append(slices.Clone(g.Voters), c.Node)
	case topology.Removing:
		next.Roster.Seats = without(g.Roster.Seats, c.Node)
		p.Of = slices.DeleteFunc(slices.Clone(p.Of), func(n string) bool { return n == string(c.Node) })
		next.Voters = slices.DeleteFunc(slices.Clone(g.Voters), func(n topology.NodeID) bool { return n == c.Node })
	}
	next.Policy, next.Agreed = p.String(), &a
	_, r, err := next.Rule()
	if p.Kind != quorum.KindFirst { // there the configuration may want fewer, and k is the same
		a.Minimum = r.Needed()
	}
	return next, err
}

// step returns the document that ends the change under way, if it can be ended now
// (S15).
//
// Who is added is counted from the swap on that makes it a voter, and not before it
// has caught up. Who is removed leaves the in-sync set and the voters in one swap,
// whose minimum is then met by the others; until that is known to have succeeded it is
// waited for. Under Any it stops counting before the swap is asked, and the swap is
// asked once enough of the others have all that was committed by then: an election
// reaches whom it has to reach at all times.
func (k *Keeper) step(fits []Fit) (Group, bool) {
	doc := &k.Doc
	if doc.Roster == nil || doc.Roster.Change.Op == topology.NoChange {
		return Group{}, false
	}
	c := doc.Roster.Change
	next, err := doc.target()
	if err != nil || c.Node == doc.Leader {
		return Group{}, false // who leads is waited for until another does
	}
	to := Keeper{Doc: next}
	want := to.wanted(fits)
	policy, rule, _ := next.Rule()
	switch {
	case c.Op == topology.Adding:
		if _, ok := k.fit(c.Node, fits); !ok {
			return Group{}, false
		}
	case policy.Kind == quorum.KindAny:
		want = slices.DeleteFunc(slices.Clone(doc.Agreed.InSync), func(m Counted) bool { return m.Node == c.Node })
		if len(want) == len(doc.Agreed.InSync) {
			break // it never counted
		}
		if !k.covered(want, fits, rule.Needed()) {
			k.released = ""
			return Group{}, false
		}
		if k.released != c.Node {
			k.released = c.Node
			return Group{}, false // until it is known what was committed without it
		}
	case len(want) < next.Agreed.Minimum && doc.Agreed.involves(c.Node):
		return Group{}, false
	}
	a := next.Agreed.become(want)
	next.Agreed = &a
	return next, true
}

// covered reports whether enough of set, the leader among them, keep up and have
// everything that is committed.
func (k *Keeper) covered(set []Counted, fits []Fit, enough int) bool {
	n := 1 // the leader
	for _, f := range fits {
		if f.Healthy && f.Caught && slices.Contains(set, f.Counted) {
			n++
		}
	}
	return n >= enough
}

// involves reports whether an election may need n, in whatever directory.
func (a *Agreed) involves(n topology.NodeID) bool {
	return slices.ContainsFunc(append(slices.Clone(a.InSync), a.Eligible...), func(c Counted) bool { return c.Node == n })
}

// within returns what v says of the members of g, where its document names them: their
// roles are the document's, and nobody becomes a voter by an election.
func (v Voting) within(g *Group, before []topology.NodeID) (Voting, []topology.NodeID) {
	if g.Roster == nil {
		return v, before
	}
	v.Members, v.ReadReplicas = nil, nil
	var voters []topology.NodeID
	for _, s := range g.Roster.Seats {
		switch s.Role {
		case topology.MemberVoter:
			v.Members = append(v.Members, s.ID)
			voters = append(voters, s.ID)
		case topology.MemberReadReplica:
			v.Members = append(v.Members, s.ID)
			v.ReadReplicas = append(v.ReadReplicas, s.ID)
		}
	}
	if p, _, err := g.Rule(); err == nil && p.Kind == quorum.KindAsync { // which has no voters but the leader
		before = slices.DeleteFunc(voters, func(n topology.NodeID) bool { return n == g.changing(topology.Adding) })
	}
	of := slices.DeleteFunc(slices.Clone(v.Sync.Of), func(n string) bool { return !slices.Contains(before, topology.NodeID(n)) })
	for _, n := range before {
		if !slices.Contains(of, string(n)) {
			of = append(of, string(n))
		}
	}
	v.Sync.Of = of
	return v, before
}

// fits returns why the members contradict the rest of the document.
func (r *Roster) fits(g *Group) error {
	seen := map[topology.NodeID]bool{}
	for _, s := range r.Seats {
		if !s.ID.Valid() || seen[s.ID] {
			return fmt.Errorf("member %q is named twice, or is not a node's name", s.ID)
		}
		seen[s.ID] = true
	}
	for _, v := range g.Voters {
		if !seen[v] {
			return fmt.Errorf("%s votes, and is no member", v)
		}
	}
	if c := r.Change; c.Op != topology.NoChange && !seen[c.Node] {
		return fmt.Errorf("%v %s, which is no member", c.Op, c.Node)
	}
	return nil
}

// Encode returns it as it is kept beside the log.
func (r *Roster) Encode() []byte {
	w := pack.NewWriter(nil)
	r.encode(w)
	return w.Bytes()
}

// DecodeRoster reads what Encode returned.
func DecodeRoster(b []byte) (*Roster, error) {
	r := pack.NewReader(b)
	out := decodeRoster(&r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	return out, nil
}

func (r *Roster) encode(w *pack.Writer) {
	w.Array(3)
	w.Array(len(r.Seats))
	for _, s := range r.Seats {
		w.Array(6)
		w.Str(string(s.ID))
		w.Str(s.Addr)
		w.Str(s.Site)
		w.Str(string(s.Role))
		w.Bool(s.Votes)
		w.Bool(s.Given)
	}
	w.Uint(uint64(r.Change.Op))
	w.Str(string(r.Change.Node))
}

func decodeRoster(r *pack.Reader) *Roster {
	r.ArrayOf(3)
	out := &Roster{}
	for n := r.ArrayMax(votersMax); n > 0 && r.Err() == nil; n-- {
		r.ArrayOf(6)
		s := topology.Seat{Member: topology.Member{ID: topology.NodeID(r.StrMax(nameBytesMax)), Addr: r.StrMax(addrBytesMax), Site: r.StrMax(nameBytesMax)}}
		if s.Role = topology.MemberRole(r.StrMax(nameBytesMax)); !s.Role.Valid() && r.Err() == nil {
			r.Fail(fmt.Sprintf("a member's role is %q", s.Role))
		}
		s.Votes, s.Given = r.Bool(), r.Bool()
		out.Seats = append(out.Seats, s)
	}
	out.Change = Change{topology.MemberOp(r.UintMax(uint64(topology.Removing))), topology.NodeID(r.StrMax(nameBytesMax))}
	return out
}
