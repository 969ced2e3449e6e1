package topologytest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// StoreUnderTest is one store and what its examiner may do to it.
type StoreUnderTest struct {
	topology.Store
	// Crash ends the store as a cut of the power does and opens it on what was
	// durable then. Nil for a store that keeps nothing; the rules of
	// durability are then not examined.
	Crash func(t *testing.T) StoreUnderTest
}

// TestStore examines a [topology.Store] against its contract, and against a
// model that is a sorted list. open returns a new, empty store, and closes it
// when its test ends.
func TestStore(t *testing.T, open func(t *testing.T) StoreUnderTest) {
	run := func(name string, test func(*testing.T, StoreUnderTest)) {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
	run("a cell that was never written is nil", cellAbsent)
	run("what was applied is read back, and belongs to the caller", cellReadBack)
	run("an empty state is a state", cellEmpty)
	run("an edit without a state removes its cell alone", cellRemoved)
	run("Apply keeps nothing of its edits", applyKeepsNothing)
	run("edits of one batch take effect in their order", editsInOrder)
	run("removing a whole key leaves every other key", wholeKeyExact)
	run("removing a whole key takes each of many cells", wholeKeyOfMany)
	run("removing a whole key takes what the same batch has set", wholeKeyInBatch)
	run("a batch of many removals is as exact as one", wholeKeysMany)
	run("keys and fields of the greatest length are kept apart", cellsLong)
	run("the applied position does not go back", appliedForward)
	run("the applied position may stay", appliedStays)
	run("more than a batch may hold is refused and changes nothing", applyTooLarge)
	run("a snapshot shows its moment", snapshotMoment)
	run("a closed snapshot refuses", snapshotClosed)
	run("a scan yields cells by table, key and field", scanOrder)
	run("a scan begins at its first bound and ends before its second", scanBounds)
	run("a scan can be left and begun again", scanLeft)
	run("random edits agree with the model", storeModel)
	run("readers see whole batches", readersConsistent)
	run("Flush returns the applied position", flushPosition)
	testStages(run)
	if open(t).Crash != nil {
		run("a crash keeps what was flushed", crashFlushed)
		run("a crash comes back to a state that was", crashConsistent)
		run("a flush with nothing new is as good as the last", crashFlushedTwice)
		run("a flush covers what came without a new position", crashFlushedSame)
		testStageCrashes(run)
	}
}

// at makes a cell of table 16.
func at(key, field string) record.Cell {
	return record.Cell{Table: record.TableFirst, Key: []byte(key), Field: []byte(field)}
}

func set(key, field, state string) topology.Edit {
	return topology.Edit{Cell: at(key, field), State: []byte(state)}
}

func remove(key, field string) topology.Edit { return topology.Edit{Cell: at(key, field)} }

func whole(key string) topology.Edit {
	return topology.Edit{Cell: record.Cell{Table: record.TableFirst, Key: []byte(key)}, Whole: true}
}

func requireState(t *testing.T, s interface {
	Get(record.Cell) ([]byte, error)
}, c record.Cell, want string) {
	t.Helper()
	b, err := s.Get(c)
	require.NoError(t, err)
	require.NotNil(t, b, "%d/%q/%q", c.Table, c.Key, c.Field)
	require.Equal(t, want, string(b), "%d/%q/%q", c.Table, c.Key, c.Field)
}

func requireAbsent(t *testing.T, s interface {
	Get(record.Cell) ([]byte, error)
}, c record.Cell) {
	t.Helper()
	b, err := s.Get(c)
	require.NoError(t, err)
	require.Nil(t, b, "%d/%q/%q", c.Table, c.Key, c.Field)
}

func cellAbsent(t *testing.T, s StoreUnderTest) { requireAbsent(t, s, at("k", "")) }

func cellReadBack(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("k", "f", "one"), set("k", "", "two")}))
	b, err := s.Get(at("k", "f"))
	require.NoError(t, err)
	require.Equal(t, "one", string(b))
	b[0] = 'X'
	requireState(t, s, at("k", "f"), "one")
	requireState(t, s, at("k", ""), "two")
}

func cellEmpty(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{{Cell: at("k", ""), State: []byte{}}}))
	requireState(t, s, at("k", ""), "")
	cells := scanAll(t, s)
	require.Len(t, cells, 1)
	require.NotNil(t, cells[0].State, "a scanned edit with a nil state would remove the cell")
}

func cellRemoved(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("k", "", "a"), set("k", "f", "b"), set("l", "", "c")}))
	require.NoError(t, s.Apply(2, []topology.Edit{remove("k", ""), remove("nothing", "")}))
	requireAbsent(t, s, at("k", ""))
	requireState(t, s, at("k", "f"), "b")
	requireState(t, s, at("l", ""), "c")
}

