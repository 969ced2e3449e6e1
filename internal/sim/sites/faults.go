package sites

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
)

// faults adds those that only sites have.
func (w *cluster) faults() {
	s := w.s
	add := func(name string, weight int, do func(*site) bool) {
		s.Fault(sim.Fault{Name: name, Weight: weight, Do: func() (func(), bool) {
			return nil, do(w.sites[s.Rand.IntN(len(w.sites))])
		}})
	}
	add("a site burns", 1, w.burns)
	add("a site's disk burns", 2, w.diskBurns)
	add("a site hands over", 2, func(t *site) bool {
		if len(t.nodes) < 2 || t.out {
			return false
		}
		t.elect(true)
		return true
	})
	add("a site is led by force", 1, w.forces)
	add("a site is set back", 1, w.setsBack)
	add("a site is set back without a word", 4, w.setsBackUnsaid)
	if w.c.clocks.apart > 0 {
		add("a site's clocks are wrong", 2, func(t *site) bool {
			for _, n := range t.nodes {
				n.skew = w.apart()
			}
			return true
		})
	}
	if w.c.roster {
		add("a site is added", 2, w.adds)
		add("a site is to leave", 2, w.retires)
		add("a site is given up", 2, w.evicts)
	}
}

// settled reports whether the roster is not on its way to another one, so that losses of
// several sites at once can not make up more than the protocol bears.
func (w *cluster) settled() bool {
	if w.forked() {
		return false
	}
	r := w.ledger.newest
	for _, t := range w.sites {
		g := t.reign()
		if g != nil && g.council.busy || t.silent() || t.lacks() {
			return false
		}
		if g != nil && g.core.Open() && !g.core.Writes() && g.core.Roster().Seat(t.name).Standing == core.Active {
			return false // it has not got back what it has lost
		}
	}
	if r == nil {
		return true
	}
	for _, t := range w.here() {
		if g := t.reign(); g == nil || g.core.Roster().Version < r.Version {
			return false
		}
		for i := range r.Seats {
			if s := &r.Seats[i]; s.Standing == core.Evicting || !t.truth.vector.Descends(s.Final) {
				return false
			}
		}
	}
	return true
}

// livesMax bounds how often a site is lost.
const livesMax = 3

func (w *cluster) burns(t *site) bool {
	if t.out || t.life > livesMax || !w.settled() {
		return false
	}
	w.s.Reach("a site burnt")
	t.burn()
	return true
}

// diskBurns loses the disk of one of several nodes.
func (w *cluster) diskBurns(t *site) bool {
	if t.out || len(t.nodes) < 3 || t.empty || slices.ContainsFunc(t.nodes, func(n *node) bool { return n.blank }) {
		return false
	}
	w.s.Reach("a disk of a site burnt")
	t.nodes[w.s.Rand.IntN(len(t.nodes))].burn()
	return true
}

// forces has an operator name a leader by hand, whatever the others have: what is
// committed may be gone.
func (w *cluster) forces(t *site) bool {
	if t.out || len(t.nodes) < 2 || t.empty || t.life > livesMax || !w.settled() {
		return false
	}
	n := t.nodes[w.s.Rand.IntN(len(t.nodes))]
	if n.live() == nil || n.blank {
		return false
	}
	w.s.Reach("a site was led by force")
	w.ledger.loses(t)
	t.hush()
	x := n.p.store.clone()
	for _, o := range t.nodes {
		if o != n {
			o.burn()
		}
	}
	n.m.Exit()
	t.empty, t.lossy, t.heir = true, true, n
	w.ledger.resets(t, x)
	n.saved, n.begin = x, true
	return true
}

// setsBack has an operator give a site the backup of its past.
func (w *cluster) setsBack(t *site) bool {
	if t.out || t.empty || t.life > livesMax || t.backup == nil || !w.settled() {
		return false
	}
	w.s.Reach("a site was set back to a backup")
	w.ledger.loses(t)
	t.hush()
	for _, o := range t.nodes {
		o.burn()
	}
	t.empty, t.lossy, t.heir = true, true, t.nodes[0]
	w.ledger.resets(t, t.backup)
	t.nodes[0].saved, t.nodes[0].begin = t.backup.clone(), true
	t.backup = nil
	return true
}

// asks has a person ask for a change.
func (k *council) asks(f func(*core.Roster) (*core.Roster, error)) {
	k.g.p.n.m.Do(func() { k.change("", proposalsMax, f) })
}

// operator returns a site at which something can be asked for.
func (w *cluster) operator(not *site) *council {
	var all []*council
	for _, t := range w.sites {
		if g := t.reign(); t != not && g != nil && g.core.Writes() && !g.council.busy {
			all = append(all, &g.council)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[w.s.Rand.IntN(len(all))]
}

// adds has a site join, for the first time or again, with empty disks.
func (w *cluster) adds(t *site) bool {
	k := w.operator(t)
	if !t.out || k == nil {
		return false
	}
	name := t.name
	var links []core.Site
	if w.c.shape.name == "list" {
		links = []core.Site{k.g.p.n.site.name}
	}
	if seat := k.g.core.Roster().Seat(name); seat != nil && !seat.Here() {
		w.s.Reach("a site joined again")
	}
	for _, n := range t.nodes {
		n.burn()
	}
	t.empty, t.lossy, t.joins, t.backup, t.heir = true, true, true, nil, nil
	w.ledger.resets(t, nil)
	k.asks(func(r *core.Roster) (*core.Roster, error) { return r.Add(name, links) })
	t.start()
	return true
}

// least is how many sites take writes at least.
const least = 2

func (w *cluster) retires(t *site) bool {
	k := w.operator(nil)
	if t.out || k == nil || len(k.g.core.Roster().Voters()) <= least || w.leaving() || w.forked() {
		return false
	}
	name := t.name
	k.asks(func(r *core.Roster) (*core.Roster, error) { return r.Retire(name) })
	return true
}

func (w *cluster) evicts(t *site) bool {
	k := w.operator(t)
	if t.out || k == nil || len(k.g.core.Roster().Voters()) <= least || w.leaving() || w.forked() {
		return false
	}
	name := t.name
	k.asks(func(r *core.Roster) (*core.Roster, error) { return r.Evict(name) })
	return true
}

// leaving reports whether a site is about to leave.
func (w *cluster) leaving() bool {
	r := w.ledger.newest
	return r != nil && slices.ContainsFunc(r.Seats, func(s core.SiteSeat) bool {
		return s.Standing == core.Retiring || s.Standing == core.Evicting || s.Standing == core.Joining
	})
}

// underWay reports whether the roster is on its way to another one, or somebody is who
// has left and does not know.
func (w *cluster) underWay() bool {
	return w.leaving() || unaware(w)
}

// unaware reports whether a site has left and does not know.
func unaware(w *cluster) bool {
	r := w.ledger.newest
	return r != nil && slices.ContainsFunc(w.sites, func(t *site) bool {
		s := r.Seat(t.name)
		return !t.out && (s == nil || !s.Here()) && t.reign() != nil // else it waits to be added
	})
}

// restMax is how long sites that hold the same writes may hold them differently.
const restMax = 40 * time.Second
