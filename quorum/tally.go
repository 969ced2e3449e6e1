package quorum

import (
	"iter"
	"math/bits"
	"slices"
)

// Verdict is what a [Tally] knows so far.
type Verdict uint8

// The verdicts. Those but Pending are final.
const (
	Pending     Verdict = iota // neither yet
	Reached                    // enough have said yes
	Unreachable                // too many have said no
)

func (v Verdict) String() string {
	return [...]string{"pending", "reached", "unreachable"}[min(v, Unreachable)]
}

// Tally counts the answers to one question under one rule. Each member's first
// answer counts; later ones, and those of nodes that are no members, change
// nothing. It belongs to one goroutine.
type Tally[N ~string] struct {
	members []N // of the rule, shared with it
	need    int
	must    uint64 // members without whom nothing is reached, by index
	yes, no uint64
	reasons []reason
}

type reason struct {
	member int
	err    error
}

// Tally returns an empty tally of acknowledgements: it is reached once the
// leader and enough others have said yes.
func (r Rule[N]) Tally() Tally[N] { return Tally[N]{members: r.members, need: r.needed, must: 1} }

// PollTally returns an empty tally of an election's poll: it is reached once
// any [Rule.Poll] members have said yes (rule S4).
func (r Rule[N]) PollTally() Tally[N] { return Tally[N]{members: r.members, need: r.Poll()} }

// Yes counts an answer of node, and returns the verdict.
func (t *Tally[N]) Yes(node N) Verdict {
	t.yes |= t.fresh(node)
	return t.Verdict()
}

// No counts a refusal or a failure of node with its reason, and returns the
// verdict.
func (t *Tally[N]) No(node N, why error) Verdict {
	if bit := t.fresh(node); bit != 0 {
		t.no |= bit
		t.reasons = append(t.reasons, reason{bits.TrailingZeros64(bit), why})
	}
	return t.Verdict()
}

// fresh returns the bit of a member that has not answered, 0 for anybody else.
func (t *Tally[N]) fresh(node N) uint64 {
	i := slices.Index(t.members, node)
	if i < 0 {
		return 0
	}
	return 1 << i &^ (t.yes | t.no)
}

// Verdict returns what is known so far.
func (t *Tally[N]) Verdict() Verdict {
	switch {
	case t.need == 0 || t.must&t.no != 0 || len(t.members)-bits.OnesCount64(t.no) < t.need:
		return Unreachable
	case t.must&^t.yes == 0 && bits.OnesCount64(t.yes) >= t.need:
		return Reached
	}
	return Pending
}

// Agreed yields who has said yes, by index.
func (t *Tally[N]) Agreed() iter.Seq[N] { return t.marked(t.yes) }

// Silent yields who has not answered, by index.
func (t *Tally[N]) Silent() iter.Seq[N] { return t.marked(^(t.yes | t.no)) }

func (t *Tally[N]) marked(set uint64) iter.Seq[N] {
	return func(yield func(N) bool) {
		for i, n := range t.members {
			if set&(1<<i) != 0 && !yield(n) {
				return
			}
		}
	}
}

// Reasons yields who has said no and why, in the order of arrival.
func (t *Tally[N]) Reasons() iter.Seq2[N, error] {
	return func(yield func(N, error) bool) {
		for _, r := range t.reasons {
			if !yield(t.members[r.member], r.err) {
				return
			}
		}
	}
}
