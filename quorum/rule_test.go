package quorum_test

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/quorum"
)

// node shows that rules take any string type, as topology.NodeID is one.
type node string

func TestRuleChoosesMembersInThePolicysOrder(t *testing.T) {
	voters := []node{"a", "b", "c", "d"}
	for _, c := range []struct {
		policy  quorum.Policy
		leader  node
		members []node
		needed  int
		poll    int
	}{
		{quorum.Async(), "c", []node{"c"}, 1, 1},
		{quorum.First(1), "a", []node{"a", "b"}, 2, 1},
		{quorum.First(2), "b", []node{"b", "a", "c"}, 3, 1},
		{quorum.First(1, "d", "b"), "a", []node{"a", "d"}, 2, 1},
		{quorum.First(1, "d", "b"), "d", []node{"d", "b"}, 2, 1},
		{quorum.Any(1), "b", []node{"b", "a", "c", "d"}, 2, 3},
		{quorum.Any(2), "a", []node{"a", "b", "c", "d"}, 3, 2},
		{quorum.Any(1, "c", "b"), "a", []node{"a", "c", "b"}, 2, 2},
		{quorum.Any(1, "c", "b"), "b", []node{"b", "c"}, 2, 1},
		{quorum.All(), "d", []node{"d", "a", "b", "c"}, 4, 1},
		{quorum.Policy{Kind: quorum.KindAll, Of: []string{"d", "a"}}, "a", []node{"a", "d"}, 2, 1},
	} {
		t.Run(c.policy.String()+" led by "+string(c.leader), func(t *testing.T) {
			r, err := quorum.NewRule(c.policy, c.leader, voters)
			require.NoError(t, err)
			require.Equal(t, c.members, r.Members())
			require.Equal(t, len(c.members), r.Len())
			require.Equal(t, c.leader, r.Leader())
			require.Equal(t, c.needed, r.Needed())
			require.Equal(t, c.poll, r.Poll())
			for i, m := range c.members {
				require.Equal(t, i, r.Index(m))
			}
			require.Equal(t, -1, r.Index("x"))

			set, err := quorum.Set(c.policy, c.leader, voters)
			require.NoError(t, err)
			require.Equal(t, c.members, set)
		})
	}
}

func TestRuleRefusesWhatItsGroupCannotKeep(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy quorum.Policy
		leader node
		voters []node
		why    string
	}{
		{"a policy that is not valid", quorum.First(0), "a", []node{"a", "b"}, "first 0: at least 1"},
		{"a leader that is no voter", quorum.Any(1), "x", []node{"a", "b"}, `any 1: the leader "x" is none of the voters [a b]`},
		{"no voters", quorum.Async(), "a", nil, "is none of the voters []"},
		{"a voter given twice", quorum.All(), "a", []node{"a", "b", "a"}, "voters: a stands in it twice"},
		{"an empty voter", quorum.All(), "a", []node{"a", ""}, `voters: "" is no name`},
		{"a listed node that is no voter", quorum.First(1, "b", "x"), "a", []node{"a", "b"}, "first 1 (b, x): x is none of the voters [a b]"},
		{"too few besides the leader", quorum.Any(2), "a", []node{"a", "b"}, "any 2 led by a: 2 are needed besides the leader, 1 are listed"},
		{"too few once the leader is taken off the list", quorum.First(2, "a", "b"), "a", []node{"a", "b", "c"}, "2 are needed besides the leader, 1 are listed"},
		{"alone", quorum.First(1), "a", []node{"a"}, "1 are needed besides the leader, 0 are listed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := quorum.NewRule(c.policy, c.leader, c.voters)
			require.ErrorIs(t, err, quorum.ErrPolicy)
			require.ErrorContains(t, err, c.why)
			require.Zero(t, r)
			set, err := quorum.Set(c.policy, c.leader, c.voters)
			require.ErrorIs(t, err, quorum.ErrPolicy)
			require.Nil(t, set)
		})
	}
}

func TestRuleTakesAsManyMembersAsItsLimit(t *testing.T) {
	r, err := quorum.NewRule(quorum.Any(63), "n0", names(64))
	require.NoError(t, err)
	require.Equal(t, quorum.MembersMax, r.Len())
	_, err = quorum.NewRule(quorum.Any(63), "n0", names(65))
	require.ErrorIs(t, err, quorum.ErrPolicy)
}

