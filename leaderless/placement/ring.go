package placement

import (
	"slices"

	"github.com/triad-kv/triad/topology"
)

// Location is where a key lies.
type Location struct {
	Part     Part
	Replicas []Node // in order of preference
	Writers  []Node // and who else is sent what is written while it moves
}

// Locate returns where a key lies.
func (m *Map) Locate(key []byte) Location {
	p := m.Part(m.Partition(key))
	l := Location{Part: p}
	for _, id := range p.Writers() {
		n, _ := m.Node(id)
		l.Writers = append(l.Writers, n)
	}
	l.Replicas = l.Writers[:len(p.Replicas())]
	return l
}

// Ringed is what one node has of a map.
type Ringed struct {
	Node
	First         int     // partitions of which it is asked first
	Holds         int     // partitions that it holds, those it is being given left out
	Share         float64 // of all copies, 0 to 1
	Even          float64 // Holds beside what would be its part by weight within its site: 1 is exactly that
	Joins, Leaves int     // partitions that it is still to get, and to give away
}

// Ring returns what each node has, in order of their names.
func (m *Map) Ring() []Ringed {
	out := make([]Ringed, len(m.nodes))
	at := func(id topology.NodeID) *Ringed {
		i, _ := slices.BinarySearch(m.nodes, id)
		return &out[i]
	}
	copies := 0
	inSite := map[string][2]float64{} // what its nodes hold, and weigh
	for i, id := range m.nodes {
		out[i].Node, _ = m.Node(id)
	}
	for i := range keyed(m) {
		p := m.Part(i)
		for j, id := range p.Replicas() {
			copies++
			at(id).Holds++
			if j == 0 {
				at(id).First++
			}
		}
	}
	for _, mv := range m.Moves() {
		if mv.Partition >= keyed(m) {
			continue
		}
		if m.parts[mv.Partition].stage < StageReading {
			for _, id := range mv.Joins() {
				at(id).Joins++
			}
		}
		for _, id := range mv.Leaves() {
			at(id).Leaves++
		}
	}
	for i := range out {
		s := inSite[out[i].Site]
		inSite[out[i].Site] = [2]float64{s[0] + float64(out[i].Holds), s[1] + float64(out[i].Weight)}
	}
	for i := range out {
		r := &out[i]
		s := inSite[r.Site]
		r.Share = float64(r.Holds) / float64(copies)
		if s[0] > 0 {
			r.Even = float64(r.Holds) / (s[0] * float64(r.Weight) / s[1])
		}
	}
	return out
}