func applyKeepsNothing(t *testing.T, s StoreUnderTest) {
	e := set("k", "f", "state")
	require.NoError(t, s.Apply(1, []topology.Edit{e}))
	e.Key[0], e.Field[0], e.State[0] = 'X', 'X', 'X'
	requireState(t, s, at("k", "f"), "state")
	require.Equal(t, []topology.Edit{set("k", "f", "state")}, scanAll(t, s))
}

func editsInOrder(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{
		set("a", "", "1"), remove("a", ""), set("a", "", "2"),
		set("b", "f", "1"), whole("b"), set("b", "g", "2"),
		whole("c"), set("c", "f", "1"), remove("c", "f"),
		set("d", "", "1"), set("d", "", "2"),
	}))
	require.Equal(t, []topology.Edit{set("a", "", "2"), set("b", "g", "2"), set("d", "", "2")}, scanAll(t, s))
}

// odd are keys that an encoding may confuse.
var odd = []string{
	"", "\x00", "\x00\x00", "\x00\x01", "\x00\x02", "\x00\xff", "\x01", "a", "a\x00", "a\x00\x00", "a\x00\x01",
	"a\x00\x01b", "a\x00\x02", "a\x00\xff", "a\x00\xffb", "a\x00b", "a\x01", "a\xff", "a\xff\xff", "aa", "b", "\xff", "\xff\xff", "\xff\x00",
}

func oddCells() []topology.Edit {
	var es []topology.Edit
	for _, table := range []record.TableID{0, 16, 17, 256, 1<<32 - 1} {
		for _, key := range odd {
			for _, field := range odd[:6] {
				es = append(es, topology.Edit{
					Cell:  record.Cell{Table: table, Key: []byte(key), Field: []byte(field)},
					State: fmt.Appendf(nil, "%d/%q/%q", table, key, field),
				})
			}
		}
	}
	return es
}

func wholeKeyExact(t *testing.T, s StoreUnderTest) {
	m := model{}
	lsn := record.LSN(1)
	apply := func(es ...topology.Edit) {
		require.NoError(t, s.Apply(lsn, es))
		m.apply(es)
		lsn++
	}
	apply(oddCells()...)
	for i, key := range odd {
		if i%2 == 0 {
			apply(whole(key))
			require.Equal(t, []topology.Edit(m), scanAll(t, s), "after %q", key)
		}
	}
}

func wholeKeyOfMany(t *testing.T, s StoreUnderTest) {
	var es []topology.Edit
	for i := range 2000 {
		es = append(es, set("k", fmt.Sprint(i), "x"))
	}
	es = append(es, set("j", "f", "x"), set("k\x00", "f", "x"), set("l", "f", "x"))
	require.NoError(t, s.Apply(1, es))
	require.NoError(t, s.Apply(2, []topology.Edit{whole("k"), set("k", "new", "x")}))
	require.Equal(t, []topology.Edit{set("j", "f", "x"), set("k", "new", "x"), set("k\x00", "f", "x"), set("l", "f", "x")}, scanAll(t, s))
	for i := range 2000 {
		requireAbsent(t, s, at("k", fmt.Sprint(i)))
	}
}

func wholeKeyInBatch(t *testing.T, s StoreUnderTest) {
	var es []topology.Edit
	for i := range 1000 {
		es = append(es, set("k", fmt.Sprint(999-i), "x"), set("l", fmt.Sprint(i), "x"))
	}
	es = append(es, whole("k"), set("k", "", "y"))
	require.NoError(t, s.Apply(1, es))
	m := model{}
	m.apply(es)
	require.Len(t, m, 1001)
	require.Equal(t, []topology.Edit(m), scanAll(t, s))
}

func wholeKeysMany(t *testing.T, s StoreUnderTest) {
	var es []topology.Edit
	for i := range 500 {
		es = append(es, set(fmt.Sprint(i), "", "x"))
	}
	require.NoError(t, s.Apply(1, es))
	es = nil
	for i := range 500 {
		if i%3 > 0 {
			es = append(es, set(fmt.Sprint(i), "f", "y"), whole(fmt.Sprint(i)))
		}
	}
	require.NoError(t, s.Apply(2, es))
	for i := range 500 {
		requireAbsent(t, s, at(fmt.Sprint(i), "f"))
		if i%3 > 0 {
			requireAbsent(t, s, at(fmt.Sprint(i), ""))
		} else {
			requireState(t, s, at(fmt.Sprint(i), ""), "x")
		}
	}
}

