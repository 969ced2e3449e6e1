package triad_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/topology"
)

type stock struct {
	Name string
	Left int
}

// fewest is a typed function: of concurrent stocks the one with the fewest left.
func fewest(t testing.TB) *conflict.Registry {
	r, err := conflict.NewRegistry(conflict.Typed("fewest", 2, func(_ []byte, siblings []conflict.Sibling[stock]) (stock, bool, error) {
		var out *stock
		for i := range siblings {
			if s := &siblings[i]; !s.Absent && (out == nil || s.Value.Left < out.Left) {
				out = &s.Value
			}
		}
		if out == nil {
			return stock{}, false, nil
		}
		return *out, true, nil
	}, []stock{{"a", 1}, {"b", 2}}))
	require.NoError(t, err)
	return r
}

// retried calls f until a node takes writes.
func retried(t *testing.T, ctx context.Context, f func() error) {
	t.Helper()
	for err := f(); err != nil; err = f() {
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), "%v", err)
		require.NoError(t, ctx.Err(), "%v", err)
		time.Sleep(time.Millisecond)
	}
}

func TestATypedFunctionSettlesATable(t *testing.T) {
	nodes := openSitesWith(t, fewest(t), nil, "us", "eu")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	us := triad.TableOf[stock](nodes["us1"], "stock", triad.ResolvedBy("fewest"))
	eu := triad.TableOf[stock](nodes["eu1"], "stock", triad.ResolvedBy("fewest@2"))
	retried(t, ctx, func() error { _, err := us.Put(ctx, "k", stock{"bolts", 9}); return err })
	tables, err := nodes["us1"].Tables(ctx)
	require.NoError(t, err)
	require.Contains(t, tables, triad.Table{Name: "stock", Kind: 1, Resolver: "fewest@2"})
	for round := 0; ; round++ { // until two writes meet
		require.NoError(t, ctx.Err())
		done := make(chan triad.Receipt, 2)
		for i, x := range []*triad.TypedTable[stock]{us, eu} {
			go func() {
				r, err := x.Put(ctx, "k", stock{"bolts", 10*round + 5 - i})
				if err != nil {
					t.Errorf("%v", err)
				}
				done <- r
			}()
		}
		seen := (<-done).Token.Join((<-done).Token)
		for id, n := range nodes {
			require.NoError(t, n.Wait(ctx, seen), id)
		}
		met := 0
		for _, err := range nodes["us1"].Operator().Conflicts(ctx, triad.ConflictPlace{}) {
			require.NoError(t, err)
			met++
		}
		if met == 0 {
			continue
		}
		for _, x := range []*triad.TypedTable[stock]{us, eu} {
			v, err := x.Get(ctx, "k", triad.After(seen))
			require.NoError(t, err)
			require.Equal(t, stock{"bolts", 10*round + 4}, v)
		}
		break
	}
	_, err = triad.TableOf[stock](nodes["us1"], "stock", triad.ResolvedBy("siblings")).Get(ctx, "k")
	var other *triad.Contradiction
	require.ErrorAs(t, err, &other)
	_, err = triad.TableOf[stock](nodes["us1"], "more", triad.ResolvedBy("most")).Put(ctx, "k", stock{})
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, `"most" is not known here`)
}

func TestSiblingsAreReadWithTheirContextAndReplacedByIt(t *testing.T) {
	nodes := openSites(t, []triad.Table{{Name: "notes", Resolver: "siblings"}}, "us")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	us := nodes["us1"]
	notes := triad.TableOf[string](us, "notes")
	retried(t, ctx, func() error { _, err := notes.Put(ctx, "k", "first"); return err })
	seen, err := notes.Siblings(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, []string{"first"}, seen.Values)
	for _, v := range []string{"mine", "yours"} { // neither has seen the other
		_, err = notes.Put(ctx, "k", v, triad.Context(seen.Context))
		require.NoError(t, err)
	}
	_, err = notes.Delete(ctx, "k", triad.Context(seen.Context))
	require.NoError(t, err)
	both, err := notes.Siblings(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, []string{"mine", "yours"}, both.Values)
	require.Equal(t, 1, both.Removed)
	r, err := us.Get(ctx, "notes", []byte("k"))
	require.NoError(t, err)
	require.Len(t, r.Siblings, 3)
	require.True(t, strings.HasSuffix(string(r.Value), "yours"), "the last one is the value")
	parsed, err := topology.ParseContext(r.Context.String())
	require.NoError(t, err)
	require.Equal(t, both.Context, parsed)
	_, err = notes.Put(ctx, "k", "ours", triad.Context(parsed))
	require.NoError(t, err)
	ours, err := notes.Siblings(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, []string{"ours"}, ours.Values)
	require.Zero(t, ours.Removed)
	nothing, err := notes.Siblings(ctx, "not there")
	require.NoError(t, err)
	require.Empty(t, nothing.Values)
	require.Equal(t, triad.NothingSeen(), nothing.Context)

	for name, opts := range map[string][]triad.Option{
		"the zero context":     {triad.Context(topology.Context{})},
		"beside a condition":   {triad.Context(seen.Context), triad.IfAbsent()},
		"twice":                {triad.Context(seen.Context), triad.Context(seen.Context)},
		"a condition, instead": {triad.IfVersion(r.Dot)},
	} {
		_, err := us.Put(ctx, "notes", []byte("k"), []byte("v"), opts...)
		require.ErrorIs(t, err, topology.ErrUnsupported, name)
	}
	_, err = us.Put(ctx, triad.DefaultTable, []byte("k"), []byte("v"), triad.Context(seen.Context))
	require.ErrorIs(t, err, topology.ErrUnsupported)
}

func TestContextsThatNobodyHasReadAreRefused(t *testing.T) {
	for _, s := range []string{"tc1.", "tc1.x", "tc2.kpCQ", "kpCQ", "tc1.kpCQkA", "tc1." + strings.Repeat("A", topology.ContextBytesMax)} {
		_, err := topology.ParseContext(s)
		require.Error(t, err, "%.40s", s)
	}
	c, err := topology.ParseContext("")
	require.NoError(t, err)
	require.True(t, c.IsZero())
}
