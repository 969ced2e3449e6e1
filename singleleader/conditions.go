package singleleader

import (
	"bytes"
	"context"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// unappliedMax is how many entries a turn looks through to judge a condition; a
// caller waits for the store to come closer than that.
const unappliedMax = 4096

// known is what the store showed of a condition's cell, at applied or later.
type known struct {
	applied record.LSN
	state   []byte
}

// read looks at the cells of conditions, off the turn. What was accepted and is
// not applied yet is looked through when the write is taken (S16).
func (wr *writer) read(ctx context.Context, cs []record.Condition) ([]known, error) {
	if end := wr.e.env.Log.Bounds().End; end > wr.e.applier.applied()+unappliedMax {
		if err := wr.e.applier.wait(ctx, end-unappliedMax); err != nil {
			return nil, err
		}
	}
	ks := make([]known, len(cs))
	for i := range cs {
		ks[i].applied = wr.e.applier.applied()
		b, err := wr.e.env.Store.Get(cs[i].Cell)
		if err != nil {
			return nil, err
		}
		ks[i].state = b
	}
	return ks, nil
}

// judge takes the writes out of the group whose conditions do not hold, in log
// order: over what the store showed and everything accepted since, earlier
// writes of this very group included.
func (wr *writer) judge() {
	p := wr.e.pending
	var over *overlay
	for i, w := range p.group {
		if len(w.batch.Conditions) > 0 && over == nil {
			over = &overlay{e: wr.e}
			for _, earlier := range p.group[:i] {
				over.add(earlier)
			}
		}
		if over == nil {
			continue
		}
		if err := over.holds(w); err != nil {
			p.answer(w, wr.e.errorOf("write", &w.batch, topology.NotApplied, err))
			p.group[i] = nil
			continue
		}
		over.add(w)
	}
	if over == nil {
		return
	}
	keep := p.group[:0]
	for _, w := range p.group {
		if w != nil {
			keep = append(keep, w)
		}
	}
	p.group = keep
}

// overlay is the mutations of this group, in order, with the LSN each will get.
type overlay struct {
	e     *engine
	taken []*write
}

func (o *overlay) add(w *write) { o.taken = append(o.taken, w) }

// holds evaluates the conditions of w.
func (o *overlay) holds(w *write) error {
	for i := range w.batch.Conditions {
		c := &w.batch.Conditions[i]
		v, err := o.version(c.Cell, w.known[i])
		if err != nil {
			return err
		}
		if err := satisfied(c, v); err != nil {
			return err
		}
	}
	return nil
}

// satisfied is one condition against the version the cell holds, nil for none.
// It is pure.
func satisfied(c *record.Condition, v *record.Version) error {
	switch {
	case c.Absent && v != nil:
		return fmt.Errorf("%w: key %q exists, written by %v", topology.ErrConditionFailed, c.Key, v.Dot)
	case !c.Version.IsZero() && (v == nil || v.Dot != c.Version):
		return fmt.Errorf("%w: key %q holds %s, not %v", topology.ErrConditionFailed, c.Key, written(v), c.Version)
	case c.Equal && (v == nil || !bytes.Equal(v.Value, c.Value)):
		return fmt.Errorf("%w: key %q holds another value", topology.ErrConditionFailed, c.Key)
	}
	return nil
}

func written(v *record.Version) string {
	if v == nil {
		return "nothing"
	}
	return v.Dot.String()
}

// version returns what cell c holds after everything that was accepted.
func (o *overlay) version(c record.Cell, k known) (*record.Version, error) {
	var v *record.Version
	if k.state != nil {
		var s record.State
		if err := record.DecodeState(k.state, &s); err != nil {
			return nil, err
		}
		for i := range s.Siblings {
			v = &s.Siblings[i]
		}
	}
	var rec record.Record
	end := o.e.core.end
	if end > k.applied {
		for ent, err := range o.e.env.Log.Read(context.Background(), k.applied+1) {
			if err != nil {
				return nil, err
			}
			if err := record.Decode(ent.Bytes, &rec); err != nil {
				return nil, err
			}
			for i := range rec.Mutations {
				v = after(&rec.Mutations[i], c, v, &rec)
			}
		}
	}
	g := o.e.group.Load()
	for n, w := range o.taken {
		own := record.Record{Dot: dotAt(g, end+1+record.LSN(n))}
		for i := range w.batch.Mutations {
			v = after(&w.batch.Mutations[i], c, v, &own)
		}
	}
	return v, nil
}

// after returns what cell c holds after m of record r, if it held v before.
func after(m *record.Mutation, c record.Cell, v *record.Version, r *record.Record) *record.Version {
	if m.Table != c.Table || !bytes.Equal(m.Key, c.Key) {
		return v
	}
	whole := m.Op == record.OpDelete && len(m.Field) == 0
	if !whole && !bytes.Equal(m.Field, c.Field) {
		return v
	}
	if m.Op == record.OpPut {
		return &record.Version{Dot: r.Dot, Time: r.Time, Expires: m.Expires, Kind: m.Kind, Value: m.Value}
	}
	if m.Op == record.OpDelete {
		return nil
	}
	return v
}
