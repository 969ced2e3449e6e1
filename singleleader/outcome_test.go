package singleleader

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// Caller and turn may meet at the same moment: the context has ended, and the
// write is refused. The caller gets an answer all the same.
func TestAWriteThatIsRefusedAsItsContextEndsIsAnswered(t *testing.T) {
	wr := newWriter(&engine{env: topology.Env{Self: "a"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	refusal := errors.New("refused")
	for range 100 { // a select of two that are ready takes either
		w := &write{done: make(chan struct{}, 1)}
		w.state.Store(writeTaken)
		w.err = refusal
		w.done <- struct{}{}
		require.NoError(t, wr.await(ctx, w, "write"), "it was answered")
		require.ErrorIs(t, w.err, refusal)
	}
}

// blocked makes whatever is posted to n wait until the returned function is called.
func (n *testNode) blocked() (release func()) {
	in, out := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { n.turn.call(func() { close(in); <-out }) })
	<-in
	return func() { close(out); wg.Wait() }
}

func TestAWriteLargerThanTheBudgetMayBeGivenUp(t *testing.T) {
	c := newCluster(t, Options{PendingBytesMax: 100}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	ctx, cancel := context.WithCancel(t.Context())
	release := a.blocked()
	done := make(chan error)
	go func() {
		_, err := a.Write(ctx, record.Batch{Mutations: []record.Mutation{putOf("k", "", "v")}}, topology.WriteOptions{})
		done <- err
	}()
	eventually(t, "it is queued", func() bool {
		a.turn.mu.Lock()
		defer a.turn.mu.Unlock()
		return len(a.turn.next.writes) > 0
	})
	cancel()
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(<-done))
	release()
	us := make([]topology.Update, 200) // more of them than bytes
	for i := range us {
		us[i] = increment("n")
	}
	for _, u := range a.update(us...) {
		require.NoError(t, u.Err)
	}
	_, err := a.get("k")
	require.ErrorIs(t, err, topology.ErrNotFound)
	n, err := a.get("n")
	require.NoError(t, err)
	require.Equal(t, "200", n)
}

// A session that has looked at the leader must not see less elsewhere.
func TestTheTokenOfALookIsThatOfAllItHasSeen(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	r, err := a.put("k", "v", topology.WriteOptions{Durability: topology.Applied})
	require.NoError(t, err)
	var seen []string
	for _, key := range []string{"k", "none"} {
		for _, whole := range []bool{false, true} {
			us := a.update(look(key, "", whole, &seen))
			require.NoError(t, us[0].Err)
			require.GreaterOrEqual(t, us[0].Receipt.Token.LSN, r.LSN, key)
			require.NoError(t, c.nodes["b"].Wait(t.Context(), us[0].Receipt.Token))
		}
	}
}

// What was not shown because it is due is removed through the log, whatever the
// update then decides: another leader's clock may be behind.
func TestWhatIsDueGoesWithWhoeverRefusesForIt(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	due := putOf("k", "", "v")
	due.Expires = 1 // long ago
	refusal := errors.New("it is not there")
	us := a.update(
		topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) { return []record.Mutation{due}, nil }},
		topology.Update{
			Reads: []topology.CellRange{{Cell: cellOf("k", "")}},
			Decide: func(s topology.Sight) ([]record.Mutation, error) {
				if len(s.Cells(0)) == 0 {
					return []record.Mutation{putOf("other", "", "v")}, refusal
				}
				return nil, nil
			},
		})
	require.NoError(t, us[0].Err)
	require.ErrorIs(t, us[1].Err, refusal)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(us[1].Err))
	require.Zero(t, us[1].Receipt)
	for ent, err := range a.log.Read(t.Context(), us[0].Receipt.LSN+1) {
		require.NoError(t, err)
		r, err := ent.Record()
		require.NoError(t, err)
		require.Len(t, r.Mutations, 1)
		require.Equal(t, record.OpDelete, r.Mutations[0].Op)
		require.Equal(t, "k", string(r.Mutations[0].Key))
		break
	}
	require.Greater(t, a.Status().End, us[0].Receipt.LSN)
	_, err := a.get("other")
	require.ErrorIs(t, err, topology.ErrNotFound)
}

