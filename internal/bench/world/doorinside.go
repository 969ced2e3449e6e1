package world

import (
	"context"
	"errors"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// inside is the door of a node in this process.
type inside struct {
	n *triad.Node
	v scenario.Variant
}

func (d inside) Read(ctx context.Context, at Cell, w Want) (h Held, err error) {
	switch at.Kind {
	case record.KindCounter:
		h.Number, err = triad.CounterOf(d.n, at.Table).Get(ctx, string(at.Key), w.options()...)
		return h, none(err)
	case record.KindSet:
		h.Words, err = triad.SetOf[string](d.n, at.Table).Members(ctx, string(at.Key), w.options()...)
		return h, none(err)
	}
	r, err := d.n.Get(ctx, at.Table, at.Key, w.options()...)
	return heldOf(r, err)
}

// heldOf is what a reading of the module shows.
func heldOf(r triad.Reading, err error) (Held, error) {
	h := Held{Token: r.Token, Dot: r.Dot, Time: r.Time, context: r.Context}
	for _, s := range r.Siblings {
		if !s.Removed {
			h.Values = append(h.Values, s.Value)
		}
	}
	if err == nil && len(h.Values) == 0 {
		h.Values = [][]byte{r.Value}
	}
	return h, none(err)
}

func (d inside) Scan(ctx context.Context, from Cell, most int, w Want) error {
	for _, err := range d.n.Scan(ctx, from.Table, from.Key, nil, w.options()...) {
		if err != nil {
			return err
		}
		if most--; most == 0 {
			break
		}
	}
	return nil
}

func (d inside) Write(ctx context.Context, cs ...Change) (topology.Receipt, error) {
	if d.v.Topology == scenario.Leaderless {
		return oneByOne(cs, func(c Change) (topology.Receipt, error) { return d.one(ctx, c) })
	}
	if len(cs) == 1 {
		return d.one(ctx, cs[0])
	}
	if len(cs) > 0 && cs[0].Kind == record.KindCounter {
		return d.addAll(ctx, cs)
	}
	var b triad.Batch
	for _, c := range cs {
		b.Put(c.Table, c.Key, c.Value)
	}
	return d.n.Batch(ctx, &b)
}

func (d inside) one(ctx context.Context, c Change) (r topology.Receipt, err error) {
	switch c.Kind {
	case record.KindCounter:
		_, r, err = triad.CounterOf(d.n, c.Table).Add(ctx, string(c.Key), c.By)
		return r, err
	case record.KindSet:
		set := triad.SetOf[string](d.n, c.Table)
		change := set.Add
		if c.Out {
			change = set.Remove
		}
		_, r, err = change(ctx, string(c.Key), []string{c.Word})
		return r, err
	}
	return d.n.Put(ctx, c.Table, c.Key, c.Value)
}

// Update decides in the order of the node's log, where the engine does that; where nobody
// leads, or siblings are kept, of which a decision sees the last alone, it reads and then
// writes.
func (d inside) Update(ctx context.Context, at []Cell, decide Decide) (topology.Receipt, error) {
	if d.v.Siblings() {
		return readAndWrite(ctx, d, at, Want{}, decide, func(_ int, c Change, was Held) (topology.Receipt, error) {
			return d.n.Put(ctx, c.Table, c.Key, c.Value, triad.Context(was.seen()))
		})
	}
	if _, can := d.n.Engine().(topology.Updater); !can || d.v.Topology == scenario.Leaderless {
		return readAndWrite(ctx, d, at, Want{}, decide, func(_ int, c Change, _ Held) (topology.Receipt, error) { return d.one(ctx, c) })
	}
	t, err := d.n.Cells().Table(ctx, at[0].Table)
	if err != nil {
		return topology.Receipt{}, err
	}
	us := []topology.Update{{Decide: func(s topology.Sight) ([]record.Mutation, error) {
		was := make([]Held, len(at))
		for i := range at {
			for _, c := range s.Cells(i) {
				if !c.Absent {
					was[i].Values = append(was[i].Values, c.Value)
				}
			}
		}
		is, err := decide(was)
		if err != nil {
			return nil, err
		}
		ms := make([]record.Mutation, len(is))
		for i, c := range is {
			ms[i] = record.Mutation{Table: t.ID, Key: c.Key, Op: record.OpPut, Kind: record.KindBytes, Value: c.Value}
		}
		return ms, nil
	}}}
	for _, c := range at {
		us[0].Reads = append(us[0].Reads, topology.CellRange{Cell: record.Cell{Table: t.ID, Key: c.Key}})
	}
	d.n.Cells().Update(ctx, us, topology.WriteOptions{})
	return us[0].Receipt, us[0].Err
}

// ErrRefused is within the error of what was asked and is not done for a reason of the
// work itself: an account that does not hold enough. It is an answer, not a failure.
var ErrRefused = errors.New("the account does not hold as much")

// addAll adds to counters in one write, none of which may fall below 0.
func (d inside) addAll(ctx context.Context, cs []Change) (topology.Receipt, error) {
	t, err := d.n.Cells().Table(ctx, cs[0].Table)
	if err != nil {
		return topology.Receipt{}, err
	}
	var ops []*kind.Incr
	for _, c := range cs {
		ops = append(ops, &kind.Incr{Key: kind.Key{Table: t.ID, Kind: t.Kind, Name: c.Key}, By: c.By})
	}
	us := []topology.Update{{Decide: func(s topology.Sight) ([]record.Mutation, error) {
		var all []record.Mutation
		for i, op := range ops {
			ms, err := op.Decide(part(s, i))
			if err == nil && op.Value < 0 {
				err = ErrRefused
			}
			if err != nil {
				return nil, err
			}
			all = append(all, ms...)
		}
		return all, nil
	}}}
	for _, op := range ops {
		us[0].Reads = append(us[0].Reads, op.Reads()...)
	}
	d.n.Cells().Update(ctx, us, topology.WriteOptions{})
	return us[0].Receipt, us[0].Err
}

// part is what a sight shows of its i-th read alone.
func part(s topology.Sight, i int) topology.Sight {
	if _, scattered := s.(topology.Scattered); scattered {
		return scatteredPart{onePart{s, i}}
	}
	return onePart{s, i}
}

type onePart struct {
	of topology.Sight
	at int
}

func (p onePart) Cells(int) []topology.CellReading { return p.of.Cells(p.at) }

// scatteredPart is one of a site among several that write.
type scatteredPart struct{ onePart }

func (scatteredPart) Scattered() {}
