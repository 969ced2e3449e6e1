package multileader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

const users = record.TableID(1 << 24)

// define writes the definition of a table of bytes at one node, and waits for it at all
// that run.
func (c *cluster) define(at topology.NodeID, resolver string) {
	c.t.Helper()
	n := c.nodes[at]
	d := kind.Definition{ID: users, Kind: record.KindBytes}
	var err error
	d.Resolver, d.Digest, err = n.Resolver(d.Kind, resolver)
	require.NoError(c.t, err)
	w, err := n.Write(c.t.Context(), record.Batch{Mutations: []record.Mutation{
		{Table: record.TableSystem, Key: []byte(kind.DefinitionPrefix + "users"), Op: record.OpPut, Kind: record.KindBytes, Value: d.Encode()},
	}}, topology.WriteOptions{})
	require.NoError(c.t, err)
	for _, n := range c.nodes {
		if n.cancel != nil {
			require.NoError(c.t, n.Wait(c.t.Context(), w.Token))
		}
	}
}

// write writes a user, or with no value removes it, with what its client has seen.
func (n *node) write(key, value string, seen topology.Context) (topology.Receipt, error) {
	m := record.Mutation{Table: users, Key: []byte(key), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value)}
	if value == "" {
		m.Op, m.Value = record.OpDelete, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return n.Write(ctx, record.Batch{Mutations: []record.Mutation{m}}, topology.WriteOptions{Context: seen})
}

// user reads one, as its last reader would.
func (n *node) user(key string) (string, error) {
	r, err := n.Read(context.Background(), users, []byte(key), topology.ReadOptions{})
	if err != nil {
		return "", err
	}
	return string(r.Cells[0].Value), nil
}

// siblings reads all that is concurrent, and what that was.
func (n *node) siblings(key string) (values []string, seen topology.Context) {
	r, err := n.Read(context.Background(), users, []byte(key), topology.ReadOptions{Siblings: true})
	if !errors.Is(err, topology.ErrNotFound) {
		require.NoError(n.c.t, err)
	}
	for i := range r.Cells {
		if r.Cells[i].Absent {
			values = append(values, "(removed)")
		} else {
			values = append(values, string(r.Cells[i].Value))
		}
	}
	return values, r.Context
}

// part parts all sites from one another, or joins them again.
func (c *cluster) part(yes bool) {
	for i, a := range c.opts.Sites {
		for _, b := range c.opts.Sites[:i] {
			c.apart(a.Name, b.Name, yes)
		}
	}
}

func (n *node) conflicts() (all []topology.Conflict) {
	for x, err := range n.Conflicts(context.Background(), 0) {
		require.NoError(n.c.t, err)
		all = append(all, x)
	}
	return all
}

// joinedText is a function that shows all values, in the order of the dots.
func joinedText(v uint32) conflict.Resolver {
	return conflict.Func("joined", v, func(_ []byte, siblings []record.Version) (conflict.Fold, error) {
		var all []string
		for _, s := range siblings {
			if !s.Absent {
				all = append(all, string(s.Value))
			}
		}
		return conflict.Fold{Value: []byte(strings.Join(all, "+")), Absent: len(all) == 0}, nil
	})
}

func registryOf(t testing.TB, rs ...conflict.Resolver) *conflict.Registry {
	t.Helper()
	r, err := conflict.NewRegistry(rs...)
	require.NoError(t, err)
	return r
}

func TestATableIsSettledByTheResolverItNames(t *testing.T) {
	for _, tc := range []struct{ resolver, shown, defined string }{
		{"lww", "of ap", ""},
		{"first-writer", "of us", "first-writer@1"},
		{"site-priority(2, 1)", "of eu", "site-priority@1(2,1)"},
		{"joined", "of us+of eu+of ap", "joined@1"},
		{"siblings", "of ap", "siblings@1"},
	} {
		t.Run(tc.resolver, func(t *testing.T) {
			c := newCluster(t, Options{Resolvers: registryOf(t, joinedText(1))}, 1, "us", "eu", "ap")
			c.startAll()
			c.define("eu1", tc.resolver)
			c.part(true)
			for _, site := range []string{"us", "eu", "ap"} {
				_, err := c.nodes[topology.NodeID(site+"1")].write("k", "of "+site, topology.Context{})
				require.NoError(t, err)
			}
			c.part(false)
			c.converged()
			for _, n := range c.nodes {
				require.Equal(t, tc.defined, n.machine.tables.shown(users).resolver)
				got, err := n.user("k")
				require.NoError(t, err)
				require.Equal(t, tc.shown, got, n.id)
				all := n.conflicts()
				require.NotEmpty(t, all)
				for _, x := range all {
					require.Equal(t, topology.InsertInsert, x.Type)
					require.Equal(t, n.machine.tables.shown(users).named(), x.Resolver)
				}
				require.Len(t, all[len(all)-1].Inputs(), map[bool]int{true: 2, false: 3}[tc.resolver == "lww"], "all that met are kept")
			}
		})
	}
}

