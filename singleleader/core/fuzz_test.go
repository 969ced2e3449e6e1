package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// FuzzDocuments holds that what stands in stable documents, and what members send
// each other about them, is refused, or comes back as it was written.
func FuzzDocuments(f *testing.F) {
	g := Group{
		Life: 3, Origin: version.Origin{ID: 1, Incarnation: 2}, Voters: []topology.NodeID{"a", "b"},
		Reign:  Reign{Term: 4, Leader: "a", Policy: "any 1 (a, b)", Lives: []uint64{5, 6}},
		Before: []Reign{{Term: 3, Leader: "b", Policy: "async", Lives: []uint64{5, 6}}},
	}
	f.Add(g.Encode())
	g.Life, g.Agreed = 5, &Agreed{InSync: []Counted{{"a", 5}}, Minimum: 2, Lease: time.Second, Wait: 2 * time.Second}
	f.Add(g.Encode())
	f.Add([]byte{0x93, 3, 0xa1, 'a', 9}) // an accepted term, as it was written before
	f.Add([]byte{0x93, 9, 1, 1})         // an install, as it was written before
	f.Add(Install{ID: "t3-l9-1", LSN: 9, History: topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 5}}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := DecodeGroup(b); err == nil {
			again, err := DecodeGroup(g.Encode())
			require.NoError(t, err)
			require.Equal(t, g, again)
			_, _, _ = g.Rule()
		}
		if a, err := DecodeAccepted(b); err == nil {
			again, err := DecodeAccepted(a.Encode())
			require.NoError(t, err)
			require.Equal(t, a, again)
		}
		if i, err := DecodeInstall(b); err == nil {
			again, err := DecodeInstall(i.Encode())
			require.NoError(t, err)
			require.Equal(t, i, again)
		}
		_, _ = DecodeReport(b)
	})
}
