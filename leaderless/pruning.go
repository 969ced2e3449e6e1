package leaderless

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// prune removes what this node holds and another, whose page this is, has seen deleted
// and forgotten: a node whose disk was set back holds it still, and with the other's set
// would pass for one that has seen the delete, too.
func (f *filling) prune(ctx context.Context, id topology.NodeID, asked *pageAsked, sets []core.Applied, p *page) error {
	extra, err := f.extra(asked, sets, p)
	if err != nil {
		return err
	}
	e := f.e
	for some := range slices.Chunk(extra, copiesMax) {
		q := question{form: formCopies}
		for i := range some {
			q.cells = append(q.cells, some[i].Cell)
		}
		call, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
		b, err := e.env.Transport.Call(call, id, methodRepair, q.encode(record.NewEncoder()))
		cancel()
		if err != nil {
			return err
		}
		a, err := decodeAnswerOf(b)
		if err != nil {
			return err
		}
		if len(a.copies) > len(some) {
			return fmt.Errorf("%w: %d copies of %d cells", topology.ErrMalformed, len(a.copies), len(some))
		}
		for i := range a.copies {
			if err := f.pruneOne(ctx, &some[i], &a, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *filling) pruneOne(ctx context.Context, h *core.Held, a *answer, i int) error {
	e := f.e
	q := placement.Of(e.place, h.Table, h.Key)
	k := slices.IndexFunc(a.sets, func(s applied) bool { return s.partition == q })
	if k < 0 || len(a.copies[i].Held.Siblings) > 0 || !core.Overtaken(&h.State, &a.sets[k].set, a.sets[k].collected) {
		return nil
	}
	var sums merkle.Summer
	m := core.Mending{Cell: h.Cell, Expect: sums.All(&h.Cell, h.State.Siblings)}
	if err := e.loop.call(func() { m.Collected = e.machine.deletes.collected(q) }); err != nil {
		return err
	}
	return f.place(ctx, core.Event{Kind: core.EvInstall, Node: e.env.Self, Part: core.Part{Partition: q, Mends: []core.Mending{m}}})
}

// extra are the cells that this node holds within a page's bounds, and the page does not,
// though who gave it has applied what they are made of.
func (f *filling) extra(asked *pageAsked, sets []core.Applied, p *page) (out []core.Held, err error) {
	e := f.e
	end := record.Cell{Table: math.MaxUint32}
	if p.more && len(p.cells) > 0 {
		end = after(p.cells[len(p.cells)-1].Cell)
	}
	view, err := e.env.Store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	next := p.cells
	for ed, err := range view.Scan(asked.from, end) {
		if err != nil {
			return nil, err
		}
		for len(next) > 0 && compareCells(next[0].Cell, ed.Cell) < 0 {
			next = next[1:]
		}
		if local(ed.Table) || len(next) > 0 && compareCells(next[0].Cell, ed.Cell) == 0 {
			continue
		}
		q := placement.Of(e.place, ed.Table, ed.Key)
		i := slices.IndexFunc(sets, func(a core.Applied) bool { return a.Partition == q })
		if _, ok := slices.BinarySearch(asked.partitions, q); !ok || i < 0 {
			continue
		}
		h := core.Held{Cell: ed.Cell.Clone()}
		if err := record.DecodeState(append([]byte(nil), ed.State...), &h.State); err != nil {
			return nil, fmt.Errorf("%w: key %q: %w", topology.ErrMalformed, ed.Key, err)
		}
		if core.Overtaken(&h.State, &sets[i].Set, math.MaxUint64) {
			out = append(out, h)
		}
	}
	return out, nil
}
