package multileader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// orders are what an operator asks for of conflicts.
type orders struct{ e *engine }

// conflictAt reads one conflict from the list.
func (od *orders) conflictAt(lsn record.LSN, change uint16) (c topology.Conflict, err error) {
	view, err := od.e.env.Store.Snapshot()
	if err != nil {
		return c, err
	}
	found := false
	err = eachLoss(view, lsn-min(lsn, 1), func(x topology.Conflict) bool {
		if x.LSN == lsn && x.Change == change {
			c, found = x, true
		}
		return !found && x.LSN <= lsn
	})
	if err = errors.Join(err, view.Close()); err == nil && !found {
		err = fmt.Errorf("%w: the list has no conflict at LSN %d, change %d, or no more", topology.ErrNotFound, lsn, change)
	}
	return c, err
}

// Replay implements topology.ConflictOrders.
func (od *orders) Replay(ctx context.Context, lsn record.LSN, change uint16, write bool) (topology.Replayed, error) {
	_, err := od.e.reader.ready(ctx, topology.ReadOptions{Guarantee: topology.ReadLinearizable})
	var c topology.Conflict
	if err == nil {
		c, err = od.conflictAt(lsn, change)
	}
	if err != nil {
		return topology.Replayed{}, od.e.errorOf("replay", topology.NotApplied, err)
	}
	set := od.e.machine.tables.known.Load()
	t := set.of(c.Cell.Table)
	kept := c.Inputs()
	settled, err := od.e.judge.settle(set, t, c.Cell, kept)
	if err == nil && settled.Fault != nil {
		err = fmt.Errorf("%w: %w", topology.ErrQuarantined, settled.Fault)
	}
	if err != nil {
		return topology.Replayed{}, od.e.errorOf("replay", topology.NotApplied, err)
	}
	var out topology.Replayed
	for _, v := range settled.Shown {
		out.Shown = append(out.Shown, record.Version{Dot: newestOf(kept, v.From), Time: v.Time, Expires: v.Expires, Kind: v.Kind, Absent: v.Absent, Value: v.Bytes})
	}
	if out.Same, err = od.showsJust(t, &c, out.Shown); err != nil || !write || out.Same {
		return out, od.wrapped("replay", err)
	}
	if len(out.Shown) > 1 {
		return out, od.e.errorOf("replay", topology.NotApplied, fmt.Errorf("%w: table %s keeps siblings, so %d values stay: read them, and write one with their context", topology.ErrUnsupported, t.name, len(out.Shown)))
	}
	result := record.Version{Kind: kept[0].Kind, Absent: true}
	if len(out.Shown) == 1 {
		result = out.Shown[0]
	}
	out.Receipt, err = od.writeAgain(ctx, t, &c, &result)
	out.Written = err == nil
	return out, od.wrapped("replay", err)
}

// Revert implements topology.ConflictOrders.
func (od *orders) Revert(ctx context.Context, lsn record.LSN, change uint16, loser version.Dot) (topology.Replayed, error) {
	c, err := od.conflictAt(lsn, change)
	var v *record.Version
	if err == nil {
		v, err = loserOf(&c, loser)
	}
	if err != nil {
		return topology.Replayed{}, od.e.errorOf("revert", topology.NotApplied, err)
	}
	out := topology.Replayed{Shown: []record.Version{*v}}
	if v.Absent {
		out.Shown = nil
	}
	out.Receipt, err = od.writeAgain(ctx, od.e.machine.tables.shown(c.Cell.Table), &c, v)
	out.Written = err == nil
	return out, od.wrapped("revert", err)
}

func (od *orders) wrapped(op string, err error) error {
	if err == nil {
		return nil
	}
	return od.e.errorOf(op, topology.NotApplied, err)
}

// loserOf is the version that a revert names.
func loserOf(c *topology.Conflict, dot version.Dot) (*record.Version, error) {
	from := c.Losers
	if len(from) == 0 {
		from = c.Winner // a function, or a reader of siblings, was shown all of them
	}
	if dot == (version.Dot{}) && len(from) == 1 {
		return &from[0], nil
	}
	var all []string
	for i := range from {
		if from[i].Dot == dot {
			return &from[i], nil
		}
		all = append(all, from[i].Dot.String())
	}
	if dot == (version.Dot{}) {
		return nil, fmt.Errorf("%w: several may be meant: name one of %v", topology.ErrMalformed, all)
	}
	return nil, fmt.Errorf("%w: write %v is not among those that lost; they are %v", topology.ErrNotFound, dot, all)
}

