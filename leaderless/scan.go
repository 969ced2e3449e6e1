package leaderless

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Scan implements topology.Scanner. It hears, of every partition, as many replicas as a
// read of one key does, page by page; it is no view of one moment, and repairs nothing.
func (rd *reader) Scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		stopped := false
		err := rd.scan(ctx, table, from, to, &o, func(c topology.CellReading) bool {
			stopped = !yield(c, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(topology.CellReading{}, keyed(from, rd.e.errorOf("scan", topology.NotApplied, err)))
		}
	}
}

func (rd *reader) scan(ctx context.Context, table record.TableID, from, to []byte, o *topology.ReadOptions, yield func(topology.CellReading) bool) error {
	e := rd.e
	a, err := rd.how(o)
	if err != nil {
		return err
	}
	if a.strict {
		return fmt.Errorf("%w: a linearizable scan: one cell of a key is linearizable here, and a scan is no view of one moment", topology.ErrUnsupported)
	}
	if err := rd.Wait(ctx, a.token); err != nil {
		return err
	}
	if o.Guarantee != topology.ReadAny {
		if err := e.loop.started(ctx); err != nil {
			return err
		}
	}
	sources, err := e.sources(table, &a)
	if err != nil {
		return err
	}
	begin := record.Cell{Table: table, Key: from}
	end := record.Cell{Table: table, Key: to}
	for _, s := range sources {
		s.asked.from, s.asked.to = begin, end
	}
	k, err := e.kindOf(ctx, table)
	if err != nil {
		return err
	}
	v := view{kind: k, CellRange: topology.CellRange{Whole: true}}
	var cells []core.Held // of one key
	give := func() (more bool, err error) {
		if len(cells) == 0 {
			return true, nil
		}
		v.Cell = cells[0].Cell
		v.Field = nil
		shown, err := e.show(&v, cells)
		for i := range shown {
			if err == nil && !yield(shown[i]) {
				return false, nil
			}
		}
		cells = nil
		return true, err
	}
	for {
		cell, state, err := merged(ctx, sources)
		if err != nil {
			return err
		}
		end := cell == nil || cell.Table != table || len(to) > 0 && bytes.Compare(cell.Key, to) >= 0
		if end || len(cells) > 0 && !bytes.Equal(cells[0].Key, cell.Key) {
			if more, err := give(); err != nil || !more || end {
				return err
			}
		}
		if len(cells) >= core.CellsMax {
			return fmt.Errorf("%w: key %q has more than %d cells", topology.ErrTooLarge, cell.Key, core.CellsMax)
		}
		cells = append(cells, core.Held{Cell: *cell, State: state})
	}
}

// sources chooses of whom the partitions of a table are read: for each as many replicas
// as the level wants, this node first.
func (e *engine) sources(table record.TableID, a *readAsked) ([]*source, error) {
	votes, why := e.life.voting()
	self := &source{e: e, id: e.env.Self}
	all := []*source{self}
	for _, p := range e.others() {
		all = append(all, &source{e: e, id: p.id})
	}
	up := map[topology.NodeID]bool{e.env.Self: votes}
	for _, id := range e.alive() {
		up[id] = true
	}
	first, last := 0, e.place.Partitions()-2
	if table == record.TableSystem {
		first, last = last+1, last+1
	}
	for p := first; p <= last; p++ {
		need, err := e.promises.need(p, a.level, ground{e}.site())
		if err != nil {
			return nil, fmt.Errorf("%w: consistency %v: %w", topology.ErrUnsupported, a.level, err)
		}
		var can []topology.NodeID
		for _, s := range all {
			if up[s.id] && e.place.Shows(s.id, p) {
				can = append(can, s.id)
			}
		}
		chosen := need.Chosen(can)
		if !need.MetBy(chosen...) {
			return nil, fmt.Errorf("%w: partition %d is to be read at consistency %v, and of %v only %v can be %s", topology.ErrUnavailable, p, a.level, e.place.Replicas(p), can, why)
		}
		for _, s := range all {
			if slices.Contains(chosen, s.id) {
				s.asked.partitions = append(s.asked.partitions, p)
			}
		}
	}
	return all, nil
}

// source is one node that a scan reads, a page at a time.
type source struct {
	e     *engine
	id    topology.NodeID
	asked pageAsked
	page  []topology.Edit
	ended bool
}

// head returns the next cell, nil if there is none.
func (s *source) head(ctx context.Context) (*topology.Edit, error) {
	for len(s.page) == 0 {
		if s.ended || len(s.asked.partitions) == 0 {
			return nil, nil
		}
		p, err := s.next(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.id, err)
		}
		if !p.votes {
			return nil, fmt.Errorf("%w: %s may have forgotten writes, and has not caught up", topology.ErrUnavailable, s.id)
		}
		if s.page, s.ended = p.cells, !p.more; p.more {
			s.asked.from = after(p.cells[len(p.cells)-1].Cell)
		}
	}
	return &s.page[0], nil
}

func (s *source) next(ctx context.Context) (page, error) {
	if s.id == s.e.env.Self {
		return pages{s.e}.page(ctx, &s.asked)
	}
	return s.asked.of(ctx, s.e, s.id)
}

// merged returns the least of the next cells of all sources, and what all of them come
// to; nil at the end.
func merged(ctx context.Context, sources []*source) (*record.Cell, record.State, error) {
	var cell *record.Cell
	for _, s := range sources {
		h, err := s.head(ctx)
		if err != nil {
			return nil, record.State{}, err
		}
		if h != nil && (cell == nil || compareCells(h.Cell, *cell) < 0) {
			c := h.Cell
			cell = &c
		}
	}
	if cell == nil {
		return nil, record.State{}, nil
	}
	var state record.State
	for _, s := range sources {
		if len(s.page) == 0 || compareCells(s.page[0].Cell, *cell) != 0 {
			continue
		}
		var in record.State
		if err := record.DecodeState(s.page[0].State, &in); err != nil {
			return nil, state, fmt.Errorf("%w: key %q of %s: %w", topology.ErrMalformed, cell.Key, s.id, err)
		}
		s.page = s.page[1:]
		if err := joined(s.e.machine.tables.policy(cell.Table).keeps(), &state, &in); err != nil {
			return nil, state, fmt.Errorf("key %q: %w", cell.Key, err)
		}
	}
	return cell, state, nil
}

func compareCells(a, b record.Cell) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), bytes.Compare(a.Key, b.Key), bytes.Compare(a.Field, b.Field))
}
