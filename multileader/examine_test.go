package multileader

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

func TestAFunctionThatDiffersBetweenSitesIsQuarantinedAndReleased(t *testing.T) {
	var honest atomic.Bool
	// Equal for the sets of siblings that digests are made of, and for real ones not.
	at := func(site string) conflict.Resolver {
		return conflict.Func("joined", 1, func(key []byte, siblings []record.Version) (conflict.Fold, error) {
			if string(key) == "key" || honest.Load() {
				return conflict.Fold{Value: []byte("together")}, nil
			}
			return conflict.Fold{Value: []byte("seen from " + site)}, nil
		})
	}
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.resolvers = map[topology.NodeID]*conflict.Registry{"us1": registryOf(t, at("us")), "eu1": registryOf(t, at("eu"))}
	c.startAll()
	c.define("us1", "joined")
	c.meet("k")
	c.quarantined("of the same writes one thing in site")
	for _, n := range c.nodes {
		got, err := n.user("k")
		require.NoError(t, err)
		require.Equal(t, "of eu", got, "the last writer, at every node")
		require.Equal(t, []string{"users"}, n.ConflictCounts().Quarantined)
	}
	honest.Store(true)
	_, err := c.nodes["eu1"].Release(t.Context(), users)
	require.NoError(t, err)
	c.converged()
	for _, n := range c.nodes {
		got, err := n.user("k")
		require.NoError(t, err)
		require.Equal(t, "together", got, "nothing that was written is lost")
	}
	_, err = c.nodes["eu1"].Release(t.Context(), users)
	require.ErrorIs(t, err, topology.ErrNotFound)
}

// Who is asked about a cell finds in it all that is to be asked about: whoever looked before
// it is applied would find one write, and look no more.
func TestWhatMeetsIsExaminedOnceItIsApplied(t *testing.T) {
	joined := conflict.Func("joined", 1, func([]byte, []record.Version) (conflict.Fold, error) {
		return conflict.Fold{Value: []byte("together")}, nil
	})
	c := newCluster(t, Options{CutEvery: -1, Resolvers: registryOf(t, joined)}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "joined")
	c.meet("k")
	us, held := c.nodes["us1"], store.NewMemory()
	m := newMachine(&lens{store: held}, registryOf(t, joined))
	var siblings []int
	m.examine = func(c record.Cell) {
		b, err := held.Get(c)
		require.NoError(t, err)
		var s record.State
		require.NoError(t, record.DecodeState(b, &s))
		siblings = append(siblings, len(s.Siblings))
	}
	apply := func(upTo record.LSN) {
		require.Empty(t, siblings)
		require.NoError(t, held.Apply(upTo, m.Edits()))
		m.Applied()
	}
	var rec record.Record
	end := us.log.Bounds().End
	for e, err := range us.log.Read(t.Context(), 1) {
		require.NoError(t, err)
		require.NoError(t, record.Decode(e.Bytes, &rec))
		_, err := m.Take(e, &rec)
		if errors.Is(err, singleleader.ErrApplyFirst) {
			apply(e.LSN - 1)
			_, err = m.Take(e, &rec)
		}
		require.NoError(t, err)
	}
	apply(end)
	require.Equal(t, []int{2}, siblings)
}

func TestAFunctionThatDiffersFromItselfIsQuarantined(t *testing.T) {
	var calls atomic.Uint64
	c := newCluster(t, Options{Resolvers: registryOf(t, conflict.Func("joined", 1, func(key []byte, _ []record.Version) (conflict.Fold, error) {
		if string(key) == "key" {
			return conflict.Fold{}, nil
		}
		return conflict.Fold{Value: fmt.Append(nil, calls.Add(1))}, nil
	}))}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "joined")
	c.meet("k")
	c.quarantined("asked twice")
}
