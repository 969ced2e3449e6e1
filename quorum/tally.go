package quorum

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strings"
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

// Tally counts the answers to one question under one need. Each member's first
// answer counts; later ones, and those of nodes that are no members, change
// nothing. Answers that come after the verdict are still kept, so that it can say
// what they would have been enough for ([Tally.Shadow]). It belongs to one
// goroutine.
type Tally[N ~string] struct {
	need    Need[N]
	epoch   uint64
	yes, no uint64
	reasons []reason
}

type reason struct {
	member int
	err    error
}

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

// Answer counts what node said under a map's epoch: yes if why is nil. An answer of
// another epoch than the tally's is no answer: under that map the node may not be
// a replica, or others are.
func (t *Tally[N]) Answer(node N, epoch uint64, why error) Verdict {
	switch {
	case epoch != t.epoch:
		return t.Verdict()
	case why != nil:
		return t.No(node, why)
	}
	return t.Yes(node)
}

// fresh returns the bit of a member that has not answered, 0 for anybody else.
func (t *Tally[N]) fresh(node N) uint64 {
	i := slices.Index(t.need.members, node)
	if i < 0 {
		return 0
	}
	return 1 << i &^ (t.yes | t.no)
}

// Verdict returns what is known so far.
func (t *Tally[N]) Verdict() Verdict {
	switch {
	case t.need.form.met(t.yes):
		return Reached
	case !t.need.form.met(t.need.all() &^ t.no):
		return Unreachable
	}
	return Pending
}

// Agreed yields who has said yes, by index.
func (t *Tally[N]) Agreed() iter.Seq[N] { return t.marked(t.yes) }

// Silent yields who has not answered, by index.
func (t *Tally[N]) Silent() iter.Seq[N] { return t.marked(^(t.yes | t.no)) }

func (t *Tally[N]) marked(set uint64) iter.Seq[N] {
	return func(yield func(N) bool) {
		for i, n := range t.need.members {
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
			if !yield(t.need.members[r.member], r.err) {
				return
			}
		}
	}
}

// Satisfies reports whether those who have said yes would be enough for another
// need too, whatever its members are.
func (t *Tally[N]) Satisfies(other Need[N]) bool {
	set := uint64(0)
	for i, m := range other.members {
		if j := slices.Index(t.need.members, m); j >= 0 && t.yes&(1<<j) != 0 {
			set |= 1 << i
		}
	}
	return other.form.met(set)
}

// Level is a need by the name under which it is reported.
type Level[N ~string] struct {
	Name string
	Need Need[N]
}

// Levels binds the expressions to the replicas, each under its own text. Those
// that mean nothing there, such as a local quorum without sites, are left out.
func Levels[N ~string](replicas []Replica[N], local string, exprs ...Expr) (out []Level[N]) {
	for _, e := range exprs {
		if n, err := Bind(e, replicas, local); err == nil {
			out = append(out, Level[N]{Name: e.String(), Need: n})
		}
	}
	return out
}

// Shadow yields those of levels that the answers so far are enough for: what a
// request of a stricter level would have got from the same answers.
func (t *Tally[N]) Shadow(levels []Level[N]) iter.Seq[Level[N]] {
	return func(yield func(Level[N]) bool) {
		for _, l := range levels {
			if t.Satisfies(l.Need) && !yield(l) {
				return
			}
		}
	}
}

// missingMax is how many of the smallest sets Missing returns.
const missingMax = 16

// Missing returns the smallest sets of silent members whose yes would be enough,
// [missingMax] of them at most; none where the verdict is final. Where there are
// too many to try it returns one that has no member to spare.
func (t *Tally[N]) Missing() (out [][]N) {
	if t.Verdict() != Pending {
		return nil
	}
	f, open := &t.need.form, t.need.all()&^(t.yes|t.no)
	size, ok := f.least(t.need.all()&^t.no, t.yes)
	silent := make([]uint64, 0, MembersMax)
	for o := open; o != 0; o &= o - 1 {
		silent = append(silent, o&-o)
	}
	if !ok || size > len(silent) || len(silent) > 20 {
		return [][]N{t.need.named(f.spared(open, t.yes))}
	}
	for pick := uint64(1)<<size - 1; pick < 1<<len(silent) && len(out) < missingMax; pick = next(pick) {
		set := uint64(0)
		for p := pick; p != 0; p &= p - 1 {
			set |= silent[bits.TrailingZeros64(p)]
		}
		if f.met(t.yes | set) {
			out = append(out, t.need.named(set))
		}
	}
	return out
}

// spared takes members off a set for as long as the others are enough together
// with have.
func (f *form) spared(set, have uint64) uint64 {
	return f.trimmed(set|have) &^ have
}

// Lacks says in words what is missing: "1 more of b, c in site eu". It is empty
// once the tally is reached.
func (t *Tally[N]) Lacks() string {
	return t.need.lacks(&t.need.form, t.yes, t.no)
}

func (n *Need[N]) lacks(f *form, yes, no uint64) string {
	if f.need == 0 {
		return "nobody is asked"
	}
	if f.met(yes) {
		return ""
	}
	if f.must&^yes != 0 {
		rest := *f
		rest.must = 0
		if more := n.lacks(&rest, yes, no); more != "" {
			return n.list(f.must&^yes) + " and " + more
		}
		return n.list(f.must &^ yes)
	}
	if len(f.sub) == 0 {
		return n.lacksVotes(f, yes, no)
	}
	var open []string
	more := f.need - f.count(yes)
	for i := range f.sub {
		if s := &f.sub[i]; s.met(yes) {
			more--
		} else {
			open = append(open, n.lacks(s, yes, no))
		}
	}
	if rest := f.of &^ (yes | no); rest != 0 {
		open = append(open, n.list(rest))
	}
	if len(open) == more {
		return strings.Join(open, " and ")
	}
	return fmt.Sprintf("%d of: %s", more, strings.Join(open, "; "))
}

func (n *Need[N]) lacksVotes(f *form, yes, no uint64) string {
	more, open := f.need-f.count(yes), f.of&^(yes|no)
	where := ""
	if f.where != "" {
		where = " " + f.where
	}
	switch what := "more"; {
	case f.count(open) < more:
		return fmt.Sprintf("%d more%s, and only %d can still answer", more, where, f.count(open))
	case f.votes != nil:
		what = "more votes"
		fallthrough
	default:
		return fmt.Sprintf("%d %s of %s%s", more, what, n.list(open), where)
	}
}

func (n *Need[N]) list(set uint64) string {
	var s []string
	for _, m := range n.named(set) {
		s = append(s, string(m))
	}
	return strings.Join(s, ", ")
}
