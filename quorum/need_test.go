package quorum_test

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/quorum"
)

// inSites places nodes named a, b, c … in sites, in order.
func inSites(sites ...string) (rs []quorum.Replica[node]) {
	for i, s := range sites {
		rs = append(rs, quorum.Replica[node]{Node: node('a' + rune(i)), Site: s})
	}
	return rs
}

func three() []quorum.Replica[node] { return inSites("", "", "") }

func bind(t require.TestingT, text string, rs []quorum.Replica[node], local string) quorum.Need[node] {
	n, err := quorum.Bind(quorum.MustParseExpr(text), rs, local)
	require.NoError(t, err)
	return n
}

func TestAnExpressionIsMetBy(t *testing.T) {
	sites := inSites("us", "us", "us", "eu", "eu", "ap")
	for i := range sites {
		sites[i].Rack = []string{"1", "1", "2", "1", "2", "1"}[i]
	}
	for _, c := range []struct {
		expr, local string
		least       int
		met, not    []string
	}{
		{"quorum", "", 4, []string{"abcd", "cdef"}, []string{"abc"}},
		{"one", "", 1, []string{"f"}, []string{""}},
		{"all", "", 6, []string{"abcdef"}, []string{"abcde"}},
		{"local_quorum", "us", 2, []string{"ab"}, []string{"adef"}},
		{"local_quorum", "ap", 1, []string{"f"}, []string{"abcde"}},
		{"local_one", "eu", 1, []string{"d", "e"}, []string{"abcf"}},
		{"each_quorum", "", 5, []string{"abdef"}, []string{"abcde", "abcdf"}},
		{"quorum in 2 of 3 sites", "", 3, []string{"abf", "def"}, []string{"abcd", "af"}},
		{"quorum in quorum of sites", "", 3, []string{"abf"}, []string{"abc"}},
		{"2 in 1 site", "", 2, []string{"ab", "de"}, []string{"adf"}},
		{"3 in 1 site", "", 3, []string{"abc"}, []string{"abdef"}},
		{"one in 2 racks", "", 2, []string{"ac", "ad"}, []string{"ab"}},
		{"all in site eu", "", 2, []string{"de"}, []string{"abcdf"}},
		{"any 2 (a, d, f)", "", 2, []string{"af"}, []string{"abce"}},
		{"first 2 (f, d, a)", "", 2, []string{"df"}, []string{"abcde"}},
		{"first 2", "", 2, []string{"ab"}, []string{"acdef"}},
		{"first 1 in each site", "", 3, []string{"adf"}, []string{"bcef"}},
		{"3 votes (a, b, c, d:3)", "", 1, []string{"d", "abc"}, []string{"bc"}},
		{"quorum votes (a:2, b, c, f:0)", "", 2, []string{"ab"}, []string{"bcdef", "af"}},
		{"quorum and one in 2 sites", "", 4, []string{"abcd"}, []string{"abc"}},
		{"all (a, b) or all (e, f)", "", 2, []string{"ab", "ef"}, []string{"acde"}},
	} {
		t.Run(c.expr, func(t *testing.T) {
			n := bind(t, c.expr, sites, c.local)
			for _, s := range c.met {
				require.True(t, n.Met(maskOf(n, s)), s)
			}
			for _, s := range c.not {
				require.False(t, n.Met(maskOf(n, s)), s)
			}
			least, err := n.Least()
			require.NoError(t, err)
			require.Equal(t, c.least, least)
		})
	}
}

func maskOf(n quorum.Need[node], names string) (m uint64) {
	for _, r := range names {
		m |= 1 << n.Index(node(r))
	}
	return m
}

func TestBindRefusesWhatTheReplicasCanNeverMeet(t *testing.T) {
	sites := inSites("us", "us", "eu")
	for _, c := range []struct {
		expr, local string
		replicas    []quorum.Replica[node]
		why         string
	}{
		{"4", "", three(), "4: 4 are needed, and there are 3"},
		{"one", "", nil, "one: 1 are needed, and there are 0"},
		{"local_one", "", sites, "local_one: who asks stands in no site"},
		{"local_one", "ap", sites, "local_one: no replica stands in site ap"},
		{"one in site ap", "", sites, "no replica stands in site ap"},
		{"each_quorum", "", three(), "each_quorum: a stands in no site"},
		{"one in each rack", "", sites, "a stands in no rack"},
		{"quorum in 2 of 3 sites", "", sites, "3 places are named, and the replicas stand in 2: site us, site eu"},
		{"quorum in 3 sites", "", sites, "the replicas stand in 2 places: site us, site eu"},
		{"2 in each site", "", sites, "2 in each site: in site eu: 2 are needed, and there are 1"},
		{"3 in 1 site", "", sites, "all of the replicas [a b c] are not enough"},
		{"any 1 (x, a)", "", three(), "any 1 (x, a): x is none of the replicas"},
		{"first 3 in 1 site", "", sites, "all of the replicas [a b c] are not enough"},
		{"one", "", append(three(), three()...), "replicas: a stands in it twice"},
		{"one and 4", "", three(), "4 are needed, and there are 3"},
	} {
		t.Run(c.expr, func(t *testing.T) {
			n, err := quorum.Bind(quorum.MustParseExpr(c.expr), c.replicas, c.local)
			require.ErrorIs(t, err, quorum.ErrExpr)
			require.ErrorContains(t, err, c.why)
			require.Zero(t, n)
		})
	}
	_, err := quorum.Bind(quorum.Count(0), three(), "")
	require.ErrorIs(t, err, quorum.ErrExpr)
}

