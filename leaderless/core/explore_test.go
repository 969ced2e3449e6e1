package core_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var (
	seeds = flag.Int("seeds", 150, "how many schedules to explore")
	seed  = flag.Uint64("seed", 0, "the one schedule to explore")
)

// reached counts what the schedules came by, over all of them.
type reached map[string]uint64

// world is one schedule: five nodes, eight partitions of three copies, clients
// that wait for one answer at a time, and a network that loses, copies and
// reorders.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	net     *network
	hits    reached
	write   quorum.Consistency
	read    quorum.Consistency
	repair  core.Repair
	keeps   bool // siblings
	clients []*client
	now     int
	puts    []*call
	gets    []*call
}

// client has one request under way, and keeps what it read last of each key.
type client struct {
	call *call
	seen map[string]core.Context
}

// call is a request and when it was asked and answered, in steps.
type call struct {
	*request
	asked, ended int
}

func (c *call) key() string {
	if c.event.Kind == core.EvPut {
		return string(c.event.Mutations[0].Key)
	}
	return string(c.event.Range.Key)
}

func newWorld(t *testing.T, seed uint64, hits reached) *world {
	rng := rand.New(rand.NewPCG(seed, 2))
	place, err := placement.New(1, []topology.NodeID{"a", "b", "c", "d", "e"}, 8, 3, 1)
	require.NoError(t, err)
	w := &world{t: t, rng: rng, net: newNetwork(place), hits: hits}
	levels := []quorum.Consistency{quorum.AtQuorum, quorum.AtQuorum, quorum.AtOne, quorum.AtAll}
	w.write, w.read = levels[rng.IntN(4)], levels[rng.IntN(4)]
	w.repair = core.Repair(rng.IntN(4))
	if w.repair == core.RepairWriteBack && !w.strict() {
		w.repair = core.RepairBlocking
	}
	w.keeps = rng.IntN(3) == 0
	limits := core.Limits{Requests: 1 + rng.IntN(4), Unflushed: 1 + rng.IntN(6), Fill: 1 + rng.IntN(3)}
	for _, n := range place.Nodes() {
		cfg := core.Config{Self: n, Map: place, Incarnation: 1, Limits: limits, MaxSkew: 100 * time.Millisecond}
		if w.keeps {
			cfg.Keeps = func(record.TableID) bool { return true }
		}
		w.net.add(cfg)
	}
	w.net.ended = func(r *request) {
		for _, c := range w.clients {
			if c.call != nil && c.call.request == r {
				w.ended(c)
			}
		}
	}
	for range 3 {
		w.clients = append(w.clients, &client{seen: map[string]core.Context{}})
	}
	return w
}

// strict reports whether reads must see what was acknowledged.
func (w *world) strict() bool { return w.write.Needed(3)+w.read.Needed(3) > 3 }

func (w *world) any() *host { return w.net.hosts[w.rng.IntN(len(w.net.hosts))] }

func (w *world) step() {
	w.now++
	h := w.any()
	if w.rng.IntN(60) == 0 {
		h.full = !h.full
	}
	switch p := w.rng.IntN(100); {
	case p < 15:
		w.ask(w.clients[w.rng.IntN(len(w.clients))], h)
	case p < 40:
		if h.core != nil {
			h.step(core.Event{Kind: core.EvFlushed, LSN: h.core.Flushed + record.LSN(w.rng.IntN(4))})
		}
	case p < 90:
		w.deliver()
	case p < 93:
		h.wall = h.wall.Add(time.Duration(w.rng.IntN(100)-20) * time.Millisecond)
		if w.rng.IntN(20) == 0 {
			h.wall = h.wall.Add(time.Duration(w.rng.IntN(600)-300) * time.Millisecond)
		}
		h.step(core.Event{Kind: core.EvTick})
	case p < 96:
		if c := w.clients[w.rng.IntN(len(w.clients))]; c.call != nil {
			w.hurry(c)
		}
	case p < 97:
		h.step(core.Event{Kind: core.EvAlive, Nodes: w.guess()})
	default:
		if h.core == nil || w.rng.IntN(4) == 0 {
			w.crash(h)
		}
	}
	w.check(h)
}

// ask begins a client's next request.
func (w *world) ask(c *client, h *host) {
	if c.call != nil || h.core == nil {
		return
	}
	key := string("xyz"[w.rng.IntN(3)])
	name := fmt.Sprint(len(w.puts) + len(w.gets))
	if w.rng.IntN(2) == 0 {
		c.call = &call{request: getOf(name, key, w.read, w.repair), asked: w.now}
		c.call.event.Met = w.write
		w.gets = append(w.gets, c.call)
	} else {
		value, seen := name, core.Context{}
		if w.rng.IntN(8) == 0 {
			value = ""
		}
		if w.rng.IntN(2) == 0 {
			seen = c.seen[key]
		}
		c.call = &call{request: putOf(name, key, value, w.write, seen), asked: w.now}
		if c.call.event.Met = w.read; w.repair == core.RepairWriteBack {
			c.call.event.Repair = core.RepairWriteBack
		}
		w.puts = append(w.puts, c.call)
	}
	h.serve(c.call.request)
}

