package topologytest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Updater is an updater under examination, and how what it did is read.
type Updater interface {
	topology.Updater
	Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error)
}

// TestUpdater examines an updater that leads. fresh makes one that holds nothing
// in the default table; what it needs is fresh's to clean up.
func TestUpdater(t *testing.T, fresh func(t *testing.T) Updater) {
	for _, c := range []struct {
		name string
		test func(updates)
	}{
		{"an update sees what its predecessors in the call did", updates.order},
		{"what was decided is read, and seen by the next call", updates.stays},
		{"an update that changes nothing has no dot, and a token of what it saw", updates.looks},
		{"a refusal is the error, not applied, and harms no other", updates.refusal},
		{"what means nothing is refused, and harms no other", updates.malformed},
		{"a removal without a field takes every cell, and nothing that is put after it", updates.whole},
		{"a removal of a cell takes that one", updates.field},
		{"cells of a key come in the order of their fields", updates.fields},
		{"what is due does not show, with all its cells, whatever is decided", updates.due},
		{"what is put over what is due is there", updates.again},
		{"a context that has ended changes nothing", updates.ended},
		{"a call of nothing returns", updates.nothing},
		{"no increment of many is lost or counted twice", updates.many},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(updates{t, fresh(t)}) })
	}
}

// updates are calls of one updater during one test.
type updates struct {
	*testing.T
	u Updater
}

func cellAt(key, field string) record.Cell {
	return record.Cell{Table: record.TableDefault, Key: []byte(key), Field: []byte(field)}
}

func putAt(key, field, value string) record.Mutation {
	return record.Mutation{Table: record.TableDefault, Key: []byte(key), Field: []byte(field), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value)}
}

func removeAt(key, field string) record.Mutation {
	return record.Mutation{Table: record.TableDefault, Key: []byte(key), Field: []byte(field), Op: record.OpDelete, Kind: record.KindBytes}
}

// change decides to do ms whatever it sees.
func change(ms ...record.Mutation) topology.Update {
	return topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) { return ms, nil }}
}

// add adds one to the decimal number at key.
func add(key string) topology.Update {
	return topology.Update{
		Reads: []topology.CellRange{{Cell: cellAt(key, "")}},
		Decide: func(s topology.Sight) ([]record.Mutation, error) {
			n := 0
			for _, c := range s.Cells(0) {
				n, _ = strconv.Atoi(string(c.Value))
			}
			return []record.Mutation{putAt(key, "", strconv.Itoa(n+1))}, nil
		},
	}
}

// see notes field=value of each cell that it sees, head first, and changes nothing.
func see(seen *[]string, err error, at ...topology.CellRange) topology.Update {
	return topology.Update{Reads: at, Decide: func(s topology.Sight) ([]record.Mutation, error) {
		*seen = nil
		for i := range at {
			for _, c := range s.Cells(i) {
				*seen = append(*seen, string(c.Field)+"="+string(c.Value))
			}
		}
		return nil, err
	}}
}

func cell(key, field string) topology.CellRange {
	return topology.CellRange{Cell: cellAt(key, field)}
}

func all(key string) topology.CellRange {
	return topology.CellRange{Cell: cellAt(key, ""), Whole: true}
}

func (t updates) do(us ...topology.Update) []topology.Update {
	t.u.Update(t.Context(), us, topology.WriteOptions{})
	return us
}

// done does us, none of which may fail.
func (t updates) done(us ...topology.Update) []topology.Update {
	t.Helper()
	for i, u := range t.do(us...) {
		require.NoError(t, u.Err, "update %d of %d", i+1, len(us))
	}
	return us
}

// holds requires of a key, as it is read, the cells that want names.
func (t updates) holds(key string, want ...string) {
	t.Helper()
	r, err := t.u.Read(t.Context(), record.TableDefault, []byte(key), topology.ReadOptions{Whole: true})
	if len(want) == 0 {
		require.ErrorIs(t, err, topology.ErrNotFound)
		return
	}
	require.NoError(t, err)
	var have []string
	for _, c := range r.Cells {
		have = append(have, string(c.Field)+"="+string(c.Value))
	}
	require.Equal(t, want, have)
}

func (t updates) notApplied(err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), "%v", err)
}

func (t updates) order() {
	var before, after []string
	us := t.done(see(&before, nil, cell("n", "")), add("n"), add("n"), see(&after, nil, cell("n", "")))
	require.Empty(t, before)
	require.Equal(t, []string{"=2"}, after)
	require.Equal(t, us[1].Receipt.LSN+1, us[2].Receipt.LSN, "nothing of others stands between them")
	require.Equal(t, us[2].Receipt.Token, us[3].Receipt.Token)
	require.NotEqual(t, us[1].Receipt.Dot, us[2].Receipt.Dot)
}

func (t updates) stays() {
	var seen []string
	t.done(add("n"))
	t.holds("n", "=1")
	t.done(add("n"))
	t.done(see(&seen, nil, cell("n", "")))
	require.Equal(t, []string{"=2"}, seen)
	t.holds("n", "=2")
}

