package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
)

// A leader that has just begun knows of less than its predecessor has acknowledged: who
// has no more than that, and not the start of the term, may lack it (S5).
func TestWhoIsLetInHasTheStartOfTheTermAndWhatIsCommitted(t *testing.T) {
	var g Group
	require.Equal(t, record.LSN(9), g.Caught(7, 9))
	require.Equal(t, record.LSN(12), g.Caught(12, 9))
}
