package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/multileader"
)

// SiteNumber is a site where several write, and the number with which the names of its
// writes begin: it is never another site's, and never changes.
type SiteNumber struct {
	Name   string `yaml:",key"`
	Number int    `yaml:",short"`
}

// several reports whether several sites write.
func (t Topology) several() bool { return t.Kind == kindMultiLeader }

// siteOptions are what the engine is told of the sites.
func (t Topology) siteOptions() multileader.Options {
	o := multileader.Options{
		Joins: t.Joins, Links: t.Links.Links, MaxSkew: time.Duration(t.MaxSkew), TickEvery: time.Duration(t.TickEvery), CutEvery: time.Duration(t.CutEvery), ConflictsKept: time.Duration(t.ConflictsKept), SnapshotKept: time.Duration(t.SnapshotKept), VerifyEvery: time.Duration(t.VerifyEvery), RetainBytesMax: uint64(t.RetainBytesMax),
		ConflictsBytesMax: uint64(t.ConflictsBytesMax), FoldTimeMax: time.Duration(t.FoldTimeMax), ExpiryGrace: time.Duration(t.ExpiryGrace), Resolvers: functions(),
		ReadOnly: t.ReadOnly,
	}
	for _, s := range t.Sites {
		o.Sites = append(o.Sites, multileader.Site{Name: s.Name, Number: uint32(s.Number)}) //nolint:gosec // read as no more than 2³¹−1
	}
	return o
}

// within are the members of a site, and where the others are.
func within(ms []Member, site string) (own []Member, far map[string]string) {
	far = map[string]string{}
	for _, m := range ms {
		if m.Site == site {
			own = append(own, m)
		} else {
			far[m.ID] = m.Site
		}
	}
	return own, far
}

// ofSite says which site it is about, where sites count apart.
func (c checker) ofSite() string {
	if c.here == "" {
		return ""
	}
	return " of site " + c.here
}

// stranger says why a node that was named is none that counts, as in "b is no member".
func (c checker) stranger(id string, members []string) string {
	if site, ok := c.far[id]; ok {
		return fmt.Sprintf("is of site %s: every site has a leader of its own and counts its own members alone, in %s %s; without names it counts them all", site, c.here, strings.Join(members, ", "))
	}
	why := "is no member; members are " + strings.Join(members, ", ")
	if near := strict.Nearest(id, members); near != "" {
		why += "; did you mean " + near + "?"
	}
	return why
}

// oneSite refuses what means something between sites alone, or where more than one writes.
func (c checker) oneSite(t Topology) {
	for path, given := range map[string]bool{
		"topology.links": c.Given("topology.links"), "topology.sites": len(t.Sites) > 0, "topology.joins": t.Joins, "topology.expects": len(t.Expects) > 0, "topology.read_only": c.Given("topology.read_only"),
		"topology.max_skew": c.Given("topology.max_skew"), "topology.tick_every": c.Given("topology.tick_every"),
		"topology.cut_every": c.Given("topology.cut_every"), "topology.conflicts_kept": c.Given("topology.conflicts_kept"), "topology.snapshot_kept": c.Given("topology.snapshot_kept"), "topology.verify_every": c.Given("topology.verify_every"),
		"topology.conflicts_bytes_max": c.Given("topology.conflicts_bytes_max"), "topology.fold_time_max": c.Given("topology.fold_time_max"),
	} {
		if t.leaderless() && (path == "topology.max_skew" || path == "topology.tick_every") {
			continue
		}
		if given && !c.Faulty(path) {
			c.Fault(path, "it belongs to %s, where several sites write; drop it", kindMultiLeader)
		}
	}
}

