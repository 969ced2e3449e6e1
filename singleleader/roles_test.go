package singleleader

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

func TestWhoBeginsOrCeasesToLeadIsTold(t *testing.T) {
	told := make(chan topology.RoleChange, 100)
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), Hooks: Hooks{OnRole: func(_ context.Context, r topology.RoleChange) { told <- r }}}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	first := <-told
	require.Equal(t, topology.NodeID("a"), first.Node)
	require.Equal(t, topology.RoleLeader, first.Role)
	_, err := c.nodes["a"].Switchover(t.Context(), "b")
	require.NoError(t, err)
	changes := map[topology.NodeID]topology.RoleChange{}
	for range 2 {
		r := <-told
		changes[r.Node] = r
	}
	require.Equal(t, topology.RoleFollower, changes["a"].Role)
	require.Equal(t, first.Term, changes["a"].Term, "the term that it led")
	require.Equal(t, topology.RoleChange{Node: "b", Role: topology.RoleLeader, Term: first.Term + 1, Leader: "b"}, changes["b"])
	c.nodes["b"].stop()
	require.Equal(t, topology.RoleFollower, (<-told).Role, "who ends leads no more")
}

// Who is told takes for ever: writes go on, leaders change, and the node ends.
func TestWhoIsToldHoldsNothingUp(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), Hooks: Hooks{OnRole: func(ctx context.Context, _ topology.RoleChange) { <-ctx.Done() }}}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	_, err = c.nodes["a"].Switchover(t.Context(), "b")
	require.NoError(t, err)
	eventually(t, "b leads", func() bool { _, err := c.nodes["b"].put("k", "2"); return err == nil })
	c.nodes["a"].stop()
}

func TestNobodyLeadsWhileTheOldLeaderIsNotFenced(t *testing.T) {
	for name, agreed := range map[string]bool{"elected": true, "by hand": false} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			asked := make(chan topology.Fencing, 1000)
			o := Options{Sync: quorum.First(1, "b", "c"), Hooks: Hooks{Fence: func(_ context.Context, f topology.Fencing) error {
				asked <- f
				if broken.Load() {
					return errors.New("the power switch does not answer")
				}
				return nil
			}}}
			var c *testCluster
			if agreed {
				c = newAgreed(t, o, "a", "b", "c")
			} else {
				c = newCluster(t, o, "a", "b", "c")
			}
			c.startAll()
			c.leads("a")
			r, err := c.nodes["a"].put("k", "1")
			require.NoError(t, err)
			c.applied(r.LSN, "b")
			if agreed {
				c.inSync("a", "a", "b")
			}
			require.Empty(t, asked, "nobody is fenced for a first term")
			term := c.nodes["a"].Status().Term
			c.nodes["a"].stop()
			for _, force := range []bool{false, true} {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				_, err = c.nodes["b"].Promote(ctx, force)
				cancel()
				require.ErrorContains(t, err, "the power switch does not answer")
				require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
			}
			f := <-asked
			require.Equal(t, topology.NodeID("a"), f.Old)
			require.Equal(t, term, f.Term)
			require.NotEmpty(t, f.Addr)
			require.False(t, c.nodes["b"].leads.Load())
			require.Contains(t, strings.Join(c.nodes["b"].Status().Warnings, "\n"), "could not be fenced", "status says why")
			broken.Store(false)
			if !agreed {
				_, err = c.nodes["b"].Promote(t.Context(), false)
				require.NoError(t, err)
			}
			c.leads("b")
			require.NotContains(t, strings.Join(c.nodes["b"].Status().Warnings, "\n"), "fenced")
		})
	}
}

// A leader that answers hears of the new term by itself.
func TestALeaderThatAnswersIsNotFenced(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), Hooks: Hooks{Fence: func(context.Context, topology.Fencing) error { return errors.New("no") }}}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	_, err := c.nodes["b"].Promote(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
}
