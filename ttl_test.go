package triad_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestWhatHasATTLGoes(t *testing.T) {
	ctx, n := t.Context(), alone(t)
	require.NoError(t, n.CreateTable(ctx, triad.Table{Name: "rows", Kind: record.KindRow}))
	row := []byte{0x81, 0xa1, 'a', 1}
	for table, value := range map[string][]byte{triad.DefaultTable: []byte("v"), "rows": row} {
		for key, ttl := range map[string]time.Duration{"soon": time.Millisecond, "later": time.Hour} {
			_, err := n.Put(ctx, table, []byte(key), value, triad.TTL(ttl))
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool {
			_, err := n.Get(ctx, table, []byte("soon"))
			return err != nil
		}, 10*time.Second, time.Millisecond)
		_, err := n.Get(ctx, table, []byte("soon"))
		require.ErrorIs(t, err, topology.ErrNotFound)
		r, err := n.Get(ctx, table, []byte("later"))
		require.NoError(t, err)
		require.Equal(t, value, r.Value)
	}
	for _, ttl := range []time.Duration{0, -time.Second, time.Microsecond, triad.TTLMax + 1} {
		_, err := n.Put(ctx, triad.DefaultTable, []byte("k"), nil, triad.TTL(ttl))
		require.ErrorIs(t, err, topology.ErrUnsupported, ttl)
	}
	_, err := n.Delete(ctx, triad.DefaultTable, []byte("k"), triad.TTL(time.Hour))
	require.ErrorIs(t, err, topology.ErrUnsupported)
}
