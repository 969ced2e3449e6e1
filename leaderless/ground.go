package leaderless

import (
	"slices"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// ground is where nodes stand: in sites, if all of them do.
type ground struct{ e *engine }

// site is that of this node, empty where there are none.
func (g ground) site() string {
	n, _ := g.e.place.Node(g.e.env.Self)
	return n.Site
}

// sitesOf are the sites in which nodes stand, in order of their nodes; one without a name
// where there are none.
func sitesOf(at placement.Mapped) (out []string) {
	for _, n := range at.Current().Layout().Nodes {
		if !slices.Contains(out, n.Site) {
			out = append(out, n.Site)
		}
	}
	return out
}

// where says in which site alone a level is done.
func (g ground) where(l quorum.Consistency) string {
	if l.Local() {
		return " in site " + g.site()
	}
	return ""
}

// reachable returns the nodes of some that can be reached, in their order, those of this
// node's site first; at a level of a site's own those alone.
func (g ground) reachable(of []topology.NodeID, l quorum.Consistency) (ids []topology.NodeID) {
	var others []topology.NodeID
	for _, id := range of {
		p := g.e.peer(id)
		if p == nil {
			continue
		}
		p.mu.Lock()
		up := p.up
		p.mu.Unlock()
		n, _ := g.e.place.Node(id)
		switch near := n.Site == g.site(); {
		case up && near:
			ids = append(ids, id)
		case up && !l.Local():
			others = append(others, id)
		}
	}
	return append(ids, others...)
}
