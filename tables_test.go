package triad

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var users = Table{Name: "users", Kind: record.KindRow}

// system writes a value of the system table behind the catalogue's back.
func system(t *testing.T, f *fake, key string, value []byte) {
	t.Helper()
	_, err := f.Write(t.Context(), record.Batch{Mutations: []record.Mutation{
		{Table: record.TableSystem, Key: []byte(key), Op: record.OpPut, Kind: record.KindBytes, Value: value},
	}}, topology.WriteOptions{})
	require.NoError(t, err)
}

func id(t *testing.T, n *Node, name string) record.TableID {
	t.Helper()
	d, err := n.catalogue.lookup(t.Context(), name, false)
	require.NoError(t, err)
	return d.id
}

func TestATableNobodyDefinedIsAnError(t *testing.T) {
	n, f := start(t, Config{})
	for _, name := range []string{"users", "", "No Table", "table/users"} {
		_, err := n.Put(t.Context(), name, key, value)
		require.ErrorIs(t, err, topology.ErrNoTable, name)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
		_, err = n.Get(t.Context(), name, key)
		require.ErrorIs(t, err, topology.ErrNoTable, name)
	}
	require.Empty(t, f.writes)
}

func TestATableIsDefinedOnceAndNumbersAreNotGivenTwice(t *testing.T) {
	disk := vfs.NewMem()
	n, _, end := launch(t, Config{FS: disk})
	require.NoError(t, n.CreateTable(t.Context(), users))
	require.NoError(t, n.CreateTable(t.Context(), users))
	require.NoError(t, n.CreateTable(t.Context(), Table{Name: "blobs", Kind: record.KindBytes}))
	require.NoError(t, n.CreateTable(t.Context(), Table{Name: "default"}))
	require.Equal(t, record.TableFirst, id(t, n, "users"))
	require.Equal(t, record.TableFirst+1, id(t, n, "blobs"))
	require.NoError(t, end())

	n, _ = start(t, Config{FS: disk})
	require.Equal(t, record.TableFirst, id(t, n, "users"), "found again after a restart")
	require.NoError(t, n.CreateTable(t.Context(), Table{Name: "more"}))
	require.Equal(t, record.TableFirst+2, id(t, n, "more"))
	all, err := n.Tables(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Table{{Name: "blobs", Kind: record.KindBytes}, {Name: "default"}, {Name: "more"}, users}, all)
}

func TestATableThatIsDefinedOtherwiseIsRefusedAndBothAreShown(t *testing.T) {
	n, _ := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), users))
	err := n.CreateTable(t.Context(), Table{Name: "users", Kind: record.KindBytes})
	require.ErrorIs(t, err, topology.ErrConflict)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.ErrorContains(t, err, "users (bytes)")
	require.ErrorContains(t, err, "users (row)")
	var c *Contradiction
	require.ErrorAs(t, err, &c)
	require.Equal(t, users, c.Defined)
}

func TestInvalidDefinitionsAreRefused(t *testing.T) {
	n, f := start(t, Config{})
	for want, table := range map[error]Table{
		topology.ErrMalformed:   {Name: "No"},
		topology.ErrUnsupported: {Name: "c", Kind: record.KindText},
		topology.ErrConflict:    {Name: "default", Kind: record.KindRow},
	} {
		require.ErrorIs(t, n.CreateTable(t.Context(), table), want)
	}
	require.Empty(t, f.writes)
}

