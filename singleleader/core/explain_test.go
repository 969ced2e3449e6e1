package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// told is the report of a node in its first directory: 1 for a, 2 for b, and so on.
func told(node string, lsn, commit uint64) Report {
	r := said(topology.NodeID(node), uint64(node[0]-'a'+1), 3, 0)
	r.Last.LSN += record.LSN(lsn)
	r.Commit += record.LSN(commit)
	r.Group = testGroup(3, "a", "first 1 (b, c, a)")
	return r
}

func agreedGroup(policy string, inSync ...string) Group {
	g := testGroup(3, "a", policy)
	g.Agreed = &Agreed{Minimum: 2}
	for _, n := range inSync {
		g.Agreed.InSync = append(g.Agreed.InSync, Counted{topology.NodeID(n), uint64(n[0] - 'a' + 1)})
	}
	return g
}

// shown is an explanation in a few words.
func shown(x topology.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", x.Why)
	for _, c := range x.Contenders {
		why := strings.Join(c.Reasons, "; ")
		if c.Node == x.Winner {
			why = strings.TrimPrefix(why+" wins", " ")
		}
		fmt.Fprintf(&b, "%s: %s\n", c.Node, why)
	}
	fmt.Fprintf(&b, "aside %d lost %d known %t", x.Tail, x.Lost, x.Known)
	return b.String()
}

type explained struct {
	sync     quorum.Policy
	replicas []topology.NodeID
	g        Group
	rs       []Report
	want     string
}

