package multileader

import (
	"bytes"
	"math"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// show returns what the state of a cell shows a reader: nothing, one value, or where a
// table keeps siblings and all are asked for those that are concurrent, removals among
// them. What is due is shown until its removal is in the log (see expiry.go).
func (rd *reader) show(set *tableSet, t *table, c record.Cell, s *record.State, all bool) ([]topology.CellReading, error) {
	settled, err := rd.e.judge.settle(set, t, c, s.Siblings)
	if err != nil {
		return nil, err
	}
	return rd.shownOf(c, s, &settled, all), nil
}

// shownOf is what a reader is shown of a state that is settled so.
func (rd *reader) shownOf(c record.Cell, s *record.State, settled *conflict.Settled, all bool) (out []topology.CellReading) {
	for _, v := range settled.Shown {
		if v.Absent && !all {
			continue
		}
		out = append(out, topology.CellReading{Key: c.Key, Field: c.Field, Version: record.Version{
			Dot: newestOf(s.Siblings, v.From), Time: v.Time, Expires: v.Expires, Kind: v.Kind, Absent: v.Absent, Value: v.Bytes,
		}})
	}
	if !all && len(out) > 1 {
		last := slices.MaxFunc(out, func(a, b topology.CellReading) int { return conflict.Compare(a.Version, b.Version) })
		last.Others = len(out) - 1
		return []topology.CellReading{last}
	}
	return out
}

// newestOf is the write that a value is named by: the last of those it was made of.
func newestOf(vs []record.Version, from []version.Dot) version.Dot {
	var best record.Version
	for _, v := range vs {
		if slices.Contains(from, v.Dot) && version.CompareWrites(v.Time, v.Dot, best.Time, best.Dot) > 0 {
			best = v
		}
	}
	return best.Dot
}

// headed returns the cells of a key with parts as those who read it know them: with a
// cell without a field before the others, which stands for the key and says how many
// parts a set or a map has. Where several sites write, nobody keeps that count.
func headed(k record.Kind, key []byte, cells []topology.CellReading) []topology.CellReading {
	if !kind.Parted(k) || len(cells) == 0 {
		return cells
	}
	all, expires := cells, version.Timestamp(0)
	if len(cells[0].Field) == 0 {
		if k == record.KindRow {
			return cells
		}
		expires = cells[0].Expires
		cells = cells[1:]
	}
	if len(cells) == 0 {
		return nil
	}
	h := headOf(k, key, all, len(cells))
	h.Expires = expires
	return slices.Insert(cells, 0, h)
}

// headOf is the cell that stands for a key with parts.
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

// sight is what a decision of this site sees: what its log comes to up to its end.
type sight struct {
	e     *engine
	reads []topology.CellRange
	cells [][]topology.CellReading
}

var _ topology.Scattered = (*sight)(nil)

// Scattered implements topology.Scattered.
func (*sight) Scattered() {}

// Cells implements topology.Sight.
func (s *sight) Cells(i int) []topology.CellReading { return s.cells[i] }

// look reads what a decision sees.
func (wr *writer) look(reads []topology.CellRange) (*sight, error) {
	s := &sight{e: wr.e, reads: reads}
	for i := range reads {
		if err := notHeld(wr.e, reads[i].Table); err != nil {
			return nil, err
		}
		cells, err := s.read(i)
		if err != nil {
			return nil, err
		}
		s.cells = append(s.cells, cells)
	}
	return s, nil
}

func (s *sight) read(i int) ([]topology.CellReading, error) {
	r, of := &s.reads[i], s.e.reign.tail.tables.of(s.reads[i].Table)
	k := of.kind
	switch {
	case !r.Whole && (len(r.Field) > 0 || !kind.Parted(k)):
		return s.cell(of, r.Cell)
	case !r.Whole && s.parts(i):
		// Who changes parts of a key does not need to know how many others there are, but
		// when it expires: a head that nobody has written is one of a key that is new.
		h := headOf(k, r.Key, nil, math.MaxInt32)
		own, err := s.cell(of, r.Cell)
		if h.Absent = len(own) == 0; !h.Absent {
			h.Expires = own[0].Expires
		}
		return []topology.CellReading{h}, err
	}
	cells, err := s.whole(of, r)
	if err != nil || r.Whole || len(cells) == 0 {
		return cells, err
	}
	return cells[:1], nil
}

// parts reports whether a decision reads, beside the head of read i, parts of its key.
func (s *sight) parts(i int) bool {
	return slices.ContainsFunc(s.reads, func(o topology.CellRange) bool {
		return len(o.Field) > 0 && o.Table == s.reads[i].Table && bytes.Equal(o.Key, s.reads[i].Key)
	})
}

func (s *sight) cell(of *table, c record.Cell) ([]topology.CellReading, error) {
	t := s.e.reign.tail
	st, err := t.over.Cell(c)
	if err != nil {
		return nil, err
	}
	settled, err := s.e.judge.decide(&t.tables.tableSet, of, c, st.Siblings)
	if err != nil {
		return nil, err
	}
	return s.e.reader.shownOf(c, &st, &settled, false), nil
}

func (s *sight) whole(of *table, r *topology.CellRange) ([]topology.CellReading, error) {
	head := record.Cell{Table: r.Table, Key: r.Key}
	cells, err := s.cell(of, head)
	if err != nil {
		return nil, err
	}
	fields, err := s.e.reign.tail.over.Fields(r.Table, r.Key)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		head.Field = f
		more, err := s.cell(of, head)
		if err != nil {
			return nil, err
		}
		cells = append(cells, more...)
	}
	return headed(of.kind, r.Key, cells), nil
}
