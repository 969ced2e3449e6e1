package leaderless

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// define makes a table known to all.
func (c *cluster) define(id record.TableID, k record.Kind) {
	c.t.Helper()
	m := record.Mutation{Table: record.TableSystem, Key: fmt.Appendf(nil, "%st%d", kind.DefinitionPrefix, id), Op: record.OpPut, Kind: record.KindBytes, Value: kind.Definition{ID: id, Kind: k}.Encode()}
	require.NoError(c.t, c.nodes["a"].write(m))
}

func (n *node) write(ms ...record.Mutation) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := n.Write(ctx, record.Batch{Mutations: ms}, topology.WriteOptions{})
	return err
}

// whole reads all of a key: its fields and what they hold; the counter is field "".
func (n *node) whole(table record.TableID, key string) map[string]string {
	n.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := n.Read(ctx, table, []byte(key), topology.ReadOptions{Whole: true})
	got := map[string]string{}
	if err != nil {
		require.ErrorIs(n.c.t, err, topology.ErrNotFound)
		return got
	}
	for _, c := range r.Cells {
		if len(c.Field) > 0 {
			got[string(c.Field)] = string(c.Value)
		} else if c.Kind == record.KindCounter {
			v, err := number(c.Value)
			require.NoError(n.c.t, err)
			got[""] = fmt.Sprint(v)
		}
	}
	return got
}

const (
	tableRows record.TableID = record.TableFirst + iota
	tableSets
	tableCounts
)

func put(table record.TableID, key, field, value string) record.Mutation {
	return record.Mutation{Table: table, Key: []byte(key), Field: []byte(field), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value)}
}

func remove(table record.TableID, key, field string) record.Mutation {
	return record.Mutation{Table: table, Key: []byte(key), Field: []byte(field), Op: record.OpDelete, Kind: record.KindBytes}
}

func TestColumnsOfARowComeTogether(t *testing.T) {
	c := newCluster(t, Options{}, 5)
	c.startAll()
	c.define(tableRows, record.KindRow)
	a, b := c.nodes["a"], c.nodes["b"]
	require.NoError(t, a.write(put(tableRows, "alice", "name", "Alice"), put(tableRows, "alice", "age", "7")))
	var g errgroup.Group
	g.Go(func() error { return a.write(put(tableRows, "alice", "age", "8")) })
	g.Go(func() error { return b.write(put(tableRows, "alice", "city", "Bern")) })
	require.NoError(t, g.Wait())
	want := map[string]string{"name": "Alice", "age": "8", "city": "Bern"}
	for _, m := range c.list {
		require.Equal(t, want, c.nodes[m.ID].whole(tableRows, "alice"))
	}
	require.NoError(t, b.write(remove(tableRows, "alice", ""), put(tableRows, "alice", "name", "Al")), "a row that replaces another")
	for _, m := range c.list {
		require.Equal(t, map[string]string{"name": "Al"}, c.nodes[m.ID].whole(tableRows, "alice"))
	}
	require.NoError(t, a.write(remove(tableRows, "alice", "")))
	require.Empty(t, b.whole(tableRows, "alice"))
	require.NoError(t, a.write(put(tableRows, "alice", "age", "9")))
	require.Equal(t, map[string]string{"age": "9"}, b.whole(tableRows, "alice"))
	c.converged()
}

