package multileader

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// What nodes ask one another to compare what they hold (rule M8).
//
//	question  array of 5: format, after (array of 3n: id, incarnation, seq), form, most,
//	          spans (array of 6n: the first cell and what is behind the last, each as table, key, field)
//	answer    array of 5: format, at (as after), sums (array of 3n: cells, high, low),
//	          holdings (array of 6n: table, key, field, high, low, state), more
const (
	verifyFormat = 1
	verifyFields = 5
)

// The forms of an answer.
const (
	formSums   = 0 // a sum for each span
	formCells  = 1 // every cell with its sum
	formStates = 2 // and what it holds
)

// span is the cells from one on, before another.
type span struct{ from, to record.Cell }

// question asks what a node holds in some spans, once it has applied after.
type question struct {
	after version.Vector
	form  uint64
	most  int // holdings
	spans []span
}

// total is what is held in a span.
type total struct {
	cells uint64
	sum   core.Sum
}

// holding is what is held in a cell.
type holding struct {
	cell  record.Cell
	sum   core.Sum
	state []byte
}

// answer is what a node holds, having applied the writes of at.
type answer struct {
	at       version.Vector
	sums     []total
	holdings []holding
	more     bool // there are more cells than were asked for
}

func putVector(w *pack.Writer, v version.Vector) {
	w.Array(3 * len(v))
	for _, m := range v {
		w.Uint(uint64(m.Origin.ID))
		w.Uint(uint64(m.Origin.Incarnation))
		w.Uint(m.Seq)
	}
}

func getVector(r *pack.Reader) (v version.Vector) {
	n := r.ArrayMax(3 * record.MarksMax)
	for ; n >= 3 && r.Err() == nil; n -= 3 {
		v = append(v, version.Mark{Origin: getOrigin(r), Seq: r.Uint()})
	}
	if n != 0 || !v.Valid() {
		r.Fail("it has no vector in canonical form")
	}
	return v
}

func putCell(w *pack.Writer, c record.Cell) {
	w.Uint(uint64(c.Table))
	w.Bin(c.Key)
	w.Bin(c.Field)
}

// getCell reads a cell, whose bytes are those of the message.
func getCell(r *pack.Reader) record.Cell {
	return record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32)), Key: r.BinMax(record.KeyBytesMax + 1), Field: r.BinMax(record.KeyBytesMax + 1)}
}

func (q *question) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(verifyFields)
	w.Uint(verifyFormat)
	putVector(w, q.after)
	w.Uint(q.form)
	w.Uint(uint64(q.most))
	w.Array(6 * len(q.spans))
	for _, s := range q.spans {
		putCell(w, s.from)
		putCell(w, s.to)
	}
	return w.Bytes()
}

func decodeQuestion(b []byte) (q question, err error) {
	r := pack.NewReader(b)
	if err := verifyHead(&r); err != nil {
		return q, err
	}
	q.after, q.form, q.most = getVector(&r), r.UintMax(formStates), int(r.UintMax(cellsAskedMax))
	n := r.ArrayMax(6 * spansMax)
	if n%6 != 0 {
		r.Fail("spans are not whole")
	}
	for ; n > 0 && r.Err() == nil; n -= 6 {
		q.spans = append(q.spans, span{getCell(&r), getCell(&r)})
	}
	return q, verifyDone(&r)
}

func (a *answer) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(verifyFields)
	w.Uint(verifyFormat)
	putVector(w, a.at)
	w.Array(3 * len(a.sums))
	for _, s := range a.sums {
		w.Uint(s.cells)
		w.Uint(s.sum.Hi)
		w.Uint(s.sum.Lo)
	}
	w.Array(6 * len(a.holdings))
	for i := range a.holdings {
		h := &a.holdings[i]
		putCell(w, h.cell)
		w.Uint(h.sum.Hi)
		w.Uint(h.sum.Lo)
		w.Bin(h.state)
	}
	w.Bool(a.more)
	return w.Bytes()
}

func decodeAnswer(b []byte) (a answer, err error) {
	r := pack.NewReader(b)
	if err := verifyHead(&r); err != nil {
		return a, err
	}
	a.at = getVector(&r)
	n := r.ArrayMax(3 * spansMax)
	if n%3 != 0 {
		r.Fail("sums are not whole")
	}
	for ; n > 0 && r.Err() == nil; n -= 3 {
		a.sums = append(a.sums, total{r.Uint(), core.Sum{Hi: r.Uint(), Lo: r.Uint()}})
	}
	n = r.ArrayMax(6 * cellsAskedMax)
	if n%6 != 0 {
		r.Fail("cells are not whole")
	}
	for ; n > 0 && r.Err() == nil; n -= 6 {
		a.holdings = append(a.holdings, holding{getCell(&r), core.Sum{Hi: r.Uint(), Lo: r.Uint()}, r.Bin()})
	}
	a.more = r.Bool()
	return a, verifyDone(&r)
}

func verifyHead(r *pack.Reader) error {
	r.ArrayOf(verifyFields)
	if f := r.Uint(); r.Err() == nil && f != verifyFormat {
		return fmt.Errorf("what a node asks or answers to compare what it holds has format %d, this version knows %d: %w", f, verifyFormat, topology.ErrUnsupported)
	}
	return nil
}

func verifyDone(r *pack.Reader) error {
	if err := r.Done(); err != nil {
		return fmt.Errorf("what a node asks or answers to compare what it holds: %w: %w", topology.ErrMalformed, err)
	}
	return nil
}
