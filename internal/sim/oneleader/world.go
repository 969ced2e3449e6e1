package oneleader

import (
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// World is the single-leader topology.
var World = sim.World{
	Name: "single-leader",
	New:  func(s *sim.Sim) sim.Cluster { return build(s) },
	Reaches: []string{
		"a condition did not hold",
		"a diverged tail was rewound",
		"a follower answered a linearizable read",
		"a follower fed another",
		"a follower refused an old term",
		"a half-open connection was given up",
		"a leader stepped down",
		"a leader's clock was ahead",
		"a log was trimmed",
		"a node came back with an empty directory",
		"a retry came when its first was forgotten",
		"a retry got the first answer",
		"a retry joined its first",
		"a retry was known to another leader",
		"a node died between a flush and its ack",
		"a snapshot was installed",
		"a snapshot was sent during a partition",
		"a sync failed",
		"a term was accepted by others and must not be started",
		"a term was not accepted",
		"a term was started and never committed",
		"a torn tail was cut",
		"a write ended unknown with its leader's term",
		"an operator changed the leader",
		"damage was found",
		"logs met after more than one question",
		"the disk was full",
		"the power failed under a call of the disk",
	},
}

// Elections is the same topology with a control that nodes agree through: who leads
// and who is in sync is theirs to find out.
var Elections = sim.World{
	Name: "elections",
	New:  func(s *sim.Sim) sim.Cluster { return buildAgreed(s) },
	Reaches: []string{
		"a diverged tail was rewound",
		"a follower answered a linearizable read",
		"a follower fed another",
		"a group went back to a point of its past",
		"what was committed was given up",
		"a change of the members outlived its leader",
		"a leader handed over",
		"a leader stepped down",
		"a member was added",
		"a member was removed",
		"a node came back with an empty directory",
		"a node was elected",
		"a snapshot was installed",
		"a swap of the document came too late",
		"a swap of the document ended unknown",
		"a term was started and never committed",
		"a torn tail was cut",
		"a write ended unknown with its leader's term",
		"the in-sync set changed",
		"too few were in sync",
	},
}

// Leases is that in which leaders may answer reads by themselves for a while, and
// clocks run apart.
var Leases = sim.World{
	Name: "leases",
	New:  func(s *sim.Sim) sim.Cluster { return buildLeased(s) },
	Reaches: []string{
		"a follower answered a linearizable read",
		"a leader handed over",
		"a leader that was replaced answered by its lease",
		"a leader waited for another's lease",
		"a node was elected",
		"a read was served from a lease",
		"a swap of the document ended unknown",
		"a term was started and never committed",
		"an election lost what was acknowledged",
		"the in-sync set changed",
		"too few were in sync",
	},
}

// cluster is the group under one seed.
type cluster struct {
	s       *sim.Sim
	c       config
	enc     *record.Encoder
	nodes   []*node
	clients []*client
	ledger  *ledger
	agreed  *agreed // nil where people say who leads

	told     *history.Recorder
	numbers  int // of clients, and of who took the place of one that does not know
	ops      int
	acked    int           // writes
	healed   int           // how many of them before the faults were over
	progress time.Duration // when the last one was
	commits  record.LSN    // the greatest commit LSN of a leader
	stuck    int           // how often nobody could be made leader
	forcing  time.Duration // until then a leader is being forced
	still    bool          // the clients have stopped
}

func build(s *sim.Sim) *cluster {
	return populate(&cluster{s: s, c: draw(s), enc: record.NewEncoder()})
}

func buildAgreed(s *sim.Sim) *cluster {
	w := &cluster{s: s, c: draw(s), enc: record.NewEncoder()}
	w.c.agree(s)
	w.addAgreed()
	return populate(w)
}

func buildLeased(s *sim.Sim) *cluster {
	w := &cluster{s: s, c: draw(s), enc: record.NewEncoder()}
	w.c.agree(s)
	w.c.lend(s)
	w.addAgreed()
	return populate(w)
}

func populate(w *cluster) *cluster {
	s := w.s
	w.ledger = newLedger(w)
	w.told = history.NewRecorder(s.Now)
	for _, id := range slices.Concat(w.c.nodes, w.c.spare) {
		w.addNode(id)
	}
	for i := range w.c.clients + w.c.readers {
		w.addClient()
		w.clients[i].reads = i >= w.c.clients
	}
	s.Say("", "%+v", w.c)
	w.faults()
	return w
}

func (w *cluster) node(id topology.NodeID) *node {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.id == id })]
}

