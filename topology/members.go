package topology

import (
	"cmp"
	"context"
	"slices"
)

// MemberRole is what a member is there for.
type MemberRole string

// The roles of members.
const (
	MemberVoter       MemberRole = "voter"        // commits may count it, and it may lead
	MemberReadReplica MemberRole = "read-replica" // it copies the log, and is never counted
	MemberWitness     MemberRole = "witness"      // it keeps no data
)

// Valid reports whether there is such a role.
func (r MemberRole) Valid() bool {
	return r == MemberVoter || r == MemberReadReplica || r == MemberWitness
}

// Seat is a member as the group's own record names it.
type Seat struct {
	Member
	Role  MemberRole
	Votes bool // in the elections of the control, where members keep that themselves
	Given bool // its address was given as it was added: no configuration knows better
}

// MemberChange is a change of the members that has begun and is not over. The zero
// value is none.
type MemberChange struct {
	Op    MemberOp
	Node  NodeID
	Waits string // what for, as far as the node that was asked knows
}

// MemberOp says what is done to a member.
type MemberOp uint8

// What may be done to a member.
const (
	NoChange MemberOp = iota
	Adding
	Removing
)

func (k MemberOp) String() string {
	return [...]string{"none", "adding", "removing"}[min(k, Removing)]
}

// Back returns the command that takes such a change back.
func (k MemberOp) Back() string {
	if k == Removing {
		return "add"
	}
	return "remove"
}

// MemberChanger is an optional ability of an engine: members come and go while it
// works, one at a time (rule S15).
type MemberChanger interface {
	// AddMember takes a node in: at once as one that follows, and where it is to vote,
	// it is counted once it has caught up. It is asked of the leader; anybody else says
	// ErrNotLeader. It returns when the node is in. An error that is Unknown may mean
	// that the change goes on by itself, which Status shows; RemoveMember takes it back.
	AddMember(ctx context.Context, s Seat) error
	// RemoveMember lets a node go: it is counted until another may be in its place, and
	// then no member any more. The leader is not removed, nor one without whom too few
	// would be left for any commit. Else it is as AddMember, which takes it back.
	RemoveMember(ctx context.Context, id NodeID) error
	// Seats returns the members by the group's own record; nil as long as they are
	// those of the configuration.
	Seats() []Seat
}

// Electorate is an optional ability of a control backend that nodes keep themselves:
// who votes in it changes while it works.
type Electorate interface {
	// Electors returns who is to vote, as far as this node knows, and whether they do,
	// and nobody else.
	Electors() (ids []NodeID, settled bool)
	// Elect makes these the ones who are to vote, from now on; the backend sees to it
	// in its own time, one after another.
	Elect(ctx context.Context, ids []NodeID) error
}

// Admitter is an optional ability of a membership: to have members that the
// configuration does not name.
type Admitter interface {
	// Admit makes these members, at these addresses until something is heard of them.
	// Nobody stops being one, so that who was removed can be told so: who counts is
	// decided elsewhere.
	Admit(ms ...Member)
}

// Admit returns v with ms among its members, up to most of them, and where ms says, but
// for whom it is known better. Who had the address of one of them has none any more: it
// is there no longer. v stays as it is.
func (v View) Admit(ms []Member, most int, better func(Member) bool) View {
	next := slices.Clone(v.Members)
	for _, m := range ms {
		at, known := slices.BinarySearchFunc(next, m.ID, func(o Member, id NodeID) int { return cmp.Compare(o.ID, id) })
		switch {
		case !m.ID.Valid() || known && better(next[at]):
			continue
		case known:
			next[at].Addr = m.Addr
		case len(next) >= most:
			continue
		default:
			m.Liveness = LivenessUnknown
			if i := slices.IndexFunc(v.Strangers, func(o Member) bool { return o.ID == m.ID }); i >= 0 && v.Strangers[i].Addr != "" {
				m = v.Strangers[i]
			}
			next = slices.Insert(next, at, m)
		}
		for i := range next {
			if i != at && next[i].Addr == m.Addr {
				next[i].Addr = ""
			}
		}
	}
	named := func(o Member) bool { return slices.ContainsFunc(next, func(m Member) bool { return m.ID == o.ID }) }
	return View{Members: next, Strangers: slices.DeleteFunc(slices.Clone(v.Strangers), named)}
}
