package core

import (
	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Apply returns what record r changes, where resolver settles each table and applied is
// the vector of what was
// applied before it, in the order of the log (rule X, first row): r covers its
// deps and all that its origin wrote before it. The caller then applies the
// changes, and raises applied by r's dot, in one atomic step (C6).
func Apply(r *record.Record, resolver func(record.TableID) conflict.Resolver, applied version.Vector, cells conflict.Cells) ([]conflict.Change, error) {
	return conflict.Apply(r, resolver, applied, Covers(r), cells)
}

// Covers returns what the writer of r had seen: what its site had, but for what r says
// that its client had not been shown ([Unseen]).
func Covers(r *record.Record) version.Seen { return before{r.Deps, r.Dot, r.Context} }

// before is the deps of a record with the own entry, which is not written down
// because it is always the record's sequence less one.
type before struct {
	deps   version.Vector
	dot    version.Dot
	unseen *version.Set
}

func (b before) Has(d version.Dot) bool {
	if b.unseen.Has(d) {
		return false
	}
	if d.Origin == b.dot.Origin {
		return d.Seq < b.dot.Seq
	}
	return b.deps.Has(d)
}
