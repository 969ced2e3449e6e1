package triad

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Cells is a node seen from below its tables: as cells, by the numbers of
// tables, with what an engine takes and gives. It is for those who bring another
// protocol or other types to the same data; everybody else has [Node.Put] and
// its sisters. What is read this way may be anybody's bytes.
type Cells struct{ n *Node }

// Cells returns n as cells.
func (n *Node) Cells() Cells { return Cells{n} }

// CellTable is what a table is below its name.
type CellTable struct {
	ID   record.TableID
	Kind record.Kind
	TTL  time.Duration // of keys that are written without an expiry; 0: none
}

// Expiry is that of a key of the table which is written at now without one of its
// own; 0 is never.
func (t CellTable) Expiry(now time.Time) version.Timestamp { return Table{TTL: t.TTL}.expiry(now) }

// Table returns the table of that name, or topology.ErrNoTable.
func (c Cells) Table(ctx context.Context, name string) (CellTable, error) {
	if err := c.n.gate.enter(ctx); err != nil {
		return CellTable{}, c.n.errorOf("table", name, nil, notApplied(err))
	}
	defer c.n.gate.leave()
	d, err := c.n.catalogue.lookup(ctx, name, false)
	if err != nil {
		return CellTable{}, c.n.errorOf("table", name, nil, notApplied(err))
	}
	return CellTable{ID: d.id, Kind: d.Kind, TTL: d.TTL}, nil
}

// Update is [topology.Updater]'s: it decides us in the order of the log, on the
// leader. Where the topology decides nothing in order, each is
// topology.ErrUnsupported.
func (c Cells) Update(ctx context.Context, us []topology.Update, o topology.WriteOptions) {
	err := c.n.gate.enter(ctx)
	if err == nil {
		defer c.n.gate.leave()
		err = writable(c.n)
	}
	if _, several := c.n.engine.(topology.Resolvers); err == nil && !several && !o.Context.IsZero() {
		err = fmt.Errorf("%w: one leader orders all writes of this topology, so no table keeps siblings", topology.ErrUnsupported)
	}
	if err == nil {
		if u, ok := c.n.engine.(topology.Updater); ok {
			u.Update(ctx, us, o)
			for i := range us {
				if err := us[i].Err; err != nil {
					c.n.gate.counts.failed(err)
				} else {
					c.n.gate.counts.writes.Add(1)
				}
			}
			return
		}
		err = fmt.Errorf("this topology decides no write from what it finds: %w", topology.ErrUnsupported)
	}
	for i := range us {
		us[i].Receipt, us[i].Err = Receipt{}, c.n.errorOf("update", "", nil, notApplied(err))
	}
}

// Read is [topology.Engine]'s.
func (c Cells) Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	if err := c.n.gate.enter(ctx); err != nil {
		return topology.Reading{}, c.n.errorOf("get", "", key, notApplied(err))
	}
	defer c.n.gate.leave()
	r, err := c.n.engine.Read(ctx, table, key, o)
	if err == nil || errors.Is(err, topology.ErrNotFound) {
		c.n.gate.counts.read(o.Guarantee)
	} else {
		c.n.gate.counts.failed(err)
	}
	return r, err
}

// Scan is [topology.Scanner]'s. Where the topology reads no ranges it yields
// topology.ErrUnsupported.
func (c Cells) Scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		err := c.n.gate.enter(ctx)
		if err == nil {
			defer c.n.gate.leave()
			if s, ok := c.n.engine.(topology.Scanner); ok {
				c.n.gate.counts.read(o.Guarantee)
				s.Scan(ctx, table, from, to, o)(yield)
				return
			}
			err = fmt.Errorf("this topology reads no ranges: %w", topology.ErrUnsupported)
		}
		yield(topology.CellReading{}, c.n.errorOf("scan", "", from, notApplied(err)))
	}
}

// Forward hands msg to whoever answers the same protocol at another node
// ([Cells.Answer]), over the peers port, and returns the answer. A failure before
// it was sent is NotApplied; where nobody answers there it is topology.ErrUnsupported.
func (c Cells) Forward(ctx context.Context, to topology.NodeID, msg []byte) ([]byte, error) {
	if err := c.n.gate.enter(ctx); err != nil {
		return nil, c.n.errorOf("forward", "", nil, notApplied(err))
	}
	defer c.n.gate.leave()
	b, err := c.n.transport.Call(ctx, to, call.MethodForward, msg)
	if err != nil {
		return nil, c.n.errorOf("forward", "", nil, err)
	}
	return b, nil
}

// Answer says who answers here what other nodes of the cluster forward, from then
// on; the last one counts. It runs on goroutines of the transport, and msg is its
// own until it returns.
func (c Cells) Answer(by func(ctx context.Context, msg []byte) ([]byte, error)) {
	c.n.gate.answers.Store(&by)
}

// forwarded answers what another node hands on.
func (n remote) forwarded(ctx context.Context, _ topology.Peer, msg []byte) ([]byte, error) {
	by := n.gate.answers.Load()
	if by == nil {
		return nil, n.errorOf("forward", "", nil, notApplied(fmt.Errorf("this node has no port for such clients: %w", topology.ErrUnsupported)))
	}
	return (*by)(ctx, msg)
}

// Status is [Node.Status].
func (c Cells) Status() topology.Status { return c.n.Status() }
