package sites

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
)

// World is the multi-leader topology.
var World = sim.World{
	Name: "sites",
	New:  func(s *sim.Sim) sim.Cluster { return build(s) },
	Reaches: []string{
		"a gap was asked for", "a gap was filled", "an origin was parked", "a log took nothing", "a write was lost to a later one",
		"a site burnt", "writes burnt with their site", "a queue was full", "a record came twice", "a shipment was sent again",
		"a write was refused", "a write ended unknown",
	},
}

// cluster is some sites under one seed.
type cluster struct {
	s       *sim.Sim
	c       config
	nodes   []*node
	clients []*client
	ledger  *ledger

	asked  int
	acked  int // writes
	healed int // how many of them before the faults were over
	still  bool

	righted struct { // when the clocks were set right, and to what
		now  time.Duration
		wall time.Time
	}
}

func build(s *sim.Sim) *cluster {
	w := &cluster{s: s, c: draw(s)}
	w.ledger = newLedger(w)
	for i := range w.c.sites {
		w.addNode(i)
	}
	for i := range w.c.clients {
		w.clients = append(w.clients, &client{w: w, at: w.nodes[i%w.c.sites]})
	}
	s.Say("", "%+v", w.c)
	s.Fault(sim.Fault{Name: "a site burns", Weight: 1, Do: func() (func(), bool) {
		n := w.nodes[s.Rand.IntN(len(w.nodes))]
		if n.life > 2 {
			return nil, false
		}
		s.Reach("a site burnt")
		n.burn()
		return nil, true
	}})
	return w
}

func (w *cluster) site(name core.Site) *node {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.name == name })]
}

// Begin implements sim.Cluster.
func (w *cluster) Begin() {
	for _, n := range w.nodes {
		n.m.Start()
	}
	for _, c := range w.clients {
		c.next()
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
	w.righted.wall, w.righted.now = at.Add(time.Second), w.s.Now()
	w.healed = w.acked
}

// Progress implements sim.Cluster.
func (w *cluster) Progress() bool { return w.acked >= w.healed+2*len(w.clients) }

// Settle implements sim.Cluster: nobody waits, and all sites hold the same records.
func (w *cluster) Settle() bool {
	w.still = true
	if slices.ContainsFunc(w.clients, func(c *client) bool { return c.busy }) {
		return false
	}
	for _, n := range w.nodes {
		p := n.live()
		if p == nil || p.core.Commit() < p.core.End() || !slices.Equal(p.core.Marks(), w.nodes[0].p.core.Marks()) {
			return false
		}
	}
	return true
}

// Check implements sim.Cluster.
func (w *cluster) Check() { w.ledger.final() }
