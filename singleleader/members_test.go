package singleleader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

// newcomer makes a node that no configuration but its own names.
func (c *testCluster) newcomer(id topology.NodeID) topology.Seat {
	c.t.Helper()
	m := topology.Member{ID: id, Addr: topologytest.Addrs(c.t, 1)[0]}
	c.nodes[id] = &testNode{c: c, id: id, fs: vfs.NewCrashableMem(), dir: "/" + string(id), names: append(slices.Clone(c.list), m)}
	return topology.Seat{Member: m, Role: topology.MemberVoter}
}

// load writes at whoever leads until it is stopped, and then returns what was
// acknowledged.
func (c *testCluster) load() (stop func() []string) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var acked []string
	var wait sync.WaitGroup
	at := c.nodes["a"]
	for w := range 4 {
		wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%d-%d", w, i)
				if _, err := at.put(key, key); err == nil {
					mu.Lock()
					acked = append(acked, key)
					mu.Unlock()
				}
			}
		})
	}
	return func() []string { cancel(); wait.Wait(); return acked }
}

func TestMembersComeAndGoUnderLoad(t *testing.T) {
	for _, policy := range []quorum.Policy{quorum.First(1), quorum.Any(1), quorum.All(), quorum.First(1, "b", "c")} {
		t.Run(policy.String(), func(t *testing.T) {
			c := newAgreed(t, Options{Sync: policy}, "a", "b", "c")
			c.startAll()
			require.Equal(t, topology.NodeID("a"), c.leader())
			eventually(t, "others are in sync", func() bool { return len(c.nodes["a"].group.Load().Agreed.InSync) > 1 })
			stop := c.load()
			a := c.nodes["a"]

			d := c.newcomer("d")
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := a.AddMember(ctx, d)
			cancel()
			require.Equal(t, topology.Unknown, topology.OutcomeOf(err), err)
			require.ErrorContains(t, err, "adding d has begun and goes on by itself")
			require.Equal(t, topology.Adding, a.Status().Change.Op)
			err = a.RemoveMember(t.Context(), "b")
			require.ErrorIs(t, err, topology.ErrConflict)
			require.ErrorContains(t, err, "adding d is not over")
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
			c.start("d")
			require.NoError(t, a.AddMember(t.Context(), d))
			require.Zero(t, a.Status().Change)
			require.Contains(t, a.group.Load().Voters, topology.NodeID("d"))

			require.NoError(t, a.RemoveMember(t.Context(), "b"))
			require.NoError(t, a.RemoveMember(t.Context(), "c"))
			require.NotContains(t, a.group.Load().Policy, "b")
			require.Equal(t, []topology.NodeID{"a", "d"}, a.group.Load().Voters)
			err = a.RemoveMember(t.Context(), "a")
			require.ErrorIs(t, err, topology.ErrConflict)
			require.ErrorContains(t, err, "switchover")
			err = a.RemoveMember(t.Context(), "b")
			require.ErrorIs(t, err, topology.ErrNotFound)
			err = c.nodes["d"].AddMember(t.Context(), d)
			require.ErrorIs(t, err, topology.ErrNotLeader)

			for _, gone := range []topology.NodeID{"b", "c"} {
				n := c.nodes[gone]
				eventually(t, "it knows", func() bool { return n.Status().Role == topology.RoleRemoved })
				_, err := n.put("k", "v")
				require.ErrorIs(t, err, topology.ErrNotLeader)
				_, err = n.Promote(t.Context(), true)
				require.ErrorContains(t, err, "no member of this group any more")
				eventually(t, "it follows nobody", func() bool { return !n.sinks.follows() })
				n.stop()
				n.start()
				eventually(t, "it knows after a restart", func() bool { return n.Status().Role == topology.RoleRemoved })
			}

			c.nodes["a"].crash()
			acked := stop()
			require.NotEmpty(t, acked)
			eventually(t, "d leads", func() bool { return c.nodes["d"].Status().Role == topology.RoleLeader })
			c.start("a") // two are needed for a commit
			for _, key := range acked {
				v, err := c.nodes["d"].get(key)
				require.NoError(t, err, key)
				require.Equal(t, key, v)
			}
		})
	}
}

