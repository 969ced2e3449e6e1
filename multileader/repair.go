package multileader

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// repair has this site go on with what another holds, where the two were found to
// differ.
func (cp *comparer) repair(ctx context.Context, v *topology.Verification, from string) error {
	e := cp.e
	site := e.seated(from)
	for i := range v.Differences {
		d := &v.Differences[i]
		if d.Site != from {
			continue
		}
		theirs := record.State{Siblings: d.Theirs}
		sum := func(vs []record.Version) core.Sum {
			return core.SumOf(e.machine.tables.shown(d.Cell.Table).keeps, d.Cell, &record.State{Siblings: vs}, record.NewEncoder())
		}
		p := &core.Repair{From: site.Number, Cell: d.Cell, Expect: sum(d.Mine)}
		if len(theirs.Siblings) > 0 {
			p.State = record.NewEncoder().AppendState(nil, &theirs)
		}
		if err := cp.note(ctx, p); err != nil {
			return err
		}
		var held record.State
		b, err := e.cells.Get(d.Cell)
		if err == nil && b != nil {
			err = record.DecodeState(b, &held)
		}
		if err != nil {
			return e.errorOf("repair", topology.Unknown, err)
		}
		d.Repaired = sum(held.Siblings) == sum(d.Theirs)
	}
	return nil
}

// note has a repair written, and waits until this node has applied it.
func (cp *comparer) note(ctx context.Context, p *core.Repair) error {
	e := cp.e
	var end record.LSN
	var took bool
	running := e.loop.call(func() {
		if c := e.reign.core; c != nil {
			before := c.End()
			e.step(core.Event{Kind: core.EvRepair, Repair: p})
			end = c.End()
			took = end > before
		}
	})
	switch {
	case !running:
		return e.errorOf("repair", topology.NotApplied, topology.ErrClosed)
	case !took:
		return e.errorOf("repair", topology.NotApplied, fmt.Errorf("%w: site %s takes no writes here", topology.ErrUnavailable, e.site))
	}
	for {
		_, news := e.machine.seen.atLeast()
		if lsn, _ := e.machine.seen.place(); lsn >= end {
			return nil
		}
		select {
		case <-news:
		case <-e.group.Failed():
			return e.errorOf("repair", topology.Unknown, e.group.Failure())
		case <-ctx.Done():
			return e.errorOf("repair", topology.Unknown, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
		}
	}
}

// repaired replaces what a cell holds, unless that has changed since it was looked at.
// What is replaced is listed.
func (m *machine) repaired(e record.Entry, r *record.Record, p *core.Repair) error {
	held, err := m.over.Cell(p.Cell)
	if err != nil {
		return err
	}
	if core.SumOf(m.tables.resolver(p.Cell.Table), p.Cell, &held, m.enc) != p.Expect {
		return nil
	}
	if err := m.in.unveil(m, e, r, 0, p.Cell); err != nil {
		return err
	}
	c := conflict.Change{Cell: p.Cell.Clone()}
	if len(p.State) > 0 {
		if err := record.DecodeState(append([]byte(nil), p.State...), &c.State); err != nil {
			return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
	}
	c.Lost = append(c.Lost, held.Siblings...)
	if len(c.Lost) > 0 {
		m.lose(e, r, 0, &c)
	}
	ed := topology.Edit{Cell: c.Cell}
	if len(c.State.Siblings) > 0 {
		ed.State = m.enc.AppendState(nil, &c.State)
	}
	m.edits = append(m.edits, ed)
	m.over.set(c.Cell, c.State)
	m.expiring(r, c.Cell, c.State.Siblings, held.Siblings)
	m.news = m.tables.note(c.Cell, &c.State) || m.news
	var last version.Dot
	for i := range c.State.Siblings {
		last = c.State.Siblings[i].Dot
	}
	m.leave(&record.Record{Dot: last, Time: r.Time}, repairedChange, &c)
	return nil
}

// repairedChange tells the entry of a repaired cell in the list of what can go from
// those of the record whose dot it has.
const repairedChange = 1<<16 - 1
