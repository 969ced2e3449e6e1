package triad

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var carts = Table{Name: "carts", Kind: record.KindBytes, TTL: time.Hour}

// left counts the cells of a table.
func left(t *testing.T, f *fake, id record.TableID) (n int) {
	t.Helper()
	for _, err := range f.scan(id, nil, nil) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestADroppedTableIsGoneAndItsNumberIsNotGivenAgain(t *testing.T) {
	disk := vfs.NewMem()
	n, _, end := launch(t, Config{FS: disk})
	require.NoError(t, n.CreateTable(t.Context(), carts))
	_, err := n.Put(t.Context(), "carts", key, value)
	require.NoError(t, err)
	old := id(t, n, "carts")
	require.NoError(t, n.DropTable(t.Context(), "carts"))
	_, err = n.Get(t.Context(), "carts", key)
	require.ErrorIs(t, err, topology.ErrNoTable)
	require.ErrorIs(t, n.DropTable(t.Context(), "carts"), topology.ErrNoTable)

	require.NoError(t, n.CreateTable(t.Context(), Table{Name: "carts", Kind: record.KindRow}), "the name is free")
	require.Equal(t, old+1, id(t, n, "carts"))
	_, err = n.Get(t.Context(), "carts", key)
	require.ErrorIs(t, err, topology.ErrNotFound, "what another table held is not shown")
	require.NoError(t, end())
	n, _ = start(t, Config{FS: disk})
	require.Equal(t, old+1, id(t, n, "carts"))
}

func TestWhatADroppedTableHeldIsRemovedInBoundedBatches(t *testing.T) {
	n, f := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), users))
	number := id(t, n, "users")
	const keys = sweepKeysMax + 7
	b := NewBatch()
	for i := range keys {
		b.Put("users", fmt.Appendf(nil, "%05d", i), []byte("\x81\xa1a\x01"))
		if b.Len() == 1000 || i == keys-1 {
			_, err := n.Batch(t.Context(), b)
			require.NoError(t, err)
			b = NewBatch()
		}
	}
	require.NoError(t, n.DropTable(t.Context(), "users"))
	f.mu.Lock()
	writes := len(f.writes)
	f.mu.Unlock()
	s := sweeper{Node: n, cells: n.store, clean: map[record.TableID]time.Time{}}
	removed, err := s.empty(t.Context(), number)
	require.NoError(t, err)
	require.LessOrEqual(t, removed, keys, "the node's own sweeper may have removed some")
	f.mu.Lock()
	for _, w := range f.writes[writes:] {
		assert.LessOrEqual(t, len(w.Mutations), sweepKeysMax)
	}
	f.mu.Unlock()
	require.Eventually(t, func() bool { return left(t, f, number) == 0 }, patience, time.Millisecond)
	require.NoError(t, s.pass(t.Context()))
	marks, err := s.marks()
	require.NoError(t, err)
	require.Empty(t, marks, "nothing was found for the pause, which is none here")
}

func TestAMarkStaysForThePauseSoThatLateWritesAreRemovedToo(t *testing.T) {
	n, f := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), carts))
	number := id(t, n, "carts")
	require.NoError(t, n.DropTable(t.Context(), "carts"))
	s := sweeper{Node: n, cells: n.store, pause: time.Hour, clean: map[record.TableID]time.Time{}}
	require.NoError(t, s.pass(t.Context()))
	// A write that had found the table before it was dropped.
	_, err := f.Write(t.Context(), record.Batch{Mutations: []record.Mutation{{Table: number, Key: key, Op: record.OpPut, Kind: record.KindBytes}}}, topology.WriteOptions{})
	require.NoError(t, err)
	require.NoError(t, s.pass(t.Context()))
	require.Zero(t, left(t, f, number))
	marks, err := s.marks()
	require.NoError(t, err)
	require.Equal(t, []dropped{{number, "carts"}}, marks)
	f.watches.Store(true) // another node leads now
	require.NoError(t, s.pass(t.Context()))
	require.Empty(t, s.clean, "who leads again begins anew")
}

