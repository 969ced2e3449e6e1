package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/quorum"
)

// check finds what is wrong with a cluster, and completes what follows from the
// rest: who is where, and who leads.
func (c *Cluster) check(controls []string) {
	k := checker{Values: c.values, controls: controls}
	k.name("cluster", "cluster", c.Cluster)
	if len(c.Sites) > sitesMax {
		k.Fault("sites", "%d are more than %d", len(c.Sites), sitesMax)
		return
	}
	if len(c.Replicas) > quorum.MembersMax {
		k.Fault("nodes", "%d are more than %d", len(c.Replicas), quorum.MembersMax)
		return
	}
	c.checkSites(k)
	if len(c.Replicas) > quorum.MembersMax {
		k.Fault("sites", "%d nodes are more than %d", len(c.Replicas), quorum.MembersMax)
		return
	}
	if len(c.Replicas) == 0 && !k.Faulty("sites") && !k.Faulty("nodes") {
		k.Fault("nodes", "there is no node; name them, as in nodes: {a: leader, b: standby}")
		return
	}
	if !k.Faulty("nodes") {
		c.checkRoles(k)
	}
	k.hooks(c.Topology.Hooks)
	if c.Topology.several() {
		c.sitesOfCluster(k)
	}
	if k.kind(c.Topology, c.Control) && !k.Faulty("nodes") && !k.Faulty("sites") && !k.Faulty("control") && !k.Faulty("topology.kind") {
		c.checkGroups(k)
		c.checkUpstreams(k)
	}
	k.tables(c.Tables, c.RESP, c.Topology)
	k.limits(c.Limits, c.Topology)
	k.zeros(*c)
	c.warn()
}

const sitesMax = 64

// members are the nodes as a policy sees them.
func (c *Cluster) members() []Member {
	var ms []Member
	for _, r := range c.Replicas {
		ms = append(ms, Member{ID: r.ID, Role: r.Role, Site: r.Site})
	}
	return ms
}

// checkSites checks the sites, and gives every node its own.
func (c *Cluster) checkSites(k checker) {
	var names []string
	for _, s := range c.Sites {
		k.name(strict.Join("sites", s.Name), "site", s.Name)
		names = append(names, s.Name)
	}
	where := map[string]string{}
	var placed []Replica
	for _, s := range c.Sites {
		path := strict.Join("sites", s.Name)
		if k.Given(path+".number") && !c.Topology.several() {
			k.Fault(path+".number", "it belongs to %s, where several sites write; drop it", kindMultiLeader)
		}
		if len(s.Nodes) == 0 && !k.Faulty(path) {
			k.Fault(path, "it has no nodes; name them, as in nodes: [%s1, %[1]s2]", s.Name)
		}
		for i, id := range s.Nodes {
			at := index(path+".nodes", i)
			if !k.name(at, "node", id) {
				continue
			}
			if other, twice := where[id]; twice {
				k.Fault(at, "%s stands in site %s already", id, other)
				continue
			}
			where[id] = s.Name
			placed = append(placed, c.replica(id, s.Name))
		}
		for _, d := range s.Delay {
			at := strict.Join(path+".delay", d.To)
			switch {
			case d.To == s.Name:
				k.Fault(at, "a site has no delay to itself")
			case !slices.Contains(names, d.To):
				k.Fault(at, "there is no site %.70q; sites are %s", d.To, strings.Join(names, ", "))
			}
		}
	}
	if len(c.Sites) == 0 {
		for _, r := range c.Replicas {
			k.name(strict.Join("nodes", r.ID), "node", r.ID)
		}
		return
	}
	for _, r := range c.Replicas {
		if where[r.ID] == "" {
			k.Fault(strict.Join("nodes", r.ID), "%.70s stands in no site; sites list their nodes%s", r.ID, nearest(r.ID, where))
		}
	}
	c.Replicas = placed
}

// nearest is a hint of a node that was meant.
func nearest(id string, of map[string]string) string {
	if near := strict.Nearest(id, slices.Sorted(maps.Keys(of))); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// replica is what the file says of a node beyond its name.
func (c *Cluster) replica(id, site string) Replica {
	for _, r := range c.Replicas {
		if r.ID == id {
			r.Site = site
			return r
		}
	}
	return Replica{ID: id, Site: site}
}

// checkRoles settles who leads and what the others are for.
func (c *Cluster) checkRoles(k checker) {
	leaders := map[string]string{} // by what they lead
	var paths, addrs []string
	for i := range c.Replicas {
		r := &c.Replicas[i]
		path := strict.Join("nodes", r.ID)
		switch {
		case r.Role == RoleWitness && c.Control.Kind == controlStatic:
			k.Fault(path+".role", "a witness votes where members elect who leads: write control: {kind: raft}, or give it another role")
		case r.Role == RoleLeader && leaders[c.leads(r)] != "":
			k.Fault(path+".role", "%s leads already: one node does%s", leaders[c.leads(r)], c.ofSite(r))
		case r.Role == RoleLeader:
			leaders[c.leads(r)] = r.ID
		case r.Role == RoleDelayed && r.ApplyDelay == 0:
			k.Fault(path+".role", "by how much %s is delayed is missing; write %[1]s: {role: delayed, apply_delay: 5m}", r.ID)
		case r.Role == "" && r.ApplyDelay > 0:
			r.Role = RoleDelayed
		}
		if r.ApplyDelay > 0 && r.Role != RoleDelayed {
			k.Fault(path+".apply_delay", "a %s does not apply late: it may have to lead; only the role %s does", r.Role, RoleDelayed)
		}
		p, a := r.Listen.addresses(path + ".")
		paths, addrs = append(paths, p...), append(addrs, a...)
	}
	for i, addr := range addrs {
		if addr != "" && !onLoopback(addr) {
			k.Fault(paths[i], "%.80s is not on loopback, where all of a cluster for the demo listens", addr)
		}
	}
	k.addresses(paths, addrs)
	if !c.Topology.several() {
		c.settleLeader(k, "", leaders[""], c.Control.Leader)
		return
	}
	for _, s := range c.Sites {
		c.settleLeader(k, s.Name, leaders[s.Name], "")
	}
}

// leads is what a node would lead: its site where several write, else the cluster.
func (c *Cluster) leads(r *Replica) string {
	if c.Topology.several() {
		return r.Site
	}
	return ""
}

func (c *Cluster) ofSite(r *Replica) string {
	if site := c.leads(r); site != "" {
		return " in site " + site
	}
	return ""
}

// settleLeader makes the control's leader, or else the first node that may lead, the leader where
// no role says who it is: of the nodes of a site, or of all.
func (c *Cluster) settleLeader(k checker, site, leader, want string) {
	if want != "" && leader != "" && want != leader {
		k.Fault("control.leader", "%.70s, and the role of %s is leader", want, leader)
		return
	}
	for i := range c.Replicas {
		r := &c.Replicas[i]
		if c.leads(r) != site {
			continue
		}
		if r.Role == "" || r.Role == RoleVoter {
			r.Role = RoleStandby
		}
		if leader == "" && r.Role == RoleStandby && (want == "" || r.ID == want) {
			r.Role, leader = RoleLeader, r.ID
		}
	}
	switch {
	case leader == "" && want != "":
		k.Fault("control.leader", "%.70s is no node that may lead", want)
	case leader == "" && site != "":
		k.Fault(strict.Join("sites", site), "none of its nodes may lead; give one the role leader")
	case leader == "":
		k.Fault("nodes", "none of the nodes may lead; give one the role leader")
	}
}
