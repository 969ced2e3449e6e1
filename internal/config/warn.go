package config

import (
	"strconv"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// unsafe warns of what loses acknowledged writes.
func (c checker) unsafe(t Topology, members int) {
	if t.leaderless() {
		council{c}.warnQuorums(t)
		return
	}
	if members > 1 && t.Sync.Kind == quorum.KindAsync && t.MaxLagOnFailover > 0 {
		c.Warn("topology.max_lag_on_failover", "an election may lose up to %d records that were acknowledged, each time; any 1 (…) loses none", t.MaxLagOnFailover)
	} else if members > 1 && t.Sync.Kind == quorum.KindAsync {
		c.Warn("topology.sync", "no other node has a write when it is acknowledged: what had not reached another is lost with the leader's disk, or by a failover; any 1 (…) waits for one")
	}
	if topology.Durability(t.Durability) == topology.Received {
		c.Warn("topology.durability", "a write is acknowledged before it is on a disk: power lost everywhere at once loses it; flushed waits for the disks")
	}
}

// warn notes what is unsafe in a node.
func (n *Node) warn() {
	c := checker{Values: n.values}
	c.unsafe(n.Topology, len(n.group()))
	if n.TLS.Insecure {
		c.Warn("tls.insecure", "whoever reaches the ports reads and writes everything, and what passes is not encrypted")
	}
	if n.Listen.RESP != "" && !onLoopback(n.Listen.RESP) && n.RESP.Password == "" && n.RESP.PasswordFile == "" {
		c.Warn("listen.resp", "it is reached from other machines and has no password: set resp.password_file")
	}
	if n.Self.Memory {
		c.Warn("node.memory", "the store is built from the log at every start, so the log is never trimmed and grows with every write")
	}
	if n.Self.Role == RoleDelayed && n.Self.ApplyDelay == 0 {
		c.Warn("node.role", "the role is delayed, and node.apply_delay says by nothing")
	}
	if n.Self.Role == RoleVoter && n.Self.ApplyDelay > 0 {
		c.Warn("node.apply_delay", "a node that may lead applies late: after a failover to it, reads wait that long; role: delayed is never counted")
	}
	n.warnRouting(c)
	for path, unused := range map[string]bool{
		"resp.routing":       n.Listen.RESP == "" && c.Given("resp.routing") && n.RESP.Routing == RoutingRedirect,
		"resp.prefixes":      n.Listen.RESP == "" && len(n.RESP.Prefixes) > 0,
		"resp.password_file": n.Listen.RESP == "" && n.RESP.PasswordFile != "",
		"gossip.key_file":    n.Listen.Gossip == "" && n.Gossip.KeyFile != "",
		"admin.token_file":   n.Listen.Admin == "" && n.Admin.TokenFile != "",
	} {
		if unused {
			c.Warn(path, "nothing uses it: the port it is for is not opened (listen)")
		}
	}
}

// warnRouting names who may lead and is not where clients can be sent.
func (n *Node) warnRouting(c checker) {
	if n.RESP.Routing != RoutingRedirect || n.Listen.RESP == "" {
		return
	}
	for _, m := range n.Members {
		if m.Role.votes() && m.RESP == "" {
			c.Warn("resp.routing", "member %s has no address resp: while it leads, clients are answered READONLY instead of where to go", m.ID)
		}
	}
}

// largest is how many nodes the largest group has that has a log of its own.
func (c *Cluster) largest() int {
	if !c.Topology.several() {
		return len(c.Replicas)
	}
	most := 0
	for _, s := range c.Sites {
		most = max(most, len(s.Nodes))
	}
	return most
}

// warn notes what is unsafe in a cluster, or probably forgotten.
func (c *Cluster) warn() {
	k := checker{Values: c.values}
	k.unsafe(c.Topology, c.largest())
	for i, from := range c.Sites {
		for _, to := range c.Sites[i+1:] {
			_, there := c.delay(from.Name, to.Name)
			_, back := c.delay(to.Name, from.Name)
			if !there && !back {
				k.Warn(strict.Join("sites", from.Name), "no delay to %s is given: it is as near as the next node", to.Name)
			}
		}
	}
}
