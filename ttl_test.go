package triad_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
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

func TestTheWallClockIsThatOfTheConfiguration(t *testing.T) {
	const ahead = 24 * time.Hour
	ctx := t.Context()
	n, err := triad.Open(triad.Config{
		Dir: "data", FS: vfs.NewMem(), Memory: true, Topology: singleleader.New(singleleader.Options{}),
		WallClock: func() time.Time { return time.Now().Add(ahead) },
	})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() { require.NoError(t, errors.Join(n.Close(), <-done)) })
	r, err := n.Put(ctx, triad.DefaultTable, []byte("k"), []byte("v"), triad.TTL(time.Hour))
	require.NoError(t, err)
	require.Greater(t, r.Time.Time(), time.Now().Add(ahead-time.Minute))
	_, err = n.Get(ctx, triad.DefaultTable, []byte("k"))
	require.NoError(t, err, "it lives by the clock that it was written by")
}
