package conflict

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
)

// Fold is what a custom resolver makes of siblings.
type Fold struct {
	Value  []byte
	Absent bool // nothing is there
}

// Func returns a resolver that shows what fold makes of all siblings that are
// concurrent, deletes among them. It is asked where there are two or more; one alone
// is shown as it is. It is given copies, in canonical order.
//
// fold must be deterministic: no clock, no randomness, no I/O, no order of a map, no
// count of its calls. An error, a panic, or a value of more than
// [record.ValueBytesMax] makes the last writer settle the cell instead, everywhere
// alike, and stands in [Settled.Fault]. There is no time-out: a clock decides
// nothing here, and fold must come to an end.
//
// probes are sets of siblings that its digest is made from beside the usual ones
// ([DigestOf]): name some of the kind that fold is made for.
func Func(name string, v uint32, fold func(key []byte, siblings []record.Version) (Fold, error), probes ...[]record.Version) Resolver {
	return &custom{id: ID{Name: name, Version: v}, fold: fold, probes: probes}
}

type custom struct {
	id     ID
	fold   func(key []byte, siblings []record.Version) (Fold, error)
	probes [][]record.Version
}

func (c *custom) ID() ID { return c.id }

// Probes implements the interface that DigestOf asks for.
func (c *custom) Probes() [][]record.Version { return c.probes }

func (c *custom) Settle(cell record.Cell, kept []record.Version) Settled {
	if len(kept) == 1 {
		return chosen(kept, 0)
	}
	f, err := c.try(cell, kept)
	if err == nil && len(f.Value) > record.ValueBytesMax {
		err = fmt.Errorf("a value of %d bytes, at most %d", len(f.Value), record.ValueBytesMax)
	}
	if err != nil {
		// All inputs stay, for when it is mended.
		return Fallback(kept, fmt.Errorf("%w %s of version %d, key %q: the last writer won: %w", ErrResolver, c.id.Name, c.id.Version, cell.Key, err))
	}
	s := Settled{Stays: kept}
	if !f.Absent {
		s.Shown = []Value{folded(kept[best(kept, Compare)].Kind, f.Value, kept)}
	}
	return s
}

// try asks fold, and makes a panic an error.
func (c *custom) try(cell record.Cell, kept []record.Version) (f Fold, err error) {
	copies := slices.Clone(kept)
	for i := range copies {
		copies[i].Value = slices.Clone(copies[i].Value)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return c.fold(slices.Clone(cell.Key), copies)
}