// sites checks the sites of a topology: under holds them, and number is what stands
// below the name of one for its number.
func (c checker) sites(t Topology, under, number string) {
	if len(t.Sites) > sitesMax {
		c.Fault(under, "%d are more than %d", len(t.Sites), sitesMax)
		return
	}
	taken := map[int]string{}
	for _, s := range t.Sites {
		path := strict.Join(under, s.Name)
		at := path + number
		c.name(path, "site", s.Name)
		switch other, twice := taken[s.Number]; {
		case c.Faulty(at):
		case s.Number == 0:
			c.Fault(at, "the number of a site is 1 or more, and stays its own for good")
		case twice:
			c.Fault(at, "%d is the number of site %s: by it the writes of a site are known from those of others, so every site has one of its own, for good", s.Number, other)
		}
		taken[s.Number] = s.Name
	}
	if t.TickEvery < tickEveryMin && !c.Faulty("topology.tick_every") {
		c.Fault("topology.tick_every", "%v is less than %v", t.TickEvery, tickEveryMin)
	}
	if t.FoldTimeMax < foldTimeMin && !c.Faulty("topology.fold_time_max") {
		c.Fault("topology.fold_time_max", "%v is less than %v: a machine that is busy would quarantine tables whose function is quick", t.FoldTimeMax, foldTimeMin)
	}
	if t.ExpiryGrace < t.TickEvery && !c.Faulty("topology.expiry_grace") && !c.Faulty("topology.tick_every") {
		c.Fault("topology.expiry_grace", "%v is less than topology.tick_every, %v: every site would remove what has expired", t.ExpiryGrace, t.TickEvery)
	}
	shares{c}.readOnly(t)
	c.links(t)
}

const (
	tickEveryMin = Duration(time.Millisecond)
	foldTimeMin  = Duration(100 * time.Millisecond)
)

