package triad

import "github.com/triad-kv/triad/topology"

// MembershipOf returns what a node knows of where the others are.
func MembershipOf(n *Node) topology.Membership { return n.membership }
