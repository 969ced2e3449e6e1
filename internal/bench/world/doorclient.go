package world

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// remote is the door of a remote client: of a whole subject, or of one node of it.
type remote struct {
	c *client.Client
	v scenario.Variant
}

func (d remote) Read(ctx context.Context, at Cell, w Want) (h Held, err error) {
	switch at.Kind {
	case record.KindCounter:
		h.Number, err = client.CounterOf(d.c, at.Table).Get(ctx, string(at.Key), w.options()...)
		return h, none(err)
	case record.KindSet:
		h.Words, err = client.SetOf[string](d.c, at.Table).Members(ctx, string(at.Key), w.options()...)
		return h, none(err)
	}
	r, err := d.c.Get(ctx, at.Table, at.Key, w.options()...)
	return heldOf(r, err)
}

func (d remote) Scan(ctx context.Context, from Cell, most int, w Want) error {
	for _, err := range d.c.Scan(ctx, from.Table, from.Key, nil, w.options()...) {
		if err != nil {
			return err
		}
		if most--; most == 0 {
			break
		}
	}
	return nil
}

// Write puts values in one write; sums of counters, which a batch has not, one by one.
func (d remote) Write(ctx context.Context, cs ...Change) (topology.Receipt, error) {
	if len(cs) == 1 || d.v.Topology == scenario.Leaderless || len(cs) > 0 && cs[0].Kind != record.KindBytes {
		return oneByOne(cs, func(c Change) (topology.Receipt, error) { return d.one(ctx, c) })
	}
	b := client.NewBatch()
	for _, c := range cs {
		b.Put(c.Table, c.Key, c.Value)
	}
	return d.c.Batch(ctx, b)
}

func (d remote) one(ctx context.Context, c Change, opts ...client.Option) (r topology.Receipt, err error) {
	switch c.Kind {
	case record.KindCounter:
		_, r, err = client.CounterOf(d.c, c.Table).Add(ctx, string(c.Key), c.By)
		return r, err
	case record.KindSet:
		set := client.SetOf[string](d.c, c.Table)
		change := set.Add
		if c.Out {
			change = set.Remove
		}
		_, r, err = change(ctx, string(c.Key), []string{c.Word})
		return r, err
	}
	return d.c.Put(ctx, c.Table, c.Key, c.Value, opts...)
}

// updatesMax is how often an update whose keys others have changed meanwhile is decided
// anew.
const updatesMax = 64

// Update writes on condition that nothing came between, and decides again if it did,
// where one order of all writes lets it; else it reads and then writes, with the context
// of what it has read where the table keeps siblings.
func (d remote) Update(ctx context.Context, at []Cell, decide Decide) (topology.Receipt, error) {
	if d.v.Topology != scenario.SingleLeader {
		return readAndWrite(ctx, d, at, Want{}, decide, func(i int, c Change, was Held) (topology.Receipt, error) {
			if d.v.Siblings() {
				return d.one(ctx, c, client.Context(was.seen()))
			}
			return d.one(ctx, c)
		})
	}
	for try := 1; ; try++ {
		r, err := d.onCondition(ctx, at, decide)
		if !errors.Is(err, topology.ErrConditionFailed) {
			return r, err
		}
		if try == updatesMax {
			return r, refuse("update", fmt.Errorf("others came between %d times: %w", try, err))
		}
	}
}

func (d remote) onCondition(ctx context.Context, at []Cell, decide Decide) (topology.Receipt, error) {
	was := make([]Held, len(at))
	b := client.NewBatch()
	for i, c := range at {
		var err error
		if was[i], err = d.Read(ctx, c, Want{Level: scenario.LevelLinearizable}); err != nil {
			return topology.Receipt{}, refuse("update", err)
		}
		if len(was[i].Values) == 0 {
			b.IfAbsent(c.Table, c.Key)
		} else {
			b.IfVersion(c.Table, c.Key, was[i].Dot)
		}
	}
	cs, err := decide(was)
	if err != nil {
		return topology.Receipt{}, refuse("update", err)
	}
	for _, c := range cs {
		b.Put(c.Table, c.Key, c.Value)
	}
	return d.c.Batch(ctx, b)
}