func TestAWriteWithAContextReplacesWhatItSaw(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "siblings")
	us, eu := c.nodes["us1"], c.nodes["eu1"]
	c.part(true)
	_, err := us.write("k", "a", topology.Context{})
	require.NoError(t, err)
	_, err = eu.write("k", "b", topology.Context{})
	require.NoError(t, err)
	c.part(false)
	c.converged()
	both, seen := us.siblings("k")
	require.Equal(t, []string{"a", "b"}, both)

	// Two clients have read both, in different sites; what one writes the other does not
	// replace.
	_, err = us.write("k", "c", seen)
	require.NoError(t, err)
	_, err = us.write("k", "d", seen)
	require.NoError(t, err)
	got, of := us.siblings("k")
	require.Equal(t, []string{"c", "d"}, got)
	c.converged()
	got, _ = eu.siblings("k")
	require.Equal(t, []string{"c", "d"}, got)

	// A context of one site is good in another.
	_, err = eu.write("k", "e", of)
	require.NoError(t, err)
	c.converged()
	got, _ = us.siblings("k")
	require.Equal(t, []string{"e"}, got)

	// Who saw nothing replaces nothing; who says nothing replaces all.
	_, nothing := us.siblings("other")
	require.False(t, nothing.IsZero())
	_, err = us.write("k", "f", nothing)
	require.NoError(t, err)
	got, _ = us.siblings("k")
	require.Equal(t, []string{"f", "e"}, got)
	_, err = us.write("k", "g", topology.Context{})
	require.NoError(t, err)
	got, _ = us.siblings("k")
	require.Equal(t, []string{"g"}, got)
	c.converged()
}

func TestARemovalIsASiblingUntilSomebodyHasSeenIt(t *testing.T) {
	c := newCluster(t, Options{CutEvery: -1}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "siblings")
	us := c.nodes["us1"]
	_, err := us.write("k", "a", topology.Context{})
	require.NoError(t, err)
	_, seen := us.siblings("k")
	_, err = us.write("k", "", seen)
	require.NoError(t, err)
	none, gone := us.siblings("k")
	require.Empty(t, none)
	_, err = us.write("k", "b", seen)
	require.NoError(t, err)
	got, _ := us.siblings("k")
	require.Equal(t, []string{"(removed)", "b"}, got)
	value, err := us.user("k")
	require.NoError(t, err)
	require.Equal(t, "b", value)
	_, err = us.write("k", "c", gone)
	require.NoError(t, err)
	got, _ = us.siblings("k")
	require.Equal(t, []string{"b", "c"}, got)
	c.converged()
}

func TestAContextWaitsForWhatItsSiteLacks(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "siblings")
	c.part(true)
	_, err := c.nodes["us1"].write("k", "a", topology.Context{})
	require.NoError(t, err)
	_, seen := c.nodes["us1"].siblings("k")
	done := make(chan error, 1)
	go func() {
		_, err := c.nodes["eu1"].write("k", "b", seen)
		done <- err
	}()
	c.part(false)
	require.NoError(t, <-done)
	c.converged()
	got, _ := c.nodes["us1"].siblings("k")
	require.Equal(t, []string{"b"}, got)
}

func TestAContextIsForSiblingsAlone(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us")
	c.startAll()
	c.define("us1", "first-writer")
	_, err := c.nodes["us1"].write("k", "a", topology.ContextOf(nil))
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, "first-writer")
}

func TestSiblingsOfOneKeyAreBounded(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us")
	c.startAll()
	c.define("us1", "siblings")
	us := c.nodes["us1"]
	for i := range siblingsMax {
		_, err := us.write("k", fmt.Sprint(i), topology.ContextOf(nil))
		require.NoError(t, err)
	}
	_, err := us.write("k", "one more", topology.ContextOf(nil))
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, seen := us.siblings("k")
	_, err = us.write("k", "all of them", seen)
	require.NoError(t, err)
	got, _ := us.siblings("k")
	require.Equal(t, []string{"all of them"}, got)
}

func TestConditionsAreRefusedWhereSiblingsAreKept(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us")
	c.startAll()
	c.define("us1", "siblings")
	_, err := c.nodes["us1"].Write(t.Context(), record.Batch{
		Mutations:  []record.Mutation{{Table: users, Key: []byte("k"), Op: record.OpPut, Kind: record.KindBytes, Value: []byte("v")}},
		Conditions: []record.Condition{{Cell: record.Cell{Table: users, Key: []byte("k")}, Absent: true}},
	}, topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrUnsupported)
}

