package placement

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Limits of a map.
const (
	PartitionsMax = 1 << 16
	NodesMax      = 1 << 10
)

// Map is one placement. It is a value that is never changed: a change of nodes is
// another map of a greater epoch.
type Map struct {
	epoch  uint64
	shaped uint64 // the epoch in which layout or target changed last
	layout Layout
	target *Layout // where partitions move to; nil if none does
	nodes  []topology.NodeID
	parts  []kept
	shared bool   // the last partition is that of all nodes
	free   uint32 // the first number that no node was ever given
}

// kept is one partition of a map.
type kept struct {
	old     []topology.NodeID // by the layout, in order of preference
	new     []topology.NodeID // by the target; nil if there is none
	stage   Stage
	touched uint64 // the epoch of the last change to this partition
}

// New returns the map of an epoch: partitions of n copies each over nodes, in
// whatever order they are given. first is the first of the numbers that control
// gave out for the origins of this map (rule C2): one for each node's share of
// each partition. Errors wrap [topology.ErrMalformed].
func New(epoch uint64, nodes []topology.NodeID, partitions, n int, first uint32) (*Map, error) {
	if first == 0 {
		return nil, fmt.Errorf("placement: %w: the numbers of origins begin at 1", topology.ErrMalformed)
	}
	l := Layout{Copies: n}
	nodes = slices.Clone(nodes)
	slices.Sort(nodes)
	for i, id := range nodes {
		l.Nodes = append(l.Nodes, Node{ID: id, Weight: 1, Numbers: first + uint32(i*partitions)})
	}
	return Found(epoch, l, partitions)
}

// Found returns the first map of a table, or one that is to be taken as a whole:
// every partition lies where the layout says. Errors wrap [topology.ErrMalformed].
func Found(epoch uint64, l Layout, partitions int) (*Map, error) {
	l = l.sorted()
	if partitions < 1 || partitions > PartitionsMax {
		return nil, fmt.Errorf("placement: %w: %d partitions, 1 to %d may be", topology.ErrMalformed, partitions, PartitionsMax)
	}
	if err := l.check(partitions); err != nil {
		return nil, err
	}
	m := &Map{epoch: epoch, shaped: epoch, layout: l, nodes: l.ids(), parts: make([]kept, partitions), free: l.behind(partitions)}
	r := newRanker(&l)
	for p := range m.parts {
		m.parts[p] = kept{old: r.choose(p), touched: epoch}
	}
	return m, nil
}

// Epoch returns the map's number, which every request carries (rules C7, L8).
func (m *Map) Epoch() uint64 { return m.epoch }

// Nodes returns all nodes in ascending order, those of the target too; read only.
func (m *Map) Nodes() []topology.NodeID { return m.nodes }

// Layout returns what the map is computed from; read only.
func (m *Map) Layout() Layout { return m.layout }

// Target returns where partitions are moving to; read only. false if none does.
func (m *Map) Target() (Layout, bool) {
	if m.target == nil {
		return Layout{}, false
	}
	return *m.target, true
}

// Partitions returns how many partitions there are: Q, and one more if m is shared.
func (m *Map) Partitions() int { return len(m.parts) }

// keyed returns among how many partitions keys are spread.
func keyed(m *Map) int {
	if m.shared {
		return len(m.parts) - 1
	}
	return len(m.parts)
}

// N returns how many copies there are of each by the layout.
func (m *Map) N() int { return m.layout.copies() }

// Partition returns the partition of a key. Tables share partitions, so that keys
// of two tables that are equal are held by the same nodes.
func (m *Map) Partition(key []byte) int { return int(mix(sum(key)) % uint64(keyed(m))) }

// Part returns a partition as it is under this map.
func (m *Map) Part(partition int) Part {
	k := &m.parts[partition]
	return Part{ID: partition, Stage: k.stage, Epoch: k.touched, Old: k.old, New: k.new, layout: &m.layout, target: m.target}
}

// Replicas is [Part.Replicas] of a partition; read only.
func (m *Map) Replicas(partition int) []topology.NodeID { return m.Part(partition).Replicas() }

// Holds is [Part.Holds] of a partition.
func (m *Map) Holds(node topology.NodeID, partition int) bool { return m.Part(partition).Holds(node) }

// Node returns what the map knows of a node, by the target first.
func (m *Map) Node(id topology.NodeID) (Node, bool) {
	if m.target != nil {
		if n, ok := m.target.node(id); ok {
			return n, true
		}
	}
	return m.layout.node(id)
}

// Origin returns under whom a node numbers its writes to a partition, in one life
// of its data directory; the zero Origin for a node that is not in the map.
func (m *Map) Origin(node topology.NodeID, partition int, incarnation uint32) version.Origin {
	n, ok := m.Node(node)
	if !ok {
		return version.Origin{}
	}
	return version.Origin{ID: n.Numbers + uint32(partition), Incarnation: incarnation}
}

// sum is FNV-1a, 64 bits.
func sum(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// mix spreads a sum over all bits: the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
