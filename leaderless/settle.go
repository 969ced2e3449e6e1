package leaderless

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// policy is what a table does with versions of a cell that did not know of one another.
type policy uint8

const (
	policyLast     policy = iota // the one with the greatest time stays
	policySiblings               // all stay and are shown, until a client that has seen them writes
	policyJoin                   // all stay: a member, field or column is there while one of them is no removal; of several values the latest is shown
)

// keeps reports whether all versions stay.
func (p policy) keeps() bool { return p != policyLast }

// siblingsMax is how many concurrent versions a cell may come to hold by writes of
// clients. What others hold is taken however many there are.
const siblingsMax = 256

var settlers, _ = conflict.NewRegistry() // of the resolvers that are always there

// policyOf is that of a table that is defined so. A resolver that this topology does not
// have settles nothing here: the last writer wins.
func policyOf(d *kind.Definition) policy {
	r, err := settlers.Find(d.Resolver)
	if d.Resolver == "" || err != nil {
		return policyLast
	}
	switch r.ID() {
	case conflict.Siblings().ID():
		return policySiblings
	case conflict.Join().ID():
		return policyJoin
	}
	return policyLast
}

// settler says how tables are settled.
type settler struct{}

var _ topology.Resolvers = settler{}

// Resolver implements topology.Resolvers.
func (settler) Resolver(k record.Kind, named string) (canonical string, digest []byte, err error) {
	r, err := settlers.Find(named)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", topology.ErrUnsupported, err)
	}
	refused := func(why string) (string, []byte, error) {
		return "", nil, fmt.Errorf("%w: without a leader, %s", topology.ErrUnsupported, why)
	}
	value := k == record.KindAny || k == record.KindBytes
	switch r.ID() {
	case conflict.LWW().ID():
		if value {
			return "", nil, nil
		}
		return refused("a table of kind " + kind.Name(k) + " is settled part by part: lww is for whole values")
	case conflict.Fields().ID():
		if k == record.KindRow {
			return "", nil, nil
		}
		return refused("fields is for tables of rows")
	case conflict.Siblings().ID():
		if value {
			return r.ID().String(), nil, nil
		}
		return refused("siblings is for tables of kind bytes or any; crdt keeps concurrent parts of a " + kind.Name(k))
	case conflict.Join().ID():
		if kind.Parted(k) {
			return r.ID().String(), nil, nil
		}
		return refused("crdt is for sets, maps and rows; counters add up without it")
	}
	return refused("tables are settled by lww, siblings, fields or crdt, not by " + r.ID().String())
}

// CheckResolver says why a table of that kind can not be settled as it names.
func CheckResolver(k record.Kind, named string) error {
	_, _, err := settler{}.Resolver(k, named)
	return err
}

// latest returns the version of a cell that is shown alone: of those that are there the
// one with the greatest time.
func latest(s *record.State) (v record.Version, there bool) {
	for _, x := range s.Siblings {
		if !x.Absent && (!there || conflict.Compare(x, v) > 0) {
			v, there = x, true
		}
	}
	return v, there
}

// dotsOf are the writes of cells.
func dotsOf(cells []core.Held) *version.Set {
	s := &version.Set{}
	for i := range cells {
		for _, v := range cells[i].State.Siblings {
			s.Add(v.Dot)
		}
	}
	return s
}

// siblings is what a reader of a table that keeps them is shown: all of them, removals
// too, unless nothing but those is left. What is due counts as removed.
func (e *engine) siblings(v *view, s *record.State) (out []topology.CellReading) {
	there := false
	for _, x := range s.Siblings {
		if !x.Absent && e.due(x.Expires) {
			x.Absent, x.Value = true, nil
		}
		there = there || !x.Absent
		out = append(out, topology.CellReading{Key: v.Key, Version: x})
	}
	if !there {
		return nil
	}
	return out
}

