package conflict

import "github.com/triad-kv/triad/record"

// Keeper returns a resolver that keeps of a cell what r keeps, and asks no function of
// anybody's: it is for who holds versions, and must come to the same whatever a function
// does. Of a function of one's own everything is kept, and what is shown, or lost, is
// found out when somebody reads. The resolvers of this package are their own keepers.
func Keeper(r Resolver) Resolver {
	if Built(r) {
		return r
	}
	return keeper{r.ID()}
}

// KeeperOf is Keeper for a function that is not known here.
func KeeperOf(id ID) Resolver { return keeper{id} }

// Built reports whether r is a resolver of this package, which every node has.
func Built(r Resolver) bool {
	switch r.(type) {
	case lww, firstWriter, sitePriority, siblings, fields, join:
		return true
	}
	return false
}

type keeper struct{ id ID }

func (k keeper) ID() ID { return k.id }

// Settle implements Resolver.
func (k keeper) Settle(_ record.Cell, kept []record.Version) Settled { return Settled{Stays: kept} }

// Fallback is what a cell shows whose resolver is not to be asked: its last writer, over
// all that stays. why stands in the result.
func Fallback(kept []record.Version, why error) Settled {
	s := chosen(kept, best(kept, Compare))
	s.Fault = why
	return s
}
