package conflict

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Lasting returns what of a cell's versions no collection may ever remove: what
// replicas that have the same writes hold alike, whatever each of them has let go so
// far (rule M8). It shares the versions of held.
func Lasting(r Resolver, cell record.Cell, held []record.Version) []record.Version {
	for {
		stays := Prune(r, cell, held, everything{})
		if len(stays) == len(held) {
			return stays
		}
		held = stays // a delete stays while what lost to it is there
	}
}

// everything is known to be known everywhere.
type everything struct{}

// Has implements version.Seen.
func (everything) Has(version.Dot) bool { return true }
