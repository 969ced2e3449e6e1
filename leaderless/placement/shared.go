package placement

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Mapped is who knows a map: the map itself, or one that others replace by newer ones.
type Mapped interface {
	Current() *Map
}

// Current returns m.
func (m *Map) Current() *Map { return m }

// Share returns a map like m with one partition more, the last, which every node holds:
// that of Triad's own table. What a table is has to be known wherever it is written to.
// It moves like every other when nodes come and go. Every node's numbers must have room
// for it: one more than there are partitions.
func Share(m *Map) *Map {
	c := *m
	c.shared = true
	c.parts = append(append([]kept(nil), m.parts...), kept{old: m.layout.ids(), touched: m.epoch})
	c.free = max(c.free, c.layout.behind(len(c.parts)))
	return &c
}

// Shared returns the partition that every node holds; false if there is none.
func Shared(m *Map) (partition int, ok bool) { return len(m.parts) - 1, m.shared }

// chosen returns who holds a partition by the ranker's layout, in order of preference.
func chosen(m *Map, r *ranker, partition int) []topology.NodeID {
	if m.shared && partition == len(m.parts)-1 {
		return r.l.ids()
	}
	return r.choose(partition)
}

// Free returns the first number that no node was ever given: those of one that comes
// begin there.
func Free(m *Map) uint32 { return m.free }

// Of returns the partition of a key of a table: in a map that is shared, that of all
// nodes for Triad's own.
func Of(at Mapped, table record.TableID, key []byte) int {
	m := at.Current()
	if table == record.TableSystem && m.shared {
		return len(m.parts) - 1
	}
	return m.Partition(key)
}

// PartitionOf returns the partition that an origin's writes belong to; false if it is
// none of this map's. Nodes that have left count too, where all were given their
// numbers one after another from 1 on.
func PartitionOf(at Mapped, o version.Origin) (partition int, ok bool) {
	m := at.Current()
	n := uint32(m.Partitions()) //nolint:gosec // it is at most PartitionsMax
	for _, l := range []*Layout{&m.layout, m.target} {
		if l == nil {
			continue
		}
		for i := range l.Nodes {
			if first := l.Nodes[i].Numbers; o.ID >= first && o.ID-first < n {
				return int(o.ID - first), true
			}
		}
	}
	if o.ID == 0 || o.ID >= m.free {
		return 0, false
	}
	return int((o.ID - 1) % n), true
}

// Fingerprint returns a number of what never changes about a map: into how many
// partitions keys are cut. Nodes that talk to each other must have the same.
func Fingerprint(at Mapped) uint64 {
	m := at.Current()
	return mix(uint64(keyed(m))) ^ mix(uint64(len(m.parts))+1<<32)
}

// FoundingPrint returns the number by which directories of earlier versions know the
// map of their first start, members and copies included.
func FoundingPrint(m *Map) uint64 {
	h := mix(uint64(keyed(m))) ^ mix(uint64(m.N())+1<<32)
	for i := range m.layout.Nodes {
		n := &m.layout.Nodes[i]
		h = mix(h^sum([]byte(string(n.ID)+"/"+n.Site))) ^ mix(uint64(n.Numbers)+1<<40)
	}
	return h
}
