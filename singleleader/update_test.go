package singleleader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
	"github.com/triad-kv/triad/version"
)

func cellOf(key, field string) record.Cell {
	return record.Cell{Table: record.TableDefault, Key: []byte(key), Field: []byte(field)}
}

func putOf(key, field, value string) record.Mutation {
	return record.Mutation{Table: record.TableDefault, Key: []byte(key), Field: []byte(field), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value)}
}

// increment adds one to the decimal number at key.
func increment(key string) topology.Update {
	return topology.Update{
		Reads: []topology.CellRange{{Cell: cellOf(key, "")}},
		Decide: func(s topology.Sight) ([]record.Mutation, error) {
			n := 0
			for _, c := range s.Cells(0) {
				n, _ = strconv.Atoi(string(c.Value))
			}
			return []record.Mutation{putOf(key, "", strconv.Itoa(n+1))}, nil
		},
	}
}

// look notes what it sees of a cell, or of a whole key.
func look(key, field string, whole bool, seen *[]string) topology.Update {
	return topology.Update{
		Reads: []topology.CellRange{{Cell: cellOf(key, field), Whole: whole}},
		Decide: func(s topology.Sight) ([]record.Mutation, error) {
			*seen = nil
			for _, c := range s.Cells(0) {
				*seen = append(*seen, string(c.Field)+"="+string(c.Value))
			}
			return nil, nil
		},
	}
}

func (n *testNode) update(us ...topology.Update) []topology.Update {
	ctx, cancel := context.WithTimeout(n.c.t.Context(), 20*time.Second)
	defer cancel()
	n.Update(ctx, us, topology.WriteOptions{})
	return us
}

func TestUpdatesAreDecidedInLogOrder(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	var before, after, whole []string
	us := a.update(look("n", "", false, &before), increment("n"), increment("n"), look("n", "", false, &after),
		topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) {
			return []record.Mutation{putOf("h", "", "head"), putOf("h", "x", "1"), putOf("h", "y", "2")}, nil
		}},
		topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) {
			return []record.Mutation{{Table: record.TableDefault, Key: []byte("h"), Op: record.OpDelete}, putOf("h", "", "head"), putOf("h", "z", "3")}, nil
		}},
		look("h", "", true, &whole))
	for i := range us {
		require.NoError(t, us[i].Err)
	}
	require.Empty(t, before)
	require.Equal(t, []string{"=2"}, after)
	require.Equal(t, []string{"=head", "z=3"}, whole)
	require.Zero(t, us[0].Receipt.Dot)
	require.Equal(t, us[2].Receipt.LSN, us[3].Receipt.LSN, "what it saw")
	require.Equal(t, us[1].Receipt.LSN+1, us[2].Receipt.LSN, "nothing of others between them")

	// What looked at the store before all that was applied sees it too.
	us = a.update(look("h", "", true, &whole), look("n", "", false, &after))
	require.NoError(t, errors.Join(us[0].Err, us[1].Err))
	require.Equal(t, []string{"=head", "z=3"}, whole)
	require.Equal(t, []string{"=2"}, after)

	refusal := errors.New("no")
	us = a.update(topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) { return nil, refusal }},
		topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) { return []record.Mutation{{Op: record.OpMark}}, nil }},
		increment("n"))
	require.ErrorIs(t, us[0].Err, refusal)
	require.ErrorIs(t, us[1].Err, topology.ErrMalformed)
	for _, u := range us[:2] {
		var e *topology.Error
		require.ErrorAs(t, u.Err, &e)
		require.Equal(t, topology.NotApplied, e.Outcome)
	}
	require.NoError(t, us[2].Err, "others are not harmed")

	us = c.nodes["b"].update(increment("n"))
	require.ErrorIs(t, us[0].Err, topology.ErrNotLeader)
	var e *topology.Error
	require.ErrorAs(t, us[0].Err, &e)
	require.EqualValues(t, "a", e.Leader)
	us = a.update(make([]topology.Update, updatesMax+1)...)
	require.ErrorIs(t, us[updatesMax].Err, topology.ErrTooLarge)
	us = a.update(topology.Update{Reads: make([]topology.CellRange, updateReadsMax+1)})
	require.ErrorIs(t, us[0].Err, topology.ErrTooLarge)
}

