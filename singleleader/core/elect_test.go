package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func said(node topology.NodeID, life, term uint64, lsn record.LSN) Report {
	return Report{Node: node, Life: life, Accepted: max(term, 1), Last: stream.Place{Term: term, LSN: lsn}}
}

func testGroup(term uint64, leader topology.NodeID, policy string, before ...Reign) Group {
	return Group{
		Reign:  Reign{Term: term, Leader: leader, Policy: policy, Lives: []uint64{1, 2, 3}},
		Life:   1,
		Voters: []topology.NodeID{"a", "b", "c"},
		Before: before,
	}
}

func TestOnlyANodeThatIsProvenToHoldEverythingIsElectable(t *testing.T) {
	first := testGroup(3, "a", "first 1 (b, c, a)")
	any1 := testGroup(3, "a", "any 1 (b, c, a)")
	four := testGroup(3, "b", "any 1 (a, b, c, d)")
	four.Voters, four.Lives = append(four.Voters, "d"), append(four.Lives, 4)
	for _, c := range []struct {
		name   string
		g      Group
		target topology.NodeID
		rs     []Report
		refuse string // part of the reason; empty if electable
	}{
		{"the synchronous follower", first, "b", []Report{said("b", 2, 3, 9), said("c", 3, 3, 7)}, ""},
		{"a longer log elsewhere", first, "c", []Report{said("b", 2, 3, 9), said("c", 3, 3, 7)}, "run failover to b"},
		{"a newer term beats a longer log", first, "b", []Report{said("b", 2, 3, 5), said("c", 3, 2, 9)}, ""},
		{"no majority", first, "b", []Report{said("b", 2, 3, 9)}, "majority"},
		{"the target is silent", first, "b", []Report{said("a", 1, 3, 9), said("c", 3, 3, 7)}, "does not answer"},
		{"not a voter", first, "d", []Report{said("d", 4, 3, 9), said("b", 2, 3, 9), said("c", 3, 3, 9)}, "not among the voters"},
		{"the leader itself, though a follower has more: it was not committed", first, "a", []Report{said("a", 1, 3, 5), said("b", 2, 3, 9)}, ""},
		{"the leader's name with another directory", first, "a", []Report{said("a", 9, 3, 5), said("b", 2, 3, 9), said("c", 3, 3, 7)}, "run failover to b"},
		{"beside the leader one who has forgotten what it promised", first, "a", []Report{said("a", 1, 3, 5), said("b", 9, 0, 0)}, "has forgotten what it promised"},
		{"the same, who has followed in this term since, and the leader is away", first, "c", []Report{said("b", 9, 3, 5), said("c", 3, 3, 5)}, ""},
		{"two who have forgotten", first, "c", []Report{said("a", 8, 3, 5), said("b", 9, 3, 5), said("c", 3, 3, 5)}, "has forgotten what it promised"},
		{"the leader, its term's start not flushed", first, "a", []Report{said("a", 1, 2, 5), said("b", 2, 3, 9)}, "run failover to b"},
		{"the leader itself", first, "a", []Report{said("a", 1, 3, 9), said("c", 3, 3, 7)}, ""},
		{"the only synchronous follower lacks the start: the term committed nothing", first, "b", []Report{said("b", 2, 2, 5), said("c", 3, 2, 5)}, ""},
		{"who lacks it has another directory: it proves nothing", first, "b", []Report{said("b", 9, 0, 0), said("c", 3, 0, 0)}, "has forgotten what it promised"},
		{"another directory that holds the start is as good as any", first, "b", []Report{said("b", 9, 3, 9), said("c", 3, 3, 7)}, ""},
		{"any 1: two of three are enough", any1, "c", []Report{said("b", 2, 2, 5), said("c", 3, 3, 6)}, ""},
		{"any 1: two of three that lack the start", any1, "c", []Report{said("b", 2, 2, 5), said("c", 3, 2, 5)}, ""},
		{"any 1: one of the two was wiped", any1, "c", []Report{said("b", 9, 0, 0), said("c", 3, 3, 6)}, "has forgotten what it promised"},
		{"any 1 of four: the leader of the term answers, and lacks its start", four, "b", []Report{said("b", 2, 2, 9), said("c", 3, 2, 9), said("a", 9, 2, 5)}, ""},
		{"any 1 of four: the same without its leader", four, "c", []Report{said("c", 3, 2, 9), said("d", 4, 2, 9), said("a", 9, 2, 5)}, "too few of them answer"},
		{"async: never without its leader", testGroup(3, "a", "async"), "b", []Report{said("b", 2, 3, 9), said("c", 3, 3, 9)}, "too few of them answer"},
	} {
		err := electable(c.g, c.target, c.rs)
		if c.refuse == "" {
			require.NoError(t, err, c.name)
			continue
		}
		require.ErrorContains(t, err, c.refuse, c.name)
		require.ErrorIs(t, err, topology.ErrUnavailable, c.name)
	}
}

