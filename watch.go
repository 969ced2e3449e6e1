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

// WatchOptions say what of a table to follow, and from where. The zero value
// follows all keys from now on.
type WatchOptions = call.Watch

// Change is one step of a watch: what one transaction did to the keys that are
// watched, or a key that was there before.
type Change = call.Change

// KeyChange is what became of one key.
type KeyChange = call.KeyChange

// PartChange is what became of a member, a field or a column of a key.
type PartChange = call.PartChange

// Watch yields what is committed to a table and applied at this node, leader or
// not, in the order of the log: every transaction once, none left out (PS10). It
// waits for more until ctx ends; an error is the last thing it yields:
// topology.ErrCompacted where what comes next is not in the log any more, and
// topology.ErrRewound where the position was taken back by a failover. It then has
// to begin from the state. topology.ErrNoTable says that the table was dropped.
//
//	for change, err := range node.Watch(ctx, "users", triad.WatchOptions{State: true}) {
//
// With a slot, a change counts as consumed when the loop comes back for the next
// one; the slot moves within a second. Whoever goes on with it is yielded again
// what was not acknowledged, and never misses anything.
//
// A slow loop is waited for. Close must not be called from within it.
func (n *Node) Watch(ctx context.Context, table string, o WatchOptions) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		stopped := false
		f := feed{Node: n, table: table, o: o}
		err := f.run(ctx, func(c Change) bool {
			stopped = !yield(c, nil)
			if !stopped {
				f.consumed(c)
			}
			return !stopped
		})
		if err != nil && !stopped {
			yield(Change{}, n.errorOf("watch", table, nil, err))
		}
	}
}

// feed is one watch.
type feed struct {
	*Node
	table string
	o     WatchOptions
	acker *acker // nil without a slot

	definition
	named  bool                   // that the table is still there was checked behind the first position
	cells  []topology.CellReading // of a row in the state that is not whole yet
	bytes  int
	yield  func(Change) bool
	enough bool
}

// consumed says that a change was taken in.
func (f *feed) consumed(c Change) {
	if f.acker != nil && !c.Token.IsZero() {
		f.acker.note(c)
	}
}

// run yields until ctx ends, an error, or until yield has had enough.
func (f *feed) run(ctx context.Context, yield func(Change) bool) error {
	err := f.o.Check()
	if err == nil {
		err = f.gate.enter(ctx)
	}
	if err != nil {
		return notApplied(err)
	}
	defer f.gate.leave()
	w, ok := f.engine.(topology.Watcher)
	if !ok {
		return notApplied(fmt.Errorf("this topology has no feed of changes: %w", topology.ErrUnsupported))
	}
	f.yield = yield
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from, err := f.begin(ctx, w, cancel)
	if err != nil {
		return notApplied(err)
	}
	if f.acker != nil {
		defer f.acker.end()
	}
	err = f.follow(ctx, w.Watch(ctx, from))
	var taken *slotTaken
	if errors.As(context.Cause(ctx), &taken) {
		err = taken.error
	}
	if err != nil {
		return notApplied(err)
	}
	return nil
}

// begin finds the table and the position, and takes the slot.
func (f *feed) begin(ctx context.Context, w topology.Watcher, cancel context.CancelCauseFunc) (topology.WatchOptions, error) {
	o := topology.WatchOptions{From: f.o.From, State: f.o.State, Progress: f.o.Progress || f.o.Slot != ""}
	if f.o.Slot != "" {
		s, err := f.catalogue.slots.open(ctx, w, f.table, &f.o)
		if err != nil {
			return o, err
		}
		o.From = s.Token
		if o.State = !s.Synced; o.State {
			o.From = topology.Token{}
		}
		f.acker = f.catalogue.slots.newAcker(s, cancel)
	}
	err := f.find(ctx, o.From)
	if err == nil && f.acker != nil && f.acker.slot.ID != f.id {
		err = f.dropped()
	}
	if err != nil && f.acker != nil {
		f.acker.end()
	}
	o.Ranges = []topology.PrefixRange{{Table: f.id, Prefix: f.o.Prefix}}
	if f.id >= record.TableFirst {
		o.Ranges = append(o.Ranges, topology.PrefixRange{Table: record.TableSystem, Prefix: tableKey(f.table)})
	}
	return o, err
}

// find looks the table's number up once this node shows what the position has
// seen: a number of before a drop would be followed for ever.
func (f *feed) find(ctx context.Context, from topology.Token) (err error) {
	if waiter, ok := f.engine.(topology.Waiter); ok && !from.IsZero() {
		err = waiter.Wait(ctx, from)
	}
	if err == nil {
		f.definition, err = f.catalogue.lookup(ctx, f.table, false)
	}
	return err
}

// follow yields what an engine's watch does, as changes of the table.
func (f *feed) follow(ctx context.Context, changes iter.Seq2[topology.Change, error]) error {
	for c, err := range changes {
		if err != nil {
			return err
		}
		switch c.Kind {
		case topology.ChangeState:
			err = f.state(c)
		case topology.ChangePosition:
			if err = f.flush(); err == nil && !f.enough {
				err = f.position(ctx, c)
			}
		default:
			err = f.write(c)
		}
		if err != nil || f.enough {
			return err
		}
	}
	return nil
}

