package work

import (
	"context"
	"errors"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// update replaces the values of some keys of one table by what decide makes of them. Where
// the engine decides in the order of its log, that is one write and nothing comes between;
// else it is as careful as a client can be without conditions: it reads and then writes,
// key by key.
func (c *Client) update(ctx context.Context, n *triad.Node, table string, keys [][]byte, decide func(was [][]byte) ([][]byte, error)) error {
	if _, can := n.Engine().(topology.Updater); !can || c.l.v.Topology == scenario.Leaderless {
		return c.readAndWrite(ctx, n, table, keys, decide)
	}
	t, err := n.Cells().Table(ctx, table)
	if err != nil {
		return err
	}
	us := []topology.Update{{Decide: func(s topology.Sight) ([]record.Mutation, error) {
		was := make([][]byte, len(keys))
		for i := range keys {
			if cells := s.Cells(i); len(cells) > 0 {
				was[i] = cells[0].Value
			}
		}
		is, err := decide(was)
		if err != nil {
			return nil, err
		}
		ms := make([]record.Mutation, len(keys))
		for i := range keys {
			ms[i] = record.Mutation{Table: t.ID, Key: keys[i], Op: record.OpPut, Kind: record.KindBytes, Value: is[i]}
		}
		return ms, nil
	}}}
	for _, key := range keys {
		us[0].Reads = append(us[0].Reads, topology.CellRange{Cell: record.Cell{Table: t.ID, Key: key}})
	}
	n.Cells().Update(ctx, us, topology.WriteOptions{})
	return c.answered(us[0].Receipt.Token, us[0].Err)
}

func (c *Client) readAndWrite(ctx context.Context, n *triad.Node, table string, keys [][]byte, decide func(was [][]byte) ([][]byte, error)) error {
	was := make([][]byte, len(keys))
	for i, key := range keys {
		r, err := n.Get(ctx, table, key, c.level()...)
		if err != nil && !errors.Is(err, topology.ErrNotFound) {
			return err
		}
		was[i] = r.Value
	}
	is, err := decide(was)
	if err != nil {
		return &topology.Error{Op: "update", Table: table, Outcome: topology.NotApplied, Err: err}
	}
	for i, key := range keys {
		r, err := n.Put(ctx, table, key, is[i])
		if err := c.answered(r.Token, err); err != nil {
			return partly(i, err)
		}
	}
	return nil
}

// partly is the error of a change of which some writes were done: nobody knows what came
// of the whole.
func partly(done int, err error) error {
	if done == 0 {
		return err
	}
	return &topology.Error{Op: "update", Outcome: topology.Unknown, Err: err}
}

// addBoth takes an amount from one counter and adds it to another, in one write.
func (c *Client) addBoth(ctx context.Context, n *triad.Node, table string, from, to []byte, amount int64) error {
	t, err := n.Cells().Table(ctx, table)
	if err != nil {
		return err
	}
	ops := []*kind.Incr{
		{Key: kind.Key{Table: t.ID, Kind: t.Kind, Name: from}, By: -amount},
		{Key: kind.Key{Table: t.ID, Kind: t.Kind, Name: to}, By: amount},
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
	n.Cells().Update(ctx, us, topology.WriteOptions{})
	return c.answered(us[0].Receipt.Token, us[0].Err)
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
