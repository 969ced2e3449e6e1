package quorum_test

import (
	"errors"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/quorum"
)

func TestATallyOfANeedEqualsTheModelAfterEveryAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := spread().Draw(t, "replicas")
		_, n := bound(t, rs)
		all := uint64(1)<<len(rs) - 1
		tally := n.TallyAt(3)
		var yes, no uint64
		for range rapid.IntRange(0, 10).Draw(t, "answers") {
			i := rapid.IntRange(0, len(rs)-1).Draw(t, "member")
			epoch := uint64(rapid.IntRange(2, 4).Draw(t, "epoch"))
			var why error
			if rapid.Bool().Draw(t, "no") {
				why = errors.New("no")
			}
			if bit := uint64(1) << i; epoch == 3 && (yes|no)&bit == 0 {
				if why == nil {
					yes |= bit
				} else {
					no |= bit
				}
			}
			want := quorum.Pending
			if n.Met(yes) {
				want = quorum.Reached
			} else if !n.Met(all &^ no) {
				want = quorum.Unreachable
			}
			require.Equal(t, want, tally.Answer(rs[i].Node, epoch, why))
			require.Equal(t, want == quorum.Reached, tally.Lacks() == "")
			checkMissing(t, n, &tally, want, yes, all&^(yes|no))
		}
	})
}

// checkMissing holds that the sets are the smallest that would be enough.
func checkMissing(t *rapid.T, n quorum.Need[node], tally *quorum.Tally[node], v quorum.Verdict, yes, open uint64) {
	missing := tally.Missing()
	if v != quorum.Pending {
		require.Empty(t, missing)
		return
	}
	size, count := 99, 0
	for set := open; set != 0; set = (set - 1) & open {
		switch c := bits.OnesCount64(set); {
		case !n.Met(yes|set) || c > size:
		case c < size:
			size, count = c, 1
		default:
			count++
		}
	}
	require.Len(t, missing, min(count, 16))
	for _, m := range missing {
		require.Len(t, m, size)
		require.True(t, n.Met(yes|bitsOf(n, m)))
		require.Zero(t, bitsOf(n, m)&^open)
	}
}

func TestATallySaysWhatItLacks(t *testing.T) {
	sites := inSites("us", "us", "us", "eu", "eu", "ap")
	for _, c := range []struct {
		expr, yes, no, lacks string
	}{
		{"quorum", "a", "", "3 more of b, c, d, e, f"},
		{"quorum", "abcd", "", ""},
		{"quorum", "a", "bcd", "3 more, and only 2 can still answer"},
		{"each_quorum", "ad", "b", "1 more of c in site us and 1 more of e in site eu and 1 more of f in site ap"},
		{"quorum in 2 of 3 sites", "ab", "", "1 of: 2 more of d, e in site eu; 1 more of f in site ap"},
		{"quorum in 2 of 3 sites", "", "", "2 of: 2 more of a, b, c in site us; 2 more of d, e in site eu; 1 more of f in site ap"},
		{"3 votes (a:2, b, c)", "b", "", "2 more votes of a, c"},
		{"all (a, b) or all (d, e)", "ad", "", "1 of: 1 more of b; 1 more of e"},
		{"3 in 1 site", "a", "", "2 more of b, c in site us"},
	} {
		n := bind(t, c.expr, sites, "us")
		tally := n.Tally()
		for _, r := range c.yes {
			tally.Yes(node(r))
		}
		for _, r := range c.no {
			tally.No(node(r), errors.New("no"))
		}
		require.Equal(t, c.lacks, tally.Lacks(), c.expr)
	}
	var zero quorum.Need[node]
	tally := zero.Tally()
	require.Equal(t, "nobody is asked", tally.Lacks())
}

func TestLateAnswersSayWhatAStricterLevelWouldHaveGot(t *testing.T) {
	sites := inSites("us", "us", "eu", "eu")
	var stricter []quorum.Expr
	for _, s := range []string{"one", "quorum", "each_quorum", "all", "one in 3 sites"} {
		stricter = append(stricter, quorum.MustParseExpr(s))
	}
	levels := quorum.Levels(sites, "us", stricter...)
	require.Len(t, levels, 4, "there are no three sites")
	met := func(tally *quorum.Tally[node]) (names []string) {
		for l := range tally.Shadow(levels) {
			names = append(names, l.Name)
		}
		return names
	}
	tally := bind(t, "local_one", sites, "us").Tally()
	require.Empty(t, met(&tally))
	require.Equal(t, quorum.Reached, tally.Yes("a"))
	require.Equal(t, []string{"one"}, met(&tally))
	tally.Yes("c")
	tally.Yes("d")
	require.Equal(t, []string{"one", "quorum"}, met(&tally))
	require.Equal(t, quorum.Reached, tally.Yes("b"))
	require.Equal(t, []string{"one", "quorum", "each_quorum", "all"}, met(&tally))
	for range tally.Shadow(levels) {
		break
	}
}

func TestANeedOnTheHotPathAllocatesNothing(t *testing.T) {
	sites := inSites("us", "us", "us", "eu", "eu", "ap")
	for _, e := range []string{"quorum", "each_quorum", "quorum in 2 of 3 sites", "3 votes (a:2, b, c)", "quorum and one in 2 sites"} {
		n := bind(t, e, sites, "us")
		require.Zero(t, testing.AllocsPerRun(100, func() {
			tally := n.TallyAt(1)
			for _, r := range sites {
				sink += uint64(tally.Answer(r.Node, 1, nil))
			}
		}), e)
	}
}

func BenchmarkTally(b *testing.B) {
	sites := inSites("us", "us", "us", "eu", "eu", "ap")
	for _, e := range []string{"quorum", "each_quorum", "quorum in 2 of 3 sites"} {
		n := bind(b, e, sites, "us")
		b.Run(e, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tally := n.Tally()
				for _, r := range sites {
					sink += uint64(tally.Yes(r.Node))
				}
			}
		})
	}
}

func TestWithoutSomeMembersIsWhatTheOthersCanDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := spread().Draw(t, "replicas")
		_, n := bound(t, rs)
		gone := rapid.Uint64Range(0, 1<<len(rs)-1).Draw(t, "gone")
		var names []node
		for i, r := range rs {
			if gone&(1<<i) != 0 {
				names = append(names, r.Node)
			}
		}
		w := n.Without(append(names, "stranger")...)
		for set := range uint64(1) << len(rs) {
			require.Equal(t, n.Met(set&^gone), w.Met(set))
		}
		upper := n.Renamed(func(m node) node { return m + "x" })
		require.Equal(t, n.Met(3), upper.Met(3))
		require.Equal(t, rs[0].Node+"x", upper.Members()[0])
		require.Equal(t, rs[0].Node, n.Members()[0])
	})
	r, err := quorum.NewRule(quorum.Any(1), "a", []node{"a", "b", "c"})
	require.NoError(t, err)
	require.False(t, r.Without("a").Met(7))
	require.True(t, r.Without("b").Met(5))
}
