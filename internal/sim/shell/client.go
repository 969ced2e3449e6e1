package shell

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// near is one session beside the nodes. It asks whoever it takes for the leader, or any node.
type near struct {
	*load.Engine
	w      *world
	rng    *rand.Rand
	leader topology.NodeID
	first  bool // it opens the accounts: it asks the leader alone
}

// dial makes the client of a session, near a node or far from all. The first
// sessions are far; 0, which opens the accounts, is not.
func (w *world) dial(session uint64) load.Client {
	w.dialling.Lock()
	defer w.dialling.Unlock()
	if session > 0 && session <= uint64(w.plan.Remote) {
		return &far{w.dialRemote(session), w}
	}
	return w.dialNear(session)
}

func (w *world) dialNear(session uint64) load.Client {
	c := &near{w: w, rng: rand.New(rand.NewPCG(w.plan.Seed, 1000+session)), leader: w.operator.leader(), first: session == 0}
	c.Engine = &load.Engine{At: c.at}
	return c
}

// Do implements load.Client.
func (c *near) Do(ctx context.Context, op history.Op) history.Op {
	if !c.first && (!op.Kind.Writes() && c.rng.IntN(3) > 0 || c.rng.IntN(16) == 0) {
		op.Node = string(c.w.anyone(c.rng))
	}
	if op.Kind == history.Scan {
		op.Want = history.Request{} // a node that was just started may show the time before there were accounts
	}
	return c.w.bounded(ctx, c.Engine, op)
}

// bounded asks op, and takes its bound for none where the network may have held
// something back: a follower counts from the arrival of the leader's last word.
func (w *world) bounded(ctx context.Context, c load.Client, op history.Op) history.Op {
	asked := time.Now()
	op = c.Do(ctx, op)
	if op.Guarantee() == history.Bounded && w.links.delayed(asked.Add(-op.Want.Bound)) {
		op.Want = history.Request{Guarantee: history.Any}
	}
	return op
}

// far is one session of a remote client.
type far struct {
	load.Client
	w *world
}

// Do implements load.Client.
func (f *far) Do(ctx context.Context, op history.Op) history.Op {
	if op.Kind == history.Scan {
		op.Want = history.Request{}
	}
	return f.w.bounded(ctx, f.Client, op)
}

func (c *near) at(node string) (topology.Engine, string) {
	id := topology.NodeID(node)
	if id == "" {
		id = c.leader
	}
	if p := c.w.machines[id].process(); p != nil {
		return &door{p, c}, string(id)
	}
	c.leader = c.w.anyone(c.rng)
	return nil, string(id)
}

func (w *world) anyone(rng *rand.Rand) topology.NodeID {
	return w.plan.Nodes[rng.IntN(len(w.plan.Nodes))]
}

// door is a node as its clients meet it: through its front, and no longer than it
// lives.
type door struct {
	p *process
	c *near
}

var (
	_ topology.Engine  = (*door)(nil)
	_ topology.Updater = (*door)(nil)
	_ topology.Scanner = (*door)(nil)
)

// through makes one call, and learns from its error who leads.
func (d *door) through(ctx context.Context, call func(ctx context.Context) error) error {
	err := d.p.do(ctx, call)
	var e *topology.Error
	switch {
	case errors.As(err, &e) && e.Leader != "":
		d.c.leader = e.Leader
	case errors.Is(err, errCrashed), errors.Is(err, topology.ErrTimeout), errors.Is(err, topology.ErrClosed), errors.Is(err, topology.ErrFailed):
		d.c.leader = d.c.w.anyone(d.c.rng)
	}
	return err
}

// Write implements topology.Engine, for batches of one write with one condition.
func (d *door) Write(ctx context.Context, b record.Batch, _ topology.WriteOptions) (r topology.Receipt, err error) {
	m := &b.Mutations[0]
	var options []triad.Option
	for _, c := range b.Conditions {
		if c.Absent {
			options = append(options, triad.IfAbsent())
		} else {
			options = append(options, triad.IfValue(c.Value))
		}
	}
	err = d.through(ctx, func(ctx context.Context) error {
		if m.Op == record.OpDelete {
			r, err = d.p.Delete(ctx, triad.DefaultTable, m.Key, options...)
		} else {
			r, err = d.p.Put(ctx, triad.DefaultTable, m.Key, m.Value, options...)
		}
		return err
	})
	return r, err
}

// Update implements topology.Updater.
func (d *door) Update(ctx context.Context, us []topology.Update, o topology.WriteOptions) {
	err := d.through(ctx, func(ctx context.Context) error {
		d.p.Cells().Update(ctx, us, o)
		return us[0].Err
	})
	for i := range us {
		us[i].Err = err // there is one
	}
}

// Read implements topology.Engine.
func (d *door) Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (r topology.Reading, err error) {
	err = d.through(ctx, func(ctx context.Context) error {
		r, err = d.p.Cells().Read(ctx, table, key, o)
		return err
	})
	return r, err
}

// Scan implements topology.Scanner.
func (d *door) Scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		var found []topology.CellReading
		err := d.through(ctx, func(ctx context.Context) error {
			for c, err := range d.p.Cells().Scan(ctx, table, from, to, o) {
				if err != nil {
					return err
				}
				c.Key, c.Value = append([]byte(nil), c.Key...), append([]byte(nil), c.Value...)
				found = append(found, c)
			}
			return nil
		})
		for _, c := range found {
			if !yield(c, nil) {
				return
			}
		}
		if err != nil {
			yield(topology.CellReading{}, err)
		}
	}
}

// Run implements topology.Engine; the node's own runs already.
func (d *door) Run(context.Context) error { return fmt.Errorf("%s runs already", d.p.m.id) }

// Status implements topology.Engine.
func (d *door) Status() topology.Status { return d.p.Status() }
