package config

import "github.com/triad-kv/triad/internal/config/strict"

// check finds what is wrong with a node, and completes what follows from the
// rest.
func (n *Node) check(controls []string) {
	c := checker{Values: n.values, controls: controls}
	c.name("cluster", "cluster", n.Cluster)
	c.name("node.id", "node", n.Self.ID)
	if n.Self.Site != "" {
		c.name("node.site", "site", n.Self.Site)
	}
	c.roleOfOne("node.role", n.Self.Role)
	if n.Self.Dir == "" && !c.Faulty("node") {
		c.Fault("node.dir", "the directory is missing that keeps the node's log and store, as in node: {id: %s, dir: data/%[1]s}", n.Self.ID)
	}
	c.addresses(n.Listen.addresses(""))
	for i, addr := range n.Join {
		c.address(index("join", i), addr)
	}
	if !c.Faulty("members") && !c.Faulty("node") {
		n.checkMembers(c)
	}
	c.hooks(n.Topology.Hooks)
	if c.kind(n.Topology, n.Control) && !c.Faulty("members") {
		n.checkGroup(c)
	}
	c.tables(n.Tables, n.RESP, n.Topology)
	c.limits(n.Limits, n.Topology)
	c.zeros(*n)
	n.checkDoors(c)
	n.warn()
}

// checkGroup checks who leads and whom commits wait for.
func (n *Node) checkGroup(c checker) {
	if n.Topology.leaderless() {
		council{c}.ofNode(n)
		return
	}
	ms := n.everybody()
	if n.Topology.several() {
		if !n.sitesOfNode(c) {
			return
		}
		ms, c.far = within(ms, n.Self.Site)
		c.here = n.Self.Site
	}
	leader := first(ms)
	switch {
	case n.Control.Kind == controlRaft:
		c.raftVoters(&n.Control, ms)
	case n.Control.Elects():
		checkOutside(c, n.Control, n.Cluster, ms)
	case c.Faulty("control.kind"): // who leads first is then not known
	default:
		leader = c.leader(n.Control, ms)
	}
	if n.Topology.several() && n.Control.Kind == controlStatic {
		n.Control.Leader = leader
	}
	sharers := ms
	if len(n.Members) == 0 {
		sharers = nil // gossip, or the group's document, knows them
	}
	upstreams(c, "node.upstream", n.Self.Role, n.Self.ID, n.Self.Upstream, sharers)
	c.policy(n.Topology.Sync.Policy, leader, ms)
	c.minimum(n.Topology, n.Control)
	c.lending(n.Topology, n.Control)
}

// group are the members that replicate one log with this node.
func (n *Node) group() []Member {
	if !n.Topology.several() {
		return n.everybody()
	}
	own, _ := within(n.everybody(), n.Self.Site)
	return own
}

// everybody is all members, this node alone if none are named.
func (n *Node) everybody() []Member {
	if len(n.Members) > 0 {
		return n.Members
	}
	return []Member{{ID: n.Self.ID, Addr: n.Listen.Peers, Site: n.Self.Site, Role: n.Self.Role}}
}

// checkMembers checks the members, and this node against what they say of it.
func (n *Node) checkMembers(c checker) {
	if len(n.Members) == 0 {
		return
	}
	c.members(n.Members, n.Listen.Gossip == "" && len(n.Members) > 1)
	for _, m := range n.Members {
		c.roleOfOne(strict.Join("members", m.ID)+".role", m.Role)
	}
	self := n.member(n.Self.ID)
	if self == nil {
		c.Fault("members", "this node, %s, is not among them; every node has the same list, itself included", n.Self.ID)
		return
	}
	path := strict.Join("members", self.ID)
	switch {
	case n.Self.Site == "":
		n.Self.Site = self.Site
		c.Adopt("node.site", path+".site")
	case self.Site == "":
		self.Site = n.Self.Site
	case self.Site != n.Self.Site:
		c.Fault("node.site", "%s, and %s.site says %s", n.Self.Site, path, self.Site)
	}
	switch given, said := c.Given("node.role"), c.Given(path+".role"); {
	case given && said && n.Self.Role != self.Role:
		c.Fault("node.role", "%s, and %s.role says %s", n.Self.Role, path, self.Role)
	case given && !said:
		self.Role = n.Self.Role
	case said:
		n.Self.Role = self.Role
		c.Adopt("node.role", path+".role")
	}
	if self.Addr != "" && n.Listen.Peers == "" {
		n.Listen.Peers = self.Addr
		c.Adopt("listen.peers", path+".addr")
	}
	if self.RESP != "" && n.Listen.RESP == "" {
		n.Listen.RESP = self.RESP
		c.Adopt("listen.resp", path+".resp")
	}
	if n.Listen.Peers == "" && len(n.Members) > 1 && !c.Faulty(path) {
		c.Fault("listen.peers", "the others reach this node by it; name it, as in listen: {peers: 127.0.0.1:7400}")
	}
}

// member returns the member of that name.
func (n *Node) member(id string) *Member {
	for i := range n.Members {
		if n.Members[i].ID == id {
			return &n.Members[i]
		}
	}
	return nil
}

// roleOfOne refuses the roles of a file of a cluster: which node leads changes,
// and no node's own file can say it.
func (c checker) roleOfOne(path string, r Role) {
	if r == RoleLeader || r == RoleStandby {
		c.Fault(path, "a node is a voter, a read-replica or delayed; which voter leads first is said by control.leader")
	}
}