func TestWhatANodeDoesNotKnowItRefusesAndKeeps(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.resolvers = map[topology.NodeID]*conflict.Registry{"us1": registryOf(t, joinedText(1))}
	c.startAll()
	c.define("us1", "joined")
	us, eu := c.nodes["us1"], c.nodes["eu1"]
	_, err := us.write("k", "a", topology.Context{})
	require.NoError(t, err)
	_, err = eu.user("k")
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, "joined@1")
	_, err = eu.write("k", "b", topology.Context{})
	require.ErrorIs(t, err, topology.ErrUnsupported)
	_, err = eu.put("other", "v")
	require.NoError(t, err, "every other table goes on")
	eventually(t, "both say so", func() bool {
		return strings.Contains(fmt.Sprint(us.Status().Sites), "users is refused there") && strings.Contains(fmt.Sprint(eu.Status().Warnings), "joined@1")
	})

	// Nothing was lost meanwhile.
	c.resolvers["eu1"] = c.resolvers["us1"]
	eu.stop()
	_, err = us.write("k", "c", topology.Context{})
	require.NoError(t, err)
	eu.start()
	c.leads("eu1")
	c.converged()
	got, err := eu.user("k")
	require.NoError(t, err)
	require.Equal(t, "c", got)
	eventually(t, "neither does any more", func() bool { return !strings.Contains(fmt.Sprint(us.Status().Sites), "users") })
}

func TestAFunctionThatIsAnotherOneElsewhereIsRefusedWhereItIsNotTheDefined(t *testing.T) {
	other := conflict.Func("joined", 1, func(_ []byte, siblings []record.Version) (conflict.Fold, error) {
		return conflict.Fold{Value: []byte("mine")}, nil
	})
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.resolvers = map[topology.NodeID]*conflict.Registry{"us1": registryOf(t, joinedText(1)), "eu1": registryOf(t, other)}
	c.startAll()
	c.define("us1", "joined")
	_, err := c.nodes["eu1"].user("k")
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, "does something else")
	_, err = c.nodes["us1"].user("k")
	require.ErrorIs(t, err, topology.ErrNotFound)
}

// quarantined waits until every node shows the last writer of what is concurrent.
func (c *cluster) quarantined(why string) {
	c.t.Helper()
	var said string
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Log("what was said last: " + said)
		}
	})
	for _, n := range c.nodes {
		eventually(c.t, string(n.id)+" knows of the quarantine", func() bool {
			said = fmt.Sprint(n.Status().Warnings)
			return strings.Contains(said, "table users is quarantined") && strings.Contains(said, why)
		})
	}
}

// meet writes one key in two sites that do not see one another.
func (c *cluster) meet(key string) {
	c.t.Helper()
	c.part(true)
	for _, s := range c.opts.Sites {
		_, err := c.nodes[topology.NodeID(s.Name+"1")].write(key, "of "+s.Name, topology.Context{})
		require.NoError(c.t, err)
	}
	c.part(false)
	c.converged()
}

func TestAFunctionThatDoesNotReturnStopsNothingButItsTable(t *testing.T) {
	let := make(chan struct{})
	t.Cleanup(func() { close(let) })
	var stuck atomic.Bool
	stuck.Store(true)
	c := newCluster(t, Options{FoldTimeMax: 50 * time.Millisecond, Resolvers: registryOf(t, conflict.Func("joined", 1, func(key []byte, _ []record.Version) (conflict.Fold, error) {
		if string(key) != "key" && stuck.Load() {
			<-let
		}
		return conflict.Fold{Value: []byte("joined")}, nil
	}))}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "joined")
	c.meet("k")
	c.quarantined("did not return within")
	got, err := c.nodes["us1"].user("k")
	require.NoError(t, err)
	require.Equal(t, "of eu", got)
	_, err = c.nodes["us1"].put("other", "v")
	require.NoError(t, err)
	_, err = c.nodes["us1"].write("k", "again", topology.Context{})
	require.NoError(t, err)
	c.converged()

	stuck.Store(false)
	_, err = c.nodes["us1"].Release(t.Context(), users)
	require.NoError(t, err)
	c.converged()
	c.meet("k")
	for _, n := range c.nodes {
		eventually(t, "its function is asked again", func() bool {
			got, err := n.user("k")
			return err == nil && got == "joined"
		})
	}
}

func TestAFunctionThatFailsLeavesTheLastWriterAndIsCounted(t *testing.T) {
	c := newCluster(t, Options{Resolvers: registryOf(t, conflict.Func("joined", 1, func([]byte, []record.Version) (conflict.Fold, error) {
		panic("never")
	}))}, 1, "us", "eu")
	c.startAll()
	c.define("us1", "joined")
	c.meet("k")
	for _, n := range c.nodes {
		got, err := n.user("k")
		require.NoError(t, err)
		require.Equal(t, "of eu", got)
		eventually(t, "it is counted", func() bool { return n.ConflictCounts().Faults["users"] > 0 })
		require.Empty(t, n.ConflictCounts().Quarantined)
	}
}