// A term that was begun and never started hides nothing: those whom the term
// before it waited for must answer too.
func TestATermThatNeverStartedDoesNotHideTheOneBefore(t *testing.T) {
	was := Reign{Term: 3, Leader: "a", Policy: "first 1 (b, c, a)", Lives: []uint64{1, 2, 3}}
	g := testGroup(4, "c", "first 1 (a, b, c)", was) // c begun 4, and a, whom it would wait for, answers
	rs := []Report{said("a", 1, 2, 5), said("c", 3, 2, 5)}
	require.NoError(t, electable(g, "c", rs), "a led 3, lacks its start, and promised: 3 committed nothing")

	was.Leader, was.Policy = "b", "first 1 (x, b)"
	g = testGroup(4, "c", "first 1 (a, b, c)", was)
	g.Voters = append(g.Voters, "x")
	g.Before[0].Lives = []uint64{1, 2, 3, 4}
	rs = append(rs, said("d", 5, 3, 9))
	require.ErrorContains(t, proven(g, rs), "term 3", "neither b nor x answers for term 3")

	g.Before = nil
	require.NoError(t, proven(g, rs), "forgetting the term before is what the proof must not do")
}

func TestSucceedKeepsEarlierTermsUntilTheStartOfTheLastIsSeenToBeCommitted(t *testing.T) {
	older := Reign{Term: 2, Leader: "b"}
	g := testGroup(3, "a", "any 1 (b, c, a)", older)
	next := succeed(g, nil, []Report{said("b", 2, 2, 5)})
	require.Equal(t, []Reign{older, g.Reign}, next.Before)
	next = succeed(g, nil, []Report{said("a", 1, 3, 6), said("b", 2, 2, 5)})
	require.Equal(t, []Reign{older, g.Reign}, next.Before, "the leader alone holds it")
	next = succeed(g, nil, []Report{said("b", 2, 3, 6), said("c", 3, 3, 6)})
	require.Equal(t, []Reign{older, g.Reign}, next.Before, "its leader may have lost it")
	next = succeed(g, nil, []Report{said("a", 1, 3, 6), said("b", 2, 3, 5)})
	require.Equal(t, []Reign{g.Reign}, next.Before)
	fresh := said("b", 2, 0, 0)
	fresh.Accepted = 0
	require.Empty(t, succeed(testGroup(1, "a", "async"), nil, []Report{fresh}).Before)
}

// a committed in term 2 with c, whose disk was lost then; terms 3 and 4 were started
// at a alone. They must not hide term 2: b, which was behind, and c in its new
// directory find that 4 and 3 committed nothing, and have to ask on.
func TestTermsThatOnlyTheirLeaderHoldsDoNotHideTheOneBefore(t *testing.T) {
	g := testGroup(2, "a", "any 1 (b, c, a)")
	for term := uint64(3); term <= 4; term++ {
		g = succeed(g, nil, []Report{said("a", 1, term-1, 9), said("c", 9, 0, 0)})
		g.Reign = Reign{Term: term, Leader: "a", Policy: g.Policy, Lives: []uint64{1, 2, 9}}
	}
	behind, empty := said("b", 2, 1, 4), said("c", 9, 0, 0)
	require.ErrorContains(t, electable(g, "b", []Report{behind, empty}), "commits of term 2")
	require.NoError(t, electable(g, "a", []Report{said("a", 1, 4, 10), empty}))
}

// b led terms 2 to 4 with a, who lost its disk in term 3, and never got their starts.
// That c, whom no commit waited for, holds the start of 3 says what a cannot: nothing
// is missing of term 2.
func TestALogThatHoldsATermsStartProvesItWhoeverWasCounted(t *testing.T) {
	reign := func(term, a uint64) Reign {
		return Reign{Term: term, Leader: "b", Policy: "first 1 (a, b, c)", Lives: []uint64{a, 2, 3}}
	}
	g := testGroup(4, "b", "first 1 (a, b, c)", reign(2, 8), reign(3, 9))
	g.Life, g.Lives = 2, []uint64{9, 2, 3}
	a, c := said("a", 9, 0, 0), said("c", 3, 3, 7)
	require.NoError(t, electable(g, "c", []Report{a, c}))
	require.ErrorContains(t, electable(g, "c", []Report{a, said("c", 3, 1, 7)}), "commits of term 2")
}

func TestAGroupDocumentReadsBackAndRefusesAnythingElse(t *testing.T) {
	g := testGroup(4, "c", "first 1 (a, b, c)", Reign{Term: 3, Leader: "a", Policy: "async", Lives: []uint64{1}})
	g.Life, g.Origin.ID, g.Origin.Incarnation = 7, 1, 2
	b := g.Encode()
	got, err := DecodeGroup(b)
	require.NoError(t, err)
	require.Equal(t, g, got)
	for n := range b {
		_, err := DecodeGroup(b[:n])
		require.Error(t, err, n)
	}
	_, err = DecodeGroup(append(b, 0))
	require.Error(t, err)
}