func TestZeroRuleCommitsNothing(t *testing.T) {
	var r quorum.Rule[node]
	require.Zero(t, r.Commit([]uint64{9, 9}))
	require.False(t, r.Satisfied(func(int) bool { return true }))
	require.Zero(t, r.Poll())
	require.Zero(t, r.Needed())
	require.Empty(t, r.Members())
	require.Empty(t, r.Leader())
	tally := r.Tally()
	require.Equal(t, quorum.Unreachable, tally.Yes("a"))
}

func TestMembersAreTheCallersOwn(t *testing.T) {
	voters := []node{"a", "b", "c"}
	r, err := quorum.NewRule(quorum.All(), "a", voters)
	require.NoError(t, err)
	voters[1], r.Members()[2] = "x", "y"
	require.Equal(t, []node{"a", "b", "c"}, r.Members())
}

func TestCommitIsWhatTheNeededMembersHave(t *testing.T) {
	voters := []node{"a", "b", "c", "d"}
	for _, c := range []struct {
		policy  quorum.Policy
		flushed []uint64
		commit  uint64
	}{
		{quorum.Async(), []uint64{7, 9, 9, 9}, 7},
		{quorum.First(1), []uint64{7, 5, 9, 9}, 5},
		{quorum.First(2), []uint64{7, 5, 3}, 3},
		{quorum.All(), []uint64{7, 5, 3, 1}, 1},
		{quorum.Any(1), []uint64{7, 5, 6, 1}, 6},
		{quorum.Any(1), []uint64{7, 8, 9, 10}, 7},
		{quorum.Any(2), []uint64{7, 5, 6, 1}, 5},
		{quorum.Any(2), []uint64{4, 5, 6, 7}, 4},
		{quorum.Any(2), []uint64{7, 5, 0, 0}, 0},
		{quorum.Any(3), []uint64{7, 5, 6, 1}, 1},
		{quorum.Any(1), []uint64{0, 5, 6, 1}, 0},
		{quorum.Any(1), []uint64{7, 7, 7}, 0}, // one position is missing
		{quorum.Any(1), nil, 0},
	} {
		r, err := quorum.NewRule(c.policy, "a", voters)
		require.NoError(t, err)
		require.Equal(t, c.commit, r.Commit(c.flushed), "%v of %v", c.policy, c.flushed)
	}
}

// rules draws rules of up to eight voters.
func rules() *rapid.Generator[quorum.Rule[string]] {
	return rapid.Custom(func(t *rapid.T) quorum.Rule[string] {
		voters := names(rapid.IntRange(1, 8).Draw(t, "voters"))
		leader := rapid.SampledFrom(voters).Draw(t, "leader")
		p := policies(voters).Draw(t, "policy")
		others := len(voters) - 1
		if len(p.Of) > 0 {
			others = len(p.Of)
			for _, n := range p.Of {
				if n == leader {
					others--
				}
			}
		}
		r, err := quorum.NewRule(p, leader, voters)
		if p.K > others {
			require.ErrorIs(t, err, quorum.ErrPolicy)
			r, err = quorum.NewRule(quorum.All(), leader, voters)
		}
		require.NoError(t, err)
		return r
	})
}

// subsets yields every set of size of n members, as bits.
func subsets(n, size int) (out []uint) {
	for s := range uint(1) << n {
		if bits.OnesCount(s) == size {
			out = append(out, s)
		}
	}
	return out
}

func TestCommitEqualsTheModelThatTriesEverySet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		flushed := rapid.SliceOfN(rapid.Uint64Range(0, 12), r.Len(), r.Len()+2).Draw(t, "flushed")
		var want uint64
		for _, s := range subsets(r.Len(), r.Needed()) {
			if s&1 == 0 {
				continue // without the leader
			}
			least := flushed[0]
			for i := range r.Len() {
				if s&(1<<i) != 0 {
					least = min(least, flushed[i])
				}
			}
			want = max(want, least)
		}
		require.Equal(t, want, r.Commit(flushed))
		if want > 0 {
			require.True(t, r.Satisfied(func(i int) bool { return flushed[i] >= want }), "who has it satisfies the rule")
		}
		require.False(t, r.Satisfied(func(i int) bool { return flushed[i] > want }), "and nothing greater is committed")
	})
}

