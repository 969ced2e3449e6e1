package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Nothing readable is ever taken back, but by an async group that gives up what
// its new leader does not have, and by a node whose log and store do not fit (S9).
func TestASnapshotTakesNothingBack(t *testing.T) {
	for name, test := range map[string]struct {
		lsn, applied  record.LSN
		resync, async bool
		refused       bool
	}{
		"ahead":                     {lsn: 9, applied: 5},
		"at what is applied":        {lsn: 5, applied: 5},
		"below what is applied":     {lsn: 4, applied: 5, refused: true},
		"below, in an async group":  {lsn: 4, applied: 5, async: true},
		"below, where nothing fits": {lsn: 4, applied: 5, resync: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := Installable(test.lsn, test.applied, test.resync, test.async)
			if test.refused {
				require.ErrorIs(t, err, topology.ErrConflict)
				return
			}
			require.NoError(t, err)
		})
	}
}

// A dot names a place in the log of its origin (C2).
func TestADotIsBoundToItsPlaceInTheLog(t *testing.T) {
	g := testGroup(3, "a", "async")
	g.Origin = version.Origin{ID: 7, Incarnation: 2}
	for lsn := record.LSN(1); lsn < 9; lsn++ {
		want := version.Dot{Origin: g.Origin, Seq: uint64(lsn)}
		require.Equal(t, want, g.Dot(lsn))
		mark := g.Mark(lsn, 5)
		require.Equal(t, want, mark.Dot)
		require.EqualValues(t, 3, mark.Term)
	}
}

// A node that has accepted a term accepts none that is not newer, but that very one
// again; nor one that leaves no room for others (K2, S7).
func TestATermIsAcceptedOverAnOlderOneOnly(t *testing.T) {
	c := &Core{Term: 5, Leader: "a", Life: 1}
	for name, test := range map[string]struct {
		g       Group
		refused error
	}{
		"a newer one":                 {testGroup(6, "b", "async"), nil},
		"the same again":              {testGroup(5, "a", "async"), nil},
		"the same of somebody else":   {testGroup(5, "b", "async"), topology.ErrConflict},
		"the same of a new directory": {Group{Reign: Reign{Term: 5, Leader: "a"}, Life: 2}, topology.ErrConflict},
		"an older one":                {testGroup(4, "b", "async"), topology.ErrConflict},
		"an older one of its leader":  {testGroup(4, "a", "async"), topology.ErrConflict},
		"one far ahead":               {testGroup(6+TermStepMax, "b", "async"), topology.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Acceptable(c, &test.g); test.refused == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.refused)
			}
		})
	}
}

// A follower acknowledges what is known to be its leader's, not what else stands in
// its log: nothing before the logs agree, then up to what it was sent (S8).
func TestAnAckCoversWhatTheLogsAgreeOn(t *testing.T) {
	own := topology.Bounds{First: 1, End: 9, Flushed: 8}
	var a Agreement
	require.Equal(t, stream.Ack{}, a.Ack(own, 7))
	a.Met(stream.Cut{Term: 3, To: stream.Place{Term: 2, LSN: 4}})
	require.Equal(t, stream.Ack{Term: 3, Written: 4, Flushed: 4, Applied: 4}, a.Ack(own, 7))
	a.Took(&stream.Append{Entries: []record.Entry{{LSN: 5}, {LSN: 6}}, Round: 2})
	require.Equal(t, stream.Ack{Term: 3, Written: 6, Flushed: 6, Applied: 6, Round: 2}, a.Ack(own, 7))
	a.Took(&stream.Append{Entries: []record.Entry{{LSN: 10}}, Round: 1})
	require.Equal(t, stream.Ack{Term: 3, Written: 9, Flushed: 8, Applied: 7, Round: 2}, a.Ack(own, 7))
}

// Who restarts leads a new term only if nobody was made leader meanwhile (K2).
func TestALeaderThatRestartsGivesWayToANewerTerm(t *testing.T) {
	bid := func() *Bid {
		members := []topology.NodeID{"a", "b", "c"}
		return &Bid{Voting: Voting{Sync: quorum.Any(1, "b", "c"), Members: members}, Self: "a", Life: 1, Why: Restart, Own: testGroup(3, "a", "any 1 (b, c, a)"), Waited: true}
	}
	rs := []Report{said("a", 1, 3, 9), said("b", 2, 3, 9)}
	next, err := bid().Propose(rs)
	require.NoError(t, err)
	require.EqualValues(t, "a", next.Leader)
	rs[1].Group = testGroup(4, "b", "any 1 (b, c, a)")
	_, err = bid().Propose(rs)
	require.ErrorIs(t, err, topology.ErrNotLeader)
}
