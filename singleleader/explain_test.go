package singleleader

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// What is explained is what then happens.
func TestAnExplanationNamesWhoIsElectedThen(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c")}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	_, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		eventually(t, "everybody explains the same", func() bool {
			x, err := c.nodes[id].Explain(t.Context())
			return err == nil && x.Elects && x.Winner == "b" && x.Known && x.Lost == 0 && len(x.Contenders) == 3
		})
	}
	c.nodes["a"].stop()
	x, err := c.nodes["c"].Explain(t.Context())
	require.NoError(t, err)
	require.Len(t, x.Contenders, 3)
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
}

// A leader that dies within its least reign is waited for, and people replace it at once.
func TestALeastReignHoldsElectionsUpAndNotPeople(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b", "c"), MinReign: time.Hour}, "a", "b", "c")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	c.nodes["a"].stop()
	b := c.nodes["b"]
	x, err := b.Explain(t.Context())
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("b"), x.Winner)
	require.Greater(t, x.Reign, 50*time.Minute)
	eventually(t, "b knows that the leader is gone, and waits for it", func() bool {
		b.council.mu.Lock()
		gone := b.council.gone == b.council.keeper.Doc.Term
		b.council.mu.Unlock()
		wait, _, stands := b.council.due(time.Now())
		return gone && stands && wait > 50*time.Minute
	})
	_, err = b.Promote(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
}

func TestAnExplanationByHandNamesWhoMayBe(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "1")
	require.NoError(t, err)
	c.applied(r.LSN, "b", "c")
	x, err := c.nodes["b"].Explain(t.Context())
	require.NoError(t, err)
	require.False(t, x.Elects)
	require.Contains(t, x.Why, "triad failover --to "+string(x.Winner))
	c.nodes["a"].stop()
	p, err := c.nodes[x.Winner].Promote(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, x.Winner, p.Leader)
}

func TestNothingIsExplainedBeforeThereIsAGroup(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.All()}, "a", "b")
	c.agreed.Cut("b", true)
	c.start("b")
	_, err := c.nodes["b"].Explain(t.Context())
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
}
