package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestFateOfAWrite(t *testing.T) {
	h := topology.History{{Term: 2, Start: 10}, {Term: 4, Start: 20}}
	for _, c := range []struct {
		what    string
		settled record.LSN
		lsn     record.LSN
		term    uint64
		want    topology.Resolution
		open    bool
	}{
		{"it is committed", 15, 12, 2, topology.Resolution{Fate: topology.FateApplied, LSN: 12, Term: 2}, false},
		{"it is committed, in an old term", 25, 19, 2, topology.Resolution{Fate: topology.FateApplied, LSN: 19, Term: 2}, false},
		{"another term's stands there", 25, 22, 2, topology.Resolution{Fate: topology.FateNotApplied, LSN: 22, Term: 4}, false},
		{"the start of the term stands there", 20, 20, 2, topology.Resolution{Fate: topology.FateNotApplied, LSN: 20, Term: 4}, false},
		{"a term that was never in this log", 25, 15, 3, topology.Resolution{Fate: topology.FateNotApplied, LSN: 15, Term: 2}, false},
		{"behind the end, of an old term", 20, 30, 2, topology.Resolution{Fate: topology.FateNotApplied}, false},
		{"not committed yet", 25, 30, 4, topology.Resolution{}, true},
		{"of a newer term than is known here", 25, 30, 5, topology.Resolution{}, true},
		{"the newer term is not committed yet", 19, 19 + 1, 2, topology.Resolution{}, true},
		{"before the terms that are known", 25, 5, 1, topology.Resolution{}, false},
		{"whose it is was not said", 25, 12, 0, topology.Resolution{LSN: 12, Term: 2}, false},
		{"nor is it there yet", 25, 30, 0, topology.Resolution{}, true},
	} {
		got, ok := FateOf(h, c.settled, c.lsn, c.term)
		require.Equal(t, !c.open, ok, c.what)
		require.Equal(t, c.want, got, c.what)
	}
}
