package shell

import (
	"context"
	"fmt"
	"iter"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// remote is a client far away: it goes through the network, finds the leader, and
// asks again by outcome. It changes registers, and reads them.
type remote struct{ *client.Client }

var (
	_ topology.Engine  = remote{}
	_ topology.Scanner = remote{}
)

// dialRemote makes the client of a session on a host of its own.
func (w *world) dialRemote(session uint64) load.Client {
	ip := fmt.Sprintf("127.0.1.%d", session)
	w.links.far = append(w.links.far, ip)
	var addrs []string
	for _, m := range w.members {
		addrs = append(addrs, m.Addr)
		w.links.Pave(ip, m.Addr, w.plan.Road)
		w.links.Pave(m.Addr, ip, w.plan.Road)
	}
	c, err := client.Dial(addrs, client.Options{Unnamed: true, Dial: w.links.Host(ip).Dial, Logger: w.logger.With("client", session)})
	if err != nil {
		w.fault("session %d: %v", session, err)
		return w.dialNear(session)
	}
	w.remotes = append(w.remotes, c)
	return &load.Engine{At: func(string) (topology.Engine, string) { return remote{c}, "far" }}
}

// Write implements topology.Engine, for batches of one write with one condition.
func (r remote) Write(ctx context.Context, b record.Batch, _ topology.WriteOptions) (topology.Receipt, error) {
	m := &b.Mutations[0]
	var options []client.Option
	for _, c := range b.Conditions {
		if c.Absent {
			options = append(options, client.IfAbsent())
		} else {
			options = append(options, client.IfValue(c.Value))
		}
	}
	if m.Op == record.OpDelete {
		return r.Delete(ctx, triad.DefaultTable, m.Key, options...)
	}
	return r.Put(ctx, triad.DefaultTable, m.Key, m.Value, options...)
}

func wish(o topology.ReadOptions) client.Option {
	switch o.Guarantee {
	case topology.ReadSession:
		return client.After(o.After)
	case topology.ReadBounded:
		return client.MaxStale(o.MaxStale)
	case topology.ReadAny:
		return client.Any()
	}
	return client.Linearizable()
}

// Read implements topology.Engine.
func (r remote) Read(ctx context.Context, _ record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	got, err := r.Get(ctx, triad.DefaultTable, key, wish(o))
	if err != nil {
		return topology.Reading{}, err
	}
	cell := topology.CellReading{Key: key, Version: record.Version{Dot: got.Dot, Time: got.Time, Value: got.Value}}
	return topology.Reading{Cells: []topology.CellReading{cell}, Token: got.Token, Served: got.Served, Stale: got.Stale, Guarantee: got.Guarantee}, nil
}

// Scan implements topology.Scanner.
func (r remote) Scan(ctx context.Context, _ record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		for item, err := range r.Client.Scan(ctx, triad.DefaultTable, from, to, wish(o)) {
			cell := topology.CellReading{Key: item.Key, Version: record.Version{Dot: item.Dot, Time: item.Time, Value: item.Value}}
			if !yield(cell, err) || err != nil {
				return
			}
		}
	}
}

// Run implements topology.Engine; nothing of a client runs but its transport.
func (r remote) Run(context.Context) error { return nil }

// Status implements topology.Engine.
func (r remote) Status() topology.Status { return topology.Status{} }