// Two nodes may bid for one term, of which one is not confirmed. It must not be
// taken for the one that was by who had bid for it himself: then those whom the
// other's commits waited for would not be asked.
func TestABidThatWasNotConfirmedDoesNotHideTheOneThatWas(t *testing.T) {
	voters := []topology.NodeID{"a", "b", "c", "d", "e"}
	doc := func(leader topology.NodeID, policy string) Group {
		g := testGroup(4, leader, policy, Reign{Term: 3, Leader: "d", Policy: "first 1 (e, a, b, c, d)", Lives: []uint64{1, 2, 3, 4, 5}})
		g.Voters, g.Lives = voters, []uint64{1, 2, 3, 4, 5}
		g.Life = uint64(leader[0]-'a') + 1
		return g
	}
	of := func(r Report, g Group) Report {
		r.Accepted, r.Group = 4, g
		return r
	}
	own, confirmed := doc("c", "first 1 (d, e, a, b, c)"), doc("a", "first 1 (b, c, d, e, a)")
	bid := Bid{Self: "c", Life: 3, Why: Chosen, Own: own, Voting: Voting{Members: voters}}
	bid.Sync.Kind, bid.Sync.K = 1, 1
	silent := []Report{of(said("c", 3, 3, 9), own), of(said("d", 4, 3, 9), confirmed), of(said("e", 5, 3, 9), confirmed)}
	_, err := bid.Propose(silent)
	require.ErrorContains(t, err, "commits of term 4 waited for [a b]", "a and b may have committed in term 4")

	bid.Why = Restart
	started := append(silent, of(said("a", 1, 4, 12), confirmed))
	_, err = bid.Propose(started)
	require.ErrorIs(t, err, topology.ErrNotLeader)
	bid.Accepted, bid.Obeys = 4, "c"
	require.Equal(t, topology.NodeID("a"), bid.Heir(started), "c can not follow a in term 4")
	bid.Obeys = "a"
	require.Empty(t, bid.Heir(started), "now it can")
	bid.For = "b"
	_, err = bid.Propose(started)
	require.ErrorContains(t, err, "b asked for a newer term, and does not answer")
	bid.For = ""

	bid.Why = Chosen
	neither := append(silent, of(said("b", 2, 3, 9), confirmed))
	next, err := bid.Propose(neither)
	require.NoError(t, err, "b would hold the start of a's term")
	require.Len(t, next.Before, 2)
	require.Equal(t, []topology.NodeID{"d", "a"}, []topology.NodeID{next.Before[0].Leader, next.Before[1].Leader}, "a's bid is kept, c's own came to nothing")
	require.NoError(t, proven(next, neither))
	require.ErrorContains(t, proven(next, silent), "commits of term 4 waited for [a b]")
}

// Who bids again and again, because those who answer can not promise, must not
// fill the document with bids that came to nothing: it has a limit.
func TestABidOfOnesOwnThatNeverStartedIsForgotten(t *testing.T) {
	was := Reign{Term: 3, Leader: "a", Policy: "any 1 (a, b, c)", Lives: []uint64{1, 2, 3}}
	voters := []topology.NodeID{"a", "b", "c"}
	own := testGroup(4, "c", "any 1 (a, b, c)", was)
	own.Life = 3
	for range 2 * beforeMax {
		bid := Bid{Self: "c", Life: 3, Why: Restart, Own: own, Voting: Voting{Members: voters}}
		bid.Sync.Kind, bid.Sync.K = 2, 1
		polled := []Report{said("b", 2, 3, 9), said("c", 3, 3, 9)}
		polled[1].Group, polled[1].Accepted = own, own.Term
		next, err := bid.Propose(polled)
		require.NoError(t, err)
		require.Equal(t, own.Term+1, next.Term)
		require.Equal(t, []Reign{was}, next.Before)
		own = next
	}
	bid := Bid{Self: "b", Life: 2, Why: Chosen, Own: testGroup(3, "a", "any 1 (a, b, c)"), Voting: Voting{Members: voters}}
	bid.Sync.Kind, bid.Sync.K = 2, 1
	asked := said("c", 3, 3, 9)
	asked.Group, asked.Accepted = own, own.Term
	next, err := bid.Propose([]Report{said("b", 2, 3, 9), asked})
	require.NoError(t, err)
	require.Equal(t, []Reign{was, own.Reign}, next.Before, "c may yet start its own, as far as b knows")

	bid = Bid{Self: "c", Life: 3, Why: Restart, Own: own, Voting: Voting{Members: voters}}
	bid.Sync.Kind, bid.Sync.K = 2, 1
	next, _ = bid.Propose([]Report{said("b", 2, own.Term, 10), asked})
	require.Equal(t, []Reign{was, own.Reign}, next.Before, "b alone holds its start, which c has lost: it may have committed nothing, and hides nothing")
}