func TestSatisfiedEqualsCountingWithTheLeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		have := rapid.Uint64Range(0, 1<<r.Len()-1).Draw(t, "have")
		asked := map[int]int{}
		got := r.Satisfied(func(i int) bool { asked[i]++; return have&(1<<i) != 0 })
		require.Equal(t, have&1 != 0 && bits.OnesCount64(have) >= r.Needed(), got)
		for i, n := range asked {
			require.Equal(t, 1, n, "member %d was asked more than once", i)
			require.Less(t, i, r.Len())
		}
	})
}

func TestSatisfiedStopsAsSoonAsItKnows(t *testing.T) {
	r, err := quorum.NewRule(quorum.Any(2), "a", []node{"a", "b", "c", "d", "e"})
	require.NoError(t, err)
	for _, c := range []struct {
		have, asked []int
	}{
		{have: []int{1, 2, 3, 4}, asked: []int{0}},
		{have: []int{0, 1, 2, 3, 4}, asked: []int{0, 1, 2}},
		{have: []int{0}, asked: []int{0, 1, 2, 3}}, // one that is left is not enough
		{have: []int{0, 3, 4}, asked: []int{0, 1, 2, 3, 4}},
	} {
		var asked []int
		r.Satisfied(func(i int) bool { asked = append(asked, i); return slices.Contains(c.have, i) })
		require.Equal(t, c.asked, asked)
	}
}

func TestPollMeetsEveryCommittedWriteAndIsTheLeastThatDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		for _, c := range subsets(r.Len(), r.Needed()) {
			for _, p := range subsets(r.Len(), r.Poll()) {
				require.NotZero(t, c&p, "commit by %b, poll of %b", c, p)
			}
		}
		missed := false
		for _, c := range subsets(r.Len(), r.Needed()) {
			for _, p := range subsets(r.Len(), r.Poll()-1) {
				missed = missed || c&1 != 0 && c&p == 0
			}
		}
		require.True(t, missed, "one fewer would do")
	})
}

func TestHotPathAllocatesNothing(t *testing.T) {
	for _, p := range []quorum.Policy{quorum.Async(), quorum.First(2), quorum.Any(1), quorum.All()} {
		r, err := quorum.NewRule(p, "n0", names(5))
		require.NoError(t, err)
		flushed := []uint64{5, 4, 3, 2, 1}
		have := func(i int) bool { return flushed[i] > 1 }
		require.Zero(t, testing.AllocsPerRun(100, func() {
			sink = r.Commit(flushed)
			if r.Satisfied(have) {
				sink++
			}
			tally := r.Tally()
			tally.Yes("n0")
			tally.Yes("n1")
			sink += uint64(tally.Verdict())
		}), p.String())
	}
}

var sink uint64

func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		policy quorum.Policy
		n      int
	}{{quorum.Async(), 3}, {quorum.First(1), 3}, {quorum.Any(1), 3}, {quorum.Any(2), 5}, {quorum.Any(3), 7}, {quorum.All(), 7}, {quorum.Any(31), 64}} {
		r, err := quorum.NewRule(c.policy, "n0", names(c.n))
		require.NoError(b, err)
		flushed := make([]uint64, c.n)
		for i := range flushed {
			flushed[i] = uint64(1000 - i*7%11)
		}
		b.Run(c.policy.String()+" of "+names(c.n + 1)[c.n][1:], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				flushed[0]++
				sink = r.Commit(flushed)
			}
		})
	}
}

func TestARulesDualIsWhatAnElectionMustMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		for s := range uint64(1) << r.Len() {
			require.Equal(t, s&1 != 0 && bits.OnesCount64(s) >= r.Needed(), r.Met(s))
			require.Equal(t, !r.Met(^s), r.Dual().Met(s))
			if bits.OnesCount64(s) == r.Poll() {
				require.True(t, r.Dual().Met(s))
			}
		}
	})
}

func TestATallyOfARuleSaysWhatItLacks(t *testing.T) {
	r, err := quorum.NewRule(quorum.Any(1), "a", []node{"a", "b", "c"})
	require.NoError(t, err)
	tally := r.Tally()
	require.Equal(t, "a and 1 more of b, c", tally.Lacks())
	tally.Yes("c")
	require.Equal(t, "a", tally.Lacks())
	require.Equal(t, [][]node{{"a"}}, tally.Missing())
	tally.Yes("a")
	require.Empty(t, tally.Lacks())
}