// Increments by many, beside plain writes and conditions: none is lost, none
// counted twice.
func TestNoIncrementIsLost(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	var g errgroup.Group
	const workers, each, keys = 8, 100, 3
	for w := range workers {
		g.Go(func() error {
			for i := range each {
				us := a.update(increment(fmt.Sprint("n", i%keys)), increment("all"))
				if err := errors.Join(us[0].Err, us[1].Err); err != nil {
					return err
				}
				if _, err := a.put(fmt.Sprint("other", w), "x"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	v, err := a.get("all")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(workers*each), v)
	sum := 0
	for k := range keys {
		v, err := a.get(fmt.Sprint("n", k))
		require.NoError(t, err)
		n, err := strconv.Atoi(v)
		require.NoError(t, err)
		sum += n
	}
	require.Equal(t, workers*each, sum)
}

// An update that only looks must not tell what may be taken back: with nobody to
// commit what it saw it is not answered.
func TestALookIsAnsweredOnlyWithWhatStays(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	require.NoError(t, a.update(increment("n"))[0].Err)
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var seen []string
	us := []topology.Update{increment("n"), look("n", "", false, &seen)}
	a.Update(ctx, us, topology.WriteOptions{})
	outcome := func(i int) topology.Outcome {
		var e *topology.Error
		require.ErrorAs(t, us[i].Err, &e)
		require.ErrorIs(t, e, topology.ErrTimeout)
		return e.Outcome
	}
	require.Equal(t, topology.Unknown, outcome(0))
	require.Equal(t, topology.NotApplied, outcome(1))
	require.Equal(t, []string{"=2"}, seen, "it was decided, and not answered")
	c.start("b")
	us = a.update(look("n", "", false, &seen))
	require.NoError(t, us[0].Err)
	require.Equal(t, []string{"=2"}, seen)
}

func TestWhatIsDueDoesNotShowAndGoesWithWhoComesUponIt(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	soon := putOf("k", "", "v")
	soon.Expires = 1 // long ago
	later := putOf("l", "", "v")
	later.Expires = ^version.Timestamp(0) >> 1
	us := a.update(topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) {
		return []record.Mutation{soon, putOf("k", "f", "field"), later}, nil
	}})
	require.NoError(t, us[0].Err)
	var seen, field []string
	us = a.update(look("l", "", false, &seen), topology.Update{
		Reads: []topology.CellRange{{Cell: cellOf("k", "")}, {Cell: cellOf("k", "f")}, {Cell: cellOf("k", ""), Whole: true}},
		Decide: func(s topology.Sight) ([]record.Mutation, error) {
			for i := range 3 {
				for range s.Cells(i) {
					field = append(field, fmt.Sprint(i))
				}
			}
			return nil, nil
		},
	})
	require.NoError(t, errors.Join(us[0].Err, us[1].Err))
	require.Equal(t, []string{"=v"}, seen)
	require.Empty(t, field)
	require.Zero(t, us[1].Receipt.Dot, "the update changed nothing")
	_, err := a.get("k", topology.ReadOptions{Whole: true})
	require.ErrorIs(t, err, topology.ErrNotFound, "its removal is in the log")
	eventually(t, "the leader's own look for what is due", func() bool { return len(a.held(record.TableExpiry)) == 1 })
	b := a.Status()
	us = a.update(look("k", "", false, &seen))
	require.NoError(t, us[0].Err)
	require.Equal(t, b.End, a.Status().End, "once")
}

// What is recent is forgotten as it is applied, and who has looked too long ago
// looks again: the outcome is the same.
func TestTheIndexOfRecentEntriesIsBoundedAndGoes(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	for range 3 {
		us := make([]topology.Update, core.RecentKept)
		for i := range us {
			us[i] = increment(fmt.Sprint(i % 10))
		}
		for i, u := range a.update(us...) {
			require.NoError(t, u.Err, i)
		}
	}
	size := func() (n int) {
		a.turn.call(func() {
			if r := a.pending.recent; r != nil {
				n = r.Len()
			}
		})
		return n
	}
	c.applied(a.Status().End, "a")
	require.NoError(t, a.update(increment("0"))[0].Err)
	require.LessOrEqual(t, size(), core.RecentKept+1)
	v, err := a.get("5")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(3*(core.RecentKept/10)), v)

	var g errgroup.Group
	var n atomic.Int64
	for range 8 {
		g.Go(func() error {
			for n.Add(1) < core.RecentIdle+100 {
				if _, err := a.put("plain", "x"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.Zero(t, size())
	require.NoError(t, a.update(increment("0"))[0].Err)
}

func TestTheEngineIsAnUpdater(t *testing.T) {
	topologytest.TestUpdater(t, func(t *testing.T) topologytest.Updater {
		c := newCluster(t, Options{}, "a")
		c.startAll()
		c.leads("a")
		return c.nodes["a"]
	})
}