// spread draws up to seven replicas in two sites of two racks.
func spread() *rapid.Generator[[]quorum.Replica[node]] {
	return rapid.Custom(func(t *rapid.T) []quorum.Replica[node] {
		rs := make([]quorum.Replica[node], rapid.IntRange(1, 7).Draw(t, "replicas"))
		for i := range rs {
			rs[i] = quorum.Replica[node]{
				Node: node('a' + rune(i)),
				Site: rapid.SampledFrom([]string{"us", "eu"}).Draw(t, "site"),
				Rack: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "rack"),
			}
		}
		return rs
	})
}

// bound draws an expression and binds it to replicas that it can be bound to.
func bound(t *rapid.T, rs []quorum.Replica[node]) (quorum.Expr, quorum.Need[node]) {
	var names []string
	for _, r := range rs {
		names = append(names, string(r.Node))
	}
	for {
		e := exprs(names, 2).Draw(t, "expr")
		if n, err := quorum.Bind(e, rs, "us"); err == nil {
			return e, n
		}
	}
}

// holds is the meaning of an expression, written down a second time.
func holds(e quorum.Expr, rs []quorum.Replica[node], have func(node) bool) bool {
	switch e.Form {
	case quorum.FormAnd:
		return !slices.ContainsFunc(e.Parts, func(p quorum.Expr) bool { return !holds(p, rs, have) })
	case quorum.FormOr:
		return slices.ContainsFunc(e.Parts, func(p quorum.Expr) bool { return holds(p, rs, have) })
	}
	if e.In == (quorum.Scope{}) {
		return inGroup(e, rs, have)
	}
	groups, order := map[string][]quorum.Replica[node]{}, []string(nil)
	for _, r := range rs {
		k := r.Site
		if e.In.Unit == quorum.UnitRack {
			k += "/" + r.Rack
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	if e.In.Local {
		return inGroup(e, groups["us"], have)
	}
	if e.In.Site != "" {
		return inGroup(e, groups[e.In.Site], have)
	}
	n := 0
	for _, k := range order {
		if inGroup(e, groups[k], have) {
			n++
		}
	}
	switch {
	case e.In.K > 0:
		return n >= e.In.K
	case e.In.Majority:
		return 2*n > len(order)
	}
	return n == len(order)
}

func inGroup(e quorum.Expr, rs []quorum.Replica[node], have func(node) bool) bool {
	var list []node
	votes := map[node]int{}
	for _, r := range rs {
		list = append(list, r.Node)
	}
	if len(e.Of) > 0 {
		list = nil
		for _, v := range e.Of {
			list = append(list, node(v.Node))
			votes[node(v.Node)] = v.Votes
		}
	}
	if e.Form == quorum.FormFirst {
		if len(list) < e.K {
			return false
		}
		list = list[:e.K]
	}
	got, total := 0, 0
	for _, n := range list {
		w := 1
		if e.Form == quorum.FormVotes {
			w = votes[n]
		}
		total += w
		if have(n) {
			got += w
		}
	}
	switch {
	case e.Form == quorum.FormAll, e.Form == quorum.FormFirst:
		return total > 0 && got == total
	case e.K > 0:
		return got >= e.K
	}
	return 2*got > total
}

func TestANeedIsMetByWhatItsExpressionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := spread().Draw(t, "replicas")
		e, n := bound(t, rs)
		least := -1
		for set := range uint64(1) << len(rs) {
			want := holds(e, rs, func(m node) bool { return set&(1<<n.Index(m)) != 0 })
			require.Equal(t, want, n.Met(set), "%v by %b", e, set)
			if want && (least < 0 || bits.OnesCount64(set) < least) {
				least = bits.OnesCount64(set)
			}
		}
		got, err := n.Least()
		require.NoError(t, err)
		require.Equal(t, least, got)
	})
}