func (t updates) looks() {
	var seen []string
	put := t.done(change(putAt("k", "", "v")))[0]
	require.NotZero(t, put.Receipt.Dot)
	t.holds("k", "=v") // it may be seen in the store now
	for _, at := range []topology.CellRange{cell("k", ""), all("k"), cell("none", "")} {
		us := t.done(see(&seen, nil, at))
		require.Zero(t, us[0].Receipt.Dot)
		require.GreaterOrEqual(t, us[0].Receipt.Token.LSN, put.Receipt.Token.LSN)
	}
}

func (t updates) refusal() {
	refusal := errors.New("no")
	us := t.do(add("n"), topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) {
		return []record.Mutation{putAt("n", "", "refused")}, refusal
	}}, add("n"))
	require.NoError(t, errors.Join(us[0].Err, us[2].Err))
	require.ErrorIs(t, us[1].Err, refusal)
	t.notApplied(us[1].Err)
	require.Zero(t, us[1].Receipt)
	t.holds("n", "=2")
}

func (t updates) malformed() {
	for name, m := range map[string]record.Mutation{
		"a mark":           {Table: record.TableDefault, Op: record.OpMark, Key: []byte("k")},
		"no operation":     {Table: record.TableDefault, Key: []byte("k")},
		"an empty key":     {Table: record.TableDefault, Op: record.OpPut, Kind: record.KindBytes},
		"a long key":       putAt(string(make([]byte, record.KeyBytesMax+1)), "", "v"),
		"a kind of future": {Table: record.TableDefault, Op: record.OpPut, Key: []byte("k"), Kind: 200},
	} {
		us := t.do(change(putAt("k", "", "v"), m), add("n"+name))
		t.notApplied(us[0].Err)
		require.NoError(t, us[1].Err, name)
		t.holds("n"+name, "=1")
	}
	t.holds("k")
}

func (t updates) whole() {
	var seen, between []string
	t.done(change(putAt("k", "", "head"), putAt("k", "a", "1"), putAt("l", "a", "1")))
	t.done(
		change(putAt("k", "b", "2")),
		change(putAt("k", "c", "3"), removeAt("k", ""), putAt("k", "z", "26")),
		see(&between, nil, all("k"), cell("k", "a"), cell("k", "b")),
		change(putAt("k", "", "anew")),
		see(&seen, nil, all("k")),
		change(removeAt("l", "")))
	require.Equal(t, []string{"z=26"}, between)
	require.Equal(t, []string{"=anew", "z=26"}, seen)
	t.holds("k", "=anew", "z=26")
	t.holds("l")
}

func (t updates) field() {
	var seen []string
	t.done(change(putAt("k", "", "head"), putAt("k", "a", "1"), putAt("k", "b", "2")))
	t.done(change(removeAt("k", "a"), removeAt("k", "none")), see(&seen, nil, all("k")))
	require.Equal(t, []string{"=head", "b=2"}, seen)
	t.holds("k", "=head", "b=2")
}

func (t updates) fields() {
	var seen []string
	t.done(change(putAt("k", "m", "stored"), putAt("k", "b", "stored")))
	t.holds("k", "b=stored", "m=stored")
	t.done(change(putAt("k", "z", "new"), putAt("k", "", "new"), putAt("k", "c", "new"), putAt("k", "m", "new")),
		see(&seen, nil, all("k"), cell("k", "c")))
	require.Equal(t, []string{"=new", "b=stored", "c=new", "m=new", "z=new", "c=new"}, seen)
}

func (t updates) due() {
	refusal := errors.New("it is not there")
	for i, err := range []error{nil, refusal} {
		key := fmt.Sprint("k", i)
		due := putAt(key, "", "v")
		due.Expires = 1 // long ago
		var seen []string
		us := t.do(change(due, putAt(key, "f", "field")), see(&seen, err, cell(key, ""), cell(key, "f"), all(key)))
		require.NoError(t, us[0].Err)
		require.ErrorIs(t, us[1].Err, err)
		require.Empty(t, seen)
		t.holds(key)
	}
}

func (t updates) again() {
	due := putAt("k", "", "v")
	due.Expires = 1
	u := topology.Update{Reads: []topology.CellRange{cell("k", "")}, Decide: func(s topology.Sight) ([]record.Mutation, error) {
		if len(s.Cells(0)) > 0 {
			return nil, errors.New("it shows")
		}
		return []record.Mutation{putAt("k", "g", "anew")}, nil
	}}
	us := t.done(change(due, putAt("k", "f", "field")), u)
	require.NotZero(t, us[1].Receipt.Dot)
	t.holds("k", "g=anew")
}

func (t updates) ended() {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	us := []topology.Update{add("n")}
	t.u.Update(ctx, us, topology.WriteOptions{})
	require.ErrorIs(t, us[0].Err, topology.ErrTimeout)
	t.notApplied(us[0].Err)
	t.holds("n")
}

func (t updates) nothing() {
	t.do()
}

func (t updates) many() {
	const workers, each = 8, 25
	var g sync.WaitGroup
	var mu sync.Mutex
	var faults []error
	for w := range workers {
		g.Go(func() {
			for range each {
				us := t.do(add("all"), change(putAt("other", strconv.Itoa(w), "v")), add("all"))
				mu.Lock()
				faults = append(faults, us[0].Err, us[1].Err, us[2].Err)
				mu.Unlock()
			}
		})
	}
	g.Wait()
	require.NoError(t, errors.Join(faults...))
	t.holds("all", "="+strconv.Itoa(2*workers*each))
}
