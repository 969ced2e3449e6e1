package gossip

import (
	"testing"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

func TestGossipKeepsTheContractOfAMembership(t *testing.T) {
	topologytest.TestMembership(t, func(t *testing.T) topologytest.Membership {
		pair := []topology.Member{{ID: "a"}, {ID: "b"}}
		a := open(t, setup{id: "a", members: pair, silent: true})
		var b *node
		return topologytest.Membership{
			Membership: a.Gossip, Self: "a", Members: []topology.NodeID{"a", "b"},
			Change: func() { // b comes, goes, comes
				if b == nil {
					b = open(t, setup{id: "b", members: pair, seeds: []string{a.Addr()}})
					a.sees("b", topology.LivenessAlive)
					b.sees("a", topology.LivenessAlive) // else it has nobody to say goodbye to
					return
				}
				b.leave()
				a.sees("b", topology.LivenessLeft)
				b = nil
			},
		}
	})
}
