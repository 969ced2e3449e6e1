package leaderless

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// written is what a writer knows of its key: each key has one writer, so that its writes
// have an order.
type written struct {
	acked int // the last that was acknowledged
	tried int // the last that was tried
}

// TestNothingAcknowledgedIsLost has writers at all nodes, each of a key of its own, while
// nodes crash, are cut off, and lose their disks one after another.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	const writers, rounds = 6, 8
	c := newCluster(t, Options{Replicas: 3, CallTimeout: time.Second}, 4)
	c.startAll()
	rng := rand.New(rand.NewPCG(7, 7))
	var all [writers]written
	for round := range rounds {
		stop := make(chan struct{})
		var wait sync.WaitGroup
		up := c.running()
		for w := range writers {
			n := up[w%len(up)]
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					k := &all[w]
					k.tried++
					_, err := n.put(fmt.Sprint("k", w), fmt.Sprint(k.tried))
					switch {
					case err == nil:
						k.acked = k.tried
					case errors.Is(err, topology.ErrClosed):
						return
					}
				}
			})
		}
		victim := c.nodes[c.list[rng.IntN(len(c.list))].ID]
		other := c.list[rng.IntN(len(c.list))].ID
		eventually(t, "writes go on", func() bool { return len(victim.alive()) > 0 })
		switch round % 4 {
		case 0:
			victim.crash()
		case 1:
			c.apart(victim.id, other, true)
		case 2:
			victim.wipe()
		case 3:
			victim.stop()
		}
		close(stop)
		wait.Wait()
		c.apart(victim.id, other, false)
		if victim.cancel == nil {
			victim.start()
		}
		c.settled()
		for w := range writers {
			for _, n := range c.running() {
				var got int
				eventually(t, "a read is answered", func() bool {
					v, err := n.get(fmt.Sprint("k", w), topology.ReadOptions{})
					if err == nil {
						_, err = fmt.Sscan(v, &got)
					}
					return err == nil || all[w].acked == 0 && errors.Is(err, topology.ErrNotFound)
				})
				require.GreaterOrEqual(t, got, all[w].acked, "round %d: key %d at %s", round, w, n.id)
				require.LessOrEqual(t, got, all[w].tried)
			}
		}
	}
	c.converged()
}
