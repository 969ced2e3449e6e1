package leaderless

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// sited makes nodes in sites, and starts them all.
func sited(t *testing.T, o Options, sites ...string) *cluster {
	c := newCluster(t, o, len(sites))
	for i, s := range sites {
		c.list[i].Site = s
	}
	c.startAll()
	return c
}

// partSites cuts the nodes of two halves off from one another, or joins them again.
func (c *cluster) partSites(yes bool) {
	for _, a := range c.list {
		for _, b := range c.list {
			if a.Site < b.Site {
				c.apart(a.ID, b.ID, yes)
			}
		}
	}
	for _, n := range c.running() {
		eventually(c.t, "each reaches whom it should", func() bool {
			up := 0
			for _, id := range n.alive() {
				if m, _ := (topology.View{Members: c.list}).Find(id); yes && m.Site != n.site() {
					return false
				}
				up++
			}
			return yes || up == len(c.list)-1
		})
	}
}

func (n *node) site() string { return ground{n.engine}.site() }

func TestALocalQuorumGoesOnInEachSiteWhileTheyAreApart(t *testing.T) {
	c := sited(t, Options{Replicas: 6}, "eu", "eu", "eu", "us", "us", "us")
	local := topology.WriteOptions{Consistency: topology.ConsistencyLocalQuorum}
	_, err := c.nodes["a"].put("k", "old", topology.WriteOptions{Consistency: topology.ConsistencyEachQuorum})
	require.NoError(t, err)
	c.partSites(true)
	_, err = c.nodes["a"].put("k", "new", local)
	require.NoError(t, err)
	v, err := c.nodes["b"].get("k", topology.ReadOptions{Consistency: topology.ConsistencyLocalQuorum})
	require.NoError(t, err)
	require.Equal(t, "new", v, "it meets what was acknowledged in its site")
	v, err = c.nodes["e"].get("k", topology.ReadOptions{Consistency: topology.ConsistencyLocalQuorum})
	require.NoError(t, err)
	require.Equal(t, "old", v, "and does not know of the other's")
	_, err = c.nodes["a"].put("k", "both", topology.WriteOptions{Consistency: topology.ConsistencyEachQuorum})
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	c.partSites(false)
	c.converged()
	v, err = c.nodes["f"].get("k", topology.ReadOptions{Consistency: topology.ConsistencyLocalOne})
	require.NoError(t, err)
	require.Equal(t, "new", v)
}

func TestAnswersSayWhatLevelsOfSitesMet(t *testing.T) {
	c := sited(t, Options{Replicas: 6}, "eu", "eu", "eu", "us", "us", "us")
	for write, reads := range map[quorum.Consistency]map[quorum.Consistency]topology.Guarantee{
		quorum.AtQuorum:      {quorum.AtLocalQuorum: topology.ReadAny, quorum.AtEachQuorum: topology.ReadRegular, quorum.AtQuorum: topology.ReadRegular},
		quorum.AtLocalQuorum: {quorum.AtLocalQuorum: topology.ReadSite, quorum.AtEachQuorum: topology.ReadRegular, quorum.AtLocalOne: topology.ReadAny},
		quorum.AtEachQuorum:  {quorum.AtLocalQuorum: topology.ReadRegular, quorum.AtLocalOne: topology.ReadAny},
	} {
		p := newPromises(&Options{Write: write}, func() *placement.Map { return c.nodes["a"].place.Current() })
		for l, want := range reads {
			require.Equal(t, want, p.meets(0, &readAsked{level: l}, false), "write %v, read %v", write, l)
		}
	}
	_, err := c.nodes["a"].put("k", "v", topology.WriteOptions{})
	require.NoError(t, err)
	c.converged()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := c.nodes["e"].Read(ctx, record.TableDefault, []byte("k"), topology.ReadOptions{Consistency: topology.ConsistencyLocalQuorum})
	require.NoError(t, err)
	require.Equal(t, topology.ReadAny, r.Guarantee)
	require.Equal(t, 2, r.Replicas)
}

func TestARequestOfASitesOwnIsDoneInThatSite(t *testing.T) {
	c := sited(t, Options{Replicas: 2}, "eu", "eu", "us", "us")
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		for _, n := range c.running() {
			r, err := n.put(key, "v", topology.WriteOptions{Consistency: topology.ConsistencyLocalOne})
			require.NoError(t, err)
			m, _ := (topology.View{Members: c.list}).Find(r.Durable[0])
			require.Equal(t, n.site(), m.Site, "each site has a copy, and takes what is asked there")
		}
	}
	c.converged()
}

