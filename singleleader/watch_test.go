package singleleader

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// replay is the checker of PS10: it builds state from a watch, and notes what is
// out of order or comes twice.
type replay struct {
	mu     sync.Mutex
	cells  map[string]string // key to value
	lsns   []record.LSN      // of writes
	token  topology.Token    // the last one
	fault  string
	ended  error
	done   chan struct{}
	cancel context.CancelFunc
}

var everything = []topology.PrefixRange{{Table: record.TableDefault}}

// follow watches in the background until the test ends, or stop is called.
func (n *testNode) follow(o topology.WatchOptions) *replay {
	ctx, cancel := context.WithCancel(context.Background())
	r := &replay{cells: map[string]string{}, done: make(chan struct{}), cancel: cancel}
	if o.Ranges == nil {
		o.Ranges = everything
	}
	watch := n.Watch(ctx, o)
	go func() {
		defer close(r.done)
		for c, err := range watch {
			r.take(c, err)
		}
	}()
	n.c.t.Cleanup(r.stop)
	return r
}

func (r *replay) stop() { r.cancel(); <-r.done }

func (r *replay) take(c topology.Change, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.ended = err
		return
	}
	if c.Kind != topology.ChangeState {
		if c.Token.LSN < r.token.LSN || c.Kind == topology.ChangeWrite && c.Token.LSN == r.token.LSN {
			r.fault += fmt.Sprintf("%d came after %d; ", c.Token.LSN, r.token.LSN)
		}
		r.token = c.Token
	}
	if c.Kind == topology.ChangeWrite {
		r.lsns = append(r.lsns, c.Token.LSN)
	}
	for _, m := range c.Mutations {
		if m.Op == record.OpDelete {
			delete(r.cells, string(m.Key))
		} else {
			r.cells[string(m.Key)] = string(m.Value)
		}
	}
}

// reaches waits until the watch has come to lsn.
func (r *replay) reaches(t testing.TB, lsn record.LSN) {
	t.Helper()
	eventually(t, fmt.Sprint("the watch comes to ", lsn), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		require.NoError(t, r.ended)
		return r.token.LSN >= lsn
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.fault)
}

// ends waits until the watch has ended, and returns why.
func (r *replay) ends(t testing.TB) error {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		t.Fatal("the watch goes on")
	}
	return r.ended
}

// contents are what a node's store shows of the default table.
func (n *testNode) contents() map[string]string {
	all := map[string]string{}
	for c, err := range n.Scan(n.c.t.Context(), record.TableDefault, nil, nil, topology.ReadOptions{Guarantee: topology.ReadAny}) {
		require.NoError(n.c.t, err)
		all[string(c.Key)] = string(c.Value)
	}
	return all
}

func (n *testNode) remove(key string) (topology.Receipt, error) {
	return n.Write(n.c.t.Context(), record.Batch{Mutations: []record.Mutation{{
		Table: record.TableDefault, Key: []byte(key), Op: record.OpDelete, Kind: record.KindBytes,
	}}}, topology.WriteOptions{})
}

