package quorum

import "slices"

// Chosen returns, of nodes in order of preference, as few as are enough: those that it
// comes to first, less those that the others do without; all that are members if they
// are not enough. The last that it comes to is always among them.
func (n Need[N]) Chosen(order []N) (out []N) {
	var set uint64
	for _, id := range order {
		i := n.Index(id)
		if i < 0 {
			continue
		}
		out, set = append(out, id), set|1<<i
		if n.Met(set) {
			break
		}
	}
	if !n.Met(set) {
		return out
	}
	for i := len(out) - 2; i >= 0; i-- {
		if rest := set &^ (1 << n.Index(out[i])); n.Met(rest) {
			out, set = slices.Delete(out, i, i+1), rest
		}
	}
	return out
}

// MetBy reports whether nodes are enough.
func (n Need[N]) MetBy(nodes ...N) bool {
	var set uint64
	for _, id := range nodes {
		if i := n.Index(id); i >= 0 {
			set |= 1 << i
		}
	}
	return n.Met(set)
}