// hurry ends a client's wait, or asks more replicas for it. A request that was on
// a node that is gone is never answered.
func (w *world) hurry(c *client) {
	h, kind := w.net.host(c.call.at), core.EvDeadline
	if w.rng.IntN(2) == 0 {
		kind = core.EvHedge
	}
	if h.core != nil && h.requests[c.call.op] == c.call.request {
		h.step(core.Event{Kind: kind, Op: c.call.op})
		return
	}
	w.hits["requests that died with their node"]++
	c.call.ended = w.now
	c.call = nil
}

// ended judges a read at its end, and lets the client go on.
func (w *world) ended(c *client) {
	k := c.call
	c.call, k.ended = nil, w.now
	switch {
	case k.answer.Err != nil:
		w.hits[topology.OutcomeOf(k.answer.Err).String()]++
	case k.event.Kind == core.EvPut:
		w.hits["acknowledged writes"]++
		w.after(k)
	default:
		w.hits["answered reads"]++
		c.seen[k.key()] = k.answer.Context
		w.judge(k)
	}
}

// judge holds what a read promises: regular reads where W + R > N, monotonic ones
// with blocking repair.
func (w *world) judge(k *call) {
	if w.keeps {
		w.judgeKept(k)
		return
	}
	got := wins(k.answer.State())
	if w.strict() {
		for _, p := range w.puts {
			if p.key() == k.key() && p.answer != nil && p.answer.Err == nil && p.ended < k.asked {
				require.GreaterOrEqual(w.t, w.compare(got, p.answer.Dot), 0, "read %s of %s found %v, and %v was acknowledged before", k.name, k.key(), got.Dot, p.answer.Dot)
				w.hits["reads behind a write"]++
			}
		}
	}
	if w.repair >= core.RepairBlocking {
		for _, g := range w.gets {
			if g.key() == k.key() && g.answer != nil && g.answer.Err == nil && g.ended < k.asked {
				require.GreaterOrEqual(w.t, w.compare(got, wins(g.answer.State()).Dot), 0, "read %s of %s found %v after read %s had found %v", k.name, k.key(), got.Dot, g.name, wins(g.answer.State()).Dot)
				w.hits["reads behind a read"]++
			}
		}
	}
}

// after holds that with write-back a write sorts after all that was acknowledged, or
// read, before it began.
func (w *world) after(k *call) {
	if w.repair != core.RepairWriteBack {
		return
	}
	at := record.Version{Dot: k.answer.Dot, Time: k.answer.Time}
	for _, p := range w.puts {
		if p.key() == k.key() && p.answer != nil && p.answer.Err == nil && p.ended < k.asked {
			require.Positive(w.t, version.CompareWrites(at.Time, at.Dot, p.answer.Time, p.answer.Dot), "write %s does not sort after write %s, which was acknowledged before", k.name, p.name)
			w.hits["writes behind a write"]++
		}
	}
}

// compare orders a version and the write of a dot, wherever a log holds it.
func (w *world) compare(v record.Version, d version.Dot) int {
	if d.IsZero() {
		return 1
	}
	for _, h := range w.net.hosts {
		for _, e := range h.log {
			if r, err := e.Record(); err == nil && r.Dot == d {
				if v.Dot.IsZero() {
					return -1
				}
				return conflict.Compare(v, conflict.VersionOf(&r, &r.Mutations[0]))
			}
		}
	}
	require.Fail(w.t, "no log holds", "%v", d)
	return 0
}

func (w *world) guess() (alive []topology.NodeID) {
	for _, n := range w.net.place.Nodes() {
		if w.rng.IntN(6) > 0 {
			alive = append(alive, n)
		}
	}
	return alive
}

func (w *world) deliver() {
	var busy [][2]topology.NodeID
	for _, a := range w.net.hosts {
		for _, b := range w.net.hosts {
			if pair := [2]topology.NodeID{a.name, b.name}; len(w.net.queues[pair]) > 0 {
				busy = append(busy, pair)
			}
		}
	}
	if len(busy) == 0 {
		return
	}
	pair := busy[w.rng.IntN(len(busy))]
	n, i := len(w.net.queues[pair]), 0
	if w.rng.IntN(3) == 0 {
		i = w.rng.IntN(n)
	}
	if w.rng.IntN(12) == 0 {
		w.net.queues[pair] = slices.Delete(slices.Clone(w.net.queues[pair]), i, i+1)
		w.hits["lost messages"]++
		return
	}
	w.net.deliver(pair[0], pair[1], i, w.rng.IntN(8) == 0)
}

func (w *world) crash(h *host) {
	if h.core == nil {
		h.start()
		return
	}
	if h.core.End > h.core.Flushed {
		w.hits["crashes that lost a tail"]++
	}
	w.count(h)
	h.crash()
}

func (w *world) count(h *host) {
	c := h.core.Counts
	for name, n := range map[string]uint64{
		"taken": c.Taken, "duplicates": c.Duplicates, "repairs": c.Repairs, "repaired": c.Repaired, "filled": c.Filled,
		"second rounds": c.Second, "refused for their time": c.Skewed, "lost to a later writer": uint64(len(h.lost)),
	} {
		w.hits[name] += n
	}
	require.Zero(w.t, c.Void)
}

// check holds what is true of a node at any moment.
func (w *world) check(h *host) {
	if h.core == nil {
		return
	}
	require.LessOrEqual(w.t, int(h.core.End-h.core.Flushed), h.cfg.Limits.Unflushed)
	require.LessOrEqual(w.t, h.core.Busy(), h.cfg.Limits.Requests)
	require.Equal(w.t, h.recount(), len(h.lost), "what is counted as lost is what was lost")
}
