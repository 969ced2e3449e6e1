package singleleader

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// expiring puts a key with a field, of which the key expires at a time.
func (n *testNode) expiring(key string, at time.Time) (topology.Receipt, error) {
	head := putOf(key, "", "v")
	head.Expires = version.TimestampAt(at)
	return n.Write(n.c.t.Context(), record.Batch{Mutations: []record.Mutation{head, putOf(key, "f", "v")}}, topology.WriteOptions{})
}

// held is what a node's store holds of a table.
func (n *testNode) held(table record.TableID) (keys []string) {
	s, err := n.store.Snapshot()
	require.NoError(n.c.t, err)
	for e, err := range s.Scan(record.Cell{Table: table}, record.Cell{Table: table + 1}) {
		require.NoError(n.c.t, err)
		keys = append(keys, fmt.Sprintf("%s/%s", e.Key, e.Field))
	}
	require.NoError(n.c.t, s.Close())
	return keys
}

func TestWhatIsDueGoesThroughTheLogOnEveryNode(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	soon, later := time.Now().Add(50*time.Millisecond), time.Now().Add(time.Hour)
	for _, err := range []error{
		second(a.expiring("gone", soon)), second(a.expiring("again", soon)), second(a.expiring("again", later)),
		second(a.expiring("kept", later)), second(a.put("plain", "v")),
	} {
		require.NoError(t, err)
	}
	for i := range 3 * expiryBatch {
		require.NoError(t, second(a.expiring(fmt.Sprint("many", i), soon)))
	}
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		n := c.nodes[id]
		eventually(t, "what is due to go", func() bool { return len(n.held(record.TableExpiry)) == 2 })
		require.Equal(t, []string{"again/", "again/f", "kept/", "kept/f", "plain/"}, n.held(record.TableDefault))
	}
	_, wait := a.expiries.due()
	require.Greater(t, wait, time.Minute, "nothing to do until then")
}

func second(_ topology.Receipt, err error) error { return err }

// A leader shows nothing that is due, whatever its sweeper does.
func TestNoReadAtTheLeaderShowsWhatIsDue(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	require.NoError(t, a.expiries.one.enter(t.Context())) // it waits
	for i := range 4 {
		require.NoError(t, second(a.expiring(fmt.Sprint("k", i), time.Now())))
	}
	require.NoError(t, second(a.put("plain", "v")))
	for i, o := range []topology.ReadOptions{{}, {Whole: true}, {Field: []byte("f")}} {
		_, err := a.Read(t.Context(), record.TableDefault, []byte(fmt.Sprint("k", i)), o)
		require.ErrorIs(t, err, topology.ErrNotFound)
	}
	require.Equal(t, []string{"k3/", "k3/f", "plain/"}, a.held(record.TableDefault), "their removal is logged before they are answered")
	a.expiries.one.leave()
	var seen []string
	for cell, err := range a.Scan(t.Context(), record.TableDefault, nil, nil, topology.ReadOptions{}) {
		require.NoError(t, err)
		seen = append(seen, string(cell.Key))
	}
	require.Equal(t, []string{"plain"}, seen)
}

func TestANewLeaderGoesOnWithWhatIsDue(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	require.NoError(t, a.expiries.one.enter(t.Context())) // the old one does nothing any more
	r, err := a.expiring("k", time.Now())
	require.NoError(t, err)
	c.applied(r.LSN, "b", "c")
	require.NotEmpty(t, c.nodes["b"].held(record.TableDefault), "followers do not go by their own clock")
	a.crash()
	_, err = c.nodes["b"].Promote(t.Context(), false)
	require.NoError(t, err)
	c.leads("b")
	for _, id := range []topology.NodeID{"b", "c"} {
		eventually(t, "what is due to go", func() bool { return len(c.nodes[id].held(record.TableDefault)) == 0 })
	}
}

func TestAnEntryThatIsNoneIsAnErrorAndTimesMayBeAnything(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	far := putOf("far", "", "v")
	far.Expires = math.MaxUint64
	us := a.update(topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) { return []record.Mutation{far}, nil }})
	require.NoError(t, us[0].Err)
	_, err := a.get("far")
	require.NoError(t, err)
	bad := putOf("x", "", "")
	bad.Table = record.TableExpiry
	us = a.update(topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) { return []record.Mutation{bad}, nil }})
	require.NoError(t, us[0].Err)
	c.applied(us[0].Receipt.LSN, "a")
	eventually(t, "the entry is an error", func() bool { // the node's own sweep may come first, and note that nothing is due
		a.expiries.note(0)
		return errors.Is(a.expiries.sweep(t.Context()), topology.ErrMalformed)
	})
}
