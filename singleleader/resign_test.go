package singleleader

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// resigning asks a node to resign, within the time that a test has.
func (n *testNode) resigning(t *testing.T, within time.Duration) (topology.Promotion, error) {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return n.Resign(ctx)
}

// Writers go on while the leader resigns and ends: what was acknowledged is at the
// next one, nobody is left in doubt, and whoever is refused is told who leads.
func TestALeaderThatResignsLosesNothingAndLeavesNobodyUnknown(t *testing.T) {
	for _, policy := range []quorum.Policy{quorum.First(1, "a", "b", "c"), quorum.Any(1, "a", "b", "c"), quorum.All()} {
		t.Run(policy.String(), func(t *testing.T) {
			c := newAgreed(t, Options{Sync: policy}, "a", "b", "c")
			c.startAll()
			old := c.leader()
			eventually(t, "another one is in sync", func() bool { return len(c.nodes[old].group.Load().Agreed.InSync) > 1 })
			const writers = 4
			var acked [writers]atomic.Int64
			ends := make(chan error, writers)
			for w := range writers {
				go func() {
					for {
						_, err := c.nodes[old].put(fmt.Sprintf("%d-%d", w, acked[w].Load()), "1")
						if err != nil {
							ends <- err
							return
						}
						acked[w].Add(1)
					}
				}()
			}
			eventually(t, "writes are acknowledged", func() bool {
				for w := range acked {
					if acked[w].Load() < 10 {
						return false
					}
				}
				return true
			})
			p, err := c.nodes[old].resigning(t, 20*time.Second)
			require.NoError(t, err)
			require.NotEqual(t, old, p.Leader)
			require.NotZero(t, p.Start)
			for range writers {
				err := <-ends
				require.ErrorIs(t, err, topology.ErrNotLeader)
				require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), err)
				var told *topology.Error
				require.True(t, errors.As(err, &told))
				require.Equal(t, p.Leader, told.Leader, "the refusal says who leads")
			}
			c.nodes[old].stop()
			c.start(old) // under All, nothing is confirmed without it
			for w := range writers {
				for k := range acked[w].Load() {
					v, err := c.nodes[p.Leader].get(fmt.Sprintf("%d-%d", w, k))
					require.NoError(t, err)
					require.Equal(t, "1", v)
				}
			}
		})
	}
}

func TestANodeThatHasResignedStandsNoMore(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	p, err := c.nodes["b"].resigning(t, time.Second)
	require.NoError(t, err, "a follower has nothing to hand over")
	require.Zero(t, p)
	eventually(t, "b knows the group", func() bool { return c.nodes["b"].Status().Sync })
	_, _, stands := c.nodes["b"].council.due(time.Now().Add(time.Hour))
	require.False(t, stands)
}

func TestALeaderWithoutASuccessorLeadsOn(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b")}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	c.nodes["b"].stop()
	eventually(t, "a has noticed", func() bool { _, err := resignation{c.nodes["a"].council}.successor(time.Now()); return err != nil })
	_, err := c.nodes["a"].resigning(t, time.Minute)
	require.ErrorIs(t, err, topology.ErrUnavailable, "at once, without the time it has")
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.ErrorContains(t, err, "no other node is in sync")
	require.True(t, c.nodes["a"].leads.Load())
	c.start("b")
	c.inSync("a", "a", "b")
	_, err = c.nodes["a"].put("k", "1")
	require.NoError(t, err, "it holds no write back")
}

// A resignation whose time is over leaves the leader as it was.
func TestAResignationTakesNoMoreThanItsTime(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b")}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.nodes["a"].Resign(ctx)
	require.Error(t, err)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.True(t, c.nodes["a"].leads.Load())
	_, err = c.nodes["a"].put("k", "1")
	require.NoError(t, err)
}

func TestByHandNobodyResigns(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b")
	c.startAll()
	c.leads("a")
	p, err := c.nodes["a"].Resign(t.Context())
	require.NoError(t, err)
	require.Zero(t, p)
	require.True(t, c.nodes["a"].leads.Load())
}
