package multileader

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Limits of comparing.
const (
	spansMax       = 64      // of one question
	spanCells      = 512     // of a span, at who asks
	cellsAskedMax  = 1024    // listed in one answer
	answerBytesMax = 1 << 20 // of states in one answer, but for the first
	spanCellsMax   = 1 << 16 // counted in a span at who answers: more differ anyway
	verifiesMax    = 2       // questions that a node answers at once
)

// methodVerify asks what a node holds.
const methodVerify = "site.verify"

// viewer reads what this node holds at one moment, as others are told of it.
type viewer struct {
	view   topology.Snapshot
	at     version.Vector // whose writes the view shows
	tables *tables
	enc    *record.Encoder
}

// look returns a view of this node's store once that shows the writes of after. The
// caller closes it.
func (cp *comparer) look(ctx context.Context, after version.Vector) (*viewer, error) {
	e := cp.e
	if err := e.reader.Wait(ctx, topology.TokenOf(after)); err != nil {
		return nil, err
	}
	view, err := e.cells.Snapshot()
	if err != nil {
		return nil, err
	}
	p, err := readPlace(view, cellAt())
	if err != nil {
		return nil, errors.Join(err, view.Close())
	}
	return &viewer{view: view, at: vectorOf(p.Marks), tables: e.machine.tables, enc: record.NewEncoder()}, nil
}

// shared are the spans of what sites have in common, of some tables or of all.
func shared(of []record.TableID) (spans []span) {
	table := func(t record.TableID) span {
		return span{record.Cell{Table: t}, record.Cell{Table: t + 1}}
	}
	if len(of) > 0 {
		for _, t := range of {
			spans = append(spans, table(t))
		}
		return spans
	}
	return []span{
		{record.Cell{Table: record.TableSystem, Key: []byte(kind.DefinitionPrefix)}, record.Cell{Table: record.TableSystem, Key: []byte(kind.DefinitionsEnd)}},
		table(record.TableDefault),
		{record.Cell{Table: record.TableFirst}, record.Cell{Table: math.MaxUint32}},
	}
}

// within reports whether a span is one of what sites have in common.
func (s span) within() bool {
	for _, all := range shared(nil) {
		if compareCells(s.from, all.from) >= 0 && compareCells(s.to, all.to) <= 0 {
			return true
		}
	}
	return false
}

func compareCells(a, b record.Cell) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), bytes.Compare(a.Key, b.Key), bytes.Compare(a.Field, b.Field))
}

// only is the span of one cell.
func only(c record.Cell) span { return span{c, behind(c)} }

// behind is what follows a cell.
func behind(c record.Cell) record.Cell {
	n := c.Clone()
	n.Field = append(n.Field, 0)
	return n
}

// each calls f with what is held in a span, until it returns false. The holding is f's
// until it returns.
func (v *viewer) each(s span, f func(h holding) bool) error {
	for ed, err := range v.view.Scan(s.from, s.to) {
		if err != nil {
			return err
		}
		var st record.State
		if err := record.DecodeState(ed.State, &st); err != nil {
			return fmt.Errorf("%w: the cell of key %q: %w", topology.ErrMalformed, ed.Key, err)
		}
		sum := core.SumOf(v.tables.shown(ed.Table).keeps, ed.Cell, &st, v.enc)
		if sum != (core.Sum{}) && !f(holding{ed.Cell, sum, ed.State}) {
			return nil
		}
	}
	return nil
}

// total adds up a span, as far as most cells.
func (v *viewer) total(s span, most uint64) (t total, err error) {
	err = v.each(s, func(h holding) bool {
		t.cells++
		t.sum = t.sum.Add(h.sum)
		return t.cells < most
	})
	return t, err
}

// list returns the cells of some spans, at most so many; the rest of the last span is
// left out if there are more.
func (v *viewer) list(spans []span, most int, states bool) (hs []holding, more bool, err error) {
	size := 0
	for _, s := range spans {
		err := v.each(s, func(h holding) bool {
			if more = len(hs) >= most || size >= answerBytesMax; more {
				return false
			}
			h.cell = h.cell.Clone()
			if h.state = bytes.Clone(h.state); !states {
				h.state = nil
			}
			size += len(h.state) + len(h.cell.Key) + len(h.cell.Field)
			hs = append(hs, h)
			return true
		})
		if err != nil || more {
			return hs, more, err
		}
	}
	return hs, false, nil
}

// answerVerify answers what this node holds.
func (cp *comparer) answerVerify(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	e := cp.e
	fail := func(err error) error { return e.errorOf("compare", topology.NotApplied, err) }
	q, err := decodeQuestion(req)
	if err != nil {
		return nil, fail(err)
	}
	for _, s := range q.spans {
		if !s.within() {
			return nil, fail(fmt.Errorf("%w: a span of cells that sites do not have in common", topology.ErrMalformed))
		}
	}
	select {
	case cp.places <- struct{}{}:
		defer func() { <-cp.places }()
	default:
		return nil, fail(fmt.Errorf("%w: this node compares with %d others already", topology.ErrOverloaded, verifiesMax))
	}
	v, err := cp.look(ctx, q.after)
	if err != nil {
		return nil, fail(err)
	}
	a := answer{at: v.at}
	if q.form == formSums {
		for _, s := range q.spans {
			t, terr := v.total(s, spanCellsMax)
			if err = errors.Join(terr, ctx.Err()); err != nil {
				break
			}
			a.sums = append(a.sums, t)
		}
	} else {
		a.holdings, a.more, err = v.list(q.spans, q.most, q.form == formStates)
	}
	if err := errors.Join(err, v.view.Close()); err != nil {
		return nil, fail(err)
	}
	return a.encode(), nil
}
