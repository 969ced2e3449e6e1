package singleleader

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// unknownWrite makes a write fail as unknown that is in a's log, and returns what
// its error says of it.
func unknownWrite(t *testing.T, a *testNode, key string) *topology.Error {
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	end := a.log.Bounds().End
	go func() {
		_, err := a.Write(ctx, batchOf(key, "v"), topology.WriteOptions{})
		failed <- err
	}()
	eventually(t, "it is in the log", func() bool { return a.log.Bounds().End == end+1 })
	cancel()
	var e *topology.Error
	require.ErrorAs(t, <-failed, &e)
	require.Equal(t, topology.Unknown, e.Outcome)
	require.Equal(t, uint64(end+1), e.Dot.Seq)
	require.NotZero(t, e.Term)
	return e
}

func TestResolveWaitsForTheCommit(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(2, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	c.nodes["c"].stop()
	e := unknownWrite(t, a, "k")
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = a.Resolve(short, e.Dot, e.Term)
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
	c.start("c")
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		r, err := c.nodes[id].Resolve(t.Context(), e.Dot, e.Term)
		require.NoError(t, err, id)
		require.Equal(t, topology.Resolution{Fate: topology.FateApplied, LSN: record.LSN(e.Dot.Seq), Term: e.Term}, r)
	}
	r, err := a.Resolve(t.Context(), e.Dot, 0)
	require.NoError(t, err)
	require.Equal(t, topology.Resolution{LSN: record.LSN(e.Dot.Seq), Term: e.Term}, r, "whose it is was not said")
	other := e.Dot
	other.Origin.Incarnation++
	_, err = a.Resolve(t.Context(), other, e.Term)
	require.ErrorIs(t, err, topology.ErrMalformed)
}

// A write that its leader alone had is replaced by another term's, or comes behind
// its end: it never happens, and every node says so.
func TestResolveOfWhatWasRewound(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	c.applied(a.Status().End, "b", "c")
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	var lost []*topology.Error
	for range 3 {
		lost = append(lost, unknownWrite(t, a, "k"))
	}
	a.stop()
	c.start("b", "c")
	c.failover(t, "b")
	for _, id := range []topology.NodeID{"b", "c"} {
		for i, e := range lost {
			r, err := c.nodes[id].Resolve(t.Context(), e.Dot, e.Term)
			require.NoError(t, err)
			require.Equal(t, topology.FateNotApplied, r.Fate, "%s, %d", id, i)
		}
	}
	a.start()
	r, err := a.Resolve(t.Context(), lost[0].Dot, lost[0].Term)
	require.NoError(t, err)
	require.Equal(t, topology.Resolution{Fate: topology.FateNotApplied, LSN: record.LSN(lost[0].Dot.Seq), Term: 2}, r)
}

func TestResolveWithoutALeaderIsNotKnown(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b")}, "a", "b")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	r, err := a.put("k", "v")
	require.NoError(t, err)
	c.applied(r.LSN, "b")
	a.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = c.nodes["b"].Resolve(ctx, r.Dot, r.Term)
	require.Error(t, err)
	var e *topology.Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, topology.Unknown, e.Outcome)
	require.Equal(t, r.Dot, e.Dot)
}
