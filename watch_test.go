package triad_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// watched runs a node on a disk, with a short log; end may be called again.
func watched(t *testing.T, fs vfs.FS) (n *triad.Node, end func()) {
	t.Helper()
	n, err := triad.Open(triad.Config{
		Dir: "data", FS: fs, Topology: singleleader.New(singleleader.Options{}),
		Tables: []triad.Table{{Name: "users", Kind: record.KindRow}, {Name: "tags", Kind: record.KindSet}},
		Limits: triad.Limits{LogSegmentBytes: 16 << 10, LogFirstSegmentBytes: 16 << 10, RetainEvery: time.Hour},
	})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	ended := false
	end = func() {
		if !ended {
			ended = true
			require.NoError(t, errors.Join(n.Close(), <-done))
		}
	}
	t.Cleanup(end)
	require.Eventually(t, func() bool {
		all, err := n.Tables(t.Context())
		return err == nil && len(all) == 3
	}, patience, time.Millisecond)
	return n, end
}

// some takes what a watch yields until enough.
func some(t *testing.T, n *triad.Node, table string, o triad.WatchOptions, enough func(triad.Change) bool) (all []triad.Change) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for c, err := range n.Watch(ctx, table, o) {
		require.NoError(t, err)
		all = append(all, c)
		if enough(c) {
			break
		}
	}
	return all
}

func until(r triad.Receipt) func(triad.Change) bool {
	return func(c triad.Change) bool { return c.Token.LSN >= r.LSN }
}

// keys are the keys of changes, in their order.
func keys(all []triad.Change) string {
	var names []string
	for _, c := range all {
		for _, k := range c.Keys {
			names = append(names, string(k.Key))
		}
	}
	return strings.Join(names, " ")
}

// fills writes until the log begins behind lsn.
func fills(t *testing.T, n *triad.Node, lsn record.LSN) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := n.Put(t.Context(), "default", []byte("filler"), make([]byte, 8<<10))
		require.NoError(t, err)
		require.NoError(t, triad.Trim(t.Context(), n))
		return n.Status().First > lsn+1
	}, patience, time.Millisecond)
}

// lastly is what a watch ends with.
func lastly(t *testing.T, n *triad.Node, table string, o triad.WatchOptions) (last error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, err := range n.Watch(ctx, table, o) {
		last = err
	}
	return last
}

func TestAWatchShowsTheStateAndThenEveryTransactionWhole(t *testing.T) {
	n, _ := watched(t, vfs.NewMem())
	ctx := t.Context()
	users := triad.TableOf[map[string]int](n, "users")
	_, err := users.Put(ctx, "1", map[string]int{"age": 33, "size": 170})
	require.NoError(t, err)
	_, err = users.Put(ctx, "2", map[string]int{"age": 44}, triad.Durability(topology.Applied))
	require.NoError(t, err)
	var all []triad.Change
	var last triad.Receipt
	all = some(t, n, "users", triad.WatchOptions{State: true}, func(c triad.Change) bool {
		if c.Kind == topology.ChangePosition { // within the loop: nothing is missed in between
			b := users.Add(triad.NewBatch(), "1", map[string]int{"age": 34}).Put("default", []byte("other"), nil).Delete("users", []byte("2"))
			users.Add(b, "3", map[string]int{})
			last, err = n.Batch(ctx, b)
			require.NoError(t, err)
		}
		return last.LSN != 0 && c.Token.LSN >= last.LSN
	})
	require.Len(t, all, 4)
	require.Equal(t, "1 2 1 2 3", keys(all))
	for i, want := range []map[string]int{{"age": 33, "size": 170}, {"age": 44}} {
		v, there, err := users.Of(all[i].Keys[0])
		require.NoError(t, err)
		require.True(t, there)
		require.Equal(t, want, v)
		require.Zero(t, all[i].Token)
	}
	require.Equal(t, last.Token, all[3].Token)
	require.Equal(t, last.Dot, all[3].Dot)
	v, there, err := users.Of(all[3].Keys[0])
	require.NoError(t, err)
	require.True(t, there)
	require.Equal(t, map[string]int{"age": 34}, v)
	_, there, err = users.Of(all[3].Keys[1])
	require.NoError(t, err)
	require.False(t, there)
}

