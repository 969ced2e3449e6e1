package conflict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// A delete that has won stays while what lost to it is there: a site that has let that go
// already lets the delete go next, and nothing of either lasts.
func TestWhatLastsDoesNotHangOnWhatWasLetGo(t *testing.T) {
	at := func(id uint32) version.Dot {
		return version.Dot{Origin: version.Origin{ID: id, Incarnation: 1}, Seq: 1}
	}
	deleted := record.Version{Dot: at(1), Time: 1, Absent: true}
	lost := record.Version{Dot: at(2), Time: 2, Kind: record.KindBytes, Value: []byte("v")}
	r := conflict.SitePriority(1, 2)
	require.Empty(t, conflict.Lasting(r, record.Cell{}, []record.Version{deleted, lost}))
	require.Empty(t, conflict.Lasting(r, record.Cell{}, []record.Version{deleted}))
	require.Equal(t, []record.Version{lost}, conflict.Lasting(r, record.Cell{}, []record.Version{lost}))
}