// contextual holds a client's context to the write it comes with, before anything happens.
func (wr *writer) contextual(c topology.Context, ms []record.Mutation) (*version.Set, error) {
	if c.IsZero() {
		return nil, nil
	}
	e, m := wr.e, &ms[0]
	if p := e.machine.tables.policy(m.Table); p != policySiblings {
		return nil, fmt.Errorf("%w: a context is for tables that keep siblings, and this one does not: define it with resolver siblings", topology.ErrUnsupported)
	}
	if len(ms) != 1 {
		return nil, fmt.Errorf("%w: a context is of one value", topology.ErrUnsupported)
	}
	seen := c.Set()
	here := placementOf(e, m.Table, m.Key)
	foreign := func(o version.Origin) bool {
		p, ok := placement.PartitionOf(e.place, o)
		return !ok || p != here
	}
	for _, x := range seen.Prefix {
		if foreign(x.Origin) {
			return nil, fmt.Errorf("%w: the context has seen write %v, which is none of this key", topology.ErrMalformed, version.Dot(x))
		}
	}
	for _, d := range seen.Dots {
		if foreign(d.Origin) {
			return nil, fmt.Errorf("%w: the context has seen write %v, which is none of this key", topology.ErrMalformed, d)
		}
	}
	return seen, nil
}

// unfold makes of the removal of a key with parts, in a table that keeps all that is
// concurrent, a removal of each part that was seen: one that was not seen stays. seen is
// nil where the caller has read nothing.
func (wr *writer) unfold(ctx context.Context, ms []record.Mutation, seen []core.Held) ([]record.Mutation, *version.Set, error) {
	e := wr.e
	if e.machine.tables.policy(ms[0].Table) != policyJoin {
		return ms, nil, nil
	}
	removes := false
	for i := range ms {
		removes = removes || ms[i].Op == record.OpDelete && len(ms[i].Field) == 0
	}
	if removes && seen == nil {
		k, _ := e.machine.tables.kind(ms[0].Table)
		v := view{kind: k, CellRange: topology.CellRange{Cell: record.Cell{Table: ms[0].Table, Key: ms[0].Key}, Whole: true}}
		_, cells, err := e.reader.held(ctx, &v, readAsked{level: e.o.Read, repair: e.o.Repair})
		if err != nil && !errors.Is(err, topology.ErrNotFound) {
			return nil, nil, err
		}
		seen = cells
	}
	if !removes {
		if seen == nil {
			return ms, nil, nil // of each part its coordinator's versions
		}
		return ms, dotsOf(seen), nil
	}
	var out []record.Mutation
	for i := range ms {
		m := ms[i]
		if m.Op != record.OpDelete || len(m.Field) > 0 {
			out = append(out, m)
			continue
		}
		for j := range seen {
			if _, there := latest(&seen[j].State); there && len(seen[j].Field) > 0 {
				m.Field = seen[j].Field
				out = append(out, m)
			}
		}
	}
	if len(out) > record.MutationsMax {
		return nil, nil, fmt.Errorf("%w: key %q has more than %d parts, and they are removed one by one: remove some of them first", topology.ErrTooLarge, ms[0].Key, record.MutationsMax)
	}
	return out, dotsOf(seen), nil
}

// covers gives a put of a table that keeps siblings the context that it has none of: what
// this node holds of the cells that it writes. It refuses one that would leave too many
// versions beside it.
func (l *loop) covers(ev *core.Event) error {
	if len(ev.Mutations) == 0 || !l.e.machine.tables.keeps(ev.Mutations[0].Table) {
		return nil
	}
	seen := &version.Set{}
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		s, err := l.e.machine.look(record.Cell{Table: m.Table, Key: m.Key, Field: m.Field})
		if err != nil {
			return err
		}
		beside := 0
		for _, v := range s.Siblings {
			if seen.Add(v.Dot); ev.Context.Seen != nil && !ev.Context.Seen.Has(v.Dot) {
				beside++
			}
		}
		if beside >= siblingsMax {
			return fmt.Errorf("%w: key %q holds %d concurrent values already: read them, and write one with their context", topology.ErrTooLarge, m.Key, beside)
		}
	}
	if ev.Context.Seen == nil {
		ev.Context.Seen = seen
	}
	return nil
}

// joined is what two states of a cell come to, as its table settles it; both as
// core.Covering tells them.
func joined(keeps bool, a, in *record.State) error {
	if !keeps {
		return winner(a, in)
	}
	kept, _, err := conflict.Merge(a.Siblings, a.Context, in.Siblings, in.Context)
	if err != nil {
		return err
	}
	seen := a.Context.Clone()
	if seen == nil {
		seen = &version.Set{}
	}
	seen.Union(in.Context)
	a.Siblings, a.Context = kept, seen
	return nil
}
