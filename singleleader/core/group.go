package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Group is the control document of a single-leader group (S1): who leads in
// which term, by which policy, and who may vote.
type Group struct {
	Reign
	Life   uint64 // of the leader's directory; 0 in the first document, which the configuration wrote
	Origin version.Origin
	Voters []topology.NodeID // who is counted and may be elected, in order of preference
	Why    Why               // this term is started, by the node that is about to; not in the document
	Before []Reign           // older terms that this one was not proven to hold everything of, oldest first
	Roster *Roster           // nil as long as the configurations say who is a member
	Forks  []Fork            // where the history has parted by the will of an operator, oldest first
	Agreed *Agreed           // nil where no control agrees upon it, and people say who leads (K2)
}

// Reign is one term, as far as a later election must know it.
type Reign struct {
	Term   uint64
	Leader topology.NodeID
	Policy string   // as quorum prints it
	Lives  []uint64 // of the voters' directories when the term was made; 0 where not known
}

const (
	groupFormat   = 1
	forkedFormat  = 2 // with the forks behind the rest, where there are any
	groupFields   = 7
	agreedFields  = 8
	rosterFields  = 9 // only where nodes agree
	addrBytesMax  = 1 << 10
	votersMax     = 1 << 10
	beforeMax     = 64
	nameBytesMax  = 255
	policyByteMax = 64 << 10
)

// Encode returns the document as it is stored and sent.
func (g *Group) Encode() []byte {
	w := pack.NewWriter(nil)
	fields := groupFields
	switch {
	case g.Agreed != nil && g.Roster != nil:
		fields = rosterFields
	case g.Agreed != nil:
		fields = agreedFields
	}
	if len(g.Forks) > 0 {
		w.Array(fields + 1)
		w.Uint(forkedFormat)
	} else {
		w.Array(fields)
		w.Uint(groupFormat)
	}
	w.Uint(g.Life)
	w.Uint(uint64(g.Origin.ID))
	w.Uint(uint64(g.Origin.Incarnation))
	w.Array(len(g.Voters))
	for _, v := range g.Voters {
		w.Str(string(v))
	}
	g.Reign.encode(w)
	w.Array(len(g.Before))
	for i := range g.Before {
		g.Before[i].encode(w)
	}
	if g.Agreed != nil {
		g.Agreed.encode(w)
	}
	if fields == rosterFields {
		g.Roster.encode(w)
	}
	if len(g.Forks) > 0 {
		encodeForks(w, g.Forks)
	}
	return w.Bytes()
}

func (t *Reign) encode(w *pack.Writer) {
	w.Array(4)
	w.Uint(t.Term)
	w.Str(string(t.Leader))
	w.Str(t.Policy)
	w.Array(len(t.Lives))
	for _, l := range t.Lives {
		w.Uint(l)
	}
}

// DecodeGroup reads what Encode returned.
func DecodeGroup(b []byte) (Group, error) {
	r := pack.NewReader(b)
	fields, format := r.Array(), r.Uint()
	if r.Err() == nil && format != groupFormat && format != forkedFormat {
		return Group{}, fmt.Errorf("group document of format %d, this version knows %d and %d", format, groupFormat, forkedFormat)
	}
	if format == forkedFormat {
		fields--
	}
	if r.Err() == nil && fields != groupFields && fields != agreedFields && fields != rosterFields {
		r.Fail("it has neither the fields of a group nor of one that is agreed upon")
	}
	g := Group{
		Life:   r.Uint(),
		Origin: version.Origin{ID: uint32(r.UintMax(1<<32 - 1)), Incarnation: uint32(r.UintMax(1<<32 - 1))},
	}
	for n := r.ArrayMax(votersMax); n > 0; n-- {
		g.Voters = append(g.Voters, topology.NodeID(r.StrMax(nameBytesMax)))
	}
	g.Reign = decodeReign(&r)
	for n := r.ArrayMax(beforeMax); n > 0; n-- {
		g.Before = append(g.Before, decodeReign(&r))
	}
	if fields >= agreedFields {
		g.Agreed = decodeAgreed(&r)
	}
	if fields == rosterFields {
		g.Roster = decodeRoster(&r)
	}
	if format == forkedFormat {
		g.Forks = decodeForks(&r)
	}
	err := r.Done()
	if err == nil {
		err = g.fits()
	}
	if err != nil {
		return Group{}, fmt.Errorf("group document: %w", err)
	}
	return g, nil
}

func decodeReign(r *pack.Reader) Reign {
	r.ArrayOf(4)
	t := Reign{Term: r.Uint(), Leader: topology.NodeID(r.StrMax(nameBytesMax)), Policy: r.StrMax(policyByteMax)}
	for n := r.ArrayMax(votersMax); n > 0; n-- {
		t.Lives = append(t.Lives, r.Uint())
	}
	return t
}

// rule returns what commits count in term t of a group with these voters.
func (t *Reign) rule(voters []topology.NodeID) (quorum.Policy, quorum.Rule[topology.NodeID], error) {
	p, err := quorum.Parse(t.Policy)
	if err != nil {
		return p, quorum.Rule[topology.NodeID]{}, err
	}
	r, err := quorum.NewRule(p, t.Leader, voters)
	return p, r, err
}

// Rule returns what commits of the group's term count.
func (g *Group) Rule() (quorum.Policy, quorum.Rule[topology.NodeID], error) { return g.rule(g.Voters) }

// life returns the directory that voter v had when the term was made.
func (t *Reign) life(voters []topology.NodeID, v topology.NodeID) uint64 {
	if i := slices.Index(voters, v); i >= 0 && i < len(t.Lives) {
		return t.Lives[i]
	}
	return 0
}

// Lossy reports whether the term of g may have begun without something that was
// committed before it.
func (g *Group) Lossy() bool {
	switch g.cause() {
	case Forced, Restored:
		return true
	case Chosen, Elected:
		p, err := quorum.Parse(g.Policy)
		return err != nil || p.Kind == quorum.KindAsync
	}
	return false
}