func TestMembersOfASetComeAndGo(t *testing.T) {
	c := newCluster(t, Options{}, 3)
	c.startAll()
	c.define(tableSets, record.KindSet)
	var g errgroup.Group
	for i := range 20 {
		n := c.nodes[c.list[i%3].ID]
		g.Go(func() error { return n.write(put(tableSets, "tags", fmt.Sprintf("m%02d", i), "")) })
	}
	require.NoError(t, g.Wait())
	require.Len(t, c.nodes["b"].whole(tableSets, "tags"), 20)
	require.NoError(t, c.nodes["b"].write(remove(tableSets, "tags", "m03"), remove(tableSets, "tags", "m04")))
	require.Len(t, c.nodes["c"].whole(tableSets, "tags"), 18)
	r, err := c.nodes["a"].Read(t.Context(), tableSets, []byte("tags"), topology.ReadOptions{Field: []byte("m03")})
	require.ErrorIs(t, err, topology.ErrNotFound, "%v", r)
	keys, members := 0, 0
	for cell, err := range c.nodes["a"].Scan(t.Context(), tableSets, nil, nil, topology.ReadOptions{}) {
		require.NoError(t, err)
		if len(cell.Field) == 0 {
			keys++
		} else {
			members++
		}
	}
	require.Equal(t, [2]int{1, 18}, [2]int{keys, members})
	c.converged()
}

func TestCountersCountAtEveryNode(t *testing.T) {
	c := newCluster(t, Options{}, 5)
	c.startAll()
	c.define(tableCounts, record.KindCounter)
	by := func(n int64) record.Mutation {
		return record.Mutation{Table: tableCounts, Key: []byte("likes"), Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(n)}
	}
	var g errgroup.Group
	for i := range 50 {
		n := c.nodes[c.list[i%5].ID]
		g.Go(func() error { return n.write(by(int64(i))) })
	}
	require.NoError(t, g.Wait())
	for _, m := range c.list {
		require.Equal(t, map[string]string{"": "1225"}, c.nodes[m.ID].whole(tableCounts, "likes"))
	}
	set := by(100)
	set.Op = record.OpPut
	require.NoError(t, c.nodes["d"].write(set))
	c.converged()
	require.NoError(t, c.nodes["b"].write(by(-1)))
	require.Equal(t, map[string]string{"": "99"}, c.nodes["a"].whole(tableCounts, "likes"))
	require.NoError(t, c.nodes["a"].write(remove(tableCounts, "likes", "")))
	c.converged()
	require.Empty(t, c.nodes["e"].whole(tableCounts, "likes"))
	require.NoError(t, c.nodes["a"].write(by(5)))
	require.Equal(t, map[string]string{"": "5"}, c.nodes["e"].whole(tableCounts, "likes"))
}

func TestWhatNeedsALeaderIsRefusedBeforeItHasAnyEffect(t *testing.T) {
	c := newCluster(t, Options{}, 3)
	c.startAll()
	c.define(tableSets, record.KindSet)
	a := c.nodes["a"]
	before := a.log.Bounds().End
	expiring := put(tableSets, "k", "f", "v")
	expiring.Expires = 1 << 60
	counter := record.Mutation{Table: record.TableDefault, Key: []byte("k"), Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(1)}
	for name, b := range map[string]record.Batch{
		"a condition":            {Mutations: batchOf("k", "v").Mutations, Conditions: []record.Condition{{Cell: record.Cell{Table: record.TableDefault, Key: []byte("k")}, Absent: true}}},
		"several keys":           {Mutations: append(batchOf("k", "v").Mutations, batchOf("l", "v").Mutations...)},
		"a name":                 {Mutations: batchOf("k", "v").Mutations, Request: record.RequestID{Client: 1, Seq: 1}},
		"a counter among values": {Mutations: []record.Mutation{counter}},
		"a set among values":     {Mutations: []record.Mutation{put(record.TableDefault, "k", "f", "v")}},
		"a set that expires":     {Mutations: []record.Mutation{expiring}},
		"a set of nothing":       {Mutations: []record.Mutation{put(tableSets, "k", "", "v")}},
	} {
		_, err := a.Write(t.Context(), b, topology.WriteOptions{})
		require.ErrorIs(t, err, topology.ErrUnsupported, name)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), name)
	}
	for _, g := range []topology.Guarantee{topology.ReadLinearizable, topology.ReadLeased, topology.ReadBounded} {
		_, err := a.get("k", topology.ReadOptions{Guarantee: g})
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
	require.Equal(t, before, a.log.Bounds().End)
}
