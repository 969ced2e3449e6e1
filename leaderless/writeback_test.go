package leaderless

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestWriteBackIsRefusedWhereItIsVoid(t *testing.T) {
	sites := func(names ...string) (ms []topology.Member) {
		for i, s := range names {
			ms = append(ms, topology.Member{ID: topology.NodeID(rune('a' + i)), Site: s})
		}
		return ms
	}
	three, two := sites("", "", ""), sites("eu", "eu", "eu", "us", "us", "us")
	for _, x := range []struct {
		write, read quorum.Consistency
		members     []topology.Member
		why         string
	}{
		{quorum.AtQuorum, quorum.AtQuorum, three, ""},
		{quorum.AtOne, quorum.AtAll, three, ""}, // a put hears all for its time, so that writes need not meet
		{quorum.AtAll, quorum.AtOne, three, ""},
		{quorum.AtOne, quorum.AtOne, three, "does not meet"},
		{quorum.AtQuorum, quorum.AtOne, three, "does not meet"},
		{quorum.AtEachQuorum, quorum.AtLocalQuorum, two, ""},
		{quorum.AtLocalQuorum, quorum.AtLocalQuorum, two, "does not meet"},
		{quorum.AtLocalQuorum, quorum.AtEachQuorum, two, ""},
		{quorum.AtEachQuorum, quorum.AtLocalQuorum, three, "site"},
	} {
		o := Options{Replicas: len(x.members), Write: x.write, Read: x.read, Repair: core.RepairWriteBack}
		err := o.Check(x.members)
		if x.why == "" {
			require.NoError(t, err, "write %v, read %v", x.write, x.read)
		} else {
			require.ErrorContains(t, err, x.why, "write %v, read %v", x.write, x.read)
		}
	}
}

func TestAnswersSayWhatTheyMetWithWriteBack(t *testing.T) {
	c := newCluster(t, Options{Repair: core.RepairWriteBack}, 5)
	c.startAll()
	c.define(tableRows, record.KindRow)
	a, e := c.nodes["a"], c.nodes["e"]
	require.NoError(t, a.write(put(tableRows, "alice", "name", "Alice"), put(tableRows, "alice", "age", "7")))
	read := func(o topology.ReadOptions) topology.Reading {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		r, err := e.Read(ctx, tableRows, []byte("alice"), o)
		require.NoError(t, err)
		return r
	}
	require.Equal(t, topology.ReadLinearizable, read(topology.ReadOptions{Field: []byte("age")}).Guarantee)
	require.Equal(t, topology.ReadLinearizable, read(topology.ReadOptions{Field: []byte("age"), Guarantee: topology.ReadLinearizable}).Guarantee)
	require.Equal(t, topology.ReadMonotonic, read(topology.ReadOptions{Whole: true}).Guarantee, "two cells are two registers")
	require.Equal(t, topology.ReadAny, read(topology.ReadOptions{Field: []byte("age"), Consistency: topology.ConsistencyOne}).Guarantee, "a level of one request")
	for _, o := range []topology.ReadOptions{
		{Whole: true, Guarantee: topology.ReadLinearizable},
		{Field: []byte("age"), Guarantee: topology.ReadLinearizable, Consistency: topology.ConsistencyOne},
	} {
		_, err := e.Read(t.Context(), tableRows, []byte("alice"), o)
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
	for _, err := range e.Scan(t.Context(), tableRows, nil, nil, topology.ReadOptions{Guarantee: topology.ReadLinearizable}) {
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
}

func TestAWriteByAClockThatIsBehindIsNotLostWithWriteBack(t *testing.T) {
	c := newCluster(t, Options{Repair: core.RepairWriteBack}, 3)
	c.nodes["a"].ahead = 300 * time.Millisecond
	c.startAll()
	for i := range 20 {
		first, err := c.nodes["a"].put("k", fmt.Sprint("a", i), topology.WriteOptions{})
		require.NoError(t, err)
		second, err := c.nodes["b"].put("k", fmt.Sprint("b", i), topology.WriteOptions{})
		require.NoError(t, err)
		require.Greater(t, second.Time, first.Time)
		v, err := c.nodes["c"].get("k", topology.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("b", i), v)
	}
}

func TestACounterLosesNothingThoughPutsHearFirst(t *testing.T) {
	c := newCluster(t, Options{Repair: core.RepairWriteBack}, 3)
	c.startAll()
	c.define(tableCounts, record.KindCounter)
	var g errgroup.Group
	for i := range 60 {
		n := c.nodes[c.list[i%3].ID]
		g.Go(func() error {
			return n.write(record.Mutation{Table: tableCounts, Key: []byte("likes"), Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(1)})
		})
	}
	require.NoError(t, g.Wait())
	require.Equal(t, map[string]string{"": "60"}, c.nodes["b"].whole(tableCounts, "likes"))
	c.converged()
}

func TestANodeThatWritesOtherwiseIsRefusedWhereKeysAreLinearizable(t *testing.T) {
	c := newCluster(t, Options{Repair: core.RepairWriteBack}, 3)
	c.startAll()
	c.nodes["c"].stop()
	c.opts.Repair = core.RepairAsync
	c.nodes["c"].start()
	eventually(t, "c is refused by a, and a by c", func() bool {
		a, n := c.nodes["a"].peer("c"), c.nodes["c"].peer("a")
		return a.status().State == "refused" && n.status().State == "refused"
	})
}