func cellsLong(t *testing.T, s StoreUnderTest) {
	var es []topology.Edit
	for _, b := range []byte{0, 'k', 0xff} {
		long := string(bytes.Repeat([]byte{b}, record.KeyBytesMax))
		es = append(es, set(long, "", "key"), set(long, long, "both"), set(long[1:], "", "shorter"))
	}
	m := model{}
	m.apply(es)
	require.NoError(t, s.Apply(1, es))
	require.Equal(t, []topology.Edit(m), scanAll(t, s))
	for _, e := range es {
		requireState(t, s, e.Cell, string(e.State))
	}
}

func appliedForward(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(7, []topology.Edit{set("k", "", "seven")}))
	require.Error(t, s.Apply(6, []topology.Edit{set("k", "", "six")}))
	requireState(t, s, at("k", ""), "seven")
	require.Equal(t, record.LSN(7), applied(t, s))
}

func appliedStays(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(7, nil))
	require.NoError(t, s.Apply(7, []topology.Edit{set("k", "", "seven")}))
	requireState(t, s, at("k", ""), "seven")
	require.Equal(t, record.LSN(7), applied(t, s))
}

func applyTooLarge(t *testing.T, s StoreUnderTest) {
	state := make([]byte, record.ValueBytesMax)
	var es []topology.Edit
	for i := range 64 {
		es = append(es, topology.Edit{Cell: at(fmt.Sprint(i), ""), State: state})
	}
	require.ErrorIs(t, s.Apply(1, es), topology.ErrTooLarge)
	requireAbsent(t, s, at("0", ""))
	require.Zero(t, applied(t, s))
}

func applied(t *testing.T, s topology.Store) record.LSN {
	t.Helper()
	snap, err := s.Snapshot()
	require.NoError(t, err)
	lsn := snap.Applied()
	require.NoError(t, snap.Close())
	return lsn
}

func snapshotMoment(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", "1"), set("b", "f", "1"), set("b", "g", "1")}))
	snap, err := s.Snapshot()
	require.NoError(t, err)
	require.NoError(t, s.Apply(2, []topology.Edit{set("a", "", "2"), whole("b"), set("c", "", "2")}))
	_, err = s.Flush(t.Context())
	require.NoError(t, err)

	require.Equal(t, record.LSN(1), snap.Applied())
	require.Equal(t, []topology.Edit{set("a", "", "1"), set("b", "f", "1"), set("b", "g", "1")}, scan(t, snap, record.Cell{}, end))
	requireState(t, snap, at("a", ""), "1")
	requireAbsent(t, snap, at("c", ""))
	require.NoError(t, snap.Close())
	require.Equal(t, []topology.Edit{set("a", "", "2"), set("c", "", "2")}, scanAll(t, s))
}

func snapshotClosed(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", "1")}))
	snap, err := s.Snapshot()
	require.NoError(t, err)
	require.NoError(t, snap.Close())
	require.NoError(t, snap.Close(), "closing twice")
	_, err = snap.Get(at("a", ""))
	require.ErrorIs(t, err, topology.ErrClosed)
	_, err = snap.Installed()
	require.ErrorIs(t, err, topology.ErrClosed)
	var errs []error
	for _, err := range snap.Scan(record.Cell{}, end) {
		errs = append(errs, err)
	}
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], topology.ErrClosed)
}

// end is above every cell.
var end = record.Cell{Table: 1<<32 - 1, Key: bytes.Repeat([]byte{0xff}, record.KeyBytesMax+1)}

// scan collects copies of what a scan yields.
func scan(t *testing.T, s topology.Snapshot, from, to record.Cell) []topology.Edit {
	t.Helper()
	es := []topology.Edit{}
	for e, err := range s.Scan(from, to) {
		require.NoError(t, err)
		require.False(t, e.Whole)
		es = append(es, topology.Edit{
			Cell:  record.Cell{Table: e.Table, Key: bytes.Clone(e.Key), Field: bytes.Clone(e.Field)},
			State: bytes.Clone(e.State),
		})
		normal(&es[len(es)-1])
	}
	return es
}

// normal makes a nil key or field an empty one, which is the same cell.
func normal(e *topology.Edit) {
	if e.Key == nil {
		e.Key = []byte{}
	}
	if e.Field == nil {
		e.Field = []byte{}
	}
}

func scanAll(t *testing.T, s topology.Store) []topology.Edit {
	t.Helper()
	snap, err := s.Snapshot()
	require.NoError(t, err)
	defer func() { require.NoError(t, snap.Close()) }()
	return scan(t, snap, record.Cell{}, end)
}