func TestARemovedMemberComesBackAndAReplicaIsAdded(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1)}, "a", "b", "c")
	c.startAll()
	c.leader()
	c.inSync("a", "a", "b")
	a := c.nodes["a"]
	require.NoError(t, a.RemoveMember(t.Context(), "b"))
	c.inSync("a", "a", "c")
	eventually(t, "b knows", func() bool { return c.nodes["b"].Status().Role == topology.RoleRemoved })
	r, err := a.put("k", "1")
	require.NoError(t, err)
	b := topology.Seat{Member: c.list[1], Role: topology.MemberVoter}
	require.NoError(t, a.AddMember(t.Context(), b))
	c.applied(r.LSN, "b")
	require.Equal(t, topology.RoleFollower, c.nodes["b"].Status().Role)

	e := c.newcomer("e")
	e.Role = topology.MemberReadReplica
	c.start("e")
	require.NoError(t, a.AddMember(t.Context(), e))
	c.applied(r.LSN, "e")
	eventually(t, "e is a read replica", func() bool { return c.nodes["e"].Status().Role == topology.RoleReadReplica })
	require.NotContains(t, a.group.Load().Voters, topology.NodeID("e"))
	require.Error(t, func() error { _, err := c.nodes["e"].Promote(t.Context(), false); return err }())

	c.nodes["a"].crash()
	lead := c.leader("a")
	require.NotEqual(t, topology.NodeID("e"), lead)
	require.NoError(t, c.nodes[lead].RemoveMember(t.Context(), "e"))
	require.Len(t, c.nodes[lead].Seats(), 3)
}

func TestAChangeOfMembersOutlivesItsLeader(t *testing.T) {
	for _, policy := range []quorum.Policy{quorum.First(1), quorum.Any(1)} {
		c := newAgreed(t, Options{Sync: policy}, "a", "b", "c")
		c.startAll()
		c.leader()
		eventually(t, "others are in sync", func() bool { return len(c.nodes["a"].group.Load().Agreed.InSync) > 1 })
		d := c.newcomer("d")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		require.Error(t, c.nodes["a"].AddMember(ctx, d))
		cancel()
		c.nodes["a"].stop()
		lead := c.leader("a")
		require.Equal(t, topology.MemberChange{Op: topology.Adding, Node: "d"}, func() topology.MemberChange {
			m := c.nodes[lead].Status().Change
			m.Waits = ""
			return m
		}())
		c.start("d")
		eventually(t, "d votes", func() bool { return slices.Contains(c.nodes[lead].group.Load().Voters, "d") })
		require.Zero(t, c.nodes[lead].Status().Change)
	}
}

func TestMembersOfAGroupLedByHandAreThoseOfTheConfiguration(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1)}, "a", "b")
	c.startAll()
	c.leads("a")
	for _, err := range []error{
		c.nodes["a"].AddMember(t.Context(), topology.Seat{Member: topology.Member{ID: "d", Addr: "h:1"}, Role: topology.MemberVoter}),
		c.nodes["a"].RemoveMember(t.Context(), "b"),
	} {
		require.ErrorIs(t, err, topology.ErrUnsupported)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
		var te *topology.Error
		require.True(t, errors.As(err, &te))
	}
	for _, s := range []topology.Seat{
		{Member: topology.Member{ID: "D!", Addr: "h:1"}, Role: topology.MemberVoter},
		{Member: topology.Member{ID: "d", Addr: "h:1"}, Role: "king"},
		{Member: topology.Member{ID: "d"}, Role: topology.MemberVoter},
	} {
		require.ErrorIs(t, c.nodes["a"].AddMember(t.Context(), s), topology.ErrMalformed)
	}
}

func TestARemovedNodeTakesNothing(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1)}, "a", "b", "c")
	c.startAll()
	c.leader()
	c.inSync("a", "a", "b")
	b := c.nodes["b"]
	var k *sink
	eventually(t, "b follows", func() bool {
		b.sinks.mu.Lock()
		defer b.sinks.mu.Unlock()
		if len(b.sinks.open) > 0 {
			k = b.sinks.open[0]
		}
		return k != nil
	})
	require.NoError(t, c.nodes["a"].RemoveMember(t.Context(), "b"))
	eventually(t, "b knows", b.seats.removed)
	begin := stream.Begin{Group: core.GroupName, Term: b.group.Load().Term, Body: c.nodes["a"].group.Load().Encode()}
	_, err := k.Begin(t.Context(), topology.Peer{ID: "a", Life: c.nodes["a"].env.Life}, begin)
	require.ErrorIs(t, err, errRemoved)
	require.ErrorIs(t, k.Append(t.Context(), &stream.Append{}), errRemoved)
	_, err = b.council.answerPledge(t.Context(), topology.Peer{ID: "a"}, []byte{9, 0xc3, 0xc2})
	require.ErrorIs(t, err, topology.ErrConflict)
}

func TestAMemberThatIsAddedIsShippedToAtOnce(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1)}, "a", "b")
	c.startAll()
	c.leader()
	c.inSync("a", "a", "b")
	e := c.newcomer("e")
	e.Role = topology.MemberReadReplica
	c.start("e")
	require.NoError(t, c.nodes["a"].AddMember(t.Context(), e))
	r, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for err = c.nodes["e"].Wait(ctx, r.Token); err != nil && ctx.Err() == nil; err = c.nodes["e"].Wait(ctx, r.Token) {
		time.Sleep(time.Millisecond) // it knows no leader yet
	}
	require.NoError(t, err, "in the term in which it was added")
}