func TestWaitReplicatedSaysHowFarAWriteHasCome(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 4)
	c.startAll()
	for _, key := range []string{"k", "l", "m"} {
		r, err := c.nodes["a"].put(key, "v", topology.WriteOptions{Consistency: topology.ConsistencyOne})
		require.NoError(t, err)
		for _, n := range c.running() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			require.NoError(t, n.WaitReplicated(ctx, r.Token, topology.ConsistencyAll))
			cancel()
		}
	}
	c.nodes["c"].stop()
	c.nodes["d"].stop()
	eventually(t, "a knows", func() bool { return len(c.nodes["a"].alive()) == 1 })
	key := ""
	for i := 0; key == ""; i++ { // one that neither a nor b lacks
		k := string(rune('a' + i))
		if p := placementOf(c.nodes["a"].engine, record.TableDefault, []byte(k)); c.nodes["a"].place.Holds("a", p) && c.nodes["a"].place.Holds("b", p) {
			key = k
		}
	}
	r, err := c.nodes["a"].put(key, "w", topology.WriteOptions{Consistency: topology.ConsistencyOne})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, c.nodes["b"].WaitReplicated(ctx, r.Token, topology.ConsistencyTwo))
	short, end := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer end()
	err = c.nodes["a"].WaitReplicated(short, r.Token, topology.ConsistencyAll)
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.ErrorContains(t, err, "all is waited for")
}

func TestANodeSaysWhetherItMayBeRestarted(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	_, err := c.nodes["a"].put("k", "v", topology.WriteOptions{})
	require.NoError(t, err)
	eventually(t, "all are spared", func() bool {
		for _, n := range c.running() {
			if n.Restartable() != nil {
				return false
			}
		}
		return true
	})
	c.nodes["c"].stop()
	eventually(t, "a is needed, as c is away", func() bool { return c.nodes["a"].Restartable() != nil })
	require.ErrorIs(t, c.nodes["a"].Restartable(), topology.ErrUnavailable)
	eventually(t, "its status warns", func() bool { return len(c.nodes["a"].Status().Warnings) > 0 })
	c.nodes["c"].start()
	eventually(t, "all are spared again", func() bool { return c.nodes["a"].Restartable() == nil && c.nodes["b"].Restartable() == nil })
}

// What a node alone has acknowledged keeps it up, though all answer.
func TestWhatOnlyANodeHasKeepsItUp(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	a := c.nodes["a"]
	eventually(t, "a is spared", func() bool { return a.Restartable() == nil })
	p := placementOf(a.engine, record.TableDefault, []byte("k"))
	d := version.Dot{Origin: a.place.Origin("a", p, 1), Seq: 1}
	var why error
	require.NoError(t, a.loop.call(func() { // as before the next exchange after a write at one
		for _, id := range []topology.NodeID{"b", "c"} {
			a.loop.keeper.told[id].sets[p] = &version.Set{}
		}
		own := a.loop.core.Applied(p)
		own.Add(d)
		why = (replicas{a.engine}).restartable()
	}))
	require.ErrorIs(t, why, topology.ErrUnavailable)
	require.ErrorContains(t, why, "a read without this node would meet it")
}

func TestResolveFinishesForward(t *testing.T) {
	c := newCluster(t, Options{Replicas: 3}, 3)
	c.startAll()
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	a := c.nodes["a"]
	eventually(t, "a knows", func() bool { return len(a.alive()) == 0 })
	r, err := a.put("k", "v", topology.WriteOptions{Consistency: topology.ConsistencyOne})
	require.NoError(t, err)
	short, end := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer end()
	_, err = a.Resolve(short, r.Dot, 0)
	require.ErrorIs(t, err, topology.ErrTimeout, "it is on one disk, and nobody can say more")
	_, err = a.Resolve(t.Context(), version.Dot{Origin: version.Origin{ID: 1 << 30, Incarnation: 1}, Seq: 1}, 0)
	require.ErrorIs(t, err, topology.ErrMalformed)
	c.nodes["b"].start()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	what, err := c.nodes["b"].Resolve(ctx, r.Dot, 0)
	require.NoError(t, err)
	require.Equal(t, topology.FateApplied, what.Fate)
}
