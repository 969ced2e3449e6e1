package singleleader

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

// newAgreed is a group whose nodes agree upon who leads.
func newAgreed(t testing.TB, o Options, ids ...topology.NodeID) *testCluster {
	o.FailAfter = 200 * time.Millisecond
	c := newCluster(t, o, ids...)
	c.agreed = topologytest.NewAgreed()
	return c
}

// leader waits for a node that leads and commits, other than those.
func (c *testCluster) leader(not ...topology.NodeID) (id topology.NodeID) {
	c.t.Helper()
	eventually(c.t, "somebody leads", func() bool {
		for _, m := range c.list {
			n := c.nodes[m.ID]
			if slices.Contains(not, m.ID) || n.cancel == nil {
				continue
			}
			var settled bool
			n.turn.call(func() { settled = n.core.Settled() })
			if settled {
				id = m.ID
				return true
			}
		}
		return false
	})
	return id
}

// inSync waits until the leader's in-sync set is of these nodes.
func (c *testCluster) inSync(leader topology.NodeID, ids ...topology.NodeID) {
	c.t.Helper()
	eventually(c.t, "in sync", func() bool {
		a := c.nodes[leader].group.Load().Agreed
		return a != nil && len(a.InSync) == len(ids) && !slices.ContainsFunc(a.InSync, func(m core.Counted) bool { return !slices.Contains(ids, m.Node) })
	})
}

func TestAGroupFindsALeaderAndAnotherOneWhenThatDies(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	require.Equal(t, topology.NodeID("a"), c.leader(), "the first of the list founds the group")
	c.inSync("a", "a", "b")
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)

	c.nodes["a"].crash()
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
	c.inSync("b", "b", "c")
	v, err := c.nodes["c"].get("k")
	require.NoError(t, err)
	require.Equal(t, "1", v)
	_, err = c.nodes["b"].put("k", "2")
	require.NoError(t, err)

	c.start("a")
	c.inSync("b", "b", "a")
	v, err = c.nodes["a"].get("k")
	require.NoError(t, err)
	require.Equal(t, "2", v)
}

func TestADeadStandbyBlocksNoWrite(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	c.nodes["b"].stop()
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	c.inSync("a", "a", "c")
}

func TestWithTooFewInSyncWritesWaitOrAreRefused(t *testing.T) {
	for _, fast := range []bool{false, true} {
		c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), FailFast: fast}, "a", "b")
		c.startAll()
		c.inSync(c.leader(), "a", "b")
		c.nodes["b"].stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.nodes["a"].Write(ctx, batchOf("k", "1"), topology.WriteOptions{})
		require.Error(t, err)
		require.Equal(t, topology.Unknown, topology.OutcomeOf(err), "b stays in the set, and the write may come through")
		c.start("b")
		eventually(t, "the write came through", func() bool { v, err := c.nodes["a"].get("k"); return err == nil && v == "1" })
	}
}

func TestASwitchoverLosesNothingAndLeavesNobodyUnknown(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	stop := make(chan struct{})
	done := make(chan []error)
	go func() {
		var errs []error
		for {
			select {
			case <-stop:
				done <- errs
				return
			default:
			}
			if _, err := c.nodes["a"].put("k", "1"); err != nil {
				errs = append(errs, err)
			}
		}
	}()
	_, err := c.nodes["a"].Switchover(t.Context(), "x")
	require.ErrorIs(t, err, topology.ErrUnavailable, "x is nobody")
	p, err := c.nodes["a"].Switchover(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("b"), p.Leader)
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
	close(stop)
	for _, err := range <-done {
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), err)
	}
	c.inSync("b", "b", "a")
}

// Whom the policy does not ask for may lead all the same, by an operator's word.
func TestASwitchoverLetsItsSuccessorInFirst(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	eventually(t, "c follows", func() bool { return handover{c.nodes["a"].council}.keepsUp("c") })
	p, err := c.nodes["a"].Switchover(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("c"), p.Leader)
	require.Equal(t, topology.NodeID("c"), c.leader("a"))
	c.inSync("c", "c", "a")
	c.nodes["b"].stop()
	eventually(t, "b is gone", func() bool { return !handover{c.nodes["c"].council}.keepsUp("b") })
	_, err = c.nodes["c"].Switchover(t.Context(), "b")
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "b is not in sync; [a] are")
	_, err = c.nodes["c"].put("k", "v")
	require.NoError(t, err)
}

