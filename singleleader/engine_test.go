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
)

func TestAWriteAtTheLeaderIsReadAtEveryNode(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	var last topology.Receipt
	for i := range 100 {
		r, err := c.nodes["a"].put(fmt.Sprint("k", i), fmt.Sprint("v", i))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(r.Durable), 2)
		last = r
	}
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		v, err := c.nodes[id].get("k42")
		require.NoError(t, err, id)
		require.Equal(t, "v42", v)
		_, err = c.nodes[id].get("none")
		require.ErrorIs(t, err, topology.ErrNotFound)
	}
	c.applied(last.LSN, "a", "b", "c")
}

func TestAFollowerRefusesWritesAndNamesTheLeader(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b")}, "a", "b")
	c.startAll()
	c.leads("a")
	eventually(t, "b follows", func() bool { return c.nodes["b"].Status().Role == topology.RoleFollower })
	_, err := c.nodes["b"].put("k", "v")
	require.ErrorIs(t, err, topology.ErrNotLeader)
	var te *topology.Error
	require.ErrorAs(t, err, &te)
	require.Equal(t, topology.NodeID("a"), te.Leader)
	require.Equal(t, c.list[0].Addr, te.Addr)
	require.Equal(t, topology.NotApplied, te.Outcome)
}

func TestFailoverLosesNothingAcknowledged(t *testing.T) {
	for _, policy := range []quorum.Policy{quorum.First(1, "b", "c"), quorum.Any(1, "b", "c")} {
		t.Run(policy.String(), func(t *testing.T) {
			c := newCluster(t, Options{Sync: policy}, "a", "b", "c")
			c.startAll()
			c.leads("a")
			for i := range 50 {
				_, err := c.nodes["a"].put(fmt.Sprint("k", i), "v")
				require.NoError(t, err)
			}
			c.nodes["a"].crash()
			best := topology.NodeID("b")
			if c.nodes["c"].Status().Flushed > c.nodes["b"].Status().Flushed {
				best = "c"
			}
			p, err := c.nodes[best].Promote(t.Context(), false)
			require.NoError(t, err)
			require.EqualValues(t, 2, p.Term)
			require.Equal(t, []topology.NodeID{"b", "c"}, p.Reached)
			require.Equal(t, []topology.NodeID{"a"}, p.Missed)
			r, err := c.nodes[best].put("after", "v")
			require.NoError(t, err)

			// The old leader comes back, and follows.
			c.start("a")
			c.applied(r.LSN, "a", "b", "c")
			require.Equal(t, topology.RoleFollower, c.nodes["a"].Status().Role)
			for i := range 50 {
				v, err := c.nodes["a"].get(fmt.Sprint("k", i), topology.ReadOptions{Guarantee: topology.ReadAny})
				require.NoError(t, err)
				require.Equal(t, "v", v)
			}
		})
	}
}

func TestFailoverToANodeThatMayLackCommittedWritesIsRefused(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	c.nodes["c"].stop()
	_, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.nodes["a"].stop()
	c.start("c")
	_, err = c.nodes["c"].Promote(t.Context(), false)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "run failover to b")

	c.nodes["b"].stop()
	_, err = c.nodes["c"].Promote(t.Context(), false)
	require.ErrorContains(t, err, "majority")
}

func TestARestartedLeaderTakesANewTermAndKeepsEverything(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.nodes["a"].crash()
	c.start("a")
	c.leads("a")
	require.EqualValues(t, 2, c.nodes["a"].Status().Term)
	v, err := c.nodes["a"].get("k")
	require.NoError(t, err)
	require.Equal(t, "v", v)
	require.NoError(t, c.nodes["b"].Wait(t.Context(), r.Token))
}

