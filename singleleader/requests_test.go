package singleleader

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

func requestOf(client, seq uint64) record.RequestID {
	return record.RequestID{Client: client, Seq: seq}
}

// putNamed writes under a name.
func (n *testNode) putNamed(id record.RequestID, key, value string, o ...topology.WriteOptions) (topology.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b := batchOf(key, value)
	b.Request = id
	var w topology.WriteOptions
	if len(o) > 0 {
		w = o[0]
	}
	return n.Write(ctx, b, w)
}

// countNamed adds one under a name and returns what the caller is told.
func (n *testNode) countNamed(id record.RequestID, key string) (told string, decided bool, r topology.Receipt, err error) {
	u := increment(key)
	decide := u.Decide
	u.Request = id
	u.Decide = func(s topology.Sight) ([]record.Mutation, error) {
		ms, err := decide(s)
		told, decided = string(ms[0].Value), true
		return ms, err
	}
	u.Result = func() []byte { return []byte(told) }
	u.Repeat = func(b []byte) error { told = string(b); return nil }
	us := n.update(u)
	return told, decided, us[0].Receipt, us[0].Err
}

// same holds two receipts to each other: who has it durable by now may differ.
func sameAnswer(t *testing.T, first, again topology.Receipt) {
	t.Helper()
	first.Durable, again.Durable = nil, nil
	require.Equal(t, first, again)
}

func TestARetryGetsTheFirstAnswer(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	first, err := a.putNamed(requestOf(7, 1), "k", "v")
	require.NoError(t, err)
	_, err = a.put("k", "w")
	require.NoError(t, err)
	for _, d := range []topology.Durability{topology.Received, topology.Flushed, topology.Applied} {
		again, err := a.putNamed(requestOf(7, 1), "k", "v", topology.WriteOptions{Durability: d})
		require.NoError(t, err)
		require.Equal(t, d, again.Durability)
		again.Durability = first.Durability
		sameAnswer(t, first, again)
	}
	v, err := a.get("k")
	require.NoError(t, err)
	require.Equal(t, "w", v, "it is not written again")

	_, err = a.putNamed(requestOf(7, 1), "k", "another")
	require.ErrorIs(t, err, topology.ErrConflict)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	for _, id := range []record.RequestID{{Client: 7}, {Seq: 7}} {
		_, err = a.putNamed(id, "k", "v")
		require.ErrorIs(t, err, topology.ErrMalformed)
		_, _, _, err = a.countNamed(id, "n")
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
}

func TestARetriedUpdateIsToldWhatTheFirstWas(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	told, decided, first, err := a.countNamed(requestOf(7, 1), "n")
	require.NoError(t, err)
	require.Equal(t, "1", told)
	require.True(t, decided)
	require.NoError(t, a.update(increment("n"))[0].Err)
	told, decided, again, err := a.countNamed(requestOf(7, 1), "n")
	require.NoError(t, err)
	require.Equal(t, "1", told, "the first answer, not the present one")
	require.False(t, decided)
	sameAnswer(t, first, again)
	a.crash()
	a.start()
	c.leads("a")
	told, decided, again, err = a.countNamed(requestOf(7, 1), "n")
	require.NoError(t, err)
	require.Equal(t, "1", told)
	require.False(t, decided)
	sameAnswer(t, first, again)
}

// A retry that comes while the first is on its way is not written again, and gets
// its answer with it.
func TestARetryJoinsTheFirst(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	type answer struct {
		r   topology.Receipt
		err error
	}
	answers := make(chan answer)
	send := func() {
		go func() {
			r, err := a.putNamed(requestOf(7, 1), "k", "named", topology.WriteOptions{Durability: topology.Applied})
			answers <- answer{r, err}
		}()
	}
	end := a.log.Bounds().End
	send()
	eventually(t, "it is in the log", func() bool { return a.log.Bounds().End == end+1 })
	go func() { _, _ = a.put("other", "v") }()
	eventually(t, "and one behind it", func() bool { return a.log.Bounds().End == end+2 })
	send()
	send()
	eventually(t, "all three wait", func() bool {
		n := 0
		a.turn.call(func() { n = len(a.pending.queues[topology.Applied].ws) })
		return n == 3
	})
	require.Equal(t, end+2, a.log.Bounds().End)
	c.start("b")
	first := <-answers
	require.NoError(t, first.err)
	require.Equal(t, end+1, first.r.LSN)
	for range 2 {
		again := <-answers
		require.NoError(t, again.err)
		sameAnswer(t, first.r, again.r)
	}
}

// failover makes another node lead.
func (c *testCluster) failover(t *testing.T, to topology.NodeID) {
	_, err := c.nodes[to].Promote(t.Context(), false)
	require.NoError(t, err)
	c.leads(to)
}

func TestARetryIsKnownAfterAFailover(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a, b := c.nodes["a"], c.nodes["b"]
	var first []topology.Receipt
	for i := range uint64(5) {
		r, err := a.putNamed(requestOf(7, i+1), "k", fmt.Sprint(i))
		require.NoError(t, err)
		first = append(first, r)
	}
	told, _, counted, err := a.countNamed(requestOf(8, 1), "n")
	require.NoError(t, err)
	eventually(t, "b has all of it, and not only c", func() bool { return b.log.Bounds().Flushed >= a.log.Bounds().Flushed })
	a.crash()
	c.failover(t, "b")
	for i := range uint64(5) {
		r, err := b.putNamed(requestOf(7, i+1), "k", fmt.Sprint(i))
		require.NoError(t, err)
		sameAnswer(t, first[i], r)
	}
	again, decided, r, err := b.countNamed(requestOf(8, 1), "n")
	require.NoError(t, err)
	require.False(t, decided)
	require.Equal(t, told, again)
	sameAnswer(t, counted, r)
}

// What a leader had accepted and could not commit is committed by the next one,
// if it has it: a retry there must not write it again.
func TestARetryIsKnownFromWhatWasNotCommitted(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(2, "b", "c"), Replica: Replica{ApplyDelay: time.Hour}}, "a", "b", "c") // nothing is applied
	c.startAll()
	c.leads("a")
	a, b := c.nodes["a"], c.nodes["b"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	c.nodes["c"].stop()
	ctx, cancel := context.WithCancel(t.Context())
	batch := batchOf("k", "named")
	batch.Request = requestOf(7, 1)
	failed := make(chan error)
	go func() {
		_, err := a.Write(ctx, batch, topology.WriteOptions{})
		failed <- err
	}()
	eventually(t, "b has it", func() bool { return b.log.Bounds().End == a.log.Bounds().End && a.log.Bounds().End == 3 })
	cancel()
	err = <-failed
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
	require.ErrorIs(t, err, topology.ErrTimeout)
	a.crash()
	c.start("c")
	c.failover(t, "b")
	a.start()
	require.Zero(t, b.Status().Applied)
	r, err := b.putNamed(requestOf(7, 1), "k", "named")
	require.NoError(t, err)
	require.Equal(t, record.LSN(3), r.LSN)
}