func (f *feed) give(c Change) { f.enough = !f.yield(c) }

// position passes a position on. Behind the first it makes sure that the table it
// has followed so far is the one of that name there: from there on a drop shows.
func (f *feed) position(ctx context.Context, c topology.Change) error {
	if !f.named && f.id >= record.TableFirst {
		d, err := f.catalogue.read(ctx, f.table, topology.ReadAny)
		if err != nil || d.id != f.id {
			return errors.Join(f.dropped(), err)
		}
		f.named = true
	}
	f.give(Change{Kind: c.Kind, Token: c.Token})
	return nil
}

func (f *feed) dropped() error {
	return fmt.Errorf("table %s was dropped: %w", f.table, topology.ErrNoTable)
}

// state takes a cell of what was there before: the columns of a row, which come
// one after another, are put together.
func (f *feed) state(c topology.Change) error {
	m := &c.Mutations[0]
	if m.Table == record.TableSystem {
		return nil
	}
	cell := topology.CellReading{Key: m.Key, Field: m.Field, Version: record.Version{Dot: c.Dot, Time: c.Time, Expires: m.Expires, Kind: m.Kind, Value: m.Value}}
	if f.Kind == record.KindRow {
		if len(f.cells) > 0 && !bytes.Equal(f.cells[0].Key, m.Key) {
			if err := f.flush(); err != nil || f.enough {
				return err
			}
		}
		if f.bytes += len(m.Field) + len(m.Value); f.bytes > rowBytesMax {
			return fmt.Errorf("key %q holds more than %d bytes: %w", m.Key, rowBytesMax, topology.ErrTooLarge)
		}
		f.cells = append(f.cells, cell)
		return nil
	}
	k, err := f.keyChange([]*record.Mutation{m})
	if err != nil {
		return err
	}
	f.give(Change{Kind: c.Kind, Dot: c.Dot, Time: c.Time, Keys: []KeyChange{k}})
	return nil
}

// flush yields the row whose columns are there.
func (f *feed) flush() error {
	if len(f.cells) == 0 {
		return nil
	}
	at := newest(f.cells)
	value, err := f.value(f.cells)
	if err != nil {
		return fmt.Errorf("key %q: %w", at.Key, err)
	}
	k := KeyChange{Key: at.Key, Kind: record.KindRow, Whole: true, Value: value, Expires: at.Expires}
	c := Change{Kind: topology.ChangeState, Dot: at.Dot, Time: at.Time, Keys: []KeyChange{k}}
	f.cells, f.bytes = nil, 0
	f.give(c)
	return nil
}

// write takes one transaction: its keys in the order in which it names them first.
func (f *feed) write(c topology.Change) error {
	out := Change{Kind: c.Kind, Token: c.Token, Dot: c.Dot, Time: c.Time}
	of := map[string]int{}
	var keys [][]*record.Mutation
	for i := range c.Mutations {
		m := &c.Mutations[i]
		if m.Table == record.TableSystem {
			if string(m.Key) == string(tableKey(f.table)) && m.Op == record.OpDelete {
				return f.dropped()
			}
			continue
		}
		at, there := of[string(m.Key)]
		if !there {
			at = len(keys)
			of[string(m.Key)], keys = at, append(keys, nil)
		}
		keys[at] = append(keys[at], m)
	}
	for _, ms := range keys {
		k, err := f.keyChange(ms)
		if err != nil {
			return err
		}
		out.Keys = append(out.Keys, k)
	}
	if len(out.Keys) == 0 { // of another table whose name begins so
		out = Change{Kind: topology.ChangePosition, Token: c.Token}
		if !f.o.Progress {
			return nil
		}
	}
	f.give(out)
	return nil
}

// keyChange puts together what mutations do to one key.
func (f *feed) keyChange(ms []*record.Mutation) (KeyChange, error) {
	k := KeyChange{Key: ms[0].Key}
	var cells []topology.CellReading // what is put over nothing
	fresh := false
	for _, m := range ms {
		switch {
		case m.Op == record.OpDelete && len(m.Field) == 0:
			k, cells, fresh = KeyChange{Key: m.Key, Removed: true}, nil, true
		case m.Op == record.OpDelete:
			k.Parts = append(k.Parts, PartChange{Name: kind.PartName(f.Kind, m.Field), Removed: true})
		case len(m.Field) == 0:
			k.Kind, k.Expires = m.Kind, m.Expires
			cells = append(cells, cellOf(m))
		default:
			k.Parts = append(k.Parts, PartChange{Name: kind.PartName(f.Kind, m.Field), Value: m.Value})
			cells = append(cells, cellOf(m))
		}
	}
	k.Whole = len(cells) > 0 && len(cells[0].Field) == 0 && (!kind.Parted(k.Kind) || fresh && f.Kind == record.KindRow)
	if !k.Whole {
		return k, nil
	}
	value, err := f.value(cells)
	if err != nil {
		return k, fmt.Errorf("key %q: %w", k.Key, err)
	}
	k.Value, k.Parts, k.Removed = value, nil, false
	return k, nil
}

func cellOf(m *record.Mutation) topology.CellReading {
	return topology.CellReading{Key: m.Key, Field: m.Field, Version: record.Version{Kind: m.Kind, Expires: m.Expires, Value: m.Value}}
}
