package leaderless

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// view is which cells of a key a reader wants, and of which kind its table is.
type view struct {
	kind record.Kind
	topology.CellRange
	parts    bool // parts of the key are read beside its head, so that nobody asks how many there are
	siblings bool // of a table that keeps siblings all of them are shown
}

// needs is what is to be read of the key for that.
func (v *view) needs() topology.CellRange {
	r := v.CellRange
	r.Whole = r.Whole && kind.Parted(v.kind) || v.kind == record.KindCounter || kind.Parted(v.kind) && len(r.Field) == 0
	return r
}

// several reports whether more than one cell is read, beside that which may hide it.
func (v *view) several() bool { return v.needs().Whole }

// headAlone reports whether nothing is to be read: the head of a key whose parts are
// read, too, stands for nothing.
func (v *view) headAlone() bool {
	return v.parts && !v.Whole && len(v.Field) == 0 && kind.Parted(v.kind)
}

// show returns what a reader sees of cells of one key: those that are there, and are not
// hidden by a delete of the key.
func (e *engine) show(v *view, cells []core.Held) ([]topology.CellReading, error) {
	var head record.State
	if len(cells) > 0 && len(cells[0].Field) == 0 {
		head = cells[0].State
	}
	if !kind.Parted(v.kind) && v.kind != record.KindCounter {
		all := e.siblings(v, &head)
		if v.siblings || len(all) == 0 {
			return all, nil
		}
		head.Siblings = head.Siblings[:0:0]
		for _, c := range all {
			head.Siblings = append(head.Siblings, c.Version)
		}
		x, there := latest(&head)
		if !there || len(v.Field) > 0 {
			return nil, nil
		}
		return []topology.CellReading{{Key: v.Key, Version: x}}, nil
	}
	var out []topology.CellReading
	for i := range cells {
		h := &cells[i]
		if x, there := latest(&h.State); there && len(h.Field) > 0 && core.Visible(x, &head) {
			out = append(out, topology.CellReading{Key: v.Key, Field: h.Field, Version: x})
		}
	}
	switch {
	case len(out) == 0:
		return nil, nil
	case v.kind == record.KindCounter:
		return counted(v.Key, out)
	case len(v.Field) > 0:
		return out, nil
	}
	first := headOf(v.kind, v.Key, out, len(out))
	if !v.Whole {
		return []topology.CellReading{first}, nil
	}
	return slices.Insert(out, 0, first), nil
}

// headOf is the cell that stands for a key with parts, and says how many a set or a map
// has.
func headOf(k record.Kind, key []byte, cells []topology.CellReading, n int) topology.CellReading {
	h := topology.CellReading{Key: key, Version: record.Version{Kind: k}}
	for i := range cells {
		if c := &cells[i]; version.CompareWrites(c.Time, c.Dot, h.Time, h.Dot) > 0 {
			h.Dot, h.Time = c.Dot, c.Time
		}
	}
	if k != record.KindRow {
		w := pack.NewWriter(nil)
		w.Uint(uint64(n))
		h.Value = w.Bytes()
	}
	return h
}

// counted is a counter as its table shows it: the sum of what each node has counted.
func counted(key []byte, cells []topology.CellReading) ([]topology.CellReading, error) {
	h := headOf(record.KindCounter, key, cells, 0)
	var sum int64
	for i := range cells {
		n, err := number(cells[i].Value)
		if err != nil {
			return nil, fmt.Errorf("counter %q: %w", key, err)
		}
		if sum, err = add(sum, n); err != nil {
			return nil, fmt.Errorf("counter %q: %w", key, err)
		}
	}
	h.Value = numberBytes(sum)
	return []topology.CellReading{h}, nil
}

