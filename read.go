package triad

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Reading is the answer to a read: a value, the write it is from, and how fresh it
// is.
type Reading = call.Reading

// Item is one key of a scan.
type Item = call.Item

// Get returns the value of key; one that holds nothing is topology.ErrNotFound, and
// the reading then says by its token of which state that is true. Without an option
// it is the topology's default read: linearizable in a single-leader group, on any
// node. Options: [After], [MaxStale], [MaxLag], [MaxBytes], [Linearizable],
// [Leased], [Any].
func (n *Node) Get(ctx context.Context, table string, key []byte, opts ...Option) (Reading, error) {
	r, err := inner{n}.get(ctx, table, key, opts)
	if err != nil {
		return r, n.errorOf("get", table, key, err)
	}
	return r, nil
}

func (n inner) get(ctx context.Context, table string, key []byte, opts []Option) (Reading, error) {
	w, err := call.Gather(opts, call.WishRead)
	if err == nil {
		err = call.CheckKey(key)
	}
	if err == nil {
		err = n.gate.enter(ctx)
	}
	if err != nil {
		return Reading{}, notApplied(err)
	}
	defer n.gate.leave()
	for {
		at := n.catalogue.now()
		d, err := n.tableToRead(ctx, table, &w)
		if err != nil {
			return Reading{}, notApplied(err)
		}
		r, err := n.getFrom(ctx, d, key, &w)
		if n.catalogue.still(ctx, d, at) {
			return r, err
		}
	}
}

// tableToRead returns the definition of a table that is to be read. Where several sites
// write, one that is not known here may be among what the read's token has seen, which
// is then waited for first.
func (n inner) tableToRead(ctx context.Context, name string, w *call.Wishes) (definition, error) {
	d, err := n.catalogue.lookup(ctx, name, w.Has(call.WishAny))
	token := w.Read().After
	if _, scattered := n.engine.(Scattered); !scattered || !errors.Is(err, topology.ErrNoTable) || token.IsZero() {
		return d, err
	}
	if waiter, ok := n.engine.(topology.Waiter); ok {
		if err := waiter.Wait(ctx, token); err != nil {
			return definition{}, err
		}
	}
	return n.catalogue.lookup(ctx, name, w.Has(call.WishAny))
}

func (n inner) getFrom(ctx context.Context, d definition, key []byte, w *call.Wishes) (Reading, error) {
	o, err := n.readOptions(ctx, w)
	if err != nil {
		return Reading{}, notApplied(err)
	}
	o.Whole, o.Siblings = d.Kind == record.KindRow, d.Resolver != ""
	r, err := n.engine.Read(ctx, d.id, key, o)
	out := Reading{Token: r.Token, Served: r.Served, Stale: r.Stale, Guarantee: r.Guarantee, Context: r.Context}
	if err != nil {
		return out, err
	}
	n.gate.counts.read(o.Guarantee)
	if !r.Context.IsZero() {
		err := d.siblings(r.Cells, &out)
		return out, err
	}
	if len(r.Cells) == 0 {
		return out, notApplied(topology.ErrNotFound)
	}
	value, err := d.value(r.Cells)
	if err != nil {
		return Reading{}, notApplied(err)
	}
	at := newest(r.Cells)
	out.Value, out.Dot, out.Time = value, at.Dot, at.Time
	return out, nil
}

// readOptions returns what the engine is told of a read, once this node shows
// what has to be waited for before.
func (n inner) readOptions(ctx context.Context, w *call.Wishes) (topology.ReadOptions, error) {
	o := w.Read()
	if err := levelled(n.Node, w); err != nil {
		return o, err
	}
	token := w.AwaitFirst()
	if token.IsZero() {
		return o, nil
	}
	waiter, ok := n.engine.(topology.Waiter)
	if !ok {
		return o, fmt.Errorf("%w: After: this topology has no tokens to wait for", topology.ErrUnsupported)
	}
	return o, waiter.Wait(ctx, token)
}

// newest returns the cell that stands for the version of a key: the one without
// a field, or where there is none the one written last.
func newest(cells []topology.CellReading) *topology.CellReading {
	at := &cells[0]
	for i := range cells {
		if len(at.Field) == 0 {
			break
		}
		if c := &cells[i]; len(c.Field) == 0 || c.Time > at.Time {
			at = c
		}
	}
	return at
}

// Scan yields the keys from <= key < to of a table in order, from one consistent
// view; an empty from is the beginning, an empty to the end. Of a map or a set it
// shows that it is there, and its kind. An error is the last thing it yields.
// Options: those of [Node.Get].
//
//	for item, err := range node.Scan(ctx, "users", nil, nil) {
func (n *Node) Scan(ctx context.Context, table string, from, to []byte, opts ...Option) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		stopped := false
		err := inner{n}.scan(ctx, table, from, to, opts, func(i Item) bool {
			stopped = !yield(i, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Item{}, n.errorOf("scan", table, from, err))
		}
	}
}

