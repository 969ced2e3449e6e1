package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Repaired is what a repair found, and what it did.
type Repaired = call.Repaired

// RepairOptions say what [Repairs.Run] repairs.
type RepairOptions struct {
	// Tables are repaired alone; none: all.
	Tables []string
	// From names a replica that is right wherever it is not known who is. Empty: such
	// cells are left as they are, and counted.
	From topology.NodeID
	// Part is which of the parts of what this node is to compare, from 1; 0: all of them;
	// -1: none, which tells how many there are.
	Part int
	// Check says that nothing is changed.
	Check bool
	// Reread has this node read all it holds first, as what a disk has lost is not seen
	// otherwise.
	Reread bool
}

// Repairs are what an operator orders and asks about what replicas hold, where nobody leads.
type Repairs struct{ o Operator }

// RepairsOf returns them.
func RepairsOf(o Operator) Repairs { return Repairs{o} }

// Run compares what this node and the other replicas of its keys hold, while writes go
// on, and mends what is damaged; what is on its way is no difference. A node compares
// those keys of which it is the first replica that can be reached, so all are compared once
// every node was asked. Where a leader orders writes it is topology.ErrUnsupported.
func (r Repairs) Run(ctx context.Context, v RepairOptions) (out Repaired, err error) {
	o := r.o
	err = o.with(ctx, "repair", func() error {
		e, ok := o.n.engine.(topology.Repairer)
		if !ok {
			return notApplied(fmt.Errorf("this topology has leaders, whose logs order all writes; `triad verify` compares sites: %w", topology.ErrUnsupported))
		}
		l, err := namesOf(ctx, o)
		if err != nil {
			return err
		}
		asked := topology.RepairOptions{From: v.From, Part: v.Part, Check: v.Check, Reread: v.Reread}
		for _, name := range v.Tables {
			d, err := o.n.catalogue.lookup(ctx, name, true)
			if err != nil {
				return err
			}
			asked.Tables = append(asked.Tables, d.id)
		}
		x, err := e.Repair(ctx, asked)
		out = Repaired{
			Parts: x.Parts, Reread: x.Reread, Corrected: x.Corrected, Leaves: x.Leaves,
			Differ: x.Differ, Mended: x.Mended, Unclear: x.Unclear, Bytes: x.Bytes,
		}
		out.Peers = x.Peers
		for i := range x.Differences {
			d := l.difference(&x.Differences[i])
			for _, rs := range [][]call.Rival{d.Mine, d.Theirs} {
				for k := range rs {
					rs[k].Site = fmt.Sprintf("origin %v", rs[k].Dot.Origin)
				}
			}
			out.Differences = append(out.Differences, d)
		}
		return err
	})
	return out, err
}

// Collection says what this node keeps of deletes, and which replica has to have them
// before they go. Where a leader orders writes it is topology.ErrUnsupported.
func (r Repairs) Collection(ctx context.Context) (c topology.Collection, err error) {
	err = r.o.with(ctx, "collection", func() error {
		e, ok := r.o.n.engine.(topology.Collector)
		if !ok {
			return notApplied(fmt.Errorf("this topology keeps no deletes for replicas: %w", topology.ErrUnsupported))
		}
		c, err = e.Collection(ctx)
		return err
	})
	return c, err
}

// repairedBy answers what a node finds and mends.
func repairedBy(ctx context.Context, n remote, req []byte) ([]byte, error) {
	a, err := call.DecodeRepairAsked(req)
	if err != nil {
		return nil, n.malformed("repair", err)
	}
	x, err := RepairsOf(n.Operator()).Run(ctx, RepairOptions{Tables: a.Tables, From: a.From, Part: a.Part, Check: a.Check, Reread: a.Reread})
	if err != nil {
		return nil, err
	}
	for i := range x.Differences {
		d := &x.Differences[i]
		cut(d.Mine, call.VerifyValueBytesMax)
		cut(d.Theirs, call.VerifyValueBytesMax)
	}
	return x.Encode(), nil
}

// collectionOf answers what a node keeps of deletes.
func collectionOf(ctx context.Context, n remote) ([]byte, error) {
	c, err := RepairsOf(n.Operator()).Collection(ctx)
	if err != nil {
		return nil, err
	}
	return call.EncodeCollection(&c), nil
}
