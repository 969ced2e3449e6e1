package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// The configuration names the first leader. A directory that is new there may be
// that of a group that has long begun, and forgotten what it said: only who founded
// the cluster, or hears from everybody that nothing was ever begun, starts term 1.
func TestTheFirstTermIsStartedByWhoCanNotHaveForgottenIt(t *testing.T) {
	voting := Voting{Sync: quorum.Any(1), Members: []topology.NodeID{"a", "b", "c"}}
	own, err := voting.First("a")
	require.NoError(t, err)
	fresh := func(n topology.NodeID) Report { return Report{Node: n, Life: 9, Group: own} }
	began := Report{Node: "a", Life: 9, Accepted: 1, Group: own}
	began.Group.Life, began.Group.Lives = 9, []uint64{9, 0, 0}
	for _, c := range []struct {
		name   string
		bid    Bid
		polled []Report
		refuse string
	}{
		{"the founder, alone", Bid{Founds: true, Waited: true}, []Report{fresh("a")}, ""},
		{"the founder, who has not waited for the others", Bid{Founds: true}, []Report{fresh("a")}, "waiting for the other members"},
		{"an empty directory in a cluster that was there", Bid{Waited: true}, []Report{fresh("a")}, "a majority"},
		{"the same, and one other that knows nothing", Bid{Waited: true}, []Report{fresh("a"), fresh("c")}, "has forgotten what it promised"},
		{"everybody says that nothing was begun", Bid{}, []Report{fresh("a"), fresh("b"), fresh("c")}, ""},
		{"its own term 1 was begun, and everybody is there", Bid{}, []Report{began, fresh("b"), fresh("c")}, ""},
		{"its own term 1 was begun, and one is away", Bid{}, []Report{began, fresh("b")}, "has forgotten what it promised"},
		{"one has heard of term 1", Bid{Founds: true, Waited: true}, []Report{fresh("a"), said("b", 2, 1, 1)}, "has forgotten what it promised"},
	} {
		c.bid.Voting, c.bid.Self, c.bid.Life, c.bid.Why, c.bid.Own = voting, "a", 9, Restart, c.polled[0].Group
		next, err := c.bid.Propose(c.polled)
		if c.refuse == "" {
			require.NoError(t, err, c.name)
			require.EqualValues(t, 1+c.polled[0].Accepted, next.Term, c.name)
			continue
		}
		require.ErrorContains(t, err, c.refuse, c.name)
	}
}

// A node whose log begins behind what its store lacks can apply nothing, and one
// whose store has more than its log would give the same places out again: no term of
// theirs is begun, whatever is given up.
func TestANodeWhoseLogAndStoreDoNotFitIsNotMadeLeaderByForce(t *testing.T) {
	voting := Voting{Sync: quorum.Async(), Members: []topology.NodeID{"a", "b", "c"}}
	own, err := voting.First("a")
	require.NoError(t, err)
	reports := []Report{{Node: "a", Life: 9, Group: own}}
	for _, why := range []Why{Forced, Chosen, Restart} {
		bid := Bid{Voting: voting, Self: "a", Life: 9, Why: why, Own: own, Resync: true}
		_, err := bid.Propose(reports)
		require.ErrorIs(t, err, ErrResync, why)
	}
	bid := Bid{Voting: voting, Self: "a", Life: 9, Why: Forced, Own: own}
	_, err = bid.Propose(reports)
	require.NoError(t, err)
}

// A leader that was told of a newer term, and could not record it, begins none that
// outranks it by itself; an operator's is beyond it.
func TestWhoWasToldOfANewerTermBeginsNoneByItself(t *testing.T) {
	voting := Voting{Sync: quorum.Async(), Members: []topology.NodeID{"a", "b", "c"}}
	own, err := voting.First("a")
	require.NoError(t, err)
	own.Life, own.Lives = 9, []uint64{9}
	reports := []Report{{Node: "a", Life: 9, Accepted: 1025, Group: own, Last: stream.Place{Term: 1, LSN: 3}}}
	bid := Bid{Voting: voting, Self: "a", Life: 9, Why: Restart, Own: own, Accepted: 1, Obeys: "a", Told: 1025}
	_, err = bid.Propose(reports)
	require.ErrorIs(t, err, topology.ErrNotLeader)
	require.ErrorContains(t, err, "term 1025 was begun by a node that does not answer")
	bid.Why = Forced
	next, err := bid.Propose(reports)
	require.NoError(t, err)
	require.EqualValues(t, 1025+forcedStep, next.Term)

	c := Core{Self: "a", Term: 1, Leader: "a", Pledge: 1025}
	old := Group{Reign: Reign{Term: 2, Leader: "b"}}
	require.ErrorContains(t, Acceptable(&c, &old), "term 1025 is known here to have been begun")
	require.NoError(t, Acceptable(&c, &next))
}
