package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestAGroupGoesOnFromAPointThatIsShownByNobodyYet(t *testing.T) {
	good := Restorable{Applied: 6, Commit: 9, At: 7, End: 10}
	require.NoError(t, good.Check())
	for name, change := range map[string]func(*Restorable){
		"counted":                func(p *Restorable) { p.Counted = true },
		"log and store apart":    func(p *Restorable) { p.Resync = true },
		"shown already":          func(p *Restorable) { p.At = 5 },
		"not known as committed": func(p *Restorable) { p.At = 10 },
	} {
		bad := good
		change(&bad)
		require.Error(t, bad.Check(), name)
	}
	for _, at := range []int{6, 9} {
		edge := good
		edge.At = record.LSN(at)
		require.NoError(t, edge.Check())
	}
}

func TestABidRemembersWhereTheHistoryParted(t *testing.T) {
	v := Voting{Sync: quorum.First(1, "b"), Members: []topology.NodeID{"a", "b", "d"}, ReadReplicas: []topology.NodeID{"d"}}
	g := Group{Reign: Reign{Term: 3, Leader: "a", Policy: "first 1 (a, b)", Lives: []uint64{1, 1}}, Life: 1, Voters: []topology.NodeID{"a", "b"}}
	report := func(n topology.NodeID, lsn, term int) Report {
		return Report{Node: n, Life: 1, Accepted: 3, Group: g, Last: stream.Place{Term: uint64(term), LSN: record.LSN(lsn)}}
	}
	bid := Bid{Voting: v, Self: "d", Life: 1, Why: Restored, Own: g, Accepted: 3}
	next, err := bid.Propose([]Report{report("a", 9, 3), report("b", 9, 3), report("d", 6, 3)})
	require.NoError(t, err)
	require.Equal(t, []Fork{{Term: 3 + forcedStep, At: 6}}, next.Forks)
	require.True(t, next.Lossy())
	back, err := DecodeGroup(next.Encode())
	require.NoError(t, err)
	require.Equal(t, next.Forks, back.Forks)
	require.Contains(t, words(&next), "restore to a point of the past; what came after entry 6 was given up")

	g = next
	bid = Bid{Voting: v, Self: "b", Life: 1, Why: Forced, Own: g, Accepted: g.Term}
	again, err := bid.Propose([]Report{report("b", 9, 3)})
	require.NoError(t, err)
	require.Empty(t, again.Forks, "the old history leads again")
	again, err = bid.Propose([]Report{report("b", 9, int(g.Term))})
	require.NoError(t, err)
	require.Equal(t, next.Forks, again.Forks)
}

func TestADocumentRemembersSoManyForks(t *testing.T) {
	var g Group
	for i := range ForksMax + 3 {
		g.Forks = forked(&g, stream.Place{Term: uint64(i), LSN: 5}, uint64(i+1), true)
	}
	require.Len(t, g.Forks, ForksMax)
	require.EqualValues(t, ForksMax+3, g.Forks[ForksMax-1].Term)
	g.Reign = Reign{Term: 99, Leader: "a", Policy: "async"}
	back, err := DecodeGroup(g.Encode())
	require.NoError(t, err)
	require.Equal(t, g.Forks, back.Forks)
	g.Forks[0].Term = 99
	_, err = DecodeGroup(g.Encode())
	require.ErrorContains(t, err, "forks do not ascend")
}
