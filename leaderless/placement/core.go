// Package placement says where keys are: which partition a key belongs to, and
// which nodes hold a copy of a partition (rule L8). It is a pure function of a
// list of nodes and three numbers, so every node and every client that has the
// same map finds the same answer, and nobody needs a ring, tokens or a table.
//
// The key space is cut into Q equal partitions, once. Each partition takes the N
// nodes that score highest for it (rendezvous hashing, Thaler and Ravishankar
// 1998): a node that comes or goes moves only the partitions it gains or loses,
// about N·Q/nodes of them, and no others.
package placement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
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
	epoch    uint64
	first    uint32
	nodes    []topology.NodeID
	replicas [][]topology.NodeID // by partition, in order of preference
	keyed    int                 // how many of them hold keys by their hash; behind them may be that of Triad's own table
}

// New returns the map of an epoch: partitions of n copies each over nodes, in
// whatever order they are given. first is the first of the numbers that control
// gave out for the origins of this map (rule C2): one for each node's share of
// each partition. Errors wrap [topology.ErrMalformed].
func New(epoch uint64, nodes []topology.NodeID, partitions, n int, first uint32) (*Map, error) {
	nodes = slices.Clone(nodes)
	slices.Sort(nodes)
	switch {
	case len(nodes) == 0 || len(nodes) > NodesMax:
		return nil, fmt.Errorf("placement: %w: %d nodes, 1 to %d may be", topology.ErrMalformed, len(nodes), NodesMax)
	case len(slices.Compact(slices.Clone(nodes))) < len(nodes):
		return nil, fmt.Errorf("placement: %w: a node is listed twice in %v", topology.ErrMalformed, nodes)
	case n < 1 || n > len(nodes):
		return nil, fmt.Errorf("placement: %w: %d copies on %d nodes", topology.ErrMalformed, n, len(nodes))
	case partitions < 1 || partitions > PartitionsMax:
		return nil, fmt.Errorf("placement: %w: %d partitions, 1 to %d may be", topology.ErrMalformed, partitions, PartitionsMax)
	case first == 0:
		return nil, fmt.Errorf("placement: %w: the numbers of origins begin at 1", topology.ErrMalformed)
	}
	m := &Map{epoch: epoch, first: first, nodes: nodes, replicas: make([][]topology.NodeID, partitions), keyed: partitions}
	for p := range m.replicas {
		m.replicas[p] = choose(nodes, p, n)
	}
	return m, nil
}

// Shared returns a map like m with one partition more, which every node holds: that
// of Triad's own table. What a table is has to be known wherever it is written to.
func (m *Map) Shared() *Map {
	c := *m
	c.replicas = append(slices.Clone(m.replicas[:m.keyed]), choose(m.nodes, m.keyed, len(m.nodes)))
	return &c
}

// choose returns the n nodes that score highest for a partition, highest first.
func choose(nodes []topology.NodeID, partition, n int) []topology.NodeID {
	type scored struct {
		node  topology.NodeID
		score uint64
	}
	all := make([]scored, len(nodes))
	for i, node := range nodes {
		all[i] = scored{node, mix(sum([]byte(node)) ^ mix(uint64(partition)+1))}
	}
	slices.SortFunc(all, func(a, b scored) int {
		if c := cmp.Compare(b.score, a.score); c != 0 {
			return c
		}
		return cmp.Compare(a.node, b.node)
	})
	out := make([]topology.NodeID, n)
	for i := range out {
		out[i] = all[i].node
	}
	return out
}

// Epoch returns the map's number, which every request carries (rules C7, L8).
func (m *Map) Epoch() uint64 { return m.epoch }

// Nodes returns all nodes in ascending order; read only.
func (m *Map) Nodes() []topology.NodeID { return m.nodes }

// Partitions returns how many partitions there are: Q, and one more if m is shared.
func (m *Map) Partitions() int { return len(m.replicas) }

// N returns how many copies there are of each key.
func (m *Map) N() int { return len(m.replicas[0]) }

// Partition returns the partition of a key. Tables share partitions, so that keys
// of two tables that are equal are held by the same nodes.
func (m *Map) Partition(key []byte) int { return int(mix(sum(key)) % uint64(m.keyed)) }

// Of returns the partition of a key of a table. It differs from Partition for
// Triad's own table in a map that is shared.
func (m *Map) Of(table record.TableID, key []byte) int {
	if table == record.TableSystem && m.keyed < len(m.replicas) {
		return m.keyed
	}
	return m.Partition(key)
}

// Fingerprint returns a number that two maps of one content share: nodes that talk
// to each other must have the same.
func (m *Map) Fingerprint() uint64 {
	h := mix(uint64(m.keyed)) ^ mix(uint64(m.N())+1<<32) ^ mix(uint64(m.first)+1<<40)
	for _, n := range m.nodes {
		h = mix(h ^ sum([]byte(n)))
	}
	return h
}

// Replicas returns who holds a partition, in order of preference; read only.
func (m *Map) Replicas(partition int) []topology.NodeID { return m.replicas[partition] }

// Holds reports whether a node holds a partition.
func (m *Map) Holds(node topology.NodeID, partition int) bool {
	return slices.Contains(m.replicas[partition], node)
}

// Origin returns under whom a node numbers its writes to a partition, in one life
// of its data directory.
func (m *Map) Origin(node topology.NodeID, partition int, incarnation uint32) version.Origin {
	i, _ := slices.BinarySearch(m.nodes, node)
	return version.Origin{ID: m.first + uint32(partition*len(m.nodes)+i), Incarnation: incarnation}
}

// PartitionOf returns the partition that an origin's writes belong to; false if it is
// none of this map's.
func (m *Map) PartitionOf(o version.Origin) (partition int, ok bool) {
	if o.ID < m.first {
		return 0, false
	}
	partition = int(o.ID-m.first) / len(m.nodes)
	return partition, partition < len(m.replicas)
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