func TestAWholeClusterThatLosesPowerKeepsWhatItAcknowledged(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	for i := range 200 {
		_, err := c.nodes["a"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	for _, n := range c.nodes {
		n.crash()
	}
	c.startAll()
	c.leads("a")
	for i := range 200 {
		_, err := c.nodes["a"].get(fmt.Sprint("k", i))
		require.NoError(t, err)
	}
}

func TestADivergedTailIsKeptAsideAndItsTokensAreRewound(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b", "c")}, "a", "b", "c")
	cut := false
	c.dial = func(from, to topology.NodeID) bool { return !cut }
	c.startAll()
	c.leads("a")
	_, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	// With its synchronous follower gone, the leader's log goes on and nothing commits.
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.nodes["a"].Write(ctx, record.Batch{Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte("lost"), Op: record.OpPut}}}, topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrTimeout)
	var te *topology.Error
	require.ErrorAs(t, err, &te)
	require.Equal(t, topology.Unknown, te.Outcome)
	require.NotZero(t, te.Dot)
	token := topology.Token{Origin: te.Dot.Origin, Term: 1, LSN: record.LSN(te.Dot.Seq)}
	c.nodes["a"].stop()

	c.start("b", "c")
	_, err = c.nodes["b"].Promote(t.Context(), false)
	require.NoError(t, err)
	r, err := c.nodes["b"].put("k", "w")
	require.NoError(t, err)
	c.start("a")
	c.applied(r.LSN, "a")
	kept, err := c.nodes["a"].side.List()
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.Equal(t, token.LSN, kept[0].First)
	require.ErrorIs(t, c.nodes["a"].Wait(t.Context(), token), topology.ErrRewound)
	require.ErrorIs(t, c.nodes["c"].Wait(t.Context(), token), topology.ErrRewound)
	_, err = c.nodes["a"].get("lost")
	require.ErrorIs(t, err, topology.ErrNotFound)
}

func TestAForcedFailoverOfAnAsyncGroupRestoresWhatMustBeTakenBack(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "shared")
	require.NoError(t, err)
	c.applied(r.LSN, "b")
	c.nodes["b"].stop()
	for range 3 {
		_, err = c.nodes["a"].put("k", "only at a")
		require.NoError(t, err)
	}
	c.applied(r.LSN+3, "a")
	c.nodes["a"].stop()

	c.start("b")
	_, err = c.nodes["b"].Promote(t.Context(), false)
	require.ErrorIs(t, err, topology.ErrUnavailable, "it could lose writes")
	_, err = c.nodes["b"].Promote(t.Context(), true)
	require.NoError(t, err)
	r, err = c.nodes["b"].put("other", "v")
	require.NoError(t, err)

	c.start("a")
	c.applied(r.LSN, "a")
	eventually(t, "a shows the new leader's state", func() bool {
		v, err := c.nodes["a"].get("k", topology.ReadOptions{Guarantee: topology.ReadAny})
		return err == nil && v == "shared"
	})
	kept, err := c.nodes["a"].side.List()
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.EqualValues(t, 3, kept[0].Records)
	require.EqualValues(t, 3, c.nodes["a"].Status().Rewound)
}

func TestAnEmptyFollowerIsBuiltBySnapshotAndLog(t *testing.T) {
	c := newCluster(t, Options{RetainBytesMax: 1}, "a", "b")
	c.wal.SegmentBytes = 64 << 10
	c.opts.Stream.ChunkBytesMax = 4 << 10
	c.start("a")
	c.leads("a")
	var last topology.Receipt
	for i := range 3000 {
		r, err := c.nodes["a"].put(fmt.Sprintf("k%04d", i), string(make([]byte, 100)))
		require.NoError(t, err)
		last = r
	}
	c.applied(last.LSN, "a")
	a := c.nodes["a"]
	flushed, err := a.store.Flush(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.log.Truncate(topology.Range{First: a.Retain(flushed), Last: a.log.Bounds().End}))
	require.Greater(t, a.log.Bounds().First, record.LSN(1))

	c.start("b")
	c.applied(last.LSN, "b")
	v, err := c.nodes["b"].get("k1234")
	require.NoError(t, err)
	require.Len(t, v, 100)
	require.Greater(t, c.nodes["b"].log.Bounds().First, record.LSN(1), "it came by snapshot")

	// And it goes on by log, also over a crash of its own.
	c.nodes["b"].crash()
	c.start("b")
	r, err := a.put("more", "v")
	require.NoError(t, err)
	c.applied(r.LSN, "b")
}

