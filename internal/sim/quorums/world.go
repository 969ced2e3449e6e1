package quorums

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// World is the leaderless topology.
var World = sim.World{
	Name: "quorums",
	New:  func(s *sim.Sim) sim.Cluster { return build(s, false) },
	Reaches: []string{
		"a request was passed on", "a request ended unknown", "a request was refused: too few are alive",
		"a request was refused: too much is under way", "a record came by an exchange", "a clock was too far ahead",
		"a read stood behind a write", "a read stood behind a read", "a value came in a second round", "a replica was repaired",
		"a move finished", "a fill was cut and begun anew", "an old map was refused",
		"a write was acknowledged while its partition moved",
		"a write was lost to a later one", "a put heard first how late its key was", "a history of registers was judged", "a read was stale, as its level says", "a delete was forgotten",
	},
}

// Returning is World where nodes leave too, are weighed, and changes are taken back, so
// that nodes come back to what they held before. It is not among those that are held to
// everything: what it finds is open (docs/testing.md).
var Returning = sim.World{
	Name: "returning",
	New:  func(s *sim.Sim) sim.Cluster { return build(s, true) },
}

// cluster is five nodes under one seed.
type cluster struct {
	s       *sim.Sim
	c       config
	chart   *chart
	nodes   []*node
	clients []*client
	ledger  *ledger
	told    *history.Recorder
	numbers uint64 // of clients
	stale   int    // reads that missed a write acknowledged before them, as weak levels may

	asked  int
	acked  int // puts
	read   int
	healed struct{ acked, read int } // when the faults were over
	still  bool                      // the clients have stopped

	righted struct { // when the clocks were set right, and to what
		now  time.Duration
		wall time.Time
	}
}

func build(s *sim.Sim, back bool) *cluster {
	w := &cluster{s: s, c: draw(s)}
	w.c.moving.back = back
	m, err := placement.New(1, names, partitions, copies, 1)
	if err != nil {
		s.Fail("floor", "%v", err)
	}
	w.chart = newChart(m)
	w.ledger = newLedger(w)
	for _, id := range names {
		w.addNode(id, m)
	}
	if w.c.moving.on {
		for _, id := range spares {
			w.addNode(id, nil)
		}
	}
	w.told = history.NewRecorder(s.Now)
	for range w.c.clients {
		w.numbers++
		w.clients = append(w.clients, &client{w: w, number: w.numbers, seen: map[string]core.Context{}})
	}
	s.Say("", "%+v", w.c)
	return w
}

func (w *cluster) node(id topology.NodeID) *node {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.id == id })]
}

// Begin implements sim.Cluster.
func (w *cluster) Begin() {
	for _, n := range w.nodes {
		n.m.Start()
	}
	for _, c := range w.clients {
		c.next()
	}
	if w.c.moving.on {
		w.operate()
	}
}

// Heal implements sim.Cluster: an operator sets all clocks to the foremost, so
// that nothing that was written is in the future any more.
func (w *cluster) Heal() {
	at := w.ledger.latest.Time()
	for _, n := range w.nodes {
		if t := n.wall(); t.After(at) {
			at = t
		}
	}
	w.c.wrong = 0
	w.righted.wall, w.righted.now = at.Add(time.Second), w.s.Now()
	w.healed.acked, w.healed.read = w.acked, w.read
}

// Progress implements sim.Cluster.
func (w *cluster) Progress() bool {
	return w.acked >= w.healed.acked+len(w.clients) && w.read >= w.healed.read+len(w.clients)
}

// Settle implements sim.Cluster: nobody waits, and the replicas of every partition
// have applied the same.
func (w *cluster) Settle() bool {
	w.still = true
	if slices.ContainsFunc(w.clients, func(c *client) bool { return c.busy }) {
		return false
	}
	m := w.chart.now
	if moves(m) {
		return false
	}
	for _, n := range w.nodes {
		if n.place == nil && !slices.Contains(m.Nodes(), n.id) {
			continue // it has never come
		}
		p := n.live()
		if p == nil || n.place.Epoch() < m.Epoch() || p.core.Busy() > 0 || p.core.Flushed < p.core.End {
			return false
		}
	}
	for q := range partitions {
		replicas := m.Replicas(q)
		for _, id := range replicas {
			for _, other := range replicas {
				if !w.has(id, other, q) {
					return false
				}
			}
		}
	}
	return true
}

// has reports whether a node has applied all of a partition that another one has, but for
// what that one has learnt with the states of keys and no replica has the record of.
func (w *cluster) has(id, other topology.NodeID, q int) bool {
	lacks := w.node(other).p.core.Applied(q).Missing(w.node(id).p.core.Applied(q), 1<<20)
	return !slices.ContainsFunc(lacks, func(d version.Dot) bool { return !w.c.moving.on || w.recorded(d, q) })
}

// recorded reports whether a replica has the record of a write, and can hand it on.
func (w *cluster) recorded(d version.Dot, q int) bool {
	return slices.ContainsFunc(w.chart.now.Replicas(q), func(id topology.NodeID) bool { return w.node(id).p.index[d] > 0 })
}

// Check implements sim.Cluster.
func (w *cluster) Check() {
	w.ledger.final()
	w.judge()
}

// judgeMax bounds the search for an order of one key's operations, in real time.
const judgeMax = 3 * time.Second

// judge gives what clients were told to the checkers: with write-back every key is a
// linearizable register (PL2). What weak levels miss is counted.
func (w *cluster) judge() {
	if w.stale > 0 {
		w.s.Note("", "stale reads", uint64(w.stale), uint64(w.read))
	}
	if !w.c.linear() {
		return
	}
	c, err := check.New(check.Rules{}, w.told.Ops())
	if err != nil {
		w.s.Fail("floor", "what clients were told is no history: %v", err)
		return
	}
	r := c.Linearizable(judgeMax)
	for _, why := range r.Violations {
		w.s.Fail("PL2", "%v", why)
	}
	if len(r.Undecided) > 0 {
		w.s.Say("", "undecided: %v", r.Undecided)
	}
	if r.Judged > 0 {
		w.s.Reach("a history of registers was judged")
	}
}
