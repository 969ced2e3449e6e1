package singleleader

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Who promised a term to itself, and was not confirmed in it, obeys nobody of that
// term or an older one: it must not stay so.
func TestANodeThatBidInVainFollowsAgain(t *testing.T) {
	for name, rival := range map[string]bool{"while another led the term before": false, "while another won that term": true} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
			var cut atomic.Bool // b from the others
			c.dial = func(from, to topology.NodeID) bool { return from != "b" && to != "b" || !cut.Load() }
			c.startAll()
			c.leads("a")
			b := c.nodes["b"].ballot
			next := *b.e.group.Load()
			next.Term, next.Leader, next.Life = 2, "b", b.e.env.Life
			cut.Store(true)
			if rival {
				c.nodes["b"].stop()
				eventually(t, "a leads a newer term", func() bool { _, err := c.nodes["a"].Promote(t.Context(), false); return err == nil })
				next.Term = c.nodes["a"].Term()
				c.start("b")
				b = c.nodes["b"].ballot
			}
			_, err := b.fence(t.Context(), next)
			require.NoError(t, err)
			_, err = c.nodes["a"].put("k", "v")
			require.NoError(t, err)
			cut.Store(false)
			var last record.LSN
			eventually(t, "a write is taken", func() bool {
				for id := range c.nodes {
					if r, err := c.nodes[id].put("k", "w"); err == nil {
						last = r.LSN
						return true
					}
				}
				return false
			})
			c.applied(last, "a", "b", "c")
		})
	}
}