func TestTablesThatCannotBeDropped(t *testing.T) {
	n, _ := start(t, Config{Tables: []Table{users}})
	for name, want := range map[string]error{
		DefaultTable: topology.ErrConflict, "users": topology.ErrConflict, "nobody": topology.ErrNoTable, "No": topology.ErrNoTable,
	} {
		err := n.DropTable(t.Context(), name)
		require.ErrorIs(t, err, want, name)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	}
	require.ErrorContains(t, n.DropTable(t.Context(), "users"), "configuration of node a names table users")
}

func TestADefinitionTwoDropAtOnceIsDroppedOnce(t *testing.T) {
	n, f := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), carts))
	f.refuse = func(recordBatch) error {
		return &topology.Error{Outcome: topology.NotApplied, Err: topology.ErrConditionFailed}
	}
	require.ErrorIs(t, n.DropTable(t.Context(), "carts"), topology.ErrNoTable)
}

func TestAReadDoesNotShowATableThatWasReplacedMeanwhile(t *testing.T) {
	n, f := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), Table{Name: "t", Kind: record.KindBytes}))
	_, err := n.Put(t.Context(), "t", key, value)
	require.NoError(t, err)
	replaced := false
	f.before = func(k []byte) { // the table is found, and what it held is still there
		if string(k) != string(key) || replaced {
			return
		}
		replaced = true
		other := definition{id: 77, Table: Table{Name: "t", Kind: record.KindBytes}}
		system(t, f, "table/t", other.encode())
	}
	_, err = n.Get(t.Context(), "t", key)
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.True(t, replaced)
	for range n.Scan(t.Context(), "t", nil, nil) {
		t.Fatal("the new table is empty")
	}
}

func TestATTLIsPartOfTheDefinition(t *testing.T) {
	n, _ := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), carts))
	require.NoError(t, n.CreateTable(t.Context(), carts))
	all, err := n.Tables(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Table{carts, {Name: "default"}}, all)
	err = n.CreateTable(t.Context(), Table{Name: "carts", Kind: record.KindBytes})
	require.ErrorIs(t, err, topology.ErrConflict)
	require.ErrorContains(t, err, "carts (bytes) was asked for, and is defined as carts (bytes, TTL 1h0m0s)")
	_, err = TableOf[int](n, "carts").Put(t.Context(), "k", 1)
	require.NoError(t, err, "a typed table takes the TTL that is defined")
	for _, ttl := range []time.Duration{-1, time.Microsecond, TTLMax + time.Millisecond} {
		require.ErrorIs(t, n.CreateTable(t.Context(), Table{Name: "x", TTL: ttl}), topology.ErrMalformed)
	}
	c, err := n.Cells().Table(t.Context(), "carts")
	require.NoError(t, err)
	require.Equal(t, time.Hour, c.TTL)
}

func TestWhatIsNoMarkIsAnError(t *testing.T) {
	n, f := start(t, Config{})
	f.watches.Store(true)
	s := sweeper{Node: n, cells: n.store, clean: map[record.TableID]time.Time{}}
	for k, v := range map[string]string{
		"dropped/xyz": "\x92\x01\xa1a", "dropped/00000001": "\x92\x01\xa1a", "dropped/00000020": "\x92\x02\xa1a", "dropped/00000021": "\x92\x01",
	} {
		system(t, f, k, []byte(v))
		_, err := s.marks()
		require.Error(t, err, k)
		_, err = f.Write(t.Context(), record.Batch{Mutations: []record.Mutation{removal(record.TableSystem, []byte(k))}}, topology.WriteOptions{})
		require.NoError(t, err)
	}
}

// views counts the views that were taken of a store.
type views struct {
	topology.Store
	taken int
}

func (v *views) Snapshot() (topology.Snapshot, error) {
	v.taken++
	return v.Store.Snapshot()
}

func TestAPassOverNothingNewLeavesTheStoreAlone(t *testing.T) {
	n, _ := start(t, Config{})
	v := &views{Store: n.store}
	s := sweeper{Node: n, cells: v, pause: time.Hour, clean: map[record.TableID]time.Time{}}
	for range 3 {
		require.NoError(t, s.pass(t.Context()))
	}
	require.Equal(t, 1, v.taken, "writes to other tables than the system's need no look")
	require.NoError(t, n.CreateTable(t.Context(), carts))
	require.NoError(t, n.DropTable(t.Context(), "carts"))
	require.NoError(t, s.pass(t.Context()))
	require.Greater(t, v.taken, 1)
	require.Len(t, s.found, 1)
}
