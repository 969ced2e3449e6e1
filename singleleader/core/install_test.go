package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestALogThatIsRewoundToNothingKnowsItsTerms(t *testing.T) {
	h := topology.History{{Term: 1, Start: 1}, {Term: 2, Start: 2}, {Term: 3, Start: 44}}
	r := Rewound(topology.Bounds{First: 44, End: 46}, h, 43)
	require.Equal(t, topology.Range{First: 44, Last: 43, History: h[:2]}, r)
	require.Equal(t, topology.Range{First: 44, Last: 45, History: h}, Rewound(topology.Bounds{First: 44, End: 46}, h, 45))
}

func TestAnInstallReadsBackAndIsFinishedOnce(t *testing.T) {
	i := Install{LSN: 9, History: topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 5}}}
	got, err := DecodeInstall(i.Encode())
	require.NoError(t, err)
	require.Equal(t, i, got)
	_, err = DecodeInstall(i.Encode()[:3])
	require.Error(t, err)
	for name, c := range map[string]struct {
		at         Positions
		unfinished bool
	}{
		"the store was not switched":              {Positions{Bounds: topology.Bounds{First: 1, End: 4}, Applied: 4}, false},
		"the store was switched, the log was not": {Positions{Bounds: topology.Bounds{First: 1, End: 4}, Applied: 9}, true},
		"both were":              {Positions{Bounds: topology.Bounds{First: 10, End: 9}, Applied: 9}, false},
		"the log went on since":  {Positions{Bounds: topology.Bounds{First: 4, End: 12}, History: i.History, Applied: 9}, false},
		"the log is another one": {Positions{Bounds: topology.Bounds{First: 4, End: 12}, History: i.History[:1], Applied: 9}, true},
	} {
		require.Equal(t, c.unfinished, got.Unfinished(&c.at), name)
	}
}