func TestALeaderThatRestartsBeginsANewTerm(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b")}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	before := c.nodes["a"].Status().Term
	c.nodes["b"].stop()
	c.nodes["a"].crash()
	c.startAll()
	require.Greater(t, c.nodes[c.leader()].Status().Term, before)
}

func TestASwitchoverWaitsUntilTheSuccessorHasEverything(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b")}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	c.nodes["b"].stop()
	for _, what := range []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := c.nodes["a"].Write(ctx, batchOf("k", "1"), topology.WriteOptions{})
			return err
		},
		func(ctx context.Context) error { _, err := c.nodes["a"].Switchover(ctx, "b"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		require.ErrorIs(t, what(ctx), topology.ErrTimeout)
		cancel()
	}
	c.start("b")
	c.inSync("a", "a", "b")
	_, err := c.nodes["a"].put("k", "2")
	require.NoError(t, err, "writes go on after a switchover that did not come about")
}

func TestUnderAnyTheLongestLogLeads(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.Any(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b", "c")
	c.nodes["b"].stop()
	r, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	c.applied(r.LSN, "c")
	c.nodes["a"].crash()
	c.start("b")
	require.Equal(t, topology.NodeID("c"), c.leader("a"), "b lacks what a and c have committed")
	v, err := c.nodes["b"].get("k")
	require.NoError(t, err)
	require.Equal(t, "1", v)
	c.start("a")
	_, err = c.nodes["c"].put("k", "2")
	require.NoError(t, err)
}

func TestAPromiseIsKeptOverARestart(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.Any(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b", "c")
	term := c.nodes["a"].Status().Term
	_, err := c.nodes["b"].council.pledge(t.Context(), term+1, true)
	require.NoError(t, err)
	c.nodes["b"].crash()
	c.start("b")
	require.GreaterOrEqual(t, c.nodes["b"].sinks.obeys(), term+1)
	_, err = c.nodes["b"].council.pledge(t.Context(), term, true)
	require.ErrorIs(t, err, topology.ErrConflict)
	eventually(t, "b is obeyed by a new term", func() bool {
		return c.nodes["b"].Status().Term > term && c.nodes["b"].Status().Role == topology.RoleFollower || c.nodes["b"].Status().Role == topology.RoleLeader
	})
}

func TestAPausedGroupElectsNobody(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	require.NoError(t, c.nodes["b"].Pause(t.Context(), true))
	eventually(t, "everybody knows", func() bool { return c.nodes["b"].Status().Paused && c.nodes["c"].Status().Paused })
	c.nodes["a"].stop()
	_, _, stands := c.nodes["b"].council.due(time.Now().Add(time.Hour))
	require.False(t, stands)
	require.NoError(t, c.nodes["c"].Pause(t.Context(), false))
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
}

func TestALeaderWhoseDiskHangsHandsOver(t *testing.T) {
	for _, policy := range []quorum.Policy{quorum.First(1, "a", "b", "c"), quorum.Any(1, "a", "b", "c")} {
		c := newAgreed(t, Options{Sync: policy}, "a", "b", "c")
		var armed atomic.Bool
		release := make(chan struct{})
		c.nodes["a"].fs = errorfs.Wrap(c.nodes["a"].fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if armed.Load() && slices.Contains([]errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, op.Kind) {
				<-release
			}
			return nil
		}))
		c.startAll()
		require.Equal(t, topology.NodeID("a"), c.leader())
		eventually(t, "another one is in sync", func() bool { return len(c.nodes["a"].group.Load().Agreed.InSync) > 1 })
		armed.Store(true)
		go func() { _, _ = c.nodes["a"].put("k", "1") }()
		lead := c.leader("a")
		_, err := c.nodes[lead].put("k", "2")
		require.NoError(t, err)
		eventually(t, "a leads no more", func() bool { return c.nodes["a"].Status().Role != topology.RoleLeader })
		armed.Store(false)
		close(release)
		eventually(t, "a follows", func() bool { return c.nodes["a"].Status().Leader == lead })
	}
}

// What an order has just made of this node, another goroutine may have found due before
// (a new term after a restore, say).
func TestWhoLeadsAlreadyDoesNotStandAgain(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	a := c.nodes["a"]
	before := a.Status().Term
	require.NoError(t, a.council.stand(t.Context(), core.Restart, false))
	require.Equal(t, before, a.Status().Term)
	require.NoError(t, a.council.stand(t.Context(), core.Restart, true))
	require.Greater(t, a.Status().Term, before, "an operator may want one")
}

