package leaderless

import (
	"slices"
	"sync/atomic"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// places is the newest map that this node knows; others replace it by newer ones. What
// is decided by it alone, outside the core, is whom to ask: the core judges by its own.
type places struct {
	now atomic.Pointer[placement.Map]
}

// Current implements placement.Mapped.
func (p *places) Current() *placement.Map { return p.now.Load() }

func (p *places) Epoch() uint64            { return p.Current().Epoch() }
func (p *places) Partitions() int          { return p.Current().Partitions() }
func (p *places) N() int                   { return p.Current().N() }
func (p *places) Nodes() []topology.NodeID { return p.Current().Nodes() }

// Part is a partition as it is now.
func (p *places) Part(partition int) placement.Part { return p.Current().Part(partition) }

// Replicas are those who are asked for what a partition holds; read only.
func (p *places) Replicas(partition int) []topology.NodeID { return p.Current().Replicas(partition) }

// Holds reports whether a node holds a partition, or is being given it.
func (p *places) Holds(id topology.NodeID, partition int) bool {
	return p.Current().Holds(id, partition)
}

// Node is what the map knows of a node.
func (p *places) Node(id topology.NodeID) (placement.Node, bool) { return p.Current().Node(id) }

// Shows reports whether a node is asked for what a partition holds.
func (p *places) Shows(id topology.NodeID, partition int) bool {
	return slices.Contains(p.Replicas(partition), id)
}

// Full reports whether a node holds all that was acknowledged of a partition, as far as
// any replica does: one that is being filled does not.
func (p *places) Full(id topology.NodeID, partition int) bool {
	part := p.Part(partition)
	return slices.Contains(part.Replicas(), id) || part.Moving() && slices.Contains(part.Old, id)
}

// Origin is under whom a node numbers its writes to a partition.
func (p *places) Origin(id topology.NodeID, partition int, life uint32) version.Origin {
	return p.Current().Origin(id, partition, life)
}
