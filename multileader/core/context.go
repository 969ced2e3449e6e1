package core

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Unseen returns which versions of a cell a write with a client's context does not
// replace, where a table keeps siblings (rule X): those that its site holds and the
// client was not shown. It is what such a record carries as its Context, and nil if that
// is nothing: then the write covers all that stands before it, as every other does.
//
// A delete that this site has told the others it has for good, by a cut that stands
// before the write, is covered whether the client saw it or not. Others may have
// forgotten it since (rule M6), as whatever comes after the cut covers it; were this
// write to leave it out, it would stand here and not there.
func Unseen(held []record.Version, seen version.Seen, told version.Vector) *version.Set {
	var out *version.Set
	for i := range held {
		v := &held[i]
		if seen.Has(v.Dot) || v.Absent && told.Has(v.Dot) {
			continue
		}
		if out == nil {
			out = &version.Set{}
		}
		out.Add(v.Dot)
	}
	return out
}