func TestTwoNeedsMeetIfEverySetOfTheOneMeetsEveryOneOfTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := spread().Draw(t, "replicas")
		_, a := bound(t, rs)
		_, b := bound(t, rs)
		want := true
		for x := range uint64(1) << len(rs) {
			for y := range uint64(1) << len(rs) {
				want = want && !(a.Met(x) && b.Met(y) && x&y == 0)
			}
		}
		setA, setB, apart, err := quorum.Apart(a, b)
		require.NoError(t, err)
		require.Equal(t, want, !apart)
		meets, err := quorum.Meets(a, b)
		require.NoError(t, err)
		require.Equal(t, want, meets)
		if apart {
			require.True(t, a.Met(bitsOf(a, setA)))
			require.True(t, b.Met(bitsOf(b, setB)))
			require.Zero(t, bitsOf(a, setA)&bitsOf(b, setB))
		}
		for set := range uint64(1) << len(rs) {
			require.Equal(t, !a.Met(^set), a.Dual().Met(set), "a set meets all that are enough if without it none is")
		}
	})
}

func bitsOf(n quorum.Need[node], set []node) (m uint64) {
	for _, x := range set {
		m |= 1 << n.Index(x)
	}
	return m
}

func TestResilienceIsHowManyOfAnyMayFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := spread().Draw(t, "replicas")
		_, n := bound(t, rs)
		r, err := n.Resilience()
		require.NoError(t, err)
		all := uint64(1)<<len(rs) - 1
		// worst returns the most of any members of set that may fail.
		worst := func(of uint64) int {
			most := bits.OnesCount64(of)
			for set := range uint64(1) << len(rs) {
				if set&^of == 0 && !n.Met(all&^set) {
					most = min(most, bits.OnesCount64(set)-1)
				}
			}
			return most
		}
		require.Equal(t, worst(all), r.Nodes)
		site := map[string]uint64{}
		for i, s := range rs {
			site[s.Site] |= 1 << i
		}
		require.Len(t, r.Within, len(site))
		sites := len(site)
		for _, w := range r.Within {
			require.Equal(t, worst(site[w.Site]), w.Nodes)
			require.Equal(t, bits.OnesCount64(site[w.Site]), w.Of)
			if !n.Met(all &^ site[w.Site]) {
				sites = 0
			}
		}
		if sites > 0 {
			sites = len(site) - 1
		}
		require.Equal(t, sites, r.Sites, "of two sites")
	})
}

func TestSetsAreThoseWithoutAMemberToSpare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := spread().Draw(t, "replicas")
		_, n := bound(t, rs)
		sets, whole := n.Sets(1000)
		require.True(t, whole)
		got := map[uint64]bool{}
		for i, s := range sets {
			got[bitsOf(n, s)] = true
			require.True(t, i == 0 || len(sets[i-1]) <= len(s), "the smallest first")
		}
		for set := range uint64(1) << len(rs) {
			minimal := n.Met(set)
			for i := range rs {
				minimal = minimal && (set&(1<<i) == 0 || !n.Met(set&^(1<<i)))
			}
			require.Equal(t, minimal, got[set], "%b", set)
		}
	})
}

// The grid of two by three of the quoracle library (Whittaker et al., PaPoC 2021):
// a read takes a row, a write one of each row.
func TestTheGridOfTwoByThree(t *testing.T) {
	nodes := inSites("", "", "", "", "", "")
	reads := bind(t, "all (a, b, c) or all (d, e, f)", nodes, "")
	writes := reads.Dual()
	sets, whole := writes.Sets(100)
	require.True(t, whole)
	require.Len(t, sets, 9)
	sets, _ = reads.Sets(100)
	require.Equal(t, [][]node{{"a", "b", "c"}, {"d", "e", "f"}}, sets)
	r, err := reads.Resilience()
	require.NoError(t, err)
	w, err := writes.Resilience()
	require.NoError(t, err)
	require.Equal(t, [2]int{1, 2}, [2]int{r.Nodes, w.Nodes})
	meets, err := quorum.Meets(reads, writes)
	require.NoError(t, err)
	require.True(t, meets)
	spelled := bind(t, "any 1 (a, b, c) and any 1 (d, e, f)", nodes, "")
	for set := range uint64(64) {
		require.Equal(t, spelled.Met(set), writes.Met(set))
	}
}

// Two of three groups of two of three: four of nine nodes are enough.
func TestAHierarchyOfMajorities(t *testing.T) {
	n := bind(t, "quorum in quorum of sites", inSites("x", "x", "x", "y", "y", "y", "z", "z", "z"), "")
	least, err := n.Least()
	require.NoError(t, err)
	require.Equal(t, 4, least)
	meets, err := quorum.Meets(n, n)
	require.NoError(t, err)
	require.True(t, meets)
	r, err := n.Resilience()
	require.NoError(t, err)
	require.Equal(t, quorum.Resilience{Nodes: 3, Sites: 1, Within: []quorum.SiteResilience{{"x", 3, 3}, {"y", 3, 3}, {"z", 3, 3}}}, r)
}