func number(b []byte) (int64, error) {
	r := pack.NewReader(b)
	n := r.Int()
	if err := r.Done(); err != nil {
		return 0, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	return n, nil
}

func numberBytes(n int64) []byte {
	w := pack.NewWriter(nil)
	w.Int(n)
	return w.Bytes()
}

func add(a, b int64) (int64, error) {
	if b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b {
		return 0, kind.ErrOverflow
	}
	return a + b, nil
}

// fit refuses what a table of that kind can not hold without a leader. What is to be left
// out of a record that is fit is told by its second result: the head of a key with parts
// says how many there are, which nobody knows.
func fit(k record.Kind, m *record.Mutation) (drop bool, err error) {
	refused := func(why string) error {
		return fmt.Errorf("%w: key %q in a table of kind %s: %s", topology.ErrUnsupported, m.Key, kind.Name(k), why)
	}
	parted := kind.Parted(k)
	switch {
	case m.Op == record.OpMerge && (k != m.Kind || k != record.KindCounter):
		return false, refused("it takes no change of a " + kind.Name(m.Kind))
	case (parted || k == record.KindCounter) && m.Expires != 0:
		return false, refused("a key with parts, and a counter, has no expiry without a leader")
	case parted:
		return m.Op == record.OpPut && len(m.Field) == 0, nil
	case k == record.KindCounter && (len(m.Field) > 0 || m.Op == record.OpPut && m.Kind != record.KindCounter):
		return false, refused("it holds counters alone")
	case k == record.KindCounter:
		return false, nil
	case len(m.Field) > 0 || kind.Parted(m.Kind):
		return false, refused("without a leader, sets and maps have tables of their own kind: declare one of kind set or map")
	case m.Kind == record.KindCounter:
		return false, refused("without a leader, counters have a table of their own kind: declare one of kind counter")
	}
	return false, nil
}

// counting is what this node has counted of a counter, in its log and not yet applied.
type counting struct {
	lsn   record.LSN
	total int64
}

// A counter's cells are named by the origin that counts in them, as its id and its
// incarnation in 4 bytes each: the last writer wins, and there is only one. What it is
// set to is a delete of all of them, and one that begins anew.

// seal makes of changes of a counter what this node's log says of them: what it has
// counted in all. It returns that, to be remembered until it is applied.
func (l *loop) seal(ev *core.Event) (c *counting, cell record.Cell, err error) {
	e := l.e
	if len(ev.Mutations) == 0 {
		return nil, cell, nil
	}
	m := &ev.Mutations[0]
	if k, _ := e.machine.tables.kind(m.Table); k != record.KindCounter || m.Table < record.TableFirst {
		return nil, cell, nil
	}
	own := l.origin(m)
	field := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, own.ID), own.Incarnation)
	cell = record.Cell{Table: m.Table, Key: m.Key, Field: field}
	c = &counting{}
	if c.total, err = l.counted(cell); err != nil {
		return nil, cell, err
	}
	remove := record.Mutation{Table: m.Table, Key: m.Key, Op: record.OpDelete, Kind: record.KindCounter}
	var head, mine bool
	for i := range ev.Mutations {
		x := &ev.Mutations[i]
		if x.Op == record.OpDelete {
			head, mine, c.total = true, false, 0
			continue
		}
		n, err := number(x.Value)
		if err != nil {
			return nil, cell, err
		}
		if x.Op == record.OpPut {
			head, c.total = true, 0
		}
		if c.total, err = add(c.total, n); err != nil {
			return nil, cell, err
		}
		mine = true
	}
	var ms []record.Mutation
	if head {
		ms = append(ms, remove)
	}
	if mine {
		ms = append(ms, record.Mutation{Table: m.Table, Key: m.Key, Field: field, Op: record.OpPut, Kind: record.KindCounter, Value: numberBytes(c.total)})
	}
	ev.Mutations = ms
	return c, cell, nil
}

// origin is under whom this node writes a key.
func (l *loop) origin(m *record.Mutation) version.Origin {
	return l.e.place.Origin(l.e.env.Self, placementOf(l.e, m.Table, m.Key), l.core.Life)
}

// counted is what this node has counted in a cell.
func (l *loop) counted(cell record.Cell) (int64, error) {
	if c, ok := l.counting[cellName(cell)]; ok {
		return c.total, nil
	}
	s, err := l.e.machine.look(cell)
	if err != nil || len(s.Siblings) == 0 {
		return 0, err
	}
	head, err := l.e.machine.look(record.Cell{Table: cell.Table, Key: cell.Key})
	if err != nil {
		return 0, err
	}
	if !core.Visible(s.Siblings[0], &head) {
		return 0, nil
	}
	return number(s.Siblings[0].Value)
}

// counts remembers what was counted until it is applied; forgets drops what is, or what
// the log did not take.
func (l *loop) counts(cell record.Cell, c *counting) {
	if c.lsn = l.core.End; c.lsn > l.core.Flushed {
		l.counting[cellName(cell)] = *c
	}
}

func (l *loop) forgets(gone func(record.LSN) bool) {
	for name, c := range l.counting {
		if gone(c.lsn) {
			delete(l.counting, name)
		}
	}
}

// winner is what two states of a cell come to.
func winner(a *record.State, in *record.State) error {
	c, err := conflict.JoinLWW(a.Siblings, a.Context, in.Siblings, in.Context)
	if err == nil {
		a.Siblings = c.State.Siblings
	}
	return err
}