func (n inner) scan(ctx context.Context, table string, from, to []byte, opts []Option, yield func(Item) bool) error {
	w, err := call.Gather(opts, call.WishRead)
	if err == nil {
		err = call.CheckBounds(from, to)
	}
	if err == nil {
		err = n.gate.enter(ctx)
	}
	if err != nil {
		return notApplied(err)
	}
	defer n.gate.leave()
	s, ok := n.engine.(topology.Scanner)
	if !ok {
		return notApplied(fmt.Errorf("this topology reads no ranges: %w", topology.ErrUnsupported))
	}
	for {
		at := n.catalogue.now()
		d, err := n.tableToRead(ctx, table, &w)
		if err != nil {
			return notApplied(err)
		}
		if len(to) != 0 && bytes.Compare(from, to) >= 0 {
			return nil
		}
		o, err := n.readOptions(ctx, &w)
		if err != nil {
			return notApplied(err)
		}
		n.gate.counts.read(o.Guarantee)
		g := grouping{definition: d, yield: yield}
		again, err := n.scanFrom(ctx, s.Scan(ctx, d.id, from, to, o), &g, at)
		if !again {
			return err
		}
	}
}

// scanFrom yields what a scan has found. It reports that the table's name stands
// for another one by now, before anything was yielded.
func (n inner) scanFrom(ctx context.Context, cells iter.Seq2[topology.CellReading, error], g *grouping, at sighting) (again bool, err error) {
	sure := false
	for c, err := range cells {
		if err != nil {
			return false, err
		}
		if sure = sure || n.catalogue.still(ctx, g.definition, at); !sure {
			return true, nil
		}
		if more, err := g.take(c); err != nil || !more {
			return false, err
		}
	}
	if !sure && !n.catalogue.still(ctx, g.definition, at) {
		return true, nil
	}
	_, err = g.finish()
	return false, err
}

// grouping puts the cells of a scan together to keys. A row has at most as many
// cells as one record has mutations, and several records may have made it.
type grouping struct {
	definition
	yield func(Item) bool
	cells []topology.CellReading // of one key
	bytes int
}

// rowBytesMax bounds what is put together to one row.
const rowBytesMax = 4 * record.BatchBytesMax

// take adds a cell, and yields the key before it if that is complete. It copies
// what it keeps.
func (g *grouping) take(c topology.CellReading) (more bool, err error) {
	if g.Kind != record.KindRow && len(c.Field) != 0 {
		return true, nil // a part of a key, whose head says all that is shown of it
	}
	if len(g.cells) > 0 && !bytes.Equal(g.cells[0].Key, c.Key) {
		if more, err := g.finish(); err != nil || !more {
			return false, err
		}
	}
	if g.bytes += len(c.Field) + len(c.Value); g.bytes > rowBytesMax {
		return false, fmt.Errorf("key %q holds more than %d bytes: %w", c.Key, rowBytesMax, topology.ErrTooLarge)
	}
	c.Key, c.Field, c.Value = bytes.Clone(c.Key), bytes.Clone(c.Field), bytes.Clone(c.Value)
	g.cells = append(g.cells, c)
	return true, nil
}

// finish yields the key whose cells are there.
func (g *grouping) finish() (more bool, err error) {
	if len(g.cells) == 0 {
		return true, nil
	}
	at := newest(g.cells)
	item := Item{Key: g.cells[0].Key, Dot: at.Dot, Time: at.Time}
	if g.Kind != record.KindRow && kind.Parted(at.Kind) {
		item.Kind = at.Kind
	} else if item.Value, err = g.value(g.cells); err != nil {
		return false, notApplied(fmt.Errorf("key %q: %w", item.Key, err))
	}
	g.cells, g.bytes = g.cells[:0], 0
	return g.yield(item), nil
}

// Wait returns once this node shows what token has seen (rule C8), or says that
// it was rewound.
func (n *Node) Wait(ctx context.Context, token topology.Token) error {
	err := n.gate.enter(ctx)
	if err != nil {
		return n.errorOf("wait", "", nil, notApplied(err))
	}
	defer n.gate.leave()
	w, ok := n.engine.(topology.Waiter)
	if !ok {
		err = fmt.Errorf("this topology has no tokens to wait for: %w", topology.ErrUnsupported)
	} else {
		err = w.Wait(ctx, token)
	}
	if err != nil {
		return n.errorOf("wait", "", nil, notApplied(err))
	}
	return nil
}