func scanOrder(t *testing.T, s StoreUnderTest) {
	es := oddCells()
	m := model{}
	m.apply(es)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
	require.NoError(t, s.Apply(1, es))
	require.Equal(t, []topology.Edit(m), scanAll(t, s))
}

func scanBounds(t *testing.T, s StoreUnderTest) {
	es := oddCells()
	m := model{}
	m.apply(es)
	require.NoError(t, s.Apply(1, es))
	snap, err := s.Snapshot()
	require.NoError(t, err)
	defer snap.Close()
	table := scan(t, snap, record.Cell{Table: 16}, record.Cell{Table: 17})
	require.Len(t, table, len(odd)*6)
	require.Equal(t, m.between(record.Cell{Table: 16}, record.Cell{Table: 17}), table)
	r := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		from, to := es[r.IntN(len(es))].Cell, es[r.IntN(len(es))].Cell
		require.Equal(t, m.between(from, to), scan(t, snap, from, to), "from %v to %v", from, to)
	}
	require.Empty(t, scan(t, snap, es[3].Cell, es[3].Cell))
}

func scanLeft(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", "1"), set("b", "", "2"), set("c", "", "3")}))
	snap, err := s.Snapshot()
	require.NoError(t, err)
	defer snap.Close()
	seq := snap.Scan(record.Cell{}, end)
	for range 2 {
		for e, err := range seq {
			require.NoError(t, err)
			require.Equal(t, "a", string(e.Key))
			break
		}
	}
	require.Len(t, scan(t, snap, at("b", ""), end), 2)
}

func readersConsistent(t *testing.T, s StoreUnderTest) {
	const batches = 300
	batch := func(lsn int) []topology.Edit {
		v := fmt.Sprint(lsn)
		return []topology.Edit{whole("w"), set("a", "", v), set("w", v, v), set("z", "", v)}
	}
	require.NoError(t, s.Apply(1, batch(1)))
	var wg sync.WaitGroup
	wg.Go(func() {
		for lsn := 2; lsn <= batches; lsn++ {
			if err := s.Apply(record.LSN(lsn), batch(lsn)); err != nil {
				t.Errorf("apply: %v", err)
				return
			}
		}
	})
	defer wg.Wait()
	for seen := record.LSN(0); seen < batches && !t.Failed(); {
		snap, err := s.Snapshot()
		require.NoError(t, err)
		seen = snap.Applied()
		v := fmt.Sprint(seen)
		require.Equal(t, []topology.Edit{set("a", "", v), set("w", v, v), set("z", "", v)}, scan(t, snap, record.Cell{}, end))
		require.NoError(t, snap.Close())
		b, err := s.Get(at("a", ""))
		require.NoError(t, err)
		require.NotEmpty(t, b)
	}
}

func flushPosition(t *testing.T, s StoreUnderTest) {
	lsn, err := s.Flush(t.Context())
	require.NoError(t, err)
	require.Zero(t, lsn)
	require.NoError(t, s.Apply(5, []topology.Edit{set("a", "", "1")}))
	for range 2 {
		lsn, err = s.Flush(t.Context())
		require.NoError(t, err)
		require.Equal(t, record.LSN(5), lsn)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Apply(6, []topology.Edit{set("a", "", "2")}))
	if _, err := s.Flush(ctx); err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
	lsn, err = s.Flush(t.Context())
	require.NoError(t, err)
	require.Equal(t, record.LSN(6), lsn)
}

// model is what a store holds, as a sorted list.
type model []topology.Edit

func compareEdit(e topology.Edit, c record.Cell) int {
	return cmp.Or(cmp.Compare(e.Table, c.Table), bytes.Compare(e.Key, c.Key), bytes.Compare(e.Field, c.Field))
}

func (m *model) apply(es []topology.Edit) {
	for _, e := range es {
		if e.Whole {
			*m = slices.DeleteFunc(*m, func(x topology.Edit) bool { return x.Table == e.Table && bytes.Equal(x.Key, e.Key) })
			continue
		}
		i, found := slices.BinarySearchFunc(*m, e.Cell, compareEdit)
		normal(&e)
		switch {
		case e.State == nil && found:
			*m = slices.Delete(*m, i, i+1)
		case e.State == nil:
		case found:
			(*m)[i] = e
		default:
			*m = slices.Insert(*m, i, e)
		}
	}
}

func (m model) between(from, to record.Cell) []topology.Edit {
	i, _ := slices.BinarySearchFunc(m, from, compareEdit)
	j, _ := slices.BinarySearchFunc(m, to, compareEdit)
	return append([]topology.Edit{}, m[i:max(i, j)]...)
}
