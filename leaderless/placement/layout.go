package placement

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/topology"
)

// Limits of a layout.
const (
	SitesMax  = 64
	CopiesMax = 64
	WeightMax = 1 << 16
	NameBytes = 255 // of the name of a node, a site or a rack, and of an address
)

// Node is a member of a layout.
type Node struct {
	ID   topology.NodeID
	Site string // of all nodes or of none
	Rack string // of its site; of all nodes or of none
	// Weight is how much it takes beside the others of its site: one of weight 2
	// about twice what one of weight 1 does. 1 to WeightMax.
	Weight uint32
	// Numbers is the first of the numbers that control gave out for its shares: one
	// for each partition (rule C2). They are its own for as long as it is a member.
	Numbers uint32
	Addr    string // host:port by which others reach it; empty where that is known otherwise
}

// Layout is who there is, and how many copies. A map is a function of it.
type Layout struct {
	Nodes []Node
	// Copies is how many nodes hold each partition, as evenly as can be from all
	// sites, or else PerSite how many of each site, by name; never both.
	Copies  int
	PerSite []SiteCopies
}

// SiteCopies is how many nodes of a site hold each partition.
type SiteCopies struct {
	Site   string
	Copies int
}

// sorted returns a copy of l in the order in which it is compared and encoded.
func (l Layout) sorted() Layout {
	l.Nodes, l.PerSite = slices.Clone(l.Nodes), slices.Clone(l.PerSite)
	slices.SortFunc(l.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(l.PerSite, func(a, b SiteCopies) int { return cmp.Compare(a.Site, b.Site) })
	return l
}

// Equal reports whether two layouts, in whatever order, are the same.
func (l Layout) Equal(o Layout) bool {
	l, o = l.sorted(), o.sorted()
	return l.Copies == o.Copies && slices.Equal(l.Nodes, o.Nodes) && slices.Equal(l.PerSite, o.PerSite)
}

func (l *Layout) ids() []topology.NodeID {
	out := make([]topology.NodeID, len(l.Nodes))
	for i := range l.Nodes {
		out[i] = l.Nodes[i].ID
	}
	return out
}

func (l *Layout) node(id topology.NodeID) (Node, bool) {
	i, ok := slices.BinarySearchFunc(l.Nodes, id, func(n Node, id topology.NodeID) int { return cmp.Compare(n.ID, id) })
	if !ok {
		return Node{}, false
	}
	return l.Nodes[i], true
}

// copies returns how many nodes hold a partition.
func (l *Layout) copies() int {
	n := l.Copies
	for _, s := range l.PerSite {
		n += s.Copies
	}
	return n
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("placement: %w: %w", topology.ErrMalformed, fmt.Errorf(format, args...))
}

// check says what is wrong with a sorted layout.
func (l *Layout) check(partitions int) error {
	if n := len(l.Nodes); n == 0 || n > NodesMax {
		return malformed("%d nodes, 1 to %d may be", n, NodesMax)
	}
	for i, n := range l.Nodes {
		switch {
		case len(n.Addr) > NameBytes:
			return malformed("node %s has an address of %d bytes, at most %d may be", n.ID, len(n.Addr), NameBytes)
		case n.ID == "" || len(n.ID) > NameBytes || len(n.Site) > NameBytes || len(n.Rack) > NameBytes:
			return malformed("node %q of site %q and rack %q: names have 1 to %d bytes", n.ID, n.Site, n.Rack, NameBytes)
		case i > 0 && l.Nodes[i-1].ID == n.ID:
			return malformed("node %s is listed twice", n.ID)
		case (n.Site == "") != (l.Nodes[0].Site == ""), (n.Rack == "") != (l.Nodes[0].Rack == ""):
			return malformed("all nodes stand in sites or none, and all in racks or none: %s and %s", l.Nodes[0].ID, n.ID)
		case n.Weight < 1 || n.Weight > WeightMax:
			return malformed("node %s has weight %d, 1 to %d may be", n.ID, n.Weight, WeightMax)
		}
	}
	if err := l.checkNumbers(partitions); err != nil {
		return err
	}
	return l.checkCopies()
}

// behind returns the first number after those of all nodes, each of which has so many.
func (l *Layout) behind(partitions int) uint32 {
	free := uint32(1)
	for _, n := range l.Nodes {
		free = max(free, n.Numbers+uint32(partitions)) //nolint:gosec // both were checked
	}
	return free
}

// checkNumbers holds that no two nodes share a number.
func (l *Layout) checkNumbers(partitions int) error {
	by := slices.Clone(l.Nodes)
	slices.SortFunc(by, func(a, b Node) int { return cmp.Compare(a.Numbers, b.Numbers) })
	for i, n := range by {
		switch {
		case n.Numbers == 0:
			return malformed("node %s: the numbers of origins begin at 1", n.ID)
		case uint64(n.Numbers)+uint64(partitions) > math.MaxUint32:
			return malformed("node %s: there are no %d numbers from %d on", n.ID, partitions, n.Numbers)
		case i > 0 && uint64(by[i-1].Numbers)+uint64(partitions) > uint64(n.Numbers):
			return malformed("nodes %s and %s have numbers from %d and %d on, and need %d each", by[i-1].ID, n.ID, by[i-1].Numbers, n.Numbers, partitions)
		}
	}
	return nil
}

func (l *Layout) checkCopies() error {
	if l.Copies != 0 && l.PerSite != nil {
		return malformed("copies in all or copies in each site: one of the two")
	}
	if n := l.copies(); n < 1 || n > CopiesMax || n > len(l.Nodes) {
		return malformed("%d copies on %d nodes, 1 to %d may be", n, len(l.Nodes), CopiesMax)
	}
	sites := l.sites()
	if len(sites) > SitesMax {
		return malformed("%d sites, at most %d", len(sites), SitesMax)
	}
	for i, s := range l.PerSite {
		in := 0
		for _, n := range l.Nodes {
			if n.Site == s.Site {
				in++
			}
		}
		switch {
		case i > 0 && l.PerSite[i-1].Site == s.Site:
			return malformed("site %q is listed twice", s.Site)
		case s.Copies < 1 || s.Copies > in:
			return malformed("%d copies on %d nodes of site %q", s.Copies, in, s.Site)
		}
	}
	return nil
}

// sites returns the names of the sites, in order.
func (l *Layout) sites() (out []string) {
	for _, n := range l.Nodes {
		if !slices.Contains(out, n.Site) {
			out = append(out, n.Site)
		}
	}
	slices.Sort(out)
	return out
}