func explanations() map[string]explained {
	first := func(of ...string) quorum.Policy { return quorum.First(1, of...) }
	paused := agreedGroup("first 1 (b, c, a)", "a", "b")
	paused.Agreed.Paused = true
	fresh := told("b", 9, 9)
	fresh.Life = 99
	empty := told("b", 9, 9)
	empty.Last.LSN, empty.Last.Term = 0, 0
	later := told("b", 9, 9)
	later.Accepted = 7
	return map[string]explained{
		"the one in sync wins, the other is behind": {
			first("b", "c", "a"), nil, agreedGroup("first 1 (b, c, a)", "a", "b"), []Report{told("a", 9, 8), told("b", 9, 8), told("c", 5, 5)},
			"b would be elected\na: it leads, and is taken to have failed\nb: wins\nc: it is not in sync: [a b] alone are known to hold every commit; it is 4 records behind\naside 0 lost 0 known true",
		},
		"what is not committed yet is put aside": {
			first("b", "c", "a"), nil, agreedGroup("first 1 (b, c, a)", "a", "b"), []Report{told("a", 12, 8), told("b", 9, 8), told("c", 9, 8)},
			"b would be elected\na: it leads, and is taken to have failed\nb: wins\nc: it is not in sync: [a b] alone are known to hold every commit; it is 3 records behind\naside 3 lost 0 known true",
		},
		"both in sync: the order of voters": {
			quorum.All(), nil, agreedGroup("all", "a", "c", "b"), []Report{told("a", 9, 8), told("b", 9, 8), told("c", 9, 8)},
			"b would be elected\na: it leads, and is taken to have failed\nb: wins\nc: b goes first, by the order of voters\naside 0 lost 0 known true",
		},
		"the one in sync does not answer": {
			first("b", "c", "a"), nil, agreedGroup("first 1 (b, c, a)", "a", "b"), []Report{told("a", 9, 8), told("c", 5, 5)},
			"nobody would be elected: no other node that answers is known to hold every commit\na: it leads, and is taken to have failed\nb: it does not answer\nc: it is not in sync: [a b] alone are known to hold every commit; it is 4 records behind\naside 0 lost 0 known true",
		},
		"it lost its directory": {
			first("b", "c", "a"), nil, agreedGroup("first 1 (b, c, a)", "a", "b"), []Report{told("a", 9, 8), fresh},
			"nobody would be elected: no other node that answers is known to hold every commit\na: it leads, and is taken to have failed\nb: its directory is another one than the in-sync set counts: it lost what it had\nc: it does not answer\naside 0 lost 0 known true",
		},
		"its log does not fit its store": {
			first("b", "c", "a"), nil, agreedGroup("first 1 (b, c, a)", "a", "b"), []Report{told("a", 9, 8), empty},
			"nobody would be elected: no other node that answers is known to hold every commit\na: it leads, and is taken to have failed\nb: it is 9 records behind; its log holds nothing that fits its store: it waits for a snapshot\nc: it does not answer\naside 0 lost 0 known true",
		},
		"the control has forgotten a term": {
			first("b", "c", "a"), nil, agreedGroup("first 1 (b, c, a)", "a", "b"), []Report{later},
			"nobody would be elected: no other node that answers is known to hold every commit\na: it leads, and is taken to have failed; it does not answer\nb: conflict: term 7 is accepted here, the control knows term 3: it has lost what it knew, or is another cluster's\nc: it does not answer\naside 0 lost 0 known false",
		},
		"paused": {
			first("b", "c", "a"), nil, paused, []Report{told("a", 9, 8), told("b", 9, 8), told("c", 9, 8)},
			"nobody is elected while automatic failover is paused; `triad failover --to b` would be accepted\na: it leads, and is taken to have failed\nb: automatic failover is paused\nc: it is not in sync: [a b] alone are known to hold every commit\naside 0 lost 0 known true",
		},
		"a read replica": {
			first("b"), []topology.NodeID{"c"}, agreedGroup("first 1 (b)", "a", "b"), []Report{told("a", 9, 8), told("b", 9, 8), told("c", 7, 7)},
			"b would be elected\na: it leads, and is taken to have failed\nb: wins\nc: it is a read replica, which nobody elects; it is 2 records behind\naside 0 lost 0 known true",
		},
		"any: the longest log wins": {
			quorum.Any(1), nil, agreedGroup("any 1 (a, b, c)", "a", "b", "c"), []Report{told("a", 9, 9), told("b", 7, 7), told("c", 9, 9)},
			"c would be elected\na: it leads, and is taken to have failed\nb: it is 2 records behind; c has the longer log, and goes first\nc: wins\naside 0 lost 0 known true",
		},
		"any: too few promise": {
			quorum.Any(1), nil, agreedGroup("any 1 (a, b, c)", "a", "b", "c"), []Report{told("a", 9, 9), told("b", 9, 9)},
			"nobody would be elected: no other node that answers is known to hold every commit\na: it leads, and is taken to have failed\nb: 2 of [a b c] must promise to obey no older term, this node among them, and 1 did\nc: it does not answer\naside 0 lost 0 known true",
		},
		"async: nobody": {
			quorum.Async(), nil, agreedGroup("async", "a"), []Report{told("a", 9, 9), told("b", 7, 7)},
			"nobody would be elected: with the policy async only the leader is known to hold every commit\na: it leads, and is taken to have failed\nb: it is not in sync: [a] alone are known to hold every commit; it is 2 records behind\nc: it does not answer\naside 0 lost 0 known true",
		},
		"by hand": {
			first("b", "c", "a"), nil, testGroup(3, "a", "first 1 (b, c, a)"), []Report{told("a", 12, 9), told("b", 9, 9), told("c", 5, 5)},
			"nobody is elected with control static; `triad failover --to b` would be accepted\na: it leads, and is taken to have failed\nb: wins\nc: it is 7 records behind; c ends at entry 5 of term 3, b at 9 of term 3: run failover to b\naside 3 lost 0 known true",
		},
		"by hand, and nobody may": {
			first("b", "c", "a"), nil, testGroup(3, "a", "first 1 (b, c, a)"), []Report{told("b", 9, 9)},
			"nobody is elected with control static, and nobody who answers may be named without force\na: it leads, and is taken to have failed; it does not answer\nb: a majority of the voters [a b c] must be reached and only [b] were, not [a c]; with force it goes on, if nobody else can lead\nc: it does not answer\naside 0 lost 0 known false",
		},
	}
}

func TestAnExplanationSaysWhoWinsAndWhyNobodyElse(t *testing.T) {
	for name, tc := range explanations() {
		t.Run(name, func(t *testing.T) {
			q := Inquiry{Voting: Voting{Sync: tc.sync, ReadReplicas: tc.replicas, Members: []topology.NodeID{"a", "b", "c"}}, Group: tc.g, Reports: tc.rs, BackOff: time.Second}
			x := q.Explain()
			require.Equal(t, tc.want, shown(x))
			require.Equal(t, time.Second, x.BackOff)
			require.Equal(t, x, q.Explain(), "it changes nothing")
		})
	}
}

// Who is made leader by force says what that costs.
func TestAnExplanationSaysWhatForceWouldLose(t *testing.T) {
	q := Inquiry{Voting: Voting{Sync: quorum.Async(), Members: []topology.NodeID{"a", "b"}}, Group: agreedGroup("async", "a"), Reports: []Report{told("a", 9, 8), told("b", 5, 5)}}
	b := q.Explain().Contenders[1]
	require.EqualValues(t, 4, b.Behind)
	require.EqualValues(t, 3, b.Loses)
}
