package placement

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Share returns a map like m with one partition more, which every node holds: that of
// Triad's own table. What a table is has to be known wherever it is written to. Every
// node's numbers must have room for it: one more than there are partitions.
func Share(m *Map) *Map {
	c := *m
	c.shared = true
	return &c
}

// Of returns the partition of a key of a table: in a map that is shared, that of all
// nodes for Triad's own.
func Of(m *Map, table record.TableID, key []byte) int {
	if table == record.TableSystem && m.shared {
		return len(m.parts)
	}
	return m.Partition(key)
}

// PartitionOf returns the partition that an origin's writes belong to; false if it is
// none of this map's.
func PartitionOf(m *Map, o version.Origin) (partition int, ok bool) {
	for _, l := range []*Layout{&m.layout, m.target} {
		if l == nil {
			continue
		}
		for i := range l.Nodes {
			if first := l.Nodes[i].Numbers; o.ID >= first && o.ID-first < uint32(m.Partitions()) {
				return int(o.ID - first), true
			}
		}
	}
	return 0, false
}

// Fingerprint returns a number that maps of one content share: nodes that talk to each
// other must have the same.
func Fingerprint(m *Map) uint64 {
	h := mix(uint64(len(m.parts))) ^ mix(uint64(m.N())+1<<32)
	for i := range m.layout.Nodes {
		n := &m.layout.Nodes[i]
		h = mix(h^sum([]byte(string(n.ID)+"/"+n.Site))) ^ mix(uint64(n.Numbers)+1<<40)
	}
	return h
}
