package quorum_test

import (
	"errors"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/quorum"
)

func anyOneOfTwo(t *testing.T) quorum.Rule[node] {
	t.Helper()
	r, err := quorum.NewRule(quorum.Any(1, "b", "c"), "a", []node{"a", "b", "c"})
	require.NoError(t, err)
	return r
}

func TestTallyIsReachedAsSoonAsEnoughSaidYes(t *testing.T) {
	tally := anyOneOfTwo(t).Tally()
	require.Equal(t, quorum.Pending, tally.Verdict())
	require.Equal(t, quorum.Pending, tally.Yes("c"))
	require.Equal(t, quorum.Reached, tally.Yes("a"))
	require.Equal(t, []node{"a", "c"}, slices.Collect(tally.Agreed()))
	require.Equal(t, []node{"b"}, slices.Collect(tally.Silent()))
}

func TestTallyWaitsForTheLeaderHoweverManyOthersSaidYes(t *testing.T) {
	tally := anyOneOfTwo(t).Tally()
	tally.Yes("b")
	require.Equal(t, quorum.Pending, tally.Yes("c"))
}

func TestTallyIsUnreachableAsSoonAsTooManySaidNo(t *testing.T) {
	down, full := errors.New("down"), errors.New("full")
	tally := anyOneOfTwo(t).Tally()
	require.Equal(t, quorum.Pending, tally.No("c", full))
	require.Equal(t, quorum.Unreachable, tally.No("b", down))
	var who []node
	var why []error
	for n, err := range tally.Reasons() {
		who, why = append(who, n), append(why, err)
	}
	require.Equal(t, []node{"c", "b"}, who)
	require.Equal(t, []error{full, down}, why)
}

func TestTallyIsUnreachableWithoutItsLeader(t *testing.T) {
	tally := anyOneOfTwo(t).Tally()
	require.Equal(t, quorum.Unreachable, tally.No("a", errors.New("down")))
}

func TestTallyCountsAMembersFirstAnswerAlone(t *testing.T) {
	tally := anyOneOfTwo(t).Tally()
	tally.Yes("b")
	tally.Yes("b")
	tally.No("b", errors.New("late"))
	tally.No("c", errors.New("down"))
	tally.Yes("c")
	tally.Yes("x")
	tally.No("y", errors.New("stranger"))
	require.Equal(t, quorum.Pending, tally.Verdict())
	require.Equal(t, []node{"b"}, slices.Collect(tally.Agreed()))
	require.Equal(t, []node{"a"}, slices.Collect(tally.Silent()))
	for n, err := range tally.Reasons() {
		require.Equal(t, node("c"), n)
		require.EqualError(t, err, "down")
	}
}

func TestTallyIteratorsStopWhenAsked(t *testing.T) {
	tally := anyOneOfTwo(t).Tally()
	tally.No("b", errors.New("1"))
	tally.No("c", errors.New("2"))
	seen := 0
	for range tally.Reasons() {
		seen++
		break
	}
	for range tally.Silent() {
		seen++
		break
	}
	require.Equal(t, 2, seen)
}

func TestPollTallyNeedsNoLeader(t *testing.T) {
	tally := anyOneOfTwo(t).PollTally()
	require.Equal(t, quorum.Pending, tally.No("a", errors.New("dead")))
	require.Equal(t, quorum.Pending, tally.Yes("b"))
	require.Equal(t, quorum.Reached, tally.Yes("c"))
}

func TestVerdictsPrintAsWords(t *testing.T) {
	require.Equal(t, "pending reached unreachable",
		quorum.Pending.String()+" "+quorum.Reached.String()+" "+quorum.Unreachable.String())
}

func TestTallyEqualsTheModelAfterEveryAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		poll := rapid.Bool().Draw(t, "poll")
		tally, need, must := r.Tally(), r.Needed(), uint(1)
		if poll {
			tally, need, must = r.PollTally(), r.Poll(), 0
		}
		enough := func(s uint) bool { return s&must == must && bits.OnesCount(s) >= need }
		everyone := uint(1)<<r.Len() - 1
		var yes, no uint
		before := quorum.Pending
		for range rapid.IntRange(0, 20).Draw(t, "answers") {
			i := rapid.IntRange(0, r.Len()-1).Draw(t, "member")
			said := rapid.Bool().Draw(t, "yes")
			if bit := uint(1) << i; (yes|no)&bit == 0 && said {
				yes |= bit
			} else if (yes|no)&bit == 0 {
				no |= bit
			}
			var got quorum.Verdict
			if name := r.Members()[i]; said {
				got = tally.Yes(name)
			} else {
				got = tally.No(name, errors.New("no"))
			}
			want := quorum.Pending
			if enough(yes) {
				want = quorum.Reached
			} else if !enough(everyone &^ no) {
				want = quorum.Unreachable
			}
			require.Equal(t, want, got)
			if before != quorum.Pending {
				require.Equal(t, before, got, "a verdict is final")
			}
			before = got
		}
	})
}
