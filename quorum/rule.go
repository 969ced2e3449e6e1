package quorum

import (
	"fmt"
	"slices"
)

// Rule is a policy for one leader and its voters: what a commit needs in one
// term. It is a value, is never changed, and may be used from any goroutine. The
// leader is member 0, the others follow in the policy's order. The zero Rule has
// no members and is never satisfied.
type Rule[N ~string] struct {
	Need[N]
	needed int // how many members, the leader included
}

// NewRule returns the rule of p for leader, who must be one of voters. Its
// errors wrap [ErrPolicy]: a policy that is not valid; a leader that is no
// voter; a voter given twice; a listed node that is no voter; fewer listed
// nodes than the policy needs besides the leader.
//
// The order of voters matters to a policy without a list: First takes them in
// that order.
func NewRule[N ~string](p Policy, leader N, voters []N) (Rule[N], error) {
	var none Rule[N]
	if err := p.Validate(); err != nil {
		return none, err
	}
	if err := checkNames("voters", voters); err != nil {
		return none, err
	}
	if !slices.Contains(voters, leader) {
		return none, fmt.Errorf("%w: %v: the leader %q is none of the voters %v", ErrPolicy, p, leader, voters)
	}
	members := []N{leader}
	for _, n := range listed(p, voters) {
		if !slices.Contains(voters, n) {
			return none, fmt.Errorf("%w: %v: %s is none of the voters %v", ErrPolicy, p, n, voters)
		}
		if n != leader {
			members = append(members, n)
		}
	}
	if others := len(members) - 1; p.K > others {
		return none, fmt.Errorf("%w: %v led by %s: %d are needed besides the leader, %d are listed", ErrPolicy, p, leader, p.K, others)
	}
	switch p.Kind {
	case KindAsync:
		members = members[:1]
	case KindFirst:
		members = members[:p.K+1]
	case KindAny:
		return led(members, p.K+1), nil
	}
	return led(members, len(members)), nil
}

// led returns the rule that needed members keep, the leader among them.
func led[N ~string](members []N, needed int) Rule[N] {
	r := Rule[N]{Need: Need[N]{members: members}, needed: needed}
	all := r.all()
	r.form = form{need: needed, of: all}
	if needed == 1 {
		r.form.of = 1
	} else if needed < len(members) {
		r.form = form{must: 1, need: needed - 1, of: all &^ 1}
	}
	return r
}

func listed[N ~string](p Policy, voters []N) []N {
	if len(p.Of) == 0 {
		return voters
	}
	of := make([]N, len(p.Of))
	for i, n := range p.Of {
		of[i] = N(n)
	}
	return of
}

// Set returns who commits wait for under p, the leader first: all of them, or
// under Any those of whom enough must have a write. Its errors are those of
// [NewRule].
func Set[N ~string](p Policy, leader N, voters []N) ([]N, error) {
	r, err := NewRule(p, leader, voters)
	return r.Members(), err
}

// Leader returns member 0.
func (r Rule[N]) Leader() N {
	if len(r.members) == 0 {
		return ""
	}
	return r.members[0]
}

// Needed returns how many members must have a write before it is committed, the
// leader included: q. But for Any it is also the default of the least size of
// the in-sync set (rule S1).
func (r Rule[N]) Needed() int { return r.needed }

// Poll returns how many members an election must reach so that it meets every
// write this rule has committed: n − q + 1 (rule S4). 0 for the zero Rule.
func (r Rule[N]) Poll() int {
	if r.needed == 0 {
		return 0
	}
	return len(r.members) - r.needed + 1
}

// PollTally returns an empty tally of an election's poll: it is reached once any
// [Rule.Poll] members have said yes (rule S4).
func (r Rule[N]) PollTally() Tally[N] {
	r.form = form{need: r.Poll(), of: r.all()}
	return r.Need.Tally()
}

// Commit returns the greatest position that the leader and enough others have,
// where flushed holds each member's durable position by its index. It is 0
// where flushed is shorter than the members, and ignores what is longer.
func (r Rule[N]) Commit(flushed []uint64) uint64 {
	if len(r.members) == 0 || len(flushed) < len(r.members) {
		return 0
	}
	flushed = flushed[:len(r.members)]
	if r.needed == len(flushed) {
		return slices.Min(flushed)
	}
	// Groups are small: counting for each candidate beats sorting a copy.
	var best uint64
	for _, at := range flushed {
		if at > best && r.form.met(reached(flushed, at)) {
			best = at
		}
	}
	return best
}

// reached returns who stands at or beyond at.
func reached(flushed []uint64, at uint64) (set uint64) {
	for i, f := range flushed {
		if f >= at {
			set |= 1 << i
		}
	}
	return set
}

// Satisfied reports whether those for whom have is true are enough, the leader
// among them: of an answer that every member of the set must give (rule S7), or
// under Any q of them. It asks about each member at most once, in order of
// index, and stops as soon as it knows.
func (r Rule[N]) Satisfied(have func(member int) bool) bool {
	yes, open := uint64(0), r.all()
	for i := range r.members {
		if r.form.met(yes) || !r.form.met(yes|open) {
			break
		}
		open &^= 1 << i
		if have(i) {
			yes |= 1 << i
		}
	}
	return r.form.met(yes)
}