// whole reports whether everybody hears everybody.
func (w *cluster) whole() bool {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if !w.s.Net.Open(a.m, b.m) {
				return false
			}
		}
	}
	return true
}

// faults are those of this world: an operator who changes the leader for no
// reason, disks that are lost or rot. The last two befall one node at a time,
// which must have caught up before the next.
func (w *cluster) faults() {
	w.s.Fault(sim.Fault{Name: "an operator changes the leader", Weight: 5, Do: func() (func(), bool) {
		p := w.nodes[w.s.Rand.IntN(len(w.nodes))].live()
		if p == nil {
			return nil, false
		}
		if w.agreed != nil {
			p.council.told()
			return nil, true
		}
		p.ballot.promote(core.Chosen, func(err error) {
			if err == nil {
				w.s.Reach("an operator changed the leader")
			}
		})
		return nil, true
	}})
	whole := func() bool {
		return w.c.sync.Kind != quorum.KindAsync && w.commits > 0 && (w.agreed == nil || !w.thin()) &&
			!slices.ContainsFunc(w.nodes, func(n *node) bool {
				return w.isMember(n) && (n.repair || n.damaged || w.ledger.rotten[n])
			})
	}
	if w.agreed != nil {
		w.changeMembers()
		w.restores()
	}
	w.s.Fault(sim.Fault{Name: "a disk is lost", Weight: 2, Do: func() (func(), bool) {
		n := w.nodes[w.s.Rand.IntN(len(w.nodes))]
		if !whole() {
			return nil, false
		}
		n.damaged = true
		n.m.Exit()
		return nil, true
	}})
	w.s.Fault(sim.Fault{Name: "a disk rots", Weight: 3, Do: func() (func(), bool) {
		n := w.nodes[w.s.Rand.IntN(len(w.nodes))]
		if !whole() || !n.m.Up() {
			return nil, false
		}
		n.m.Exit()
		return nil, w.rot(n)
	}})
}

// rot flips a bit of a node's log at rest. The frames of the newest segment are
// spared: what no later frame promises to be durable looks like a torn tail, by
// the log's own contract (PW3), so that one node forgets what it had acknowledged.
func (w *cluster) rot(n *node) bool {
	files := n.m.Disk.Files("node/log")
	if len(files) == 0 {
		return false
	}
	newest := ""
	for _, f := range files {
		if strings.HasSuffix(f, ".seg") {
			newest = f
		}
	}
	f, to := files[w.s.Rand.IntN(len(files))], int64(12<<10)
	if f == newest {
		to = 4 << 10
	}
	w.ledger.rotten[n] = true
	return n.m.Disk.Flip(f, 0, to)
}

// Begin implements sim.Cluster.
func (w *cluster) Begin() {
	if w.agreed != nil {
		w.agreed.m.Start()
	}
	for _, n := range w.nodes {
		n.m.Start()
	}
	for _, c := range w.clients {
		c.next()
	}
	w.operate()
}

// Heal implements sim.Cluster.
func (w *cluster) Heal() { w.healed, w.c.lossy = w.acked, 0 }

// Progress implements sim.Cluster.
func (w *cluster) Progress() bool { return w.acked >= w.healed+2*len(w.clients) }

// Settle implements sim.Cluster: one leader, and everybody where it is.
func (w *cluster) Settle() bool {
	w.still = true
	lead := w.leader()
	if lead == nil || lead.core.Commit != lead.core.End {
		return false
	}
	for _, n := range w.nodes {
		p := n.live()
		if !w.isMember(n) {
			continue
		}
		if p == nil || p.core.Term != lead.core.Term || p.store.Applied() != lead.core.End || p.core.End != lead.core.End || p.core.Flushed != lead.core.End {
			return false
		}
	}
	return !slices.ContainsFunc(w.clients, func(c *client) bool { return c.op != nil })
}

// leader returns who leads the newest term that anybody leads, if its start is
// committed.
func (w *cluster) leader() (lead *process) {
	for _, n := range w.nodes {
		p := n.live()
		if p != nil && p.core.Settled() && (lead == nil || p.core.Term > lead.core.Term) {
			lead = p
		}
	}
	return lead
}

// Check implements sim.Cluster.
func (w *cluster) Check() { w.ledger.final() }
