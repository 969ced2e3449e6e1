package multileader

import (
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// arriving is what a site's store holds of a snapshot of another that it takes. It stands
// under the key "i" of the table of origins, while there is one, as the value of a state
// of one sibling: an array of twelve, of fourteen where tables are left out:
//
//	0  format  uint, 1; 2 with tables
//	1  stage   uint
//	2  id      uint
//	3  from    str
//	4  begun   uint: the entry of the log
//	5  time    uint
//	6  marks   array of 4n: id, incarnation, seq, chain; by origin
//	7  next    bin
//	8  parts   uint
//	9  seen    array of 3n: what was applied here when it was put in its place
//	10 cursor  array of 3: table, key, field: up to here cells are in their places
//	11 cells   uint: how many have come
//	12 tables  array of n: of which no cell comes, ascending
//	13 whole   bool: all parts are here
type arriving struct {
	core.Incoming
	seen   version.Vector
	cursor record.Cell
	cells  uint64
}

const (
	arrivingFormat = 1
	arrivingLess   = 2 // with tables that are left out
	arrivingFields = 12
	keyArriving    = "i"
	nextBytesMax   = 1 << 18
)

func cellArriving() record.Cell {
	return record.Cell{Table: record.TableOrigins, Key: []byte(keyArriving)}
}

func (in *arriving) settles() bool { return in.Stage == core.StageSettling }

func (in *arriving) staged(c record.Cell) record.Cell { return stagedCell(in.Begun, c) }

// join makes one of what is here of a cell and what has come of it (rule X): covered by
// what the other site had applied goes what it has not, and does not come what is not
// here and was applied here. A state without siblings has been made one already.
func (in *arriving) join(r conflict.Resolver, c record.Cell, here, came []byte) (x conflict.Change, changes bool, err error) {
	var local, other record.State
	if came != nil {
		if err = record.DecodeState(came, &other); err != nil {
			return x, false, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
		if len(other.Siblings) == 0 {
			return x, false, nil
		}
	}
	if here != nil {
		if err = record.DecodeState(here, &local); err != nil {
			return x, false, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
	}
	x, err = conflict.JoinWith(r, c, local.Siblings, in.seen, other.Siblings, vectorOf(in.Marks))
	if err != nil {
		return x, false, err
	}
	x.State.Context = local.Context
	same := slices.EqualFunc(local.Siblings, x.State.Siblings, func(a, b record.Version) bool { return a.Dot == b.Dot })
	return x, !same, nil
}

// String says in a few words how far a snapshot has come.
func (in *arriving) String() string {
	if in.settles() {
		return fmt.Sprintf("%d cells of its snapshot have come, and go to their places", in.cells)
	}
	return fmt.Sprintf("%d cells of its snapshot have come, in %d parts", in.cells, in.Parts)
}

func (in *arriving) encode() []byte {
	w := pack.NewWriter(nil)
	format := arrivingFormat
	if len(in.Without) > 0 {
		format = arrivingLess
	}
	w.Array(arrivingWidth(format))
	w.Uint(uint64(format))
	w.Uint(uint64(in.Stage))
	w.Uint(in.ID)
	w.Str(string(in.From))
	w.Uint(uint64(in.Begun))
	w.Uint(uint64(in.Time))
	putMarks(w, in.Marks)
	w.Bin(in.Next)
	w.Uint(in.Parts)
	putVector(w, in.seen)
	w.Array(3)
	w.Uint(uint64(in.cursor.Table))
	w.Bin(in.cursor.Key)
	w.Bin(in.cursor.Field)
	w.Uint(in.cells)
	if len(in.Without) > 0 {
		w.Array(len(in.Without))
		for _, t := range in.Without {
			w.Uint(uint64(t))
		}
		w.Bool(in.Whole)
	}
	return w.Bytes()
}

func arrivingWidth(format int) int { return arrivingFields + 2*(format-arrivingFormat) }

func putMarks(w *pack.Writer, marks []core.Mark) {
	w.Array(4 * len(marks))
	for _, m := range marks {
		w.Uint(uint64(m.Origin.ID))
		w.Uint(uint64(m.Origin.Incarnation))
		w.Uint(m.Seq)
		w.Uint(uint64(m.Chain))
	}
}

func decodeArriving(b []byte) (in arriving, err error) {
	r := pack.NewReader(b)
	n, f := r.Array(), int(r.UintMax(1<<16))
	if r.Err() == nil && (f < arrivingFormat || f > arrivingLess) {
		return in, fmt.Errorf("what has come of a snapshot has format %d, this version knows %d to %d: %w", f, arrivingFormat, arrivingLess, topology.ErrUnsupported)
	}
	if r.Err() == nil && n != arrivingWidth(f) {
		r.Fail(fmt.Sprintf("%d fields", n))
	}
	in.Stage, in.ID, in.From = core.Stage(r.UintMax(uint64(core.StageSettling))), r.Uint(), core.Site(r.StrMax(nameBytesMax))
	in.Begun, in.Time = record.LSN(r.Uint()), version.Timestamp(r.Uint())
	in.Marks = getMarks(&r)
	in.Next, in.Parts = slices.Clone(r.BinMax(nextBytesMax)), r.Uint()
	in.seen = getVector(&r)
	r.ArrayOf(3)
	in.cursor = record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32)), Key: r.BinMax(record.KeyBytesMax), Field: r.BinMax(record.FieldBytesMax)}.Clone()
	in.cells = r.Uint()
	if f == arrivingLess {
		for n := r.ArrayMax(filtersMax); n > 0 && r.Err() == nil; n-- {
			t := record.TableID(r.UintMax(math.MaxUint32))
			if k := len(in.Without); k > 0 && in.Without[k-1] >= t {
				r.Fail("tables are not in order")
			}
			in.Without = append(in.Without, t)
		}
		if len(in.Without) == 0 {
			r.Fail("no table is left out")
		}
		in.Whole = r.Bool()
	}
	if err := r.Done(); err != nil {
		return arriving{}, fmt.Errorf("what has come of a snapshot: %w: %w", topology.ErrMalformed, err)
	}
	return in, nil
}

func getMarks(r *pack.Reader) (marks []core.Mark) {
	n := r.ArrayMax(4 * record.MarksMax)
	if n%4 != 0 {
		r.Fail("marks are not whole")
	}
	for ; n > 0 && r.Err() == nil; n -= 4 {
		m := core.Mark{Origin: getOrigin(r)}
		m.Seq, m.Chain = r.Uint(), uint32(r.UintMax(math.MaxUint32))
		marks = append(marks, m)
	}
	return marks
}

// readArriving reads what a store holds of a snapshot; the zero value, if there is none.
func readArriving(g getter) (arriving, error) {
	b, err := g.Get(cellArriving())
	if err != nil || b == nil {
		return arriving{}, err
	}
	var s record.State
	if err := record.DecodeState(b, &s); err != nil {
		return arriving{}, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if len(s.Siblings) != 1 {
		return arriving{}, fmt.Errorf("%d values of what has come of a snapshot: %w", len(s.Siblings), topology.ErrMalformed)
	}
	return decodeArriving(s.Siblings[0].Value)
}
