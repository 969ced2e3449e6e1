package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// saw is a member that has answered a survey.
func saw(id topology.NodeID, role topology.Role, lag uint64, trip time.Duration) Member {
	return Member{
		Member: call.Member{ID: id, Addr: string(id) + ":1", Role: role, Lag: topology.Lag{Records: lag}, Applied: 100},
		Heard:  time.Unix(1, 0), RoundTrip: trip,
	}
}

func TestTheNodesOfAReadAreChosenByRouteAndNeed(t *testing.T) {
	all := []Member{
		saw("a", topology.RoleLeader, 0, 3*time.Millisecond),
		saw("b", topology.RoleFollower, 7, 1*time.Millisecond),
		saw("c", topology.RoleFollower, 2, 2*time.Millisecond),
		saw("d", topology.RoleReadReplica, 0, 9*time.Millisecond),
		saw("e", topology.RoleCandidate, 0, 0),
		saw("f", topology.RoleFailed, 0, 0),
		saw("w", topology.RoleWitness, 0, 0),
	}
	all[3].Delay = time.Minute
	all[1].Lag.Bytes, all[2].Lag.Bytes = 700, 200
	all[2].Stale = 50 * time.Millisecond
	type ids = []topology.NodeID
	token := topology.Token{Term: 1, LSN: 101}
	for name, tc := range map[string]struct {
		choice
		need
		failing topology.NodeID
		want    ids
	}{
		"anywhere, who leads first":              {choice: choice{route: RouteLeader}, need: need{any: true}, want: ids{"a", "d", "c", "b", "e"}},
		"the newest, from who is near":           {choice: choice{route: RouteNearest}, need: need{newest: true}, want: ids{"b", "c", "a"}},
		"in turn":                                {choice: choice{route: RouteRoundRobin, turn: 4}, need: need{newest: true}, want: ids{"b", "c", "a"}},
		"who is least behind, and not who leads": {choice: choice{route: RouteLeastLag}, need: need{newest: true}, want: ids{"c", "b", "a"}},
		"who answered before":                    {choice: choice{route: RouteSticky, stuck: "c"}, need: need{newest: true}, want: ids{"c", "b", "a"}},
		"who has failed comes last":              {choice: choice{route: RouteNearest}, need: need{newest: true}, failing: "b", want: ids{"c", "a", "b"}},
		"no more than so many records behind":    {choice: choice{route: RouteNearest}, need: need{maxLag: 5}, want: ids{"c", "a", "d"}},
		"no more than so many bytes behind":      {choice: choice{route: RouteNearest}, need: need{maxBytes: 200}, want: ids{"c", "a", "d"}},
		"no older than":                          {choice: choice{route: RouteNearest}, need: need{maxStale: 10 * time.Millisecond}, want: ids{"b", "a"}},
		"behind a token, the leader is next":     {choice: choice{route: RouteNearest}, need: need{after: token}, want: ids{"b", "a", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.leader = "a"
			these := append([]Member(nil), all...)
			for i := range these {
				these[i].Failing = these[i].ID == tc.failing
			}
			require.Equal(t, tc.want, choose(tc.choice, tc.need, these))
		})
	}
	require.Empty(t, choose(choice{route: RouteNearest}, need{newest: true}, nil))
}

func TestHedgesStayWithinTheirBudget(t *testing.T) {
	require.Nil(t, newHedging(Hedge{}))
	h := newHedging(Hedge{Percent: 10})
	_, known := h.wait()
	require.False(t, known, "nothing is known of how long reads take")
	sent := 0
	for range 1000 {
		h.earn()
		if h.spend() {
			sent++
		}
	}
	require.Equal(t, 100, sent, "ten in a hundred")
	for range 10_000 {
		h.earn()
	}
	for sent = 0; h.spend(); sent++ {
	}
	require.Equal(t, burstMax, sent, "little is saved up")
	for i := range latenciesMax {
		h.measure(time.Duration(i) * time.Millisecond)
	}
	wait, known := h.wait()
	require.True(t, known)
	require.Equal(t, 121*time.Millisecond, wait)
	for _, bad := range []Hedge{{Percent: -1}, {Percent: 101}, {Percent: 1, After: -1}} {
		_, err := bad.withDefaults()
		require.ErrorContains(t, err, "routing.hedge")
	}
}