// load writes and removes keys from several goroutines, and returns the LSNs.
func (n *testNode) load(t testing.TB, rounds int) (lsns []record.LSN) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for i := range rounds {
				key := fmt.Sprint("k", (i*7+g)%20)
				r, err := n.put(key, fmt.Sprint(g, "-", i))
				if i%5 == 4 {
					r, err = n.remove(key)
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				lsns = append(lsns, r.LSN)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return lsns
}

func TestAWatchIsOrderedUniqueAndGaplessAcrossAFailover(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b", "c")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	c.nodes["a"].load(t, 20)
	watches := map[topology.NodeID]*replay{}
	for _, id := range []topology.NodeID{"b", "c"} {
		watches[id] = c.nodes[id].follow(topology.WatchOptions{State: true})
	}
	acked := c.nodes["a"].load(t, 50)
	c.nodes["a"].crash()
	best := topology.NodeID("b")
	if c.nodes["c"].Status().Flushed > c.nodes["b"].Status().Flushed {
		best = "c"
	}
	_, err := c.nodes[best].Promote(t.Context(), false)
	require.NoError(t, err)
	acked = append(acked, c.nodes[best].load(t, 50)...)
	last, err := c.nodes[best].put("last", "v")
	require.NoError(t, err)
	for id, w := range watches {
		w.reaches(t, last.LSN)
		c.applied(last.LSN, id)
		require.Equal(t, c.nodes[id].contents(), w.cells, id)
		seen := map[record.LSN]int{}
		for _, lsn := range w.lsns {
			seen[lsn]++
		}
		for _, lsn := range acked {
			if lsn > w.lsns[0] {
				require.Equal(t, 1, seen[lsn], "%s: entry %d", id, lsn)
			}
		}
	}
	// Whoever followed the old leader goes on at another node, by the token.
	mid := watches["b"].lsns[len(watches["b"].lsns)/2]
	c.start("a")
	c.applied(last.LSN, "a")
	term, _ := c.nodes["a"].log.History().TermAt(mid)
	again := c.nodes["a"].follow(topology.WatchOptions{From: topology.Token{Origin: last.Token.Origin, Term: term, LSN: mid}})
	again.reaches(t, last.LSN)
	require.Equal(t, watches["b"].lsns[len(watches["b"].lsns)/2+1:], again.lsns, "a token is resumed behind, and nothing is left out")
}

func TestAWatchFromNowBeginsWithItsPosition(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("before", "v", topology.WriteOptions{Durability: topology.Applied})
	require.NoError(t, err)
	w := c.nodes["a"].follow(topology.WatchOptions{})
	w.reaches(t, r.LSN)
	require.Empty(t, w.lsns)
	after, err := c.nodes["a"].put("after", "v")
	require.NoError(t, err)
	w.reaches(t, after.LSN)
	require.Equal(t, []record.LSN{after.LSN}, w.lsns)
}

func TestAWatchYieldsWhatIsInItsRangesAlone(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	n := c.nodes["a"]
	_, err := n.put("net/a", "1")
	require.NoError(t, err)
	_, err = n.put("os/a", "1", topology.WriteOptions{Durability: topology.Applied})
	require.NoError(t, err)
	w := n.follow(topology.WatchOptions{Ranges: []topology.PrefixRange{{Table: record.TableDefault, Prefix: []byte("net/")}}, State: true, Progress: true})
	_, err = n.put("net/b", "1")
	require.NoError(t, err)
	r, err := n.put("os/b", "1")
	require.NoError(t, err)
	w.reaches(t, r.LSN)
	require.Equal(t, map[string]string{"net/a": "1", "net/b": "1"}, w.cells)
	require.Len(t, w.lsns, 1)
}

func TestAWatchDoesNotYieldWhatIsNotCommitted(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.All()}, "a", "b")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "v", topology.WriteOptions{Durability: topology.Applied})
	require.NoError(t, err)
	w := c.nodes["a"].follow(topology.WatchOptions{})
	w.reaches(t, r.LSN)
	c.nodes["b"].stop()
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		_, err := c.nodes["a"].Write(ctx, batchOf("k", "uncommitted"), topology.WriteOptions{})
		written <- err
	}()
	require.NoError(t, c.nodes["a"].log.Wait(t.Context(), r.LSN), "it is in the log")
	// A watch that begins here looks through the log at once.
	other := c.nodes["a"].follow(topology.WatchOptions{From: topology.Token{Origin: r.Token.Origin, Term: 1, LSN: r.LSN - 1}})
	other.reaches(t, r.LSN)
	require.Equal(t, []record.LSN{r.LSN}, other.lsns)
	require.Empty(t, w.lsns)
	c.start("b")
	require.NoError(t, <-written)
	cancel()
	w.reaches(t, r.LSN+1)
	other.reaches(t, r.LSN+1)
	require.Equal(t, "uncommitted", w.cells["k"])
}

func TestAWatchFromBeforeTheLogIsCompacted(t *testing.T) {
	b := newBehind(t)
	a := b.nodes["a"]
	origin := a.group.Load().Origin
	w := a.follow(topology.WatchOptions{From: topology.Token{Origin: origin, Term: 1, LSN: 5}})
	require.ErrorIs(t, w.ends(t), topology.ErrCompacted)
	require.Empty(t, w.lsns, "nothing is skipped to")
	require.Contains(t, w.ended.Error(), fmt.Sprint("the log begins at ", a.log.Bounds().First))
	// The last position before the log's beginning is good.
	first := a.log.Bounds().First
	w = a.follow(topology.WatchOptions{From: topology.Token{Origin: origin, Term: 1, LSN: first - 1}})
	w.reaches(t, a.log.Bounds().End)
	require.Equal(t, first, w.lsns[0])
}

func TestASnapshotInstalledUnderAWatchIsNotAGapThatNobodyHearsOf(t *testing.T) {
	b := newBehind(t)
	b.nodes["b"].start()
	b.snapshotted(t)
}

// snapshotted watches at b, which is about to be given a snapshot, from what it shows.
func (b *behind) snapshotted(t *testing.T) {
	n := b.nodes["b"]
	w := n.follow(topology.WatchOptions{From: topology.Token{Origin: b.nodes["a"].group.Load().Origin, Term: 1, LSN: b.end() - 1}})
	err := w.ends(t)
	require.ErrorIs(t, err, topology.ErrCompacted)
	for i, lsn := range w.lsns {
		require.Equal(t, b.end()+record.LSN(i), lsn)
	}
	// From the state there is no gap.
	again := n.follow(topology.WatchOptions{State: true})
	b.write(50)
	end := b.nodes["a"].Status().End
	again.reaches(t, end)
	require.Equal(t, n.contents(), again.cells)
}

