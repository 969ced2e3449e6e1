package server

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/topology"
)

// What clients of Redis Cluster ask before they follow MOVED. It is answered where
// clients are redirected; elsewhere this is no cluster to them, and says so.
var clusterCommands = []command{
	{name: "cluster", arity: -2, flags: family, group: "cluster", about: "Tells clients that are redirected where to go.", answer: answerFamily},
	{name: "cluster|slots", arity: 2, flags: cuts, group: "cluster", about: "Lists who has which slots: the leader has all.", answer: redirecting(answerClusterSlots)},
	{name: "cluster|nodes", arity: 2, flags: cuts, group: "cluster", about: "Lists the nodes, a line each.", answer: redirecting(answerClusterNodes)},
	{name: "cluster|info", arity: 2, flags: cuts, group: "cluster", about: "Tells whether a leader is known.", answer: redirecting(answerClusterInfo)},
	{name: "cluster|myid", arity: 2, flags: fast, group: "cluster", about: "Returns this node's number.", answer: redirecting(answerClusterMyID)},
	{name: "cluster|keyslot", arity: 3, flags: fast, group: "cluster", about: "Returns the slot of a key.", answer: answerKeySlot},
	{name: "cluster|help", arity: 2, flags: 0, group: "cluster", about: "Lists what CLUSTER knows.", answer: answerFamilyHelp},
	{name: "readonly", arity: 1, flags: fast, group: "cluster", about: "Is accepted: every node reads.", answer: redirecting(answerEverywhere)},
	{name: "readwrite", arity: 1, flags: fast, group: "cluster", about: "Is accepted: every node reads.", answer: redirecting(answerEverywhere)},
}

// redirecting refuses, in the words of Redis, what has no meaning where nobody is redirected.
func redirecting(f func(context.Context, *conn, *request) error) func(context.Context, *conn, *request) error {
	return func(ctx context.Context, c *conn, r *request) error {
		if c.server.o.Routing != RoutingRedirect {
			return errNoCluster
		}
		return f(ctx, c, r)
	}
}

// mode is what a server that routes so is to clients that ask.
func (r Routing) mode() string {
	if r == RoutingRedirect {
		return "cluster"
	}
	return "standalone"
}

func answerEverywhere(_ context.Context, _ *conn, r *request) error {
	r.out.OK()
	return nil
}

func answerKeySlot(_ context.Context, _ *conn, r *request) error {
	r.out.Int(int64(slotOf(r.args[2])))
	return nil
}

// clusterID is a node's name in the form that Redis Cluster has: 40 hex digits.
func clusterID(n topology.NodeID) string {
	sum := sha1.Sum([]byte(n))
	return hex.EncodeToString(sum[:])
}

func answerClusterMyID(_ context.Context, c *conn, r *request) error {
	r.out.BulkString(clusterID(c.server.node.Status().Node))
	return nil
}

// sights are a server as the nodes around it are shown by it.
type sights struct{ *Server }

// reachable are the nodes whose ports are known, the leader first; none where that
// is not known.
func (s sights) reachable() (nodes []topology.NodeID) {
	leader := s.leader()
	if leader == "" || s.o.Addr(leader) == "" {
		return nil
	}
	nodes = append(nodes, leader)
	for _, n := range s.o.Nodes {
		if n != leader && s.o.Addr(n) != "" {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// leader is who leads, as far as this node knows.
func (s sights) leader() topology.NodeID {
	st := s.node.Status()
	if st.Role.Writes() {
		return st.Node
	}
	return st.Leader
}

func answerClusterSlots(_ context.Context, c *conn, r *request) error {
	nodes := sights{c.server}.reachable()
	if len(nodes) == 0 {
		return errNoLeader
	}
	r.out.Array(1)
	r.out.Array(2 + len(nodes))
	r.out.Int(0)
	r.out.Int(slotsAll - 1)
	for _, n := range nodes {
		sights{c.server}.show(&r.out, n)
	}
	return nil
}

func (s sights) show(w *resp.Writer, n topology.NodeID) {
	host, port := s.address(n)
	w.Array(4)
	w.BulkString(host)
	w.Int(int64(port))
	w.BulkString(clusterID(n))
	w.Array(0)
}

// answerClusterNodes has no bus, so that its port is 0, and no pings.
func answerClusterNodes(_ context.Context, c *conn, r *request) error {
	s := sights{c.server}
	st, nodes := s.node.Status(), s.reachable()
	if len(nodes) == 0 {
		return errNoLeader
	}
	var b strings.Builder
	for i, n := range nodes {
		flags, master, slots := "slave", clusterID(nodes[0]), ""
		if i == 0 {
			flags, master, slots = "master", "-", fmt.Sprintf(" 0-%d", slotsAll-1)
		}
		if n == st.Node {
			flags = "myself," + flags
		}
		fmt.Fprintf(&b, "%s %s@0 %s %s 0 0 %d connected%s\n", clusterID(n), s.o.Addr(n), flags, master, st.Term, slots)
	}
	r.out.Verbatim(b.String())
	return nil
}

func answerClusterInfo(_ context.Context, c *conn, r *request) error {
	st, nodes := c.server.node.Status(), sights{c.server}.reachable()
	state, slots, size := "ok", slotsAll, 1
	if len(nodes) == 0 {
		state, slots, size = "fail", 0, 0
	}
	r.out.Verbatim(fmt.Sprintf("cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%[2]d\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\ncluster_current_epoch:%d\r\n",
		state, slots, len(nodes), size, st.Term))
	return nil
}
