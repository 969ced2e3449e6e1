//go:build linux

package nemesis

import (
	"context"
	"net"
	"slices"
)

// The ports of every node, on an address of its own.
const (
	portPeers = "7400"
	portRESP  = "6400"
	portAdmin = "8400"
)

// ids are the nodes. a leads the first term.
var ids = []string{"a", "b", "c"}

// place is a node's number, from 0.
func place(id string) int { return slices.Index(ids, id) }

// way is a direction in which nodes reach each other.
type way struct{ from, to string }

// network is what lies between the nodes. Clients reach every node, whatever is
// cut. Who makes one closes it.
type network interface {
	// addr is where a node listens and clients reach it.
	addr(id string) string
	// view is where node from reaches node to.
	view(from, to string) string
	// space is the file of the network namespace a node starts in; empty for our own.
	space(id string) string
	// cut drops what goes these ways, silently, and nothing else.
	cut(ctx context.Context, ways []way) error
	// slow bounds what a node sends, in kbit/s; 0 for no bound. An error that is
	// errNotHere says that this network cannot.
	slow(ctx context.Context, id string, rate int) error
}

// between are both ways between two sets of nodes.
func between(some, others []string) (ways []way) {
	for _, a := range some {
		for _, b := range others {
			if a != b {
				ways = append(ways, way{a, b}, way{b, a})
			}
		}
	}
	return ways
}

// others are all nodes but one.
func others(id string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(o string) bool { return o == id })
}

func at(host, port string) string { return net.JoinHostPort(host, port) }