func TestThresholdsMeetIfTheyAreMoreThanThereAre(t *testing.T) {
	for n := 1; n <= 9; n++ {
		rs := inSites(make([]string, n)...)
		for r := 1; r <= n; r++ {
			for w := 1; w <= n; w++ {
				a, err := quorum.Bind(quorum.Count(r), rs, "")
				require.NoError(t, err)
				b, err := quorum.Bind(quorum.Count(w), rs, "")
				require.NoError(t, err)
				meets, err := quorum.Meets(a, b)
				require.NoError(t, err)
				require.Equal(t, r+w > n, meets)
				d, err := a.Dual().Least()
				require.NoError(t, err)
				require.Equal(t, n-r+1, d)
				res, err := a.Resilience()
				require.NoError(t, err)
				require.Equal(t, n-r, res.Nodes)
			}
		}
	}
}

func TestJointNeedsBothOverTheMembersOfBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := spread().Draw(t, "old")
		more := spread().Draw(t, "new")
		shift := rapid.IntRange(0, len(rs)).Draw(t, "shift")
		for i := range more {
			more[i].Node = node('a' + rune(i+shift))
		}
		_, a := bound(t, rs)
		_, b := bound(t, more)
		j, err := quorum.Joint(a, b)
		require.NoError(t, err)
		for set := range uint64(1) << j.Len() {
			var x, y uint64
			for i, m := range j.Members() {
				if set&(1<<i) == 0 {
					continue
				}
				if k := a.Index(m); k >= 0 {
					x |= 1 << k
				}
				if k := b.Index(m); k >= 0 {
					y |= 1 << k
				}
			}
			require.Equal(t, a.Met(x) && b.Met(y), j.Met(set))
		}
	})
	var none quorum.Need[node]
	_, err := quorum.Joint(bind(t, "quorum", three(), ""), none)
	require.ErrorIs(t, err, quorum.ErrExpr)
}

func TestWhatTellsTooManyReplicasApartIsNotTried(t *testing.T) {
	var of []quorum.Vote
	var rs []quorum.Replica[string]
	for i, n := range names(64) {
		of = append(of, quorum.Vote{Node: n, Votes: i + 1})
		rs = append(rs, quorum.Replica[string]{Node: n, Site: n})
	}
	n, err := quorum.Bind(quorum.Expr{Form: quorum.FormVotes, Of: of}, rs, "")
	require.NoError(t, err)
	_, err = n.Least()
	require.ErrorIs(t, err, quorum.ErrExpr)
	require.ErrorContains(t, err, "tells 64 replicas apart in too many ways: more than 1048576 sets to try")
	_, err = n.Resilience()
	require.ErrorIs(t, err, quorum.ErrExpr)
	_, err = quorum.Meets(n, n)
	require.ErrorIs(t, err, quorum.ErrExpr)
	_, err = quorum.Guarantees(quorum.Setting[string]{Reads: []quorum.Need[string]{n}, Writes: []quorum.Need[string]{n}})
	require.ErrorIs(t, err, quorum.ErrExpr)
	sets, whole := n.Sets(5)
	require.Empty(t, sets)
	require.False(t, whole)

	majority, err := quorum.Bind(quorum.Expr{}, rs, "")
	require.NoError(t, err)
	meets, err := quorum.Meets(majority, majority)
	require.NoError(t, err)
	require.True(t, meets, "64 that nothing tells apart are 65 sets")
	_, err = majority.Resilience()
	require.ErrorIs(t, err, quorum.ErrExpr, "64 sites are too many")

	tally := n.Tally()
	missing := tally.Missing()
	require.Len(t, missing, 1, "one that has no member to spare")
	for _, m := range missing[0] {
		require.Equal(t, quorum.Pending, tally.Verdict())
		tally.Yes(m)
	}
	require.Equal(t, quorum.Reached, tally.Verdict())
	require.Empty(t, tally.Missing())

	rs = append(rs, quorum.Replica[string]{Node: "one-more"})
	_, err = quorum.Bind(quorum.Expr{}, rs, "")
	require.ErrorIs(t, err, quorum.ErrExpr)
	more, err := quorum.Bind(quorum.Expr{}, rs[64:], "")
	require.NoError(t, err)
	_, err = quorum.Joint(n, more)
	require.ErrorContains(t, err, "65 replicas together, at most 64")
}
