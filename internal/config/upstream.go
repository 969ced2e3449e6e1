package config

import (
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// upstreams checks who is to feed a node of that role instead of its leader. ms are the
// members that share its log; nil: they are not in the file.
func upstreams(c checker, path string, r Role, id string, up []string, ms []Member) {
	switch {
	case len(up) == 0:
		return
	case r != RoleReadReplica && r != RoleDelayed:
		c.Fault(path, "%s is a %s: only a read-replica or a delayed node has upstreams; whom commits may count the leader feeds itself", id, r)
		return
	case len(up) > singleleader.UpstreamsMax:
		c.Fault(path, "%d are more than %d", len(up), singleleader.UpstreamsMax)
		return
	}
	for i, name := range up {
		at := slices.IndexFunc(ms, func(m Member) bool { return m.ID == name })
		switch {
		case name == id:
			c.Fault(index(path, i), "%s is this node itself", name)
		case !topology.NodeID(name).Valid():
			c.Fault(index(path, i), "%.70q is not a node's name", name)
		case at < 0 && ms != nil:
			c.Fault(index(path, i), "%.70s is no member that shares this node's log%s", name, meant(name, ms))
		case at >= 0 && ms[at].Role == RoleWitness:
			c.Fault(index(path, i), "%s is a witness, which keeps nothing to feed others with", name)
		case slices.Contains(up[:i], name):
			c.Fault(index(path, i), "%s is named twice", name)
		}
	}
}

// meant is who was perhaps meant.
func meant(name string, ms []Member) string {
	var ids []string
	for _, m := range ms {
		ids = append(ids, m.ID)
	}
	if near := strict.Nearest(name, ids); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// checkUpstreams checks who feeds whom in a cluster. Nodes find no upstream that is fed
// by themselves; one that they could never have is a mistake.
func (c *Cluster) checkUpstreams(k checker) {
	ms := c.members()
	only := map[string]string{} // who has but one, by name
	for _, r := range c.Replicas {
		own := ms
		if c.Topology.several() {
			own, _ = within(ms, r.Site)
		}
		upstreams(k, strict.Join("nodes", r.ID)+".upstream", r.Role, r.ID, r.Upstream, own)
		if len(r.Upstream) == 1 {
			only[r.ID] = r.Upstream[0]
		}
	}
	for _, r := range c.Replicas {
		way := []string{r.ID}
		for at := only[r.ID]; at != "" && at != r.ID && !slices.Contains(way, at); at = only[at] {
			way = append(way, at)
		}
		if last := only[way[len(way)-1]]; last == r.ID && len(way) > 1 {
			k.Fault(strict.Join("nodes", r.ID)+".upstream", "%s: each is to be fed by the next, and the leader would feed all of them in the end; let one have another upstream, or none", strings.Join(append(way, r.ID), ", "))
			return
		}
	}
}

// nodeIDs are names as nodes.
func nodeIDs(names []string) (out []topology.NodeID) {
	for _, n := range names {
		out = append(out, topology.NodeID(n))
	}
	return out
}
