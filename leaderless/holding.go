package leaderless

import (
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// watched notes the sums of the cells that are read to be changed, in their order.
type watched struct {
	*application
	was []uint64
}

func (w *watched) held(c record.Cell) (record.State, error) {
	s, err := w.application.held(c)
	if err == nil {
		w.was = append(w.was, w.trees.sums.Sum(&c, s.Siblings))
	}
	return s, err
}

// hold has a cell hold s from now on; was is the sum of what it held.
func (a *application) hold(partition int, c record.Cell, s *record.State, was uint64) {
	a.over[cellName(c)] = *s
	ed := topology.Edit{Cell: c.Clone()}
	if len(s.Siblings) > 0 || s.Context != nil {
		ed.State = a.enc.AppendState(nil, s)
	}
	a.edits = append(a.edits, ed)
	a.defines = a.tables.note(c, s) || a.defines
	a.trees.change(partition, &c, was, a.trees.sums.Sum(&c, s.Siblings))
	a.deletes.note(&c, s, a.local)
}

// mend replaces what a cell holds, if that is still what was looked at.
func (a *application) mend(p *core.Mending) (partition int, err error) {
	partition = placement.Of(a.place, p.Cell.Table, p.Cell.Key)
	held, err := a.held(p.Cell)
	if err != nil {
		return partition, err
	}
	if a.trees.sums.All(&p.Cell, held.Siblings) != p.Expect || a.deletes.collected(partition) > p.Collected {
		return partition, nil
	}
	was := a.trees.sums.Sum(&p.Cell, held.Siblings)
	a.lost += uint64(len(held.Siblings))
	a.hold(partition, p.Cell, &p.State, was)
	return partition, nil
}

// amend changes what the store holds beside what the log says, in one step.
func (m *machine) amend(f func(a *application) error) error {
	a := application{machine: m, over: map[string]record.State{}, touched: map[int]bool{}}
	if err := f(&a); err != nil {
		return err
	}
	return m.store.Apply(m.at.LSN, a.finish())
}
