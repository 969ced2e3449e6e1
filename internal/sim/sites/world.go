package sites

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// World is the multi-leader topology.
var World = sim.World{
	Name: "sites",
	New:  func(s *sim.Sim) sim.Cluster { return build(s) },
	Reaches: append(settledBy(),
		"a change of the roster was not agreed upon at once",
		"a core told a person what does not go on",
		"a disk of a site burnt",
		"a gap was asked for",
		"a gap was filled",
		"a link took the place of another",
		"a log did not hold what a peer lacked",
		"a log took nothing",
		"a log was trimmed",
		"a message between sites came twice",
		"a message between sites was lost",
		"a message between sites was overtaken",
		"a node of a site took its leader's store",
		"a queue was full",
		"a read showed siblings",
		"a read waited for what its session had seen",
		"a record came twice",
		"a session asked for what is lost, or far away, and began anew",
		"a shipment was sent again",
		"a site burnt",
		"a site gave out a name twice",
		"a site joined again",
		"a site that had given out names twice was made anew",
		"a site that was set back found out and began a new life",
		"a site was evicted",
		"a site was led by force",
		"a site was retired",
		"a site was set back to a backup",
		"a site's leader died while a snapshot came",
		"a site's leader died while a snapshot settled",
		"a site's leader died while it gave a snapshot",
		"a snapshot was put in its place",
		"a write ended unknown",
		"a write left siblings beside it",
		"a write was lost to a later one",
		"a write was refused",
		"an orphan was put aside",
		"an origin was parked",
		"an uncommitted tail was lost",
		"two writes of a key had one time",
		"writes were lost with their site",
	),
}

// settledBy is that every resolver and every data type was at work.
func settledBy() (states []string) {
	for _, u := range uses() {
		states = append(states, "a table was settled by "+u.name)
	}
	return states
}

// cluster is some sites under one seed.
type cluster struct {
	s        *sim.Sim
	c        config
	sites    []*site
	clients  []*client
	ledger   *ledger
	founding *core.Roster

	asked     int
	acked     int // writes
	healed    int // how many of them before the faults were over
	still     bool
	calm      bool
	looked    time.Duration // when it was asked last whether all rests,
	said      time.Duration // when it was said last what is not
	rests     time.Duration // and from when on it does, but for what may be forgotten
	snapshots uint64

	righted struct { // when the clocks were set right, and to what
		now  time.Duration
		wall time.Time
	}
}

func build(s *sim.Sim) *cluster {
	w := &cluster{s: s, c: draw(s)}
	w.ledger = newLedger(w)
	var members []core.Member
	for i := range w.c.sites {
		w.addSite(i, sim.Pick(s, 1, 1, 1, 2, 3), false)
		members = append(members, core.Member{Site: siteName(i), Number: uint32(i + 1)})
	}
	if w.c.roster {
		w.addSite(w.c.sites, sim.Pick(s, 1, 1, 3), true)
	}
	w.founding = core.Founding(members)
	for i := range w.c.load.clients {
		w.clients = append(w.clients, &client{w: w, at: w.sites[i%w.c.sites], shown: map[keyID]*version.Set{}})
	}
	s.Say("", "%+v", w.c)
	w.faults()
	return w
}

func (w *cluster) named(name core.Site) *site {
	return w.sites[slices.IndexFunc(w.sites, func(t *site) bool { return t.name == name })]
}

// Begin implements sim.Cluster.
func (w *cluster) Begin() {
	for _, t := range w.sites {
		if !t.out {
			t.start()
		}
		t.look()
	}
	for _, c := range w.clients {
		c.next()
	}
}

// Heal implements sim.Cluster: an operator sets all clocks to the foremost, so
// that nothing that was written is in the future any more.
func (w *cluster) Heal() {
	w.calm = true
	at := w.ledger.latest.Time()
	for _, t := range w.sites {
		if t.out {
			t.stop()
		}
		for _, n := range t.nodes {
			if c := n.wall(); c.After(at) {
				at = c
			}
		}
	}
	w.righted.wall, w.righted.now = at.Add(time.Second), w.s.Now()
	w.healed = w.acked
}

// Progress implements sim.Cluster.
func (w *cluster) Progress() bool { return w.acked >= w.healed+2*len(w.clients) }

// Settle implements sim.Cluster: nobody waits, all sites hold the same records, and have
// let go what all of them have.
func (w *cluster) Settle() bool {
	w.still = true
	if w.s.Now() < w.looked+10*time.Millisecond {
		return false
	}
	w.looked = w.s.Now()
	if !w.resting() {
		w.rests = 0
		return false
	}
	if w.rests == 0 {
		w.rests = w.s.Now()
	}
	enc := record.NewEncoder()
	var want []byte
	for _, t := range w.here() {
		b := t.reign().p.store.bytes(enc)
		if want == nil {
			want = b
		}
		if !bytes.Equal(b, want) {
			return w.s.Now() > w.rests+restMax
		}
	}
	return true
}

// resting reports whether nothing is on its way; else it says what is, where somebody
// reads it.
func (w *cluster) resting() bool {
	why := w.unrest()
	if why != "" && w.s.Tracing() && w.s.Now() > w.said+time.Second {
		w.said = w.s.Now()
		w.s.Say("", "not at rest: %s", why)
	}
	return why == ""
}

func (w *cluster) unrest() string {
	switch {
	case w.underWay():
		return "the roster is on its way to another"
	case w.forked():
		return "a site was set back, and nobody has seen to it"
	case slices.ContainsFunc(w.clients, func(c *client) bool { return c.busy }):
		return "a client waits"
	}
	var marks []core.Mark
	for i, t := range w.here() {
		g := t.reign()
		if g == nil || !g.core.Open() {
			return fmt.Sprintf("%s does not write", t.name)
		}
		if g.core.Commit() < g.core.End() || g.p.store.in.Stage != core.StageNone || g.core.Incoming().Stage != core.StageNone {
			return fmt.Sprintf("%s has committed %d of %d entries, and stands at stage %d of a snapshot", t.name, g.core.Commit(), g.core.End(), g.core.Incoming().Stage)
		}
		r := g.core.Roster()
		if s := r.Seat(t.name); s == nil || s.Standing != core.Active || w.ledger.newest != nil && r.Version < w.ledger.newest.Version {
			return fmt.Sprintf("%s stands at version %d of the roster", t.name, r.Version)
		}
		for _, n := range t.nodes {
			if p := n.live(); p == nil || p.store.pos.LSN < g.p.end() {
				return fmt.Sprintf("%s lacks what its site has", n.name)
			}
		}
		if i == 0 {
			marks = g.core.Marks()
		}
		if !slices.Equal(g.core.Marks(), marks) {
			return fmt.Sprintf("%s holds %v, and not %v", t.name, vectorOf(g.core.Marks()), vectorOf(marks))
		}
	}
	return ""
}

// Check implements sim.Cluster.
func (w *cluster) Check() { w.ledger.final() }
