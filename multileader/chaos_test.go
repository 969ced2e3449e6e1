package multileader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// chaos is a run of random faults over sites of three nodes, of which two have whatever
// is acknowledged on their disks.
type chaos struct {
	*cluster
	rng   *rand.Rand
	leads map[string]string // who was last made leader of a site
	acked []topology.Receipt
	wrote map[string][]topology.Receipt // by key: what was put, and acknowledged
	gone  map[string]bool               // keys that somebody tried to delete
	n     int
}

func TestSitesConvergeAfterEverything(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if s := os.Getenv("TRIAD_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seeds = []uint64{n}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := &chaos{
				cluster: newCluster(t, Options{Group: groupOf(quorum.Any(1))}, 3, "us", "eu", "ap"),
				rng:     rand.New(rand.NewPCG(seed, 0)), leads: map[string]string{}, wrote: map[string][]topology.Receipt{}, gone: map[string]bool{},
			}
			if c.rng.IntN(2) == 0 {
				c.opts.Links.Shape = Ring
			}
			if c.rng.IntN(2) == 0 {
				c.opts.CutEvery = 5 * time.Millisecond
			}
			if c.rng.IntN(3) == 0 {
				c.opts.Links = Links{Shape: Star, Hub: "eu"}
			}
			for _, s := range c.opts.Sites {
				c.leads[s.Name] = s.Name + "1"
			}
			c.startAll()
			for range 60 {
				c.step()
			}
			c.heal()
			c.judge()
		})
	}
}

func (c *chaos) any() string { return c.opts.Sites[c.rng.IntN(len(c.opts.Sites))].Name }

// others are the nodes of a site that were not made its leader.
func (c *chaos) others(site string) (ns []*node) {
	for _, m := range c.list {
		if m.Site == site && string(m.ID) != c.leads[site] {
			ns = append(ns, c.nodes[m.ID])
		}
	}
	return ns
}

// replace makes another node lead a site, or the same one anew: of those that are up,
// one that has everything that was committed says that it may.
func (c *chaos) replace(site string, of ...*node) {
	for _, n := range of {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		_, err := n.Promote(ctx, false)
		cancel()
		if err == nil {
			c.leads[site] = string(n.id)
			return
		}
	}
}

func (c *chaos) leader(site string) *node { return c.nodes[topology.NodeID(c.leads[site])] }

func (c *chaos) step() {
	site := c.any()
	switch x := c.rng.IntN(20); {
	case x < 13:
		c.write(site)
	case x < 15:
		c.apart(site, c.any(), true)
	case x < 17:
		c.apart(site, c.any(), false)
	case x < 19:
		n := c.leader(site)
		if c.rng.IntN(2) == 0 {
			n = c.others(site)[c.rng.IntN(2)]
		}
		n.crash()
		n.start()
	default:
		n := c.leader(site)
		n.stop()
		c.replace(site, c.others(site)...)
		n.start()
	}
}

// write puts a few keys at once. An error may mean anything.
func (c *chaos) write(site string) {
	n := c.leader(site)
	for range 1 + c.rng.IntN(20) {
		c.n++
		key := fmt.Sprint("k", c.rng.IntN(12))
		ctx, cancel := context.WithTimeout(c.t.Context(), 300*time.Millisecond)
		b := batchOf(key, fmt.Sprintf("%s %d", site, c.n))
		if c.rng.IntN(4) == 0 {
			b.Mutations[0].Op, b.Mutations[0].Value = record.OpDelete, nil
			c.gone[key] = true
		}
		r, err := n.Write(ctx, b, topology.WriteOptions{})
		cancel()
		if err != nil {
			c.t.Log(site, n.id, err)
			return
		}
		c.acked = append(c.acked, r)
		if b.Mutations[0].Op == record.OpPut {
			c.wrote[key] = append(c.wrote[key], r)
		}
	}
}

func (c *chaos) heal() {
	for _, a := range c.opts.Sites {
		for _, b := range c.opts.Sites {
			c.apart(a.Name, b.Name, false)
		}
	}
	for _, s := range c.opts.Sites {
		eventually(c.t, s.Name+" is led", func() bool {
			for range 500 {
				if c.leader(s.Name).open() {
					return true
				}
				time.Sleep(time.Millisecond)
			}
			// What was begun and came to nothing is an operator's to end.
			c.replace(s.Name, append(c.others(s.Name), c.leader(s.Name))...)
			return false
		})
	}
}

// judge holds the sites against one another, and against what was acknowledged.
func (c *chaos) judge() {
	start := time.Now()
	c.converged()
	c.t.Logf("%d acknowledged; converged within %v", len(c.acked), time.Since(start))
	n := c.leader("us")
	shown, _ := n.machine.seen.atLeast()
	for _, r := range c.acked {
		require.True(c.t, shown.Has(r.Dot), "write %v was acknowledged", r.Dot)
	}
	for key, rs := range c.wrote {
		r, err := n.Read(c.t.Context(), 1, []byte(key), topology.ReadOptions{})
		if errors.Is(err, topology.ErrNotFound) && c.gone[key] {
			continue
		}
		require.NoError(c.t, err)
		for _, w := range rs {
			require.LessOrEqual(c.t, version.CompareWrites(w.Time, w.Dot, r.Cells[0].Time, r.Cells[0].Dot), 0, "%s holds an older write than one that was acknowledged", key)
		}
	}
}
