package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Apply returns what an entry of the log changes: a record, or a note with
// another replica's state (rule X, second and third row). applied is the set of
// writes applied to the key's partition before it. The caller applies the change
// and, unless r is a note, adds r's dot to applied, in one atomic step (C6).
//
// What a state replaces is reported as gone, never as lost: a state does not tell
// whether the writer of what it brings had seen what it replaces.
//
// Every column, member or entry of a key is a cell of its own, and the last writer of
// each wins; a delete of the whole key is a version of the cell without a field, and
// hides, from who reads, the cells that are older than it ([Visible]).
//
// Errors wrap [conflict.ErrForked], [topology.ErrMalformed] or are held's; then
// nothing is to be changed.
func Apply(r *record.Record, applied *version.Set, held conflict.Held) ([]conflict.Change, error) {
	return ApplyTo(r, applied, held, nil)
}

// ApplyTo is Apply where some tables keep all versions that did not know of one another
// ([Config.Keeps]); nil is that none does.
func ApplyTo(r *record.Record, applied *version.Set, held conflict.Held, keeps func(record.TableID) bool) (out []conflict.Change, err error) {
	for i := range r.Mutations {
		again := func(n record.Mutation) bool { return string(n.Field) == string(r.Mutations[i].Field) }
		if slices.ContainsFunc(r.Mutations[i+1:], again) {
			continue // its last word counts
		}
		a := application{record: r, applied: applied, keeps: keeps != nil && keeps(r.Mutations[i].Table)}
		c, err := a.one(&r.Mutations[i], held)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// application is one mutation as it is applied.
type application struct {
	record  *record.Record
	applied *version.Set
	keeps   bool // its table keeps all that is concurrent
}

func (a *application) one(m *record.Mutation, held conflict.Held) (conflict.Change, error) {
	cell := record.Cell{Table: m.Table, Key: m.Key, Field: m.Field}
	local, err := held(cell)
	if err != nil {
		return conflict.Change{}, err
	}
	var c conflict.Change
	if m.Op == record.OpState {
		var in record.State
		if err := record.DecodeState(m.Value, &in); err != nil {
			return c, fmt.Errorf("%w: note on key %q: %w", topology.ErrMalformed, m.Key, err)
		}
		c, err = a.joinState(&local, &in)
		c.Gone, c.Lost = append(c.Gone, c.Lost...), nil
	} else {
		c, err = a.joinRecord(&local, m)
	}
	c.Cell = cell
	return c, err
}

// join merges what comes in into what is here, and settles it as the table does.
func (a *application) join(local *record.State, in []record.Version, covers version.Seen) (conflict.Change, error) {
	seen := either{local.Context, a.applied}
	if a.keeps {
		return conflict.JoinWith(keeper, record.Cell{}, local.Siblings, seen, in, covers)
	}
	return conflict.JoinLWW(local.Siblings, seen, in, covers)
}

// joinRecord takes one write: it covers exactly what its client had seen, and of
// its coordinator's earlier writes nothing more than that.
func (a *application) joinRecord(local *record.State, m *record.Mutation) (conflict.Change, error) {
	r := a.record
	c, err := a.join(local, []record.Version{conflict.VersionOf(r, m)}, r.Context)
	if err == nil {
		c.State.Context = contextAfter(local.Context, r.Context, nil, a.applied, r.Dot)
	}
	return c, err
}

// joinState takes what another replica holds. Where the last writer wins it covers that
// replica's key context, never its applied set, in which a hole here would be a hole
// there. Where all is kept that context holds its applied set, too ([covering]), and of
// it this replica remembers only what it has to do with: what came, and what went.
func (a *application) joinState(local, in *record.State) (conflict.Change, error) {
	c, err := a.join(local, in.Siblings, in.Context)
	if err != nil {
		return c, err
	}
	if a.keeps {
		c.State.Context = contextAfter(local.Context, nil, slices.Concat(in.Siblings, c.Gone), a.applied, version.Dot{})
	} else {
		c.State.Context = contextAfter(local.Context, in.Context, in.Siblings, a.applied, version.Dot{})
	}
	return c, nil
}

// contextAfter is the key's context: all that was and is covered, and what came
// with it, less what the partition's applied set, of which more is about to
// become part, knows anyway. nil knows nothing.
func contextAfter(was, covers *version.Set, in []record.Version, applied *version.Set, more version.Dot) *version.Set {
	if was.IsEmpty() && covers.IsEmpty() && len(in) == 0 {
		return nil
	}
	s := &version.Set{}
	s.Union(was)
	s.Union(covers)
	for _, v := range in {
		s.Add(v.Dot)
	}
	soon := &version.Set{}
	soon.Union(applied)
	soon.Add(more)
	return s.Without(soon)
}

// either is what two sets know together.
type either [2]*version.Set

func (e either) Has(d version.Dot) bool { return e[0].Has(d) || e[1].Has(d) }