func TestTablesDefinedAtOnceGetDifferentNumbers(t *testing.T) {
	n, _ := start(t, Config{})
	const many = 16
	var wait sync.WaitGroup
	for i := range many {
		wait.Go(func() {
			if err := n.CreateTable(t.Context(), Table{Name: fmt.Sprintf("t%d", i/2)}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	seen := map[record.TableID]bool{}
	for i := range many / 2 {
		seen[id(t, n, fmt.Sprintf("t%d", i))] = true
	}
	require.Len(t, seen, many/2)
}

func TestATableDefinedBetweenTwoLooksIsNotDefinedTwice(t *testing.T) {
	n, f := start(t, Config{})
	other := definition{id: record.TableFirst, Table: users}
	var once sync.Once
	f.before = func(key []byte) {
		if string(key) != nextTableKey { // the name was looked up, and was not there
			return
		}
		once.Do(func() {
			system(t, f, "table/users", other.encode())
			system(t, f, nextTableKey, encodeNext(other.id+1))
		})
	}
	require.NoError(t, n.CreateTable(t.Context(), users))
	require.Equal(t, other.id, id(t, n, "users"))
}

func TestADefinitionThatAlwaysLosesTheRaceEnds(t *testing.T) {
	n, f := start(t, Config{})
	f.refuse = func(recordBatch) error {
		return &topology.Error{Outcome: topology.NotApplied, Err: topology.ErrConditionFailed}
	}
	err := n.CreateTable(t.Context(), users)
	require.ErrorIs(t, err, topology.ErrOverloaded)
	require.Len(t, f.writes, createAttemptsMax)
}

func TestADefinitionThatWaitsEndsWithItsContext(t *testing.T) {
	n, f := start(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	f.refuse = func(recordBatch) error {
		cancel()
		return &topology.Error{Outcome: topology.NotApplied, Err: topology.ErrConditionFailed}
	}
	err := n.CreateTable(ctx, users)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
}

func TestADefinitionWhoseFateIsUnknownSaysSo(t *testing.T) {
	n, f := start(t, Config{})
	f.refuse = func(recordBatch) error {
		return &topology.Error{Outcome: topology.Unknown, Err: topology.ErrTimeout}
	}
	err := n.CreateTable(t.Context(), users)
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
}

func TestTheNumberOfTablesHasALimit(t *testing.T) {
	n, f := start(t, Config{})
	system(t, f, nextTableKey, encodeNext(record.TableFirst+tablesMax))
	require.ErrorIs(t, n.CreateTable(t.Context(), users), topology.ErrTooLarge)
}

func TestACatalogueThatCannotBeReadIsAnError(t *testing.T) {
	for name, b := range map[string]string{
		"not an array": "\x01", "a newer format": "\x93\x02\x10\x02", "a reserved number": "\x93\x01\x01\x02",
		"trailing bytes": "\x93\x01\x10\x02\x00", "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			n, f := start(t, Config{})
			_, err := n.Put(t.Context(), DefaultTable, key, value)
			require.NoError(t, err)
			system(t, f, "table/users", []byte(b))
			_, err = n.Get(t.Context(), "users", key)
			require.Error(t, err)
			require.True(t, errors.Is(err, topology.ErrMalformed) || errors.Is(err, topology.ErrUnsupported))
			system(t, f, nextTableKey, []byte(b))
			require.Error(t, n.CreateTable(t.Context(), Table{Name: "other"}))
		})
	}
}

func TestATableOfAKindOfALaterVersionIsNeitherReadNorWritten(t *testing.T) {
	n, f := start(t, Config{})
	_, err := n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
	system(t, f, "table/likes", definition{id: 40, Table: Table{Kind: record.KindText}}.encode())
	_, err = n.Put(t.Context(), "likes", key, value)
	require.ErrorIs(t, err, topology.ErrUnsupported)
	_, err = n.Delete(t.Context(), "likes", key)
	require.ErrorIs(t, err, topology.ErrUnsupported)
}

// Where nobody leads a cell keeps its last writer, so what several write is not joined.
func TestWithoutALeaderThereAreNoTablesInWhichWritesComeTogether(t *testing.T) {
	c := &catalogue{engine: scattering{&fake{}}}
	for k, ok := range map[record.Kind]bool{record.KindCounter: true, record.KindSet: true, record.KindFlag: false, record.KindMax: false, record.KindMin: false, record.KindHLL: false} {
		if err := c.holds(k); ok {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, topology.ErrUnsupported)
		}
	}
	require.NoError(t, (&catalogue{engine: &fake{}}).holds(record.KindHLL))
}

// scattering is an engine of several writers that no resolver joins.
type scattering struct{ topology.Engine }

func (scattering) Scattered() {}

func TestACachedDefinitionIsForgottenWithItsTerm(t *testing.T) {
	n, f := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), users))
	require.Equal(t, record.TableFirst, id(t, n, "users"))
	// It was read where a failover has rewound it since, and the new leader gave
	// its number away.
	n.catalogue.mu.Lock()
	n.catalogue.known["users"] = definition{id: 99, Table: users}
	n.catalogue.mu.Unlock()
	require.Equal(t, record.TableID(99), id(t, n, "users"))
	f.term.Add(1)
	require.Equal(t, record.TableFirst, id(t, n, "users"))
}

