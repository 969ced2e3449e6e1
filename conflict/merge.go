package conflict

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// ErrForked says that one dot stands for two different writes: two lives wrote
// under one origin, or bytes were changed on the way (rules C1, M1). Nothing of
// either side may be merged; the link or the replica that brought the other
// bytes is to be frozen, and a person told.
var ErrForked = errors.New("forked origin")

// Merge takes in into local, by dots alone (rule X):
//
//	kept = {v ∈ local : v ∈ in or not covers(v)} ∪ {w ∈ in : w ∈ local or not seen(w)}
//	gone = local without kept
//
// seen is what the taker has seen: what is in it and not in local was
// superseded here, and does not come back. covers is what the writer of in had
// seen: what is in it and not in in was superseded there. Which knowledge that
// is differs by topology, and is the whole difference between them (the table
// in the package comment). A nil Seen knows nothing.
//
// Both slices stand in the canonical order of dots, no dot twice, and so do the
// results, whose values alias the arguments'. The error wraps [ErrForked] if one
// dot has two contents; then the results are nil and nothing is to be changed.
//
// Merge is pure: no policy, clock, topology or order of arrival is in it.
func Merge(local []record.Version, seen version.Seen, in []record.Version, covers version.Seen) (kept, gone []record.Version, err error) {
	for len(local) > 0 || len(in) > 0 {
		switch order(local, in) {
		case -1:
			if has(covers, local[0].Dot) {
				gone = append(gone, local[0])
			} else {
				kept = append(kept, local[0])
			}
			local = local[1:]
		case +1:
			if !has(seen, in[0].Dot) {
				kept = append(kept, in[0])
			}
			in = in[1:]
		default:
			if !Same(local[0], in[0]) {
				return nil, nil, fmt.Errorf("%w: write %v is known with other contents; nothing was merged", ErrForked, local[0].Dot)
			}
			kept = append(kept, local[0])
			local, in = local[1:], in[1:]
		}
	}
	return kept, gone, nil
}

// order says whose first dot comes first: local's (−1), in's (+1) or both's (0).
func order(local, in []record.Version) int {
	switch {
	case len(in) == 0:
		return -1
	case len(local) == 0:
		return +1
	}
	return local[0].Compare(in[0].Dot)
}

func has(s version.Seen, d version.Dot) bool { return s != nil && s.Has(d) }

// Same reports whether v and w are one write with one content.
func Same(v, w record.Version) bool {
	return v.Dot == w.Dot && v.Time == w.Time && v.Expires == w.Expires &&
		v.Kind == w.Kind && v.Absent == w.Absent && bytes.Equal(v.Value, w.Value)
}
