package placement

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/triad-kv/triad/topology"
)

// ranker finds who holds a partition by a layout. What does not depend on the
// partition is computed once.
type ranker struct {
	l      *Layout
	sums   []uint64 // of the nodes' names
	even   bool     // all weights are equal
	places []int    // of each node: which site
	racks  []int    // of each node: which rack of all
	sites  []string

	all   []ranked
	inAll []int // of each site, or rack, how many stand before
}

type ranked struct {
	node  int
	score uint64
	cost  uint64
	tier  int
}

func newRanker(l *Layout) *ranker {
	r := &ranker{l: l, even: true, sites: l.sites()}
	var racks [][2]string
	for _, n := range l.Nodes {
		r.sums = append(r.sums, sum([]byte(n.ID)))
		r.even = r.even && n.Weight == l.Nodes[0].Weight
		r.places = append(r.places, slices.Index(r.sites, n.Site))
		rack := [2]string{n.Site, n.Rack}
		j := slices.Index(racks, rack)
		if j < 0 || n.Rack == "" { // without racks every node is one
			j, racks = len(racks), append(racks, rack)
		}
		r.racks = append(r.racks, j)
	}
	r.inAll = make([]int, max(len(racks), len(r.sites)))
	return r
}

// choose returns who holds a partition, in order of preference.
func (r *ranker) choose(partition int) []topology.NodeID {
	r.score(partition)
	// Within a site racks come in turn: first the best of each, then the second.
	r.turns(r.racks)
	var out []topology.NodeID
	if r.l.PerSite == nil {
		// And so do sites.
		r.turns(r.places)
		for _, a := range r.all[:r.l.Copies] {
			out = append(out, r.l.Nodes[a.node].ID)
		}
		return out
	}
	left := make([]int, len(r.sites))
	for _, s := range r.l.PerSite {
		left[slices.Index(r.sites, s.Site)] = s.Copies
	}
	for _, a := range r.all {
		if s := r.places[a.node]; left[s] > 0 {
			left[s]--
			out = append(out, r.l.Nodes[a.node].ID)
		}
	}
	return out
}

// score sorts all nodes by how they score for a partition, the highest first.
func (r *ranker) score(partition int) {
	r.all = r.all[:0]
	at := mix(uint64(partition) + 1)
	for i, s := range r.sums {
		a := ranked{node: i, score: mix(s ^ at)}
		if !r.even {
			a.cost = cost(a.score)
		}
		r.all = append(r.all, a)
	}
	slices.SortFunc(r.all, func(a, b ranked) int {
		// The least −log₂(score) ÷ weight wins; both sides of it times both weights.
		c := cmp.Compare(a.cost*uint64(r.l.Nodes[b.node].Weight), b.cost*uint64(r.l.Nodes[a.node].Weight))
		return cmp.Or(c, cmp.Compare(b.score, a.score), cmp.Compare(a.node, b.node))
	})
}

// turns takes one of each group in turn: the first of each in the order there is,
// then the second of each.
func (r *ranker) turns(group []int) {
	clear(r.inAll)
	for i := range r.all {
		g := group[r.all[i].node]
		r.all[i].tier = r.inAll[g]
		r.inAll[g]++
	}
	slices.SortStableFunc(r.all, func(a, b ranked) int { return cmp.Compare(a.tier, b.tier) })
}

// cost is −log₂(score / 2⁶⁴) in units of 2⁻³², without rounding that a processor
// could do otherwise. It is at most 64·2³².
func cost(score uint64) uint64 {
	score = max(1, score)
	n := bits.Len64(score)
	log := uint64(n-1) << 32
	x := score << (64 - n) // 1 ≤ x < 2, in units of 2⁻⁶³
	for bit := uint64(1) << 31; bit > 0; bit >>= 1 {
		hi, lo := bits.Mul64(x, x) // 1 ≤ x² < 4, in units of 2⁻¹²⁶
		if hi >= 1<<63 {
			log |= bit
			x = hi
		} else {
			x = hi<<1 | lo>>63
		}
	}
	return 64<<32 - log
}
