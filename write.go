package triad

import (
	"context"
	"fmt"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Receipt is the answer to a write.
type Receipt = topology.Receipt

// Put makes value the value of key. In a table of rows the value is a msgpack map
// of columns, and replaces the whole row. It keeps neither slice. Options:
// [Durability], [TTL], [IfAbsent], [IfVersion], [IfValue], [Request]; in a table that
// keeps siblings [Context] instead of a condition.
func (n *Node) Put(ctx context.Context, table string, key, value []byte, opts ...Option) (Receipt, error) {
	return inner{n}.writeOne(ctx, "put", call.One{Table: table, Key: key, Value: value}, opts)
}

// Delete removes key. That it was not there is no error: the removal is a write
// like any other. Options: those of [Node.Put] but TTL.
func (n *Node) Delete(ctx context.Context, table string, key []byte, opts ...Option) (Receipt, error) {
	return inner{n}.writeOne(ctx, "delete", call.One{Table: table, Key: key, Remove: true}, opts)
}

// Batch does all of b or nothing of it, as one record. Options: [Durability],
// [TTL], [Request].
func (n *Node) Batch(ctx context.Context, b *Batch, opts ...Option) (Receipt, error) {
	r, err := inner{n}.writeBatch(ctx, b, opts)
	if err != nil {
		return Receipt{}, n.errorOf("batch", "", nil, err)
	}
	return r, nil
}

// inner is a Node behind its front door: its errors do not name their operation
// yet.
type inner struct{ *Node }

func (n inner) writeBatch(ctx context.Context, b *Batch, opts []Option) (Receipt, error) {
	w, err := call.Gather(opts, call.WishWrite)
	switch {
	case err != nil:
	case b == nil || len(b.writes) == 0:
		err = fmt.Errorf("a batch without a write: %w", topology.ErrMalformed)
	default:
		err = b.fault
	}
	if err == nil {
		err = n.gate.enter(ctx)
	}
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	defer n.gate.leave()
	p, err := n.plan(&w)
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	for i := range b.writes {
		if err := p.write(ctx, &b.writes[i]); err != nil {
			return Receipt{}, notApplied(fmt.Errorf("write %d of %d: %w", i+1, len(b.writes), err))
		}
	}
	for i := range b.conditions {
		c := &b.conditions[i]
		w, err := call.Gather([]Option{c.Option}, call.WishIf)
		if err == nil {
			err = p.condition(ctx, c.Table, c.Key, &w)
		}
		if err != nil {
			return Receipt{}, notApplied(fmt.Errorf("condition %d of %d: %w", i+1, len(b.conditions), err))
		}
	}
	return n.write(ctx, &p, &w)
}

// write has the engine do what was planned.
func (n inner) write(ctx context.Context, p *plan, w *call.Wishes) (Receipt, error) {
	if err := writable(n.Node); err != nil {
		return Receipt{}, notApplied(err)
	}
	r, err := n.engine.Write(ctx, p.Batch, w.Write())
	if err == nil {
		n.gate.counts.writes.Add(1)
	}
	return r, err
}

func (n inner) writeOne(ctx context.Context, op string, one call.One, opts []Option) (Receipt, error) {
	r, err := n.tryWriteOne(ctx, &one, opts)
	if err != nil {
		return Receipt{}, n.errorOf(op, one.Table, one.Key, err)
	}
	return r, nil
}

func (n inner) tryWriteOne(ctx context.Context, one *call.One, opts []Option) (Receipt, error) {
	allowed := call.WishWrite | call.WishIf | call.WishContext
	if one.Remove {
		allowed &^= call.WishTTL
	}
	w, err := call.Gather(opts, allowed)
	if err == nil {
		err = n.gate.enter(ctx)
	}
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	defer n.gate.leave()
	p, err := n.plan(&w)
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	if err = p.write(ctx, one); err == nil && w.Has(call.WishIf) {
		err = p.condition(ctx, one.Table, one.Key, &w)
	}
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	return n.write(ctx, &p, &w)
}

// plan turns what a caller asks for into what an engine is asked for.
type plan struct {
	record.Batch
	node  *Node
	bytes int
	ttl   time.Duration // of what is put; 0: as its table says
}

// plan begins the plan of a write with those wishes.
func (n inner) plan(w *call.Wishes) (plan, error) {
	if w.Has(call.WishRequest) {
		if _, ok := n.engine.(Idempotent); !ok {
			return plan{}, fmt.Errorf("%w: Request: this topology does not know a retry", topology.ErrUnsupported)
		}
	}
	if w.Has(call.WishContext) {
		switch _, ok := n.engine.(topology.Resolvers); {
		case !ok:
			return plan{}, fmt.Errorf("%w: Context: one leader orders all writes of this topology, so no table keeps siblings", topology.ErrUnsupported)
		case w.Has(call.WishIf | call.WishRequest):
			return plan{}, fmt.Errorf("%w: Context is the only condition of its write, and it has no name", topology.ErrUnsupported)
		}
	}
	if err := levelled(n.Node, w); err != nil {
		return plan{}, err
	}
	return plan{Batch: record.Batch{Request: w.Request()}, node: n.Node, ttl: w.TTL()}, nil
}

// Levelled is an optional ability of an engine: requests may say for how many replicas
// they wait. Without it the option Consistency is refused.
type Levelled interface {
	Levelled()
}

// levelled refuses a level where there are none.
func levelled(n *Node, w *call.Wishes) error {
	if _, ok := n.engine.(Levelled); !ok && w.Has(call.WishConsistency) {
		return fmt.Errorf("%w: Consistency: one leader orders all writes here, and its policy says who has them", topology.ErrUnsupported)
	}
	return nil
}

// write adds one write.
func (p *plan) write(ctx context.Context, w *call.One) error {
	if err := call.CheckKey(w.Key); err != nil {
		return err
	}
	if most := p.node.config.Limits.ValueBytesMax; len(w.Value) > most {
		return fmt.Errorf("value of %d bytes, at most %d: %w", len(w.Value), most, topology.ErrTooLarge)
	}
	if p.bytes += len(w.Key) + len(w.Value); p.bytes > record.BatchBytesMax {
		return fmt.Errorf("a batch of more than %d bytes: %w", record.BatchBytesMax, topology.ErrTooLarge)
	}
	d, err := p.node.catalogue.lookup(ctx, w.Table, false)
	if err != nil {
		return err
	}
	if w.Remove {
		m, err := d.remove(w.Key)
		p.Mutations = append(p.Mutations, m)
		return err
	}
	ms, err := d.put(w.Key, w.Value, p.ttl, p.node.config.WallClock())
	if err != nil {
		return err
	}
	if p.Mutations == nil {
		p.Mutations = ms
		return nil
	}
	p.Mutations = append(p.Mutations, ms...)
	return nil
}

// condition adds the condition that w wishes for one key.
func (p *plan) condition(ctx context.Context, table string, key []byte, w *call.Wishes) error {
	if err := call.CheckKey(key); err != nil {
		return err
	}
	d, err := p.node.catalogue.lookup(ctx, table, false)
	if err != nil {
		return err
	}
	if w.Has(call.WishIfValue) && d.Kind != record.KindBytes && d.Kind != record.KindAny {
		return fmt.Errorf("%w: IfValue in a table of kind %s; IfVersion compares whole keys", topology.ErrUnsupported, KindName(d.Kind))
	}
	if c, ok := w.Condition(record.Cell{Table: d.id, Key: key}); ok {
		p.Conditions = append(p.Conditions, c)
	}
	return nil
}

// errorOf returns err as the caller of an operation gets it.
func (n *Node) errorOf(op, table string, key []byte, err error) error {
	n.gate.counts.failed(err)
	return call.Named(err, op, n.config.ID, table, key)
}

func notApplied(err error) error { return call.NotApplied(err) }