func TestAReadOfAnyStateDoesNotAskTheLeaderForATable(t *testing.T) {
	n, f := start(t, Config{})
	_, err := n.Get(t.Context(), "users", key, Any())
	require.ErrorIs(t, err, topology.ErrNoTable)
	require.Len(t, f.reads, 1)
	_, err = n.Get(t.Context(), "users", key)
	require.ErrorIs(t, err, topology.ErrNoTable)
	require.Len(t, f.reads, 3)
	require.Equal(t, topology.ReadDefault, f.reads[2].Guarantee)
}

func TestTheLeaderDefinesTheTablesOfItsConfiguration(t *testing.T) {
	n, _ := start(t, Config{Tables: []Table{users, {Name: "blobs", Kind: record.KindBytes}}})
	require.Eventually(t, func() bool {
		all, err := n.Tables(t.Context())
		return err == nil && len(all) == 3
	}, patience, time.Millisecond)
}

func TestAFollowerWaitsForTheTablesOfItsConfiguration(t *testing.T) {
	build, at := fakes()
	n, err := Open(Config{Dir: "data/a", FS: vfs.NewMem(), Topology: build, Tables: []Table{users}})
	require.NoError(t, err)
	f := at.Load()
	f.follows.Store(true)
	var looks atomic.Int64
	f.before = func([]byte) { looks.Add(1) }
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	require.Eventually(t, func() bool { return looks.Load() > 1 }, patience, time.Millisecond)
	require.Zero(t, f.asked.Load(), "a follower defines nothing")
	f.follows.Store(false) // it is made leader
	require.Eventually(t, func() bool {
		_, err := n.catalogue.lookup(t.Context(), "users", true)
		return err == nil
	}, patience, time.Millisecond)
	require.NoError(t, n.Close())
	require.NoError(t, <-done)
}

func TestAConfigurationThatContradictsTheCatalogueIsRefused(t *testing.T) {
	disk := vfs.NewMem()
	n, _, end := launch(t, Config{FS: disk})
	require.NoError(t, n.CreateTable(t.Context(), users))
	require.NoError(t, end())
	build, _ := fakes()
	_, err := Open(Config{Dir: "data/a", FS: disk, Topology: build, Tables: []Table{{Name: "users", Kind: record.KindBytes}}})
	require.ErrorIs(t, err, topology.ErrConflict)
	require.ErrorContains(t, err, "users (row)")
	require.ErrorContains(t, err, "users (bytes)")
}

func TestAContradictionThatComesLaterEndsTheNode(t *testing.T) {
	build, at := fakes()
	n, err := Open(Config{Dir: "data/a", FS: vfs.NewMem(), Topology: build, Tables: []Table{users}})
	require.NoError(t, err)
	f := at.Load()
	f.watches.Store(true)
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	<-n.gate.open
	system(t, f, "table/users", definition{id: 20, Table: Table{Name: "users", Kind: record.KindBytes}}.encode())
	err = <-done
	require.ErrorIs(t, err, topology.ErrConflict)
	require.ErrorContains(t, err, "configuration")
	require.NoError(t, n.Close())
}