func TestAWatchOfWhatWasTakenBackIsRewound(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b")
	c.startAll()
	c.leads("a")
	r, err := c.nodes["a"].put("k", "shared")
	require.NoError(t, err)
	c.applied(r.LSN, "b")
	c.nodes["b"].stop()
	for range 3 {
		_, err = c.nodes["a"].put("k", "only at a")
		require.NoError(t, err)
	}
	w := c.nodes["a"].follow(topology.WatchOptions{From: r.Token})
	w.reaches(t, r.LSN+3)
	lost := w.token
	w.stop()
	c.nodes["a"].stop()
	c.start("b")
	_, err = c.nodes["b"].Promote(t.Context(), true)
	require.NoError(t, err)
	r2, err := c.nodes["b"].put("other", "v")
	require.NoError(t, err)
	w = c.nodes["b"].follow(topology.WatchOptions{From: lost})
	for range 5 {
		_, err = c.nodes["b"].put("more", "v")
		require.NoError(t, err)
	}
	require.ErrorIs(t, w.ends(t), topology.ErrRewound)
	w = c.nodes["b"].follow(topology.WatchOptions{From: r.Token})
	w.reaches(t, r2.LSN)
	require.Equal(t, map[string]string{"other": "v", "more": "v"}, drop(w, "k"))
}

func drop(r *replay, key string) map[string]string {
	r.stop()
	delete(r.cells, key)
	return r.cells
}

func TestASlowWatchHoldsOneBatchAndIsWaitedFor(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	n := c.nodes["a"]
	first, err := n.put("k", "v", topology.WriteOptions{Durability: topology.Applied})
	require.NoError(t, err)
	w := watch{e: n.engine, o: &topology.WatchOptions{Ranges: everything}, at: first.Token, hold: n.watched.take(first.LSN + 1)}
	defer n.watched.drop(w.hold)
	var last topology.Receipt
	for range watchEntriesMax + 10 {
		last, err = n.put("k", strings.Repeat("v", 10))
		require.NoError(t, err)
	}
	c.applied(last.LSN, "a")
	require.NoError(t, w.read(t.Context()))
	require.Len(t, w.batch, watchEntriesMax)
	for range 3 {
		last, err = n.put("k", strings.Repeat("v", watchBytesMax))
		require.NoError(t, err)
	}
	c.applied(last.LSN, "a")
	w.at.LSN = last.LSN - 3
	require.NoError(t, w.read(t.Context()))
	require.Len(t, w.batch, 1, "the bytes of a batch are bounded too")
	require.Equal(t, first.LSN+1, n.Retain(math.MaxInt64), "retention leaves what a watch needs")
	n.o.RetainBytesMax = 1 << 10
	require.Equal(t, last.LSN+1, n.Retain(math.MaxInt64), "within the budget")
}

func TestAWatchOfNothingOrOfTooMuchIsRefused(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	token := topology.Token{LSN: 1}
	for _, tc := range []struct {
		o    topology.WatchOptions
		want error
	}{
		{topology.WatchOptions{Ranges: []topology.PrefixRange{}}, topology.ErrMalformed},
		{topology.WatchOptions{Ranges: make([]topology.PrefixRange, topology.WatchRangesMax+1)}, topology.ErrTooLarge},
		{topology.WatchOptions{Ranges: []topology.PrefixRange{{Prefix: make([]byte, record.KeyBytesMax+1)}}}, topology.ErrTooLarge},
		{topology.WatchOptions{From: token, State: true}, topology.ErrMalformed},
		{topology.WatchOptions{From: token}, topology.ErrMalformed}, // of another origin
	} {
		w := c.nodes["a"].follow(tc.o)
		require.ErrorIs(t, w.ends(t), tc.want)
	}
}

func TestAWatchEndsWithItsContextAndWithItsNode(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	w, other := c.nodes["a"].follow(topology.WatchOptions{Progress: true}), c.nodes["a"].follow(topology.WatchOptions{State: true, Progress: true})
	w.reaches(t, 1)
	other.reaches(t, 1)
	w.cancel()
	require.ErrorIs(t, w.ends(t), topology.ErrTimeout)
	require.ErrorIs(t, w.ended, context.Canceled)
	c.nodes["a"].stop()
	require.ErrorIs(t, other.ends(t), topology.ErrClosed)
}