func TestAWatchOfSetsShowsMembersComeAndGo(t *testing.T) {
	n, _ := watched(t, vfs.NewMem())
	tags := triad.SetOf[string](n, "tags")
	_, first, err := tags.Add(t.Context(), "k", []string{"x", "y"})
	require.NoError(t, err)
	_, _, err = tags.Remove(t.Context(), "k", []string{"x"})
	require.NoError(t, err)
	last, err := tags.Delete(t.Context(), "k")
	require.NoError(t, err)
	from := first.Token
	from.LSN--
	all := some(t, n, "tags", triad.WatchOptions{From: from}, until(last))
	require.Len(t, all, 3)
	var parts []string
	for _, c := range all {
		for _, p := range c.Keys[0].Parts {
			parts = append(parts, fmt.Sprint(string(p.Name), " ", p.Removed))
		}
	}
	require.Equal(t, []string{"x false", "y false", "x true"}, parts)
	require.True(t, all[2].Keys[0].Removed)
}

func TestAWatchOfATableThatIsDroppedEnds(t *testing.T) {
	n, _ := watched(t, vfs.NewMem())
	ctx := t.Context()
	require.NoError(t, n.CreateTable(ctx, triad.Table{Name: "a", Kind: record.KindBytes}))
	require.NoError(t, n.CreateTable(ctx, triad.Table{Name: "ab", Kind: record.KindBytes}))
	r, err := n.Put(ctx, "a", []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.NoError(t, n.DropTable(ctx, "ab"), "another, whose name begins so")
	require.NoError(t, n.DropTable(ctx, "a"))
	require.ErrorIs(t, lastly(t, n, "a", triad.WatchOptions{From: r.Token}), topology.ErrNoTable)
	require.NoError(t, n.CreateTable(ctx, triad.Table{Name: "a", Kind: record.KindBytes}))
	require.ErrorIs(t, lastly(t, n, "a", triad.WatchOptions{From: r.Token}), topology.ErrNoTable, "who followed it then does not go on with another")
	r, err = n.Put(ctx, "a", []byte("k"), []byte("w"), triad.Durability(topology.Applied))
	require.NoError(t, err)
	require.Equal(t, "k", keys(some(t, n, "a", triad.WatchOptions{State: true}, until(r))))
}

func TestASlotHoldsTheLogAndGoesOnWhereItWasAcknowledged(t *testing.T) {
	fs := vfs.NewMem()
	n, end := watched(t, fs)
	ctx := t.Context()
	put := func(n *triad.Node, key string) triad.Receipt {
		r, err := n.Put(ctx, "default", []byte(key), []byte("v"), triad.Durability(topology.Applied))
		require.NoError(t, err)
		return r
	}
	put(n, "k1")
	// The loop ends in the middle of k3: that was not consumed.
	var r triad.Receipt
	all := some(t, n, "default", triad.WatchOptions{State: true, Slot: "s", Prefix: []byte("k"), SlotBytes: 64 << 20}, func(c triad.Change) bool {
		if c.Kind == topology.ChangePosition && r.LSN == 0 {
			put(n, "k2")
			r = put(n, "k3")
		}
		return r.LSN != 0 && c.Token.LSN >= r.LSN
	})
	require.Equal(t, "k1 k2 k3", keys(all))
	slots, err := n.Slots().List(ctx)
	require.NoError(t, err)
	require.Len(t, slots, 1)
	require.True(t, slots[0].Synced)
	require.Equal(t, r.LSN-1, slots[0].Token.LSN)

	for range 40 { // several segments
		_, err := n.Put(ctx, "default", []byte("filler"), make([]byte, 8<<10))
		require.NoError(t, err)
	}
	last := put(n, "k4")
	require.NoError(t, triad.Trim(ctx, n))
	require.LessOrEqual(t, n.Status().First, r.LSN, "what the slot needs stays")
	end()
	n, _ = watched(t, fs)
	all = some(t, n, "default", triad.WatchOptions{State: true, Slot: "s", Prefix: []byte("k")}, until(last))
	require.Equal(t, "k3 k4", keys(all), "no state again, nothing twice that was acknowledged, nothing left out")
	require.ErrorIs(t, lastly(t, n, "default", triad.WatchOptions{Slot: "s", Prefix: []byte("other")}), topology.ErrConflict)
	require.NoError(t, n.Slots().Drop(ctx, "s"))
	require.ErrorIs(t, n.Slots().Drop(ctx, "s"), topology.ErrNotFound)
	fills(t, n, last.LSN)
}

func TestAConsumerThatDiesBeforeTheStateIsWholeBeginsAnew(t *testing.T) {
	n, _ := watched(t, vfs.NewMem())
	ctx := t.Context()
	var last triad.Receipt
	for _, k := range []string{"a", "b", "c"} {
		r, err := n.Put(ctx, "default", []byte(k), []byte("v"), triad.Durability(topology.Applied))
		require.NoError(t, err)
		last = r
	}
	o := triad.WatchOptions{State: true, Slot: "s"}
	all := some(t, n, "default", o, func(triad.Change) bool { return true })
	require.Equal(t, "a", keys(all))
	require.Equal(t, "a b c", keys(some(t, n, "default", o, until(last))))
}

func TestASlotBeyondItsBudgetIsDroppedLoudly(t *testing.T) {
	n, _ := watched(t, vfs.NewMem())
	ctx := t.Context()
	o := triad.WatchOptions{Slot: "s", SlotBytes: 32 << 10}
	some(t, n, "default", o, func(triad.Change) bool { return true })
	slots, err := n.Slots().List(ctx)
	require.NoError(t, err)
	fills(t, n, slots[0].Token.LSN)
	require.Eventually(t, func() bool {
		return strings.Contains(strings.Join(n.Status().Warnings, "\n"), "slot s: it stood at entry")
	}, patience, time.Millisecond)
	slots, err = n.Slots().List(ctx)
	require.NoError(t, err)
	require.False(t, slots[0].Dropped.IsZero())
	require.NotZero(t, slots[0].DroppedAt)
	err = lastly(t, n, "default", o)
	require.ErrorIs(t, err, topology.ErrCompacted)
	require.ErrorContains(t, err, "was dropped at 2")
	require.ErrorContains(t, err, fmt.Sprint("come to entry ", slots[0].DroppedAt))
	require.NoError(t, n.Slots().Drop(ctx, "s"))
	some(t, n, "default", o, func(triad.Change) bool { return true })
}

func TestANewConsumerTakesASlotOver(t *testing.T) {
	n, _ := watched(t, vfs.NewMem())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var took bool
	var last error
	for c, err := range n.Watch(ctx, "default", triad.WatchOptions{Slot: "s"}) {
		if last = err; err != nil {
			break
		}
		if !took {
			took = true
			some(t, n, "default", triad.WatchOptions{Slot: "s"}, func(triad.Change) bool { return true })
		}
		if c.Kind == topology.ChangePosition || c.Kind == topology.ChangeWrite {
			_, err := n.Put(ctx, "default", []byte("k"), []byte("v"))
			require.NoError(t, err)
		}
	}
	require.ErrorIs(t, last, topology.ErrConflict)
}

func TestSlotsAreLimited(t *testing.T) {
	n, _ := watched(t, vfs.NewMem())
	first := func(triad.Change) bool { return true }
	for i := range triad.SlotsMax {
		some(t, n, "default", triad.WatchOptions{Slot: fmt.Sprint("s", i)}, first)
	}
	require.ErrorIs(t, lastly(t, n, "default", triad.WatchOptions{Slot: "more"}), topology.ErrTooLarge)
	require.ErrorIs(t, lastly(t, n, "default", triad.WatchOptions{Slot: "No name"}), topology.ErrMalformed)
	require.ErrorIs(t, lastly(t, n, "default", triad.WatchOptions{Slot: "t", From: topology.Token{LSN: 1}}), topology.ErrMalformed)
	require.ErrorIs(t, lastly(t, n, "nobody", triad.WatchOptions{}), topology.ErrNoTable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range n.Watch(ctx, "default", triad.WatchOptions{}) {
		require.ErrorIs(t, err, topology.ErrTimeout)
	}
}