func TestConditionsAreJudgedInLogOrder(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	cell := record.Cell{Table: record.TableDefault, Key: []byte("n")}
	put := func(v string, conds ...record.Condition) (topology.Receipt, error) {
		return c.nodes["a"].Write(t.Context(), record.Batch{Conditions: conds, Mutations: []record.Mutation{{
			Table: record.TableDefault, Key: []byte("n"), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(v),
		}}}, topology.WriteOptions{})
	}
	first, err := put("0", record.Condition{Cell: cell, Absent: true})
	require.NoError(t, err)
	_, err = put("x", record.Condition{Cell: cell, Absent: true})
	require.ErrorIs(t, err, topology.ErrConditionFailed)
	_, err = put("1", record.Condition{Cell: cell, Version: first.Dot})
	require.NoError(t, err)
	_, err = put("x", record.Condition{Cell: cell, Version: first.Dot})
	require.ErrorIs(t, err, topology.ErrConditionFailed)
	_, err = put("2", record.Condition{Cell: cell, Equal: true, Value: []byte("1")})
	require.NoError(t, err)

	// Many increments at once: each that is acknowledged counts once.
	var g errgroup.Group
	var won atomic.Int64
	for range 8 {
		g.Go(func() error {
			for range 50 {
				v, err := c.nodes["a"].get("n")
				if err != nil {
					return err
				}
				n, _ := strconv.Atoi(v)
				_, err = put(strconv.Itoa(n+1), record.Condition{Cell: cell, Equal: true, Value: []byte(v)})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, topology.ErrConditionFailed):
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	v, err := c.nodes["a"].get("n")
	require.NoError(t, err)
	require.Equal(t, strconv.FormatInt(2+won.Load(), 10), v)
}

func TestDurabilitySaysWhenTheCallerIsAnswered(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	for _, d := range []topology.Durability{topology.Received, topology.Flushed, topology.Applied} {
		r, err := c.nodes["a"].put("k", "v", topology.WriteOptions{Durability: d})
		require.NoError(t, err)
		require.Equal(t, d, r.Durability)
		if d == topology.Applied {
			require.GreaterOrEqual(t, c.nodes["a"].Status().Applied, r.LSN)
		}
	}
}

func TestASessionReadsItsWritesAtADelayedFollower(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.start("a", "b")
	c.opts.ApplyDelay = 100 * time.Millisecond
	c.start("c")
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	_, err = c.nodes["c"].get("k", topology.ReadOptions{Guarantee: topology.ReadAny})
	require.ErrorIs(t, err, topology.ErrNotFound, "it applies later")
	v, err := c.nodes["c"].get("k", topology.ReadOptions{Guarantee: topology.ReadSession, After: r.Token})
	require.NoError(t, err)
	require.Equal(t, "v", v)
}

func TestBoundedStalenessRefusesWhatIsTooOld(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b")}, "a", "b")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	c.applied(r.LSN, "b")
	fresh := topology.ReadOptions{Guarantee: topology.ReadBounded, MaxStale: 5 * time.Second, MaxLag: 10}
	eventually(t, "b is fresh", func() bool { _, err := c.nodes["b"].get("k", fresh); return err == nil })
	c.nodes["a"].stop()
	eventually(t, "b knows that it may be stale", func() bool {
		_, err := c.nodes["b"].get("k", topology.ReadOptions{Guarantee: topology.ReadBounded, MaxStale: time.Millisecond})
		return errors.Is(err, topology.ErrStale)
	})
}

// Who is cut off may be replaced, and then others acknowledge what he does not
// show.
func TestALeaderThatNobodyConfirmsDoesNotServeBoundedReads(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.opts.CallTimeout = 50 * time.Millisecond
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	fresh := topology.ReadOptions{Guarantee: topology.ReadBounded, MaxStale: 100 * time.Millisecond}
	eventually(t, "a is confirmed and fresh", func() bool { v, err := a.get("k", fresh); return err == nil && v == "v" })
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	eventually(t, "a knows that it may be stale", func() bool {
		_, err := a.get("k", fresh)
		return errors.Is(err, topology.ErrStale)
	})
}

// A refusal tells what the key holds, so it waits until that is there to stay.
func TestAConditionIsRefusedOnlyForWhatStays(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	_, err := a.put("k", "old")
	require.NoError(t, err)
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	within := func(b record.Batch) error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := a.Write(ctx, b, topology.WriteOptions{})
		return err
	}
	require.ErrorIs(t, within(batchOf("k", "new")), topology.ErrTimeout)
	conditional := batchOf("k", "newer")
	conditional.Conditions = []record.Condition{{Cell: cellOf("k", ""), Equal: true, Value: []byte("old")}}
	err = within(conditional)
	require.ErrorIs(t, err, topology.ErrTimeout, "what it saw may yet be taken back")
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	c.start("b")
	_, err = a.Write(t.Context(), conditional, topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrConditionFailed)
}

func TestALeaderThatIsReplacedAnswersUnknownAndStopsServingLinearizableReads(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	eventually(t, "b has it", func() bool { return c.nodes["b"].Status().Flushed >= r.LSN && c.nodes["c"].Status().Flushed >= r.LSN })
	_, err = c.nodes["b"].Promote(t.Context(), false)
	require.NoError(t, err)
	c.leads("b")
	eventually(t, "a follows", func() bool { return c.nodes["a"].Status().Role == topology.RoleFollower })
	_, err = c.nodes["a"].put("k", "w")
	require.ErrorIs(t, err, topology.ErrNotLeader)
	v, err := c.nodes["a"].get("k")
	require.NoError(t, err, "a follower asks the new leader")
	require.Equal(t, "v", v)
}

func TestTooLargeAndMalformedWritesNeverReachTheLog(t *testing.T) {
	c := newCluster(t, Options{ValueBytesMax: 1 << 10}, "a")
	c.startAll()
	c.leads("a")
	end := c.nodes["a"].Status().End
	_, err := c.nodes["a"].put("", "v")
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = c.nodes["a"].put(string(make([]byte, record.KeyBytesMax+1)), "v")
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, err = c.nodes["a"].put("k", string(make([]byte, 1<<10+1)))
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, err = c.nodes["a"].Write(t.Context(), record.Batch{Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte("k"), Op: record.OpMerge, Kind: record.KindCounter}}}, topology.WriteOptions{})
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.Equal(t, end, c.nodes["a"].Status().End)
}

