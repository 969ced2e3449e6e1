package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestALogThatIsRewoundToNothingKnowsItsTerms(t *testing.T) {
	h := topology.History{{Term: 1, Start: 1}, {Term: 2, Start: 2}, {Term: 3, Start: 44}}
	r := Rewound(topology.Bounds{First: 44, End: 46}, h, 43)
	require.Equal(t, topology.Range{First: 44, Last: 43, History: h[:2]}, r)
	require.Equal(t, topology.Range{First: 44, Last: 45, History: h}, Rewound(topology.Bounds{First: 44, End: 46}, h, 45))
}

func TestAnInstallReadsBackAndIsFinishedOnce(t *testing.T) {
	i := Install{ID: "t3-l9-1", LSN: 9, History: topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 5}}}
	got, err := DecodeInstall(i.Encode())
	require.NoError(t, err)
	require.Equal(t, i, got)
	_, err = DecodeInstall(i.Encode()[:3])
	require.Error(t, err)
	old := topology.History{{Term: 1, Start: 1}, {Term: 2, Start: 5}}
	for name, c := range map[string]struct {
		installed  string
		at         Positions
		unfinished bool
	}{
		"the store was not switched":              {"", Positions{Bounds: topology.Bounds{First: 1, End: 4}, Applied: 4}, false},
		"the store was switched, the log was not": {i.ID, Positions{Bounds: topology.Bounds{First: 1, End: 4}, Applied: 9}, true},
		"both were":                           {i.ID, Positions{Bounds: topology.Bounds{First: 10, End: 9}, Applied: 9}, false},
		"the log went on since":               {i.ID, Positions{Bounds: topology.Bounds{First: 4, End: 12}, History: i.History, Applied: 9}, false},
		"the log is another one":              {i.ID, Positions{Bounds: topology.Bounds{First: 4, End: 12}, History: old, Applied: 9}, true},
		"the store was there already":         {"", Positions{Bounds: topology.Bounds{First: 4, End: 12}, History: old, Applied: 9}, false},
		"the store came there by another one": {"t2-l7-5", Positions{Bounds: topology.Bounds{First: 8, End: 12}, History: old, Applied: 9}, false},
	} {
		require.Equal(t, c.unfinished, got.Unfinished(c.installed, &c.at), name)
	}
}

func TestAnInstallIsReadAsItWasWrittenBefore(t *testing.T) {
	got, err := DecodeInstall([]byte{0x95, 9, 1, 1, 3, 5})
	require.NoError(t, err)
	require.Equal(t, Install{LSN: 9, History: topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 5}}}, got)
	for _, bad := range [][]byte{{0x90}, {0x91}, {0x94, 9, 1, 1, 3}, {0x92, 9, 1}} {
		_, err := DecodeInstall(bad)
		require.Error(t, err, "%x", bad)
	}
}

func TestWhereALogPartsFromASnapshot(t *testing.T) {
	h := func(terms ...topology.TermStart) topology.History { return terms }
	one, two := topology.TermStart{Term: 1, Start: 1}, topology.TermStart{Term: 2, Start: 5}
	three := topology.TermStart{Term: 3, Start: 8}
	for name, c := range map[string]struct {
		own   topology.History
		end   record.LSN
		other topology.History
		lsn   record.LSN
		parts record.LSN
	}{
		"behind":                             {h(one), 4, h(one, two), 20, 0},
		"further in one term":                {h(one, two), 30, h(one, two), 20, 0},
		"a tail of an older term":            {h(one), 9, h(one, two), 20, 4},
		"a tail of a term nobody else knows": {h(one, two), 9, h(one, topology.TermStart{Term: 3, Start: 7}), 20, 4},
		"a tail behind several terms":        {h(one, two), 12, h(one, two, three), 20, 7},
		"an empty log":                       {nil, 0, h(one, two), 20, 0},
	} {
		require.Equal(t, c.parts, Parts(c.own, c.end, c.other, c.lsn), name)
	}
}

func TestALogKeepsWhatAnotherLeaderMayLack(t *testing.T) {
	g := Group{Reign: Reign{Term: 2, Leader: "a", Policy: "async"}, Voters: []topology.NodeID{"a", "b"}, Agreed: &Agreed{Lag: 5}}
	lead := Core{Role: Leader, End: 9, Lead: Leading{Slack: 5, Flushed: []uint64{9, 6}}}
	require.EqualValues(t, 7, Keep(&lead, &g))
	require.EqualValues(t, 1, Keep(&Core{Role: Follower, End: 9}, &g), "it may have to be cut")
	require.EqualValues(t, 10, Keep(&Core{Role: Follower, End: 9, follow: following{agreed: true}}, &g))
	g.Agreed.Lag = 0
	require.EqualValues(t, 10, Keep(&lead, &g), "no election loses anything")
}

func TestWhatIsLostAndNoLogHasIsTold(t *testing.T) {
	for name, c := range map[string]struct{ first, parts, from, to record.LSN }{
		"nothing parts":               {105, 0, 105, 104},
		"the log has it all":          {1, 12, 13, 0},
		"the log begins where it was": {13, 12, 13, 12},
		"the log begins later":        {105, 12, 13, 104},
	} {
		from, to := Missing(c.first, c.parts)
		require.Equal(t, max(c.to+1, c.from), max(to+1, from), name)
		if c.to >= c.from {
			require.Equal(t, [2]record.LSN{c.from, c.to}, [2]record.LSN{from, to}, name)
		} else {
			require.Less(t, to, from, name)
		}
	}
}