// fullOnce is a log that has no room for what comes next.
type fullOnce struct {
	topology.GroupLog
	full atomic.Bool
}

func (l *fullOnce) Append(term uint64, rs ...record.Record) (record.LSN, error) {
	if l.full.CompareAndSwap(true, false) {
		return 0, topology.ErrDiskFull
	}
	return l.GroupLog.Append(term, rs...)
}

// Who repeats a write that the log did not take shares its fate, and the next to
// come is the first.
func TestWhatTheLogDidNotTakeIsNotRemembered(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	a, log := c.nodes["a"], &fullOnce{}
	a.wrap = func(l topology.GroupLog) topology.GroupLog { log.GroupLog = l; return log }
	c.startAll()
	c.leads("a")
	twice := func() []topology.Update {
		u := increment("n")
		u.Request = requestOf(7, 1)
		return a.update(u, u)
	}
	log.full.Store(true)
	for _, u := range twice() {
		require.ErrorIs(t, u.Err, topology.ErrDiskFull)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(u.Err))
	}
	us := twice()
	require.NoError(t, us[0].Err)
	require.NoError(t, us[1].Err)
	sameAnswer(t, us[0].Receipt, us[1].Receipt)
	n, err := a.get("n")
	require.NoError(t, err)
	require.Equal(t, "1", n)
}

// What an update tells beside is bounded.
func TestAResultThatIsTooLongIsRefused(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	u := increment("n")
	u.Request = requestOf(7, 1)
	u.Result = func() []byte { return make([]byte, record.ResultBytesMax+1) }
	us := c.nodes["a"].update(u)
	require.ErrorIs(t, us[0].Err, topology.ErrTooLarge)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(us[0].Err))
}

// Behind the window a retry is refused: it may have happened.
func TestARetryBehindTheWindowIsRefused(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	require.Equal(t, uint64(core.RequestsKept), a.RequestsMax())
	for i := range uint64(core.RequestsKept + 1) {
		_, err := a.putNamed(requestOf(7, i+1), "k", strconv.FormatUint(i, 10))
		require.NoError(t, err)
	}
	c.applied(a.Status().End, "a")
	end := a.log.Bounds().End
	_, err := a.putNamed(requestOf(7, 1), "k", "0")
	require.ErrorIs(t, err, topology.ErrForgotten)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
	_, err = a.putNamed(requestOf(7, 2), "k", "1")
	require.NoError(t, err)
	require.Equal(t, end, a.log.Bounds().End)
}

// The window comes with a snapshot, byte for byte, and is known behind it.
func TestTheWindowTravelsInASnapshot(t *testing.T) {
	b := newBehind(t)
	a := b.nodes["a"]
	var first []topology.Receipt
	for i := range uint64(5) {
		r, err := a.putNamed(requestOf(7, i+1), "k", fmt.Sprint(i))
		require.NoError(t, err)
		first = append(first, r)
	}
	b.write(400)
	b.applied(a.Status().End, "a")
	b.trim()
	b.nodes["b"].fs = b.base
	b.start("b")
	b.same("after a snapshot")
	end := a.Status().End
	a.stop()
	_, err := b.nodes["b"].Promote(t.Context(), true)
	require.NoError(t, err)
	b.leads("b")
	require.Greater(t, b.nodes["b"].log.Bounds().First, first[4].LSN)
	for i := range uint64(5) {
		r, err := b.nodes["b"].putNamed(requestOf(7, i+1), "k", fmt.Sprint(i))
		require.NoError(t, err)
		sameAnswer(t, first[i], r)
	}
	require.Equal(t, end+1, b.nodes["b"].log.Bounds().End, "nothing but the start of the term")
}

// A condition that did not hold has left nothing: its retry is judged anew.
func TestARefusedConditionIsJudgedAnew(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	b := batchOf("k", "new")
	b.Request = requestOf(7, 1)
	b.Conditions = []record.Condition{{Cell: cellOf("k", ""), Absent: true}}
	_, err = a.Write(t.Context(), b, topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrConditionFailed)
	_, err = a.Write(t.Context(), record.Batch{Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte("k"), Op: record.OpDelete}}}, topology.WriteOptions{})
	require.NoError(t, err)
	first, err := a.Write(t.Context(), b, topology.WriteOptions{})
	require.NoError(t, err)
	again, err := a.Write(t.Context(), b, topology.WriteOptions{})
	require.NoError(t, err, "the condition does not hold any more, and it is not asked again")
	sameAnswer(t, first, again)
}
