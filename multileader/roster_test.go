package multileader

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// traffic writes at some sites until it is stopped, and says what was acknowledged.
type traffic struct {
	stop atomic.Bool
	wait sync.WaitGroup
	mu   sync.Mutex
	last map[string]string // by key
}

func (c *cluster) traffic(ids ...topology.NodeID) *traffic {
	l := &traffic{last: map[string]string{}}
	for _, id := range ids {
		l.wait.Go(func() {
			for i := 0; !l.stop.Load(); i++ {
				k, v := fmt.Sprint(id, "-", i%40), fmt.Sprint(i)
				if _, err := c.nodes[id].put(k, v); err != nil {
					continue
				}
				l.mu.Lock()
				l.last[k] = v
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *traffic) end() map[string]string {
	l.stop.Store(true)
	l.wait.Wait()
	return l.last
}

// holds checks that a node shows what was acknowledged.
func (n *node) holds(all map[string]string) {
	n.c.t.Helper()
	for k, v := range all {
		got, err := n.get(k, topology.ReadOptions{})
		require.NoError(n.c.t, err, "%s at %s", k, n.id)
		require.Equal(n.c.t, v, got, "%s at %s", k, n.id)
	}
}

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	c.t.Cleanup(cancel)
	return ctx
}

// stands waits until the leader of a site says that a site stands so.
func (c *cluster) stands(at, site string, as core.Standing) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s knows that %s is %v", at, site, as), func() bool {
		n := c.leader(at)
		return n != nil && n.roster().Seat(core.Site(site)) != nil && n.roster().Seat(core.Site(site)).Standing == as
	})
}

func TestASiteJoinsUnderLoad(t *testing.T) {
	for _, shape := range []Shape{Mesh, Ring, Star} {
		t.Run(shape.String(), func(t *testing.T) {
			c := tiny(newCluster(t, quick(Options{Group: groupOf(quorum.First(1)), Links: Links{Shape: shape, Hub: "eu"}}), 2, "us", "eu", "ap", "sa"))
			c.joins = []string{"ap", "sa"}
			c.startAll()
			us := c.nodes["us1"]
			us.fill(1000, "v")
			for i := range 500 {
				_, err := us.remove(fmt.Sprint("k", i))
				require.NoError(t, err)
			}
			c.dropped("us")
			c.dropped("eu")
			l := c.traffic("us1", "eu1")
			for _, s := range c.joins {
				c.nodes[topology.NodeID(s+"1")].start()
				c.nodes[topology.NodeID(s+"2")].start()
				eventually(t, "it says that it waits", func() bool { return len(c.nodes[topology.NodeID(s+"1")].Status().Warnings) > 0 })
				_, err := c.nodes[topology.NodeID(s+"1")].put("early", "x")
				require.Error(t, err)
				require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
				require.NoError(t, us.AddSite(c.ctx(), s, nil))
				require.NoError(t, us.AddSite(c.ctx(), s, nil), "again is as once")
				c.stands(s, s, core.Active)
				c.stands("us", s, core.Active)
			}
			c.leads("ap1")
			_, err := c.nodes["ap1"].put("from ap", "x")
			require.NoError(t, err)
			all := l.end()
			require.Equal(t, uint32(4), us.roster().Seat("sa").Number)
			c.settled()
			c.joins = nil
			c.converged()
			for _, s := range []topology.NodeID{"us1", "eu2", "ap1", "ap2", "sa1"} {
				c.nodes[s].holds(all)
			}
			eventually(t, "deletes go", func() bool { return c.nodes["sa2"].held() < 1000 })
		})
	}
}

func TestASiteRetiresOnceAllOfItIsEverywhere(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1)), Links: Links{Shape: Ring}}), 2, "us", "eu", "ap", "sa")
	c.startAll()
	l := c.traffic("us1", "ap1")
	c.apart("us", "ap", true) // it is not linked with us in the ring; eu and sa carry
	c.apart("eu", "ap", true)
	c.apart("sa", "ap", true)
	_, err := c.nodes["ap1"].put("last", "of ap")
	require.NoError(t, err)
	require.NoError(t, c.nodes["us1"].RetireSite(c.ctx(), "ap"))
	c.stands("eu", "ap", core.Retiring)
	require.NotEqual(t, core.Retired, c.nodes["us1"].roster().Seat("ap").Standing)
	for _, s := range []string{"us", "eu", "sa"} {
		c.apart(s, "ap", false)
	}
	c.stands("us", "ap", core.Retired)
	all := l.end()
	_, err = c.nodes["ap1"].put("late", "x")
	require.ErrorIs(t, err, topology.ErrUnavailable)
	c.nodes["ap1"].stop()
	c.nodes["ap2"].stop()
	_, err = c.nodes["us1"].remove("last")
	require.NoError(t, err)
	c.converged()
	c.nodes["us1"].holds(all)
	eventually(t, "what ap would have held back goes", func() bool {
		b, err := c.nodes["us1"].store.Get(record.Cell{Table: record.TableDefault, Key: []byte("last")})
		return err == nil && b == nil
	})
}

