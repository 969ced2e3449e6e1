package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
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
