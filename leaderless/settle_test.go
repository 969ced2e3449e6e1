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

// settledBy makes a table with a resolver known to all.
func (c *cluster) settledBy(id record.TableID, k record.Kind, resolver string) {
	c.t.Helper()
	canonical, _, err := settler{}.Resolver(k, resolver)
	require.NoError(c.t, err)
	d := kind.Definition{ID: id, Kind: k, Resolver: canonical}
	m := record.Mutation{Table: record.TableSystem, Key: fmt.Appendf(nil, "%st%d", kind.DefinitionPrefix, id), Op: record.OpPut, Kind: record.KindBytes, Value: d.Encode()}
	require.NoError(c.t, c.nodes["a"].write(m))
}

// siblings reads all that a key holds.
func (n *node) siblings(table record.TableID, key string, o topology.ReadOptions) (values []string, c topology.Context) {
	n.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	o.Siblings = true
	r, err := n.Read(ctx, table, []byte(key), o)
	if err != nil {
		require.ErrorIs(n.c.t, err, topology.ErrNotFound)
	}
	for _, v := range r.Cells {
		if v.Absent {
			values = append(values, "(removed)")
		} else {
			values = append(values, string(v.Value))
		}
	}
	require.False(n.c.t, r.Context.IsZero())
	return values, r.Context
}

func (n *node) putSeen(m record.Mutation, seen topology.Context) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := n.Write(ctx, record.Batch{Mutations: []record.Mutation{m}}, topology.WriteOptions{Context: seen})
	return err
}

const tableCarts = record.TableFirst

func TestConcurrentCartsAreSiblingsUntilSomebodyWhoHasSeenThemWrites(t *testing.T) {
	c := newCluster(t, Options{}, 5)
	c.startAll()
	c.settledBy(tableCarts, record.KindBytes, "siblings")
	nothing := topology.ContextOf(nil)
	var g errgroup.Group
	for i, what := range []string{"milk", "bread", "tea"} {
		n := c.nodes[c.list[i].ID]
		g.Go(func() error { return n.putSeen(put(tableCarts, "alice", "", what), nothing) })
	}
	require.NoError(t, g.Wait())
	values, seen := c.nodes["d"].siblings(tableCarts, "alice", topology.ReadOptions{})
	require.ElementsMatch(t, []string{"milk", "bread", "tea"}, values)

	// One more that has seen nothing, beside the one that has seen the three.
	require.NoError(t, c.nodes["b"].putSeen(put(tableCarts, "alice", "", "salt"), nothing))
	require.NoError(t, c.nodes["e"].putSeen(put(tableCarts, "alice", "", "milk, bread, tea"), seen))
	c.converged()
	for _, m := range c.list {
		values, _ = c.nodes[m.ID].siblings(tableCarts, "alice", topology.ReadOptions{})
		require.ElementsMatch(t, []string{"salt", "milk, bread, tea"}, values)
	}
	// Who asks for one value is shown the last; a write without a context takes all that
	// its replica holds.
	r, err := c.nodes["a"].Read(t.Context(), tableCarts, []byte("alice"), topology.ReadOptions{})
	require.NoError(t, err)
	require.Len(t, r.Cells, 1)
	require.NoError(t, c.nodes["a"].putSeen(put(tableCarts, "alice", "", "all of it"), topology.Context{}))
	values, seen = c.nodes["b"].siblings(tableCarts, "alice", topology.ReadOptions{})
	require.Equal(t, []string{"all of it"}, values)
	require.NoError(t, c.nodes["c"].putSeen(put(tableCarts, "alice", "", "more"), nothing))
	require.NoError(t, c.nodes["c"].putSeen(remove(tableCarts, "alice", ""), seen))
	values, _ = c.nodes["d"].siblings(tableCarts, "alice", topology.ReadOptions{})
	require.ElementsMatch(t, []string{"more", "(removed)"}, values, "a removal takes what its client has seen")
	c.converged()
}

func TestAContextIsRefusedWhereItMeansNothing(t *testing.T) {
	c := newCluster(t, Options{Partitions: 8}, 3)
	c.startAll()
	c.settledBy(tableCarts, record.KindBytes, "siblings")
	a := c.nodes["a"]
	require.NoError(t, a.putSeen(put(tableCarts, "k", "", "v"), topology.Context{}))
	_, seen := a.siblings(tableCarts, "k", topology.ReadOptions{})
	err := a.putSeen(put(record.TableDefault, "k", "", "v"), seen)
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	other := ""
	for i := 0; other == "" || placementOf(a.engine, tableCarts, []byte(other)) == placementOf(a.engine, tableCarts, []byte("k")); i++ {
		other = fmt.Sprint("other", i)
	}
	require.ErrorIs(t, a.putSeen(put(tableCarts, other, "", "v"), seen), topology.ErrMalformed)
	for k, named := range map[record.Kind]string{
		record.KindCounter: "crdt", record.KindSet: "siblings", record.KindBytes: "crdt", record.KindRow: "first-writer", record.KindMap: "lww", record.KindAny: "longest",
	} {
		require.ErrorIs(t, CheckResolver(k, named), topology.ErrUnsupported, "%v %s", k, named)
	}
}