// links checks who is linked with whom.
func (c checker) links(t Topology) {
	const path = "topology.links"
	if c.Faulty(path) {
		return
	}
	var names []string
	for _, s := range t.Sites {
		names = append(names, s.Name)
	}
	for _, name := range t.Links.sites() {
		if slices.Contains(names, name) {
			continue
		}
		why := fmt.Sprintf("%v names %s, which is no site; sites are %s", t.Links, name, strings.Join(names, ", "))
		if near := strict.Nearest(name, names); near != "" {
			why += "; did you mean " + near + "?"
		}
		c.Fault(path, "%s", why)
		return
	}
	if c.Faulty("topology") || c.Faulty("sites") || len(names) == 0 {
		return
	}
	if err := t.siteOptions().Check(names[0]); err != nil {
		c.Fault(path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// sitesOfNode checks a node's site, and where the others are. It reports whether it is
// known who is of the node's own site.
func (n *Node) sitesOfNode(c checker) bool {
	var names, ofNodes []string
	for _, s := range n.Topology.Sites {
		names = append(names, s.Name)
		ofNodes = append(ofNodes, fmt.Sprintf("%s: %d", s.Name, s.Number))
	}
	if n.Topology.Joins {
		return joins(n, c)
	}
	if len(names) == 0 {
		if !c.Faulty("topology.sites") {
			c.Fault("topology.kind", "the sites are missing, and the number of each, which never changes; name all, alike on every node, as in topology: {kind: %s, sites: {us: 1, eu: 2}}", kindMultiLeader)
		}
		return false
	}
	c.sites(n.Topology, "topology.sites", "")
	if n.Self.Site == "" {
		c.Fault("node.site", "the site of this node is missing; it is one of %s, as in node: {id: %s, site: %s}", strings.Join(names, ", "), n.Self.ID, names[0])
		return false
	}
	for _, m := range n.everybody() {
		at := strict.Join("members", m.ID)
		if m.ID == n.Self.ID && (len(n.Members) == 0 || c.Given("node.site")) {
			at = "node"
		}
		switch {
		case m.Site == "":
			c.Fault(at, "it has no site; write %s: {addr: host:port, site: %s}", m.ID, names[0])
		case !slices.Contains(names, m.Site) && !slices.Contains(n.Topology.Expects, m.Site):
			c.Fault(at+".site", "there is no site %.70q; topology.sites has %s; one that is to be added while these work stands in topology.expects", m.Site, strings.Join(ofNodes, ", "))
		}
	}
	for _, s := range names {
		if own, _ := within(n.everybody(), s); len(own) == 0 {
			c.Fault(strict.Join("topology.sites", s), "it has no members; every node knows those of all sites, as in members: {%s1: {addr: host:port, site: %[1]s}}", s)
		}
	}
	return !c.Faulty("node.site") && !c.Faulty("members")
}

// joins checks a node whose site is to be added to others that work: which they are it
// hears from them.
func joins(n *Node, c checker) bool {
	if len(n.Topology.Sites) > 0 {
		c.Fault("topology.sites", "a site that joins hears from the others which sites there are, and what its own number is: drop it, or drop topology.joins")
	}
	if n.Self.Site == "" {
		c.Fault("node.site", "the site of this node is missing: the name with which it is added, as in node: {id: %s, site: ap}", n.Self.ID)
		return false
	}
	for _, m := range n.everybody() {
		if m.Site == "" {
			c.Fault(strict.Join("members", m.ID), "it has no site; write %s: {addr: host:port, site: %s}", m.ID, n.Self.Site)
		}
	}
	return !c.Faulty("node.site") && !c.Faulty("members")
}

// sitesOfCluster gives the topology its sites, and checks them.
func (c *Cluster) sitesOfCluster(k checker) {
	if len(c.Topology.Sites) > 0 {
		k.Fault("topology.sites", "in a file of a whole cluster a site has its number where it has its nodes, as in sites: {us: {nodes: [us1, us2], number: 1}}")
		return
	}
	if len(c.Sites) == 0 && !k.Faulty("sites") {
		k.Fault("topology.kind", "the sites are missing; name them and their nodes, as in sites: {us: {nodes: [us1, us2]}, eu: {nodes: [eu1, eu2]}}")
	}
	for i, s := range c.Sites {
		n := SiteNumber{Name: s.Name, Number: s.Number}
		if !k.Given(strict.Join("sites", s.Name) + ".number") {
			n.Number = i + 1
		}
		c.Topology.Sites = append(c.Topology.Sites, n)
	}
	k.sites(c.Topology, "sites", ".number")
}

// checkGroups checks who leads and whom commits wait for, in every group of nodes
// that has a log of its own.
func (c *Cluster) checkGroups(k checker) {
	if c.Topology.leaderless() {
		council{k}.quorums(&c.Topology, &c.Control, c.Cluster, c.members())
		return
	}
	if !c.Topology.several() {
		switch {
		case c.Control.Kind == controlRaft:
			k.raftVoters(&c.Control, c.members())
		case c.Control.Elects():
			checkOutside(k, c.Control, c.Cluster, c.members())
		}
		k.policy(c.Topology.Sync.Policy, c.Leader(), c.members())
		k.minimum(c.Topology, c.Control)
		k.lending(c.Topology, c.Control)
		return
	}
	if c.Control.Leader != "" {
		k.Fault("control.leader", "every site has a leader of its own: drop it, and give a node of each the role leader, as in nodes: {%s: leader}; without one the first node of a site that may lead does", c.Control.Leader)
	}
	for _, s := range c.Sites {
		var ms []Member
		ms, k.far = within(c.members(), s.Name)
		k.here = s.Name
		control := c.controlOf(s.Name)
		switch {
		case control.Kind == controlRaft:
			k.raftVoters(&control, ms)
		case control.Elects():
			checkOutside(k, control, c.Cluster, ms)
		}
		k.policy(c.Topology.Sync.Policy, c.LeaderOf(s.Name), ms)
		if k.Faulty("control") || k.Faulty("topology.sync") {
			return // once is enough
		}
	}
	k.minimum(c.Topology, c.Control)
	k.lending(c.Topology, c.Control)
}

// controlOf is the control of the nodes of a site, where several write: its own leader,
// or those of the voters that stand in it, all that it has if none was named.
func (c *Cluster) controlOf(site string) Control {
	k := c.Control
	if k.Kind == controlStatic {
		k.Leader = c.LeaderOf(site)
	}
	if k.Kind != controlRaft {
		return k
	}
	k.Voters = nil
	own, far := within(c.members(), site)
	for _, v := range c.Control.Voters {
		if far[v] == "" {
			k.Voters = append(k.Voters, v)
		}
	}
	if len(k.Voters) == 0 {
		for _, m := range own {
			if m.Role.votes() || m.Role == RoleWitness {
				k.Voters = append(k.Voters, m.ID)
			}
		}
	}
	return k
}