// A leader that has just begun has reached nobody yet, and takes nobody for silent.
func TestWhoWasNotReachedYetInATermIsNotLetGo(t *testing.T) {
	const patience = time.Second
	began := time.Now()
	healthy := func(s *ship, after time.Duration) bool { return s.fit(2, 5, 5, began.Add(after), patience).Healthy }
	s := &ship{to: "b", term: 2, began: began, movedAt: began}
	require.True(t, healthy(s, patience))
	require.False(t, healthy(s, patience+1))
	s.note(true, nil)
	require.True(t, healthy(s, patience), "its stream is open, and it has acknowledged nothing yet")
	s.note(false, topology.ErrUnavailable)
	require.False(t, healthy(s, 0), "it was not reached")
}

// Commits wait in vain for a while for who is near, and then not again for longer.
func TestWhoIsNearIsNotWaitedForForEver(t *testing.T) {
	const patience = time.Second
	now := time.Now()
	s := &ship{to: "b", term: 2, up: true}
	s.ack.Term, s.ack.Flushed = 2, 5
	near := func(after time.Duration) bool {
		return s.near(2, 3, now.Add(after), patience, func(record.LSN) bool { return true })
	}
	require.True(t, near(0))
	s.awaits(true, now)
	require.True(t, near(patience))
	s.awaits(true, now.Add(patience))
	require.False(t, near(patience+1))
	s.awaits(false, now.Add(patience+1))
	require.False(t, near((1+awaitsRest)*patience))
	require.True(t, near((2+awaitsRest)*patience))
	s.ack.Flushed = 2
	require.False(t, near((2+awaitsRest)*patience), "it has not even the start of the term")
}

// A load that does not rest, and a member whose disk takes longer than a commit does.
func TestAMemberThatIsAlwaysALittleBehindIsLetIn(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), MinInSync: 1}, "a", "b")
	c.nodes["b"].fs = errorfs.Wrap(c.nodes["b"].fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if slices.Contains([]errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, op.Kind) {
			time.Sleep(2 * time.Millisecond)
		}
		return nil
	}))
	c.start("a")
	c.inSync(c.leader(), "a")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				_, _ = c.nodes["a"].put("k", "v")
			}
		})
	}
	defer writers.Wait()
	defer stop()
	c.start("b")
	c.inSync("a", "a", "b")
}

// A claim is made against the document that was read before anybody was asked: what has
// changed since then, it does not undo.
func TestAClaimOverAnOlderDocumentFails(t *testing.T) {
	var c *testCluster
	asked := make(chan struct{})
	once := sync.OnceValue(func() error {
		defer close(asked)
		return c.nodes["b"].Pause(t.Context(), true) // an operator, at that moment
	})
	c = newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), MinInSync: 1, Hooks: Hooks{Fence: func(context.Context, topology.Fencing) error { return once() }}}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	b := c.nodes["b"]
	term := b.Status().Term
	c.nodes["a"].stop()
	<-asked
	require.NoError(t, b.ballot.one.enter(t.Context())) // once its claim is over
	b.ballot.one.leave()
	require.Equal(t, term, b.Status().Term)
	require.NoError(t, b.Pause(t.Context(), false))
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
}

// Whoever promises has what he says he has: what was written and not flushed might be
// acknowledged to the old leader after the promise, and committed without whom he elects.
func TestAPromiseSaysWhatIsDurableOnceEverythingIs(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.Any(1, "a", "b", "c")}, "a", "b", "c")
	var armed atomic.Bool
	release := make(chan struct{})
	free := sync.OnceFunc(func() { armed.Store(false); close(release) })
	defer free()
	b := c.nodes["b"]
	b.fs = errorfs.Wrap(b.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		syncs := []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
		if armed.Load() && slices.Contains(syncs, op.Kind) && strings.Contains(op.Path, "/log/") {
			<-release
		}
		return nil
	}))
	c.startAll()
	c.inSync(c.leader(), "a", "b", "c")
	term := c.nodes["a"].Status().Term
	armed.Store(true)
	r, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	eventually(t, "b has it, and not on its disk", func() bool {
		at := b.log.Bounds()
		return at.End >= r.LSN && at.Flushed < r.LSN
	})
	said := make(chan []byte, 1)
	go func() {
		body, err := b.council.pledge(context.Background(), term+1, true)
		if err != nil {
			t.Error(err)
		}
		said <- body
	}()
	eventually(t, "b has promised", func() bool { return b.sinks.obeys() > term })
	free()
	report, err := core.DecodeReport(<-said)
	require.NoError(t, err)
	require.GreaterOrEqual(t, report.Last.LSN, r.LSN)
}
