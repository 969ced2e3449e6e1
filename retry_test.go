package triad_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/topology"
)

// A retry is told what the first was told, whatever holds by now.
func TestARetryIsToldWhatTheFirstWasTold(t *testing.T) {
	node, end := run()
	defer end()
	ctx := t.Context()
	likes := triad.CounterOf(node, "likes")
	tags := triad.SetOf[string](node, "tags")
	fields := triad.MapOf[string](node, "fields")
	_, err := fields.Put(ctx, "k", "a", "0")
	require.NoError(t, err)
	seq := uint64(0)
	for name, ask := range map[string]func(context.Context, triad.Option) (int64, triad.Receipt, error){
		"count": func(ctx context.Context, o triad.Option) (int64, triad.Receipt, error) {
			return likes.Add(ctx, "k", 3, o)
		},
		"add": func(ctx context.Context, o triad.Option) (int64, triad.Receipt, error) {
			n, r, err := tags.Add(ctx, "k", []string{"x", "y"}, o)
			return int64(n), r, err
		},
		"put": func(ctx context.Context, o triad.Option) (int64, triad.Receipt, error) {
			n, r, err := fields.PutAll(ctx, "k", map[string]string{"a": "1", "b": "2", "c": "3"}, o)
			return int64(n), r, err
		},
	} {
		seq++
		first, r, err := ask(ctx, triad.Request(7, seq))
		require.NoError(t, err, name)
		again, s, err := ask(ctx, triad.Request(7, seq))
		require.NoError(t, err, name)
		require.Equal(t, first, again, name)
		require.Equal(t, r.Dot, s.Dot, name)
		what, err := node.Resolve(ctx, r.Dot, r.Term)
		require.NoError(t, err, name)
		require.Equal(t, triad.Resolution{Fate: topology.FateApplied, LSN: r.LSN, Term: r.Term}, what, name)
	}
	n, err := likes.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, int64(3), n)

	for range 2 { // all parts, and with them the key
		seq++
		for range 2 {
			n, _, err := tags.Remove(ctx, "k", []string{"x", "y", "z"}, triad.Request(7, seq))
			require.NoError(t, err)
			require.Equal(t, 2, n)
			m, _, err := fields.Remove(ctx, "k", []string{"a", "b"}, triad.Request(8, seq))
			require.NoError(t, err)
			require.Equal(t, 2, m)
		}
		_, _, err = tags.Add(ctx, "k", []string{"x", "y"})
		require.NoError(t, err)
		_, _, err = fields.PutAll(ctx, "k", map[string]string{"a": "1", "b": "2"})
		require.NoError(t, err)
	}
	_, _, err = likes.Add(ctx, "k", 1, triad.Request(7, 0))
	require.ErrorIs(t, err, topology.ErrMalformed)
}