func TestADelayedFollowerCatchesUpWithABurstThatIsDueAlready(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b")
	c.start("a")
	c.leads("a")
	var last topology.Receipt
	for i := range 3 * applyEditsMax {
		r, err := c.nodes["a"].put(fmt.Sprint("k", i%10), "v")
		require.NoError(t, err)
		last = r
	}
	c.opts.ApplyDelay = 5 * time.Millisecond
	time.Sleep(c.opts.ApplyDelay) // everything is due before the follower is there
	c.start("b")
	c.applied(last.LSN, "b")
}

func TestATermThatMustNotBeStartedIsHandedToWhoMayLead(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	var cut atomic.Bool // a can not ship to b
	c.dial = func(from, to topology.NodeID) bool { return from != "a" || to != "b" || !cut.Load() }
	c.startAll()
	c.leads("a")
	c.nodes["b"].stop()
	for range 10 {
		_, err := c.nodes["a"].put("k", "v")
		require.NoError(t, err)
	}
	cut.Store(true)
	c.start("b")

	// b is told to lead, is accepted, and only then learns what it lacks.
	b := c.nodes["b"].ballot
	bid := core.Bid{Voting: b.voting(), Self: "b", Life: b.e.env.Life, Why: core.Chosen, Own: *b.e.group.Load()}
	next, err := bid.Propose(nil)
	require.Error(t, err)
	next.Term = 2
	told := b.tellAll(t.Context(), next)
	require.Len(t, told, 3)
	require.Equal(t, topology.RoleFollower, c.nodes["a"].Status().Role)
	why := bid.Confirm(next, told)
	require.Error(t, why)
	err = b.handBack(t.Context(), &bid, told, why)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "leads again")
	eventually(t, "writes are taken again", func() bool {
		for _, id := range []topology.NodeID{"a", "c"} {
			if _, err := c.nodes[id].put("k", "w"); err == nil {
				return true
			}
		}
		return false
	})
}
