package merkle

import "slices"

// Node is one node of one tree of several.
type Node struct {
	Partition int
	Level     int
	Index     int
}

// children returns the nodes below.
func (n Node) children() []Node {
	out := make([]Node, Fan)
	for i := range out {
		out[i] = Node{n.Partition, n.Level + 1, n.Index*Fan + i}
	}
	return out
}

// Walk finds the leaves in which the trees of two replicas differ, from the roots down.
// It holds no sums: whoever walks compares both sides' of the nodes it asks for.
type Walk struct {
	depth int
	open  []Node // to be compared; those of a lower level first
	found []Node // leaves that differ

	Differ int // leaves that were seen to differ, those that were not kept among them
}

// NewWalk begins at the roots of some partitions.
func NewWalk(depth int, partitions []int) *Walk {
	w := &Walk{depth: depth}
	for _, p := range partitions {
		w.open = append(w.open, Node{Partition: p})
	}
	return w
}

// Next returns up to most nodes to compare now, none when the walk is over. It goes down
// before it goes on, so that what it holds is bounded by most, Fan and the depth.
func (w *Walk) Next(most int) []Node {
	return w.open[:min(most, len(w.open))]
}

// Compare takes the sums of the nodes that Next returned, and keeps up to leavesMax leaves.
func (w *Walk) Compare(mine, theirs []uint64, leavesMax int) {
	nodes := w.open[:len(mine)]
	var down []Node
	for i, n := range nodes {
		switch {
		case mine[i] == theirs[i]:
		case n.Level < w.depth:
			down = append(down, n.children()...)
		default:
			if w.Differ++; len(w.found) < leavesMax {
				w.found = append(w.found, n)
			}
		}
	}
	w.open = append(down, w.open[len(nodes):]...)
}

// Leaves returns the leaves that differ, in order.
func (w *Walk) Leaves() []Node {
	slices.SortFunc(w.found, func(a, b Node) int {
		if a.Partition != b.Partition {
			return a.Partition - b.Partition
		}
		return a.Index - b.Index
	})
	return w.found
}