// showsJust reports whether a cell shows exactly those values.
func (od *orders) showsJust(t *table, c *topology.Conflict, shown []record.Version) (bool, error) {
	b, err := od.e.cells.Get(c.Cell)
	if err != nil {
		return false, err
	}
	l := look{rd: od.e.reader, set: od.e.machine.tables.known.Load(), of: t, all: true}
	var cells []topology.CellReading
	if b != nil {
		if cells, err = l.shown(c.Cell, b); err != nil {
			return false, err
		}
	}
	return slices.EqualFunc(cells, shown, func(a topology.CellReading, b record.Version) bool {
		return a.Absent == b.Absent && a.Kind == b.Kind && a.Expires == b.Expires && string(a.Value) == string(b.Value)
	}), nil
}

// writeAgain writes a version of a conflict, or what was made of several, as a new write
// of this site, unless its cell holds by then what the conflict has not seen.
func (od *orders) writeAgain(ctx context.Context, t *table, c *topology.Conflict, v *record.Version) (topology.Receipt, error) {
	if t.shows == joined && !kind.Parted(t.kind) || c.Type == topology.Misfit {
		return topology.Receipt{}, fmt.Errorf("%w: what is of another kind than its key can not be written again: table %s holds keys of kind %s", topology.ErrUnsupported, t.name, kind.Name(t.kind))
	}
	m := record.Mutation{Table: c.Cell.Table, Key: c.Cell.Key, Field: c.Cell.Field, Op: record.OpPut, Kind: v.Kind, Expires: v.Expires, Value: v.Value}
	if v.Absent {
		m.Op, m.Value, m.Expires = record.OpDelete, nil, 0
	}
	known, _ := conflict.ContextOf(c.Inputs())
	w := &write{batch: record.Batch{Mutations: []record.Mutation{m}}, guard: func(s *sight) error {
		held, err := s.e.reign.tail.over.Cell(c.Cell)
		if err != nil {
			return err
		}
		for _, x := range held.Siblings {
			if !known.Has(x.Dot) {
				return fmt.Errorf("%w: key %q holds a write that the conflict has not seen, %v of %s: read it, and decide again", topology.ErrConditionFailed, c.Cell.Key, x.Dot, x.Time.Time().UTC().Format("2006-01-02 15:04:05.000"))
			}
		}
		return nil
	}}
	return od.e.writer.send(ctx, topology.WriteOptions{}, w)
}

// Release implements topology.ConflictOrders.
func (od *orders) Release(ctx context.Context, id record.TableID) (topology.Receipt, error) {
	if od.e.machine.tables.known.Load().held[id] == nil {
		return topology.Receipt{}, od.e.errorOf("release", topology.NotApplied, fmt.Errorf("%w: that table is not quarantined, as far as %s has applied", topology.ErrNotFound, od.e.env.Self))
	}
	w := &write{batch: record.Batch{Mutations: []record.Mutation{
		{Table: record.TableSystem, Key: quarantineKey(id), Op: record.OpPut, Kind: record.KindBytes, Value: (&quarantine{site: od.e.site}).encode()},
	}}}
	r, err := od.e.writer.send(ctx, topology.WriteOptions{Durability: topology.Applied}, w)
	return r, od.wrapped("release", err)
}

// send gives one write of an operator to the loop, and waits for its answer.
func (wr *writer) send(ctx context.Context, o topology.WriteOptions, w *write) (topology.Receipt, error) {
	e := wr.e
	err := e.group.Failure()
	if err == nil {
		err = e.group.Starting(ctx)
	}
	if err != nil {
		return topology.Receipt{}, e.keyed(&w.batch, e.errorOf("write", topology.NotApplied, err))
	}
	w.bytes = w.batch.Footprint()
	if err := wr.post(ctx, o, w); err != nil {
		return topology.Receipt{}, e.keyed(&w.batch, err)
	}
	return wr.await(ctx, w)
}

var _ topology.ConflictOrders = (*engine)(nil)
