package kind

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Group makes several decisions one, each over what its predecessors do: all they
// come to is one record. One that is refused changes nothing, and the others
// are done all the same.
type Group struct {
	Ops     []Op
	Watched []Watched

	Done bool    // every watched key is as it was
	Errs []error // as Ops, if Done
}

// Watched is a key that must be as it was, or nothing is done. A zero Dot is a key
// that was not there.
type Watched struct {
	Key Key
	Dot version.Dot // see Look
}

// Reads implements Op.
func (g *Group) Reads() []topology.CellRange {
	if len(g.Ops) > groupMax || len(g.Watched) > groupMax {
		return nil
	}
	rs := headsOf(len(g.Watched), func(i int) *Key { return &g.Watched[i].Key })
	for _, op := range g.Ops {
		rs = append(rs, op.Reads()...)
	}
	if len(rs) > readsMax {
		return nil
	}
	return rs
}

const (
	groupMax = partsMax     // decisions, and watched keys, of one group
	readsMax = 4 * groupMax // cells and keys a group looks at
)

// Decide implements Op.
func (g *Group) Decide(s topology.Sight) ([]record.Mutation, error) {
	g.Done, g.Errs = false, nil
	if err := ordered(s, "a group of commands"); err != nil {
		return nil, err
	}
	if len(g.Ops) > groupMax || len(g.Watched) > groupMax {
		return nil, fmt.Errorf("%d decisions on %d watched keys, at most %d: %w", len(g.Ops), len(g.Watched), groupMax, topology.ErrTooLarge)
	}
	reads := make([][]topology.CellRange, len(g.Ops))
	total := len(g.Watched)
	for i, op := range g.Ops {
		reads[i] = op.Reads()
		total += len(reads[i])
	}
	if total > readsMax {
		return nil, fmt.Errorf("decisions on %d cells, at most %d: %w", total, readsMax, topology.ErrTooLarge)
	}
	for i := range g.Watched {
		if h := headOf(s.Cells(i)); h.Dot != g.Watched[i].Dot {
			return nil, nil
		}
	}
	o := overlay{sight: s, from: len(g.Watched), done: map[keyID]*change{}}
	errs := make([]error, len(g.Ops))
	var all []record.Mutation
	for i, op := range g.Ops {
		o.reads = reads[i]
		ms, err := op.Decide(&o)
		errs[i] = err
		all = append(all, ms...)
		o.add(ms)
		o.from += len(reads[i])
	}
	all, err := bounded(all)
	if err != nil {
		return nil, err
	}
	g.Done, g.Errs = true, errs
	return all, nil
}

func (g *Group) size() (n int) {
	for _, op := range g.Ops {
		if s, ok := op.(sized); ok {
			n += s.size()
		}
	}
	return n
}

// overlay is a sight with what a group has decided over it.
type overlay struct {
	sight topology.Sight
	from  int // where the reads of the present decision begin
	reads []topology.CellRange
	done  map[keyID]*change
}

// keyID is a key as a map takes it.
type keyID struct {
	table record.TableID
	name  string
}

// change is what becomes of one key.
type change struct {
	whole bool // nothing of before is left
	cells map[string]topology.CellReading
	gone  map[string]bool // by field, as cells
}

func (o *overlay) add(ms []record.Mutation) {
	for i := range ms {
		m := &ms[i]
		id := keyID{m.Table, string(m.Key)}
		c := o.done[id]
		if c == nil || m.Op == record.OpDelete && len(m.Field) == 0 {
			c = &change{cells: map[string]topology.CellReading{}, gone: map[string]bool{}}
			c.whole = m.Op == record.OpDelete && len(m.Field) == 0
			o.done[id] = c
		}
		switch {
		case m.Op == record.OpPut:
			v := record.Version{Kind: m.Kind, Expires: m.Expires, Value: m.Value}
			c.cells[string(m.Field)] = topology.CellReading{Key: m.Key, Field: m.Field, Version: v}
			delete(c.gone, string(m.Field))
		case len(m.Field) != 0:
			delete(c.cells, string(m.Field))
			c.gone[string(m.Field)] = true
		}
	}
}

// Cells implements topology.Sight.
func (o *overlay) Cells(i int) []topology.CellReading {
	r := &o.reads[i]
	cells := o.sight.Cells(o.from + i)
	c := o.done[keyID{r.Table, string(r.Key)}]
	switch {
	case c == nil:
		return cells
	case r.Whole:
		return c.over(cells)
	}
	if cell, ok := c.cells[string(r.Field)]; ok {
		return []topology.CellReading{cell}
	}
	if c.whole || c.gone[string(r.Field)] {
		return nil
	}
	return cells
}

// over returns all cells of the key, which were cells before, in their order.
func (c *change) over(cells []topology.CellReading) []topology.CellReading {
	var all []topology.CellReading
	for i := range cells {
		f := cells[i].Field
		if _, again := c.cells[string(f)]; !c.whole && !again && !c.gone[string(f)] {
			all = append(all, cells[i])
		}
	}
	for _, cell := range c.cells {
		all = append(all, cell)
	}
	slices.SortFunc(all, func(a, b topology.CellReading) int { return bytes.Compare(a.Field, b.Field) })
	return all
}
