package triad

import (
	"context"

	"github.com/triad-kv/triad/topology"
)

// MembershipOf returns what a node knows of where the others are.
func MembershipOf(n *Node) topology.Membership { return n.membership }

// Trim trims a node's log now, where RetainEvery is so long that nobody else does.
func Trim(ctx context.Context, n *Node) error {
	t := trimmer{running: running{n}}
	return t.trim(ctx)
}
