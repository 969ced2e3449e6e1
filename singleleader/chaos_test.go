package singleleader

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// ledger is what clients were told.
type ledger struct {
	mu    sync.Mutex
	acked map[string]topology.Receipt
	leads topology.NodeID
	stop  bool
}

func (l *ledger) leader() (topology.NodeID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leads, l.stop
}

// client writes keys of its own to whoever leads until it is told to stop.
func (l *ledger) client(c *testCluster, id int, guard *sync.RWMutex) {
	for i := 0; ; i++ {
		to, stop := l.leader()
		if stop {
			return
		}
		key := fmt.Sprintf("c%d-%d", id, i)
		guard.RLock()
		node := c.nodes[to].engine // it may crash while the write is under way
		guard.RUnlock()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		r, err := node.Write(ctx, record.Batch{Mutations: []record.Mutation{{
			Table: record.TableDefault, Key: []byte(key), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(key),
		}}}, topology.WriteOptions{})
		cancel()
		if err == nil {
			l.mu.Lock()
			l.acked[key] = r
			l.mu.Unlock()
		}
	}
}

// TestNothingAcknowledgedIsLostOverCrashesAndFailovers crashes a random node
// again and again under load, one at a time, and promotes the best of the rest
// when it was the leader. TRIAD_SEED replays a seed.
func TestNothingAcknowledgedIsLostOverCrashesAndFailovers(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TRIAD_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("replay with TRIAD_SEED=%d", seed)
	for _, policy := range []quorum.Policy{quorum.Any(1, "b", "c"), quorum.First(1, "b", "c")} {
		t.Run(policy.String(), func(t *testing.T) { chaos(t, policy, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func chaos(t *testing.T, policy quorum.Policy, rng *rand.Rand) {
	c := newCluster(t, Options{Sync: policy}, "a", "b", "c")
	c.wal.SegmentBytes = 32 << 10
	c.startAll()
	c.leads("a")
	l := &ledger{acked: map[string]topology.Receipt{}, leads: "a"}
	var guard sync.RWMutex // nodes are swapped under it
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { l.client(c, i, &guard) })
	}
	ids := []topology.NodeID{"a", "b", "c"}
	for range 5 {
		progress(t, c, l)
		down := ids[rng.IntN(len(ids))]
		guard.Lock()
		c.nodes[down].crash()
		if down == l.leads {
			c.promoteBest(l, down)
		}
		guard.Unlock()
		if policy.Kind == quorum.KindAny {
			progress(t, c, l)
		}
		guard.Lock()
		c.start(down)
		guard.Unlock()
	}
	progress(t, c, l)
	l.mu.Lock()
	l.stop = true
	l.mu.Unlock()
	wg.Wait()

	lead := c.nodes[l.leads]
	c.leads(l.leads)
	r, err := lead.put("last", "v")
	require.NoError(t, err)
	c.applied(r.LSN, ids...)
	for _, id := range ids {
		for key := range l.acked {
			v, err := c.nodes[id].get(key, topology.ReadOptions{Guarantee: topology.ReadAny})
			require.NoError(t, err, "%s at %s was acknowledged", key, id)
			require.Equal(t, key, v)
		}
	}
	require.Equal(t, c.contents("a"), c.contents("b"))
	require.Equal(t, c.contents("a"), c.contents("c"))
	t.Logf("%d writes acknowledged, term %d", len(l.acked), lead.Status().Term)
}

// progress waits until more is acknowledged.
func progress(t *testing.T, c *testCluster, l *ledger) {
	count := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.acked) }
	from := count()
	defer func() {
		if t.Failed() {
			for id, n := range c.nodes {
				t.Logf("%s: %+v", id, n.Status())
			}
		}
	}()
	eventually(t, "writes are acknowledged", func() bool { return count() > from+20 })
}

// promoteBest promotes the node with the longest log among those that are up.
func (c *testCluster) promoteBest(l *ledger, down topology.NodeID) {
	var last error
	defer func() {
		if c.t.Failed() {
			c.t.Logf("promotion: %v", last)
		}
	}()
	eventually(c.t, "somebody is promoted", func() bool {
		var best *testNode
		for id, n := range c.nodes {
			if id == down {
				continue
			}
			if best == nil || place(best).Behind(place(n)) {
				best = n
			}
		}
		if _, last = best.Promote(context.Background(), false); last != nil {
			return false
		}
		l.mu.Lock()
		l.leads = best.id
		l.mu.Unlock()
		return true
	})
}

func place(n *testNode) (p stream.Place) {
	p.LSN = n.log.Bounds().Flushed
	p.Term, _ = n.log.History().TermAt(p.LSN)
	return p
}

// contents is every cell of the default table.
func (c *testCluster) contents(id topology.NodeID) map[string]string {
	s, err := c.nodes[id].store.Snapshot()
	require.NoError(c.t, err)
	defer s.Close()
	out := map[string]string{}
	for e, err := range s.Scan(record.Cell{}, record.Cell{Table: record.TableFirst}) {
		require.NoError(c.t, err)
		out[string(e.Key)] = string(e.State)
	}
	return out
}

// tally is what came of increments.
type tally struct {
	ledger
	done, open int // acknowledged; and of unknown outcome
}

// count increments a key at whoever leads until it is told to stop.
func (l *tally) count(c *testCluster, guard *sync.RWMutex) {
	for {
		to, stop := l.leader()
		if stop {
			return
		}
		guard.RLock()
		node := c.nodes[to].engine
		guard.RUnlock()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		us := []topology.Update{increment("n"), increment("n")}
		node.Update(ctx, us, topology.WriteOptions{})
		cancel()
		l.mu.Lock()
		for _, u := range us {
			switch {
			case u.Err == nil:
				l.done++
				l.acked[fmt.Sprint(u.Receipt.Term, "/", u.Receipt.LSN)] = u.Receipt
			case topology.OutcomeOf(u.Err) == topology.Unknown:
				l.open++
			}
		}
		l.mu.Unlock()
	}
}

// What is acknowledged is counted once, what is said not to be applied is not,
// and nothing is counted twice, whoever led when.
func TestIncrementsAreCountedOnceOverFailovers(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	l := &tally{ledger: ledger{acked: map[string]topology.Receipt{}, leads: "a"}}
	var guard sync.RWMutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { l.count(c, &guard) })
	}
	wg.Go(func() { l.client(c, 0, &guard) }) // plain writes, between them
	for range 3 {
		progress(t, c, &l.ledger)
		down, _ := l.leader()
		guard.Lock()
		c.nodes[down].crash()
		c.promoteBest(&l.ledger, down)
		c.start(down)
		guard.Unlock()
	}
	progress(t, c, &l.ledger)
	l.mu.Lock()
	l.stop = true
	l.mu.Unlock()
	wg.Wait()
	c.leads(l.leads)
	v, err := c.nodes[l.leads].get("n")
	require.NoError(t, err)
	n, err := strconv.Atoi(v)
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, l.done)
	require.LessOrEqual(t, n, l.done+l.open)
	maps.DeleteFunc(l.acked, func(key string, _ topology.Receipt) bool { return strings.HasPrefix(key, "c0-") })
	require.Len(t, l.acked, l.done, "each is a record of its own")
	t.Logf("%d acknowledged, %d unknown, %d counted", l.done, l.open, n)
}