func TestSiblingsHaveALimitThatRepairDoesNotKnow(t *testing.T) {
	c := newCluster(t, Options{}, 3)
	c.startAll()
	c.settledBy(tableCarts, record.KindBytes, "siblings")
	nothing := topology.ContextOf(nil)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range siblingsMax {
		g.Go(func() error { return c.nodes["a"].putSeen(put(tableCarts, "k", "", fmt.Sprint(i)), nothing) })
	}
	require.NoError(t, g.Wait())
	err := c.nodes["a"].putSeen(put(tableCarts, "k", "", "one more"), nothing)
	require.ErrorIs(t, err, topology.ErrTooLarge)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	values, seen := c.nodes["b"].siblings(tableCarts, "k", topology.ReadOptions{})
	require.Len(t, values, siblingsMax)
	require.NoError(t, c.nodes["b"].putSeen(put(tableCarts, "k", "", "merged"), seen))
	c.converged()
}

func TestAWipedReplicaBringsBackNoSiblingThatWasReplaced(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	c.settledBy(tableCarts, record.KindBytes, "siblings")
	for i := range 30 {
		require.NoError(t, c.nodes["a"].putSeen(put(tableCarts, fmt.Sprint("k", i), "", "old"), topology.Context{}))
	}
	c.converged()
	c.nodes["b"].stop()
	for i := range 30 {
		_, seen := c.nodes["a"].siblings(tableCarts, fmt.Sprint("k", i), topology.ReadOptions{})
		require.NoError(t, c.nodes["c"].putSeen(put(tableCarts, fmt.Sprint("k", i), "", "new"), seen))
	}
	c.converged()
	c.nodes["c"].wipe()
	c.nodes["b"].start() // which is behind
	c.nodes["c"].start()
	c.settled()
	c.converged()
	for i := range 30 {
		for _, m := range c.list {
			values, _ := c.nodes[m.ID].siblings(tableCarts, fmt.Sprint("k", i), topology.ReadOptions{Guarantee: topology.ReadAny})
			require.Equal(t, []string{"new"}, values, "key %d at %s", i, m.ID)
		}
	}
}

// update decides over what a read finds, as typed tables and Redis clients do.
func (n *node) update(op kind.Op) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	us := []topology.Update{kind.Update(op)}
	n.Update(ctx, us, topology.WriteOptions{})
	return us[0].Err
}

func TestOfAnAdditionAndARemovalAtTheSameTimeTheAdditionStays(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	c.settledBy(tableSets, record.KindSet, "crdt")
	key := func() kind.Key { return kind.Key{Table: tableSets, Name: []byte("cart"), Kind: record.KindSet} }
	members := func(ms ...string) (out [][]byte) {
		for _, m := range ms {
			out = append(out, []byte(m))
		}
		return out
	}
	a, b := c.nodes["a"], c.nodes["b"]
	require.NoError(t, a.update(&kind.SetAdd{Key: key(), Members: members("milk", "tea")}))
	c.converged()

	// b removes what it has read; a adds the same again, though it is there: neither has
	// seen the other, whatever the order in which replicas hear of them.
	_, before, err := b.reader.held(t.Context(), &view{kind: record.KindSet, CellRange: topology.CellRange{Cell: record.Cell{Table: tableSets, Key: []byte("cart")}, Whole: true}}, readAsked{})
	require.NoError(t, err)
	require.NoError(t, a.update(&kind.SetAdd{Key: key(), Members: members("milk")}))
	c.converged()
	_, err = b.writer.settled(t.Context(), []record.Mutation{remove(tableSets, "cart", "milk")}, before, topology.WriteOptions{})
	require.NoError(t, err)
	c.converged()
	require.Equal(t, map[string]string{"milk": "", "tea": ""}, c.nodes["c"].whole(tableSets, "cart"), "the addition stays")
	require.NoError(t, b.update(&kind.SetRemove{Key: key(), Members: members("milk")}))
	require.Equal(t, map[string]string{"tea": ""}, c.nodes["c"].whole(tableSets, "cart"), "a removal that has seen it takes it")
	c.converged()

	// The whole key goes with what was seen of it.
	require.NoError(t, a.update(&kind.SetAdd{Key: key(), Members: members("salt", "bread")}))
	require.NoError(t, b.write(remove(tableSets, "cart", "")))
	require.Empty(t, c.nodes["c"].whole(tableSets, "cart"))
	require.NoError(t, a.update(&kind.SetAdd{Key: key(), Members: members("salt")}))
	require.Equal(t, map[string]string{"salt": ""}, c.nodes["c"].whole(tableSets, "cart"))
	c.converged()
}
