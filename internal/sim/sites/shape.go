package sites

import (
	"slices"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
)

// shape says who exchanges logs with whom, as the options of package multileader do:
// by the roster, so that a site that comes or goes has its links while it does.
type shape struct {
	name  string         // mesh, ring, star, list
	hub   core.Site      // of a star
	pairs [][2]core.Site // of a list
}

func siteName(i int) core.Site { return core.Site("abcdef"[i : i+1]) }

func drawShape(s *sim.Sim, n int) shape {
	h := shape{name: sim.Pick(s, "mesh", "mesh", "ring", "star", "list")}
	switch h.name {
	case "star":
		h.hub = siteName(s.Rand.IntN(n))
	case "list": // a tree, and sometimes a chord
		for i := 1; i < n; i++ {
			h.pairs = append(h.pairs, [2]core.Site{siteName(s.Rand.IntN(i)), siteName(i)})
		}
		if s.Chance(0.5) {
			a, b := s.Rand.IntN(n), s.Rand.IntN(n)
			if a != b {
				h.pairs = append(h.pairs, [2]core.Site{siteName(a), siteName(b)})
			}
		}
	}
	return h
}

// links returns with whom a site exchanges by a roster.
func (h *shape) links(r *core.Roster, self core.Site) (links []core.Link) {
	for i := range r.Seats {
		if peer := r.Seats[i].Site; h.linked(r, self, peer) {
			links = append(links, core.Link{Peer: peer, Relay: h.name != "mesh"})
		}
	}
	return links
}

func (h *shape) linked(r *core.Roster, a, b core.Site) bool {
	x, y := r.Seat(a), r.Seat(b)
	if a == b || x == nil || y == nil || !x.Here() || !y.Here() {
		return false
	}
	switch h.name {
	case "ring":
		return neighbours(r, a, b, false) || neighbours(r, a, b, true)
	case "star":
		return a == h.hub || b == h.hub
	case "list":
		return slices.Contains(x.Links, b) || slices.Contains(y.Links, a) ||
			slices.Contains(h.pairs, [2]core.Site{a, b}) || slices.Contains(h.pairs, [2]core.Site{b, a})
	}
	return true
}

// neighbours reports whether two sites follow one another in the ring of all, or of
// those that take writes.
func neighbours(r *core.Roster, a, b core.Site, active bool) bool {
	var names []core.Site
	for i := range r.Seats {
		if s := &r.Seats[i]; s.Here() && (!active || s.Standing == core.Active) {
			names = append(names, s.Site)
		}
	}
	i, j, n := slices.Index(names, a), slices.Index(names, b), len(names)
	return i >= 0 && j >= 0 && ((i+1)%n == j || (j+1)%n == i)
}

// reachesAll reports whether chains of links go from every site to every other, if r
// holds and once those have left who are about to.
func (h *shape) reachesAll(r *core.Roster) bool {
	left := &core.Roster{Seats: slices.Clone(r.Seats)}
	for i := range left.Seats {
		if s := &left.Seats[i]; s.Standing == core.Retiring {
			s.Standing = core.Retired
		}
	}
	return h.reaches(r) && h.reaches(left)
}

func (h *shape) reaches(r *core.Roster) bool {
	var here []core.Site
	for i := range r.Seats {
		if r.Seats[i].Here() {
			here = append(here, r.Seats[i].Site)
		}
	}
	if len(here) == 0 {
		return true
	}
	reached := map[core.Site]bool{here[0]: true}
	for range here {
		for _, a := range here {
			for _, b := range here {
				reached[b] = reached[b] || reached[a] && h.linked(r, a, b)
			}
		}
	}
	return len(reached) >= len(here) && !slices.ContainsFunc(here, func(s core.Site) bool { return !reached[s] })
}