// An update that reads nothing makes no other wait for what is not committed.
func TestUpdatesAreDecidedOverWhatIsNotCommitted(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := a.Write(ctx, record.Batch{Mutations: []record.Mutation{putOf("n", "", "1")}}, topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrTimeout)
	outcome := func(u topology.Update) topology.Outcome {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		us := []topology.Update{u}
		a.Update(ctx, us, topology.WriteOptions{})
		require.ErrorIs(t, us[0].Err, topology.ErrTimeout)
		return topology.OutcomeOf(us[0].Err)
	}
	require.Equal(t, topology.Unknown, outcome(topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) {
		return []record.Mutation{putOf("n", "", "7")}, nil
	}}))
	require.Equal(t, topology.Unknown, outcome(increment("n")))
	c.start("b")
	var seen []string
	require.NoError(t, a.update(look("n", "", false, &seen))[0].Err)
	require.Equal(t, []string{"=8"}, seen)
}

// One call does not fill the log's memory, whatever its updates said of their
// length; what does not fit may be asked for again.
func TestWhatOneCallOfUpdateMayWriteIsBounded(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	long := topology.Update{Decide: func(topology.Sight) ([]record.Mutation, error) {
		return []record.Mutation{putOf("k", "", string(make([]byte, 1000)))}, nil
	}}
	us := []topology.Update{increment("n"), long, increment("n")}
	call := &calls{oldest: ^record.LSN(0), bytes: updatesBytesMax - 1000} // its predecessors'
	var ws []*write
	for i := range us {
		w := a.writeOf(&us[i], call, topology.WriteOptions{})
		require.NoError(t, a.pending.reserve(t.Context(), w.bytes))
		require.NoError(t, a.see(w))
		ws = append(ws, w)
	}
	a.turn.write(ws...)
	for i, w := range ws {
		us[i].Receipt, us[i].Err = a.answered(t.Context(), w)
	}
	require.NoError(t, errors.Join(us[0].Err, us[2].Err), "they fit")
	require.ErrorIs(t, us[1].Err, topology.ErrOverloaded)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(us[1].Err))
	_, err := a.get("k")
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.NoError(t, a.update(long)[0].Err)
}

// A write that was looked at too long ago has to look again, and harms nobody.
func TestWhoLooksTooLateLooksAgain(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	for i := range 2 * core.RecentKept {
		if i%8 != 0 {
			continue
		}
		us := make([]topology.Update, 8)
		for j := range us {
			us[j] = increment("n")
		}
		for _, u := range a.update(us...) {
			require.NoError(t, u.Err)
		}
	}
	c.applied(a.Status().End, "a")
	require.NoError(t, a.update(increment("n"))[0].Err)
	late := &write{update: new(topology.Update), call: &calls{}, done: make(chan struct{}, 1), known: make([]known, 1)}
	*late.update = increment("n")
	plain := &write{done: make(chan struct{}, 1), durability: topology.Flushed, batch: record.Batch{Mutations: []record.Mutation{putOf("k", "", "v")}}}
	a.turn.write(late, plain)
	<-late.done
	require.ErrorIs(t, late.err, errAgain)
	<-plain.done
	require.NoError(t, plain.err)
	require.Positive(t, plain.receipt.LSN)
}

// What was appended may yet be committed by another leader: nobody may say that it
// was not applied (C9).
func TestWhatALeaderHadAppendedEndsUnknownWhenItStops(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	a := c.nodes["a"]
	end := a.Status().End
	told := make(chan error, 1)
	go func() {
		_, err := a.engine.Write(context.Background(), batchOf("k", "v"), topology.WriteOptions{})
		told <- err
	}()
	eventually(t, "it is appended", func() bool { return a.Status().End > end })
	a.stop()
	var e *topology.Error
	require.ErrorAs(t, <-told, &e)
	require.Equal(t, topology.Unknown, e.Outcome)
	require.EqualValues(t, end+1, e.Dot.Seq, "it can be asked for")
}