func TestAnEvictedSiteHoldsNothingBackAndIsNotMergedWhenItShowsUp(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1))}), 2, "us", "eu", "ap")
	c.startAll()
	us, eu, ap := c.nodes["us1"], c.nodes["eu1"], c.nodes["ap1"]
	_, err := ap.put("known", "by eu alone")
	require.NoError(t, err)
	c.converged()
	c.apart("us", "ap", true)
	seen, err := ap.put("seen", "by eu")
	require.NoError(t, err)
	require.NoError(t, eu.Wait(t.Context(), seen.Token))
	c.apart("eu", "ap", true)
	c.apart("us", "eu", true)
	_, err = ap.put("orphan", "1")
	require.NoError(t, err)
	_, err = ap.put("orphan", "2")
	require.NoError(t, err)
	require.Error(t, us.EvictSite(func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}(), "ap", false), "us alone is no majority of three")
	c.apart("us", "eu", false)
	require.NoError(t, us.EvictSite(c.ctx(), "ap", false))
	c.stands("us", "ap", core.Evicted)
	c.stands("eu", "ap", core.Evicted)
	eventually(t, "us has what eu had of it", func() bool { v, _ := us.get("seen", topology.ReadOptions{}); return v == "by eu" })
	_, err = us.remove("known")
	require.NoError(t, err)
	eventually(t, "nothing is held back for ap", func() bool {
		b, err := eu.store.Get(record.Cell{Table: record.TableDefault, Key: []byte("known")})
		return err == nil && b == nil
	})

	c.apart("us", "ap", false)
	c.apart("eu", "ap", false)
	c.stands("ap", "ap", core.Evicted)
	_, err = ap.put("more", "x")
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "triad site add ap")
	eventually(t, "what nobody has is put aside", func() bool {
		kept, err := ap.home.Sidelog().List()
		return err == nil && len(kept) == 1 && kept[0].Records == 2
	})
	_, err = us.get("orphan", topology.ReadOptions{})
	require.ErrorIs(t, err, topology.ErrNotFound)

	// Added again with its directory as it was, it is refused.
	require.NoError(t, us.AddSite(c.ctx(), "ap", nil))
	eventually(t, "a link says why", func() bool {
		l := us.link("ap")
		if l == nil {
			return false
		}
		_, problem, _ := l.state()
		return strings.Contains(problem, "must be empty before it takes part again")
	})
	for _, id := range []topology.NodeID{"ap1", "ap2"} {
		c.nodes[id].stop()
		require.NoError(t, c.nodes[id].fs.RemoveAll("/"+string(id)))
	}
	c.joins = []string{"ap"}
	c.nodes["ap1"].start()
	c.nodes["ap2"].start()
	c.stands("us", "ap", core.Active)
	c.leads("ap1")
	_, err = c.nodes["ap1"].put("again", "x")
	require.NoError(t, err)
	c.settled()
	c.converged()
	v, err := c.nodes["ap1"].get("seen", topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "by eu", v)
}

func TestASiteWithoutWhichOthersAreNotReachedDoesNotBeginToLeave(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1)), Links: Links{Shape: Star, Hub: "eu"}}), 2, "us", "eu", "ap")
	c.startAll()
	err := c.nodes["us1"].RetireSite(c.ctx(), "eu")
	require.ErrorIs(t, err, topology.ErrConflict)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.Equal(t, core.Active, c.nodes["us1"].roster().Seat("eu").Standing)
	require.NoError(t, c.nodes["us1"].RetireSite(c.ctx(), "ap"), "one at the end of a link may go")
	c.stands("us", "ap", core.Retired)
}

func TestASiteThatKnowsThatItIsGivenUpHearsTheRest(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1))}), 2, "us", "eu", "ap")
	c.startAll()
	c.stands("ap", "ap", core.Active)
	out, err := c.nodes["us1"].roster().Evict("ap")
	require.NoError(t, err)
	ap := c.leader("ap")
	r, err := ap.council.ask(c.ctx(), "ap", &core.Ask{Kind: core.AskLearn, Value: out.Encode()})
	require.NoError(t, err)
	require.True(t, r.OK)
	c.stands("ap", "ap", core.Evicting)
	require.NoError(t, c.nodes["us1"].EvictSite(c.ctx(), "ap", false))
	c.stands("us", "ap", core.Evicted)
	c.stands("ap", "ap", core.Evicted)
}

// A site that leaves may be stopped as soon as it says that it has left.
func TestWhoHasLeftGoesByItLast(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1))}), 2, "us", "eu", "ap")
	c.startAll()
	ap := c.nodes["ap1"]
	retiring, err := ap.roster().Retire("ap")
	require.NoError(t, err)
	left, err := retiring.Retired("ap", nil)
	require.NoError(t, err)
	c.apart("us", "ap", true)
	c.apart("eu", "ap", true)
	require.ErrorIs(t, ap.council.announce(c.ctx(), left), topology.ErrUnavailable)
	require.Equal(t, uint64(1), ap.present().Version, "no other site knows")
	c.apart("eu", "ap", false)
	eventually(t, "another site can be told", func() bool { return ap.council.announce(c.ctx(), left) == nil })
	for _, s := range []string{"ap", "eu", "us"} { // us hears it from eu
		c.stands(s, "ap", core.Retired)
	}
}

// Who had a roster agreed upon dies before anybody has heard of it.
func TestWhatIsAgreedUponAndNobodyKnowsIsFoundOut(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1))}), 2, "us", "eu", "ap")
	c.startAll()
	next, err := c.nodes["us1"].roster().Retire("ap")
	require.NoError(t, err)
	for _, id := range []topology.NodeID{"us1", "eu1"} {
		r, err := c.nodes[id].council.answer(c.ctx(), &core.Ask{Kind: core.AskAccept, From: "ap", Version: next.Version, Ballot: core.Ballot{Round: 1, Number: 3}, Value: next.Encode()})
		require.NoError(t, err)
		require.True(t, r.OK)
	}
	for _, s := range []string{"us", "eu", "ap"} {
		c.stands(s, "ap", core.Retired)
	}
}
