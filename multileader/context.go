package multileader

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// siblingsMax is how many concurrent versions a key may come to hold by writes of clients
// that had not seen the others.
const siblingsMax = 256

// awaitContext returns once this site has all that a client was shown elsewhere: a write
// may not replace what its site has yet to get.
func (wr *writer) awaitContext(ctx context.Context, c topology.Context) error {
	if c.IsZero() {
		return nil
	}
	set := c.Set()
	v := set.Prefix
	for _, d := range set.Dots {
		v = v.With(d.Origin, max(v.Get(d.Origin), d.Seq))
	}
	return wr.e.reader.Wait(ctx, topology.TokenOf(v))
}

// unseen is what a write with a client's context leaves beside it, over what the site's
// log comes to.
func (wr *writer) unseen(seen topology.Context, t *table, ms []record.Mutation) (*version.Set, error) {
	if len(ms) != 1 {
		return nil, fmt.Errorf("%w: a context is of one key", topology.ErrUnsupported)
	}
	m := &ms[0]
	if !t.siblings() {
		return nil, fmt.Errorf("%w: a context is for tables that keep siblings, and this one is settled by %s", topology.ErrUnsupported, t.named())
	}
	s, err := wr.e.reign.tail.over.Cell(record.Cell{Table: m.Table, Key: m.Key, Field: m.Field})
	if err != nil {
		return nil, err
	}
	unseen := core.Unseen(s.Siblings, seen.Set(), wr.told())
	if unseen != nil && len(s.Siblings) >= siblingsMax {
		return nil, fmt.Errorf("%w: key %q holds %d concurrent values already: read them, and write one with their context", topology.ErrTooLarge, m.Key, len(s.Siblings))
	}
	return unseen, nil
}

// told is what this site has told the others that it has for good, by all cuts in its
// log, committed or not.
func (wr *writer) told() version.Vector {
	e := wr.e
	self, _ := e.o.site(e.site)
	out := e.reign.cutter.told.Join(e.reign.tail.told)
	for o, c := range e.machine.cuts.shown.Load().by {
		if o.ID == self.Number {
			out = out.Join(c.Has)
		}
	}
	return out
}
