package call

import (
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// MethodConflicts asks a node for conflicts: ConflictsAsked → Conflicts.
const MethodConflicts = "client.conflicts"

// Limits of what an answer about conflicts holds.
const (
	ConflictsMax          = 1 << 8   // of one answer
	ConflictValueBytesMax = 64 << 10 // of one value; more is cut off
	rivalsMax             = 1 << 10  // winners, or losers, of one conflict
	conflictFields        = 8
	rivalFields           = 10
)

// ConflictPlace is where a conflict stands in a node's list: the record that met the
// others, and which of its changes.
type ConflictPlace struct {
	LSN    record.LSN
	Change uint16
}

// Before reports whether a conflict at p stands before one at q.
func (p ConflictPlace) Before(q ConflictPlace) bool {
	return p.LSN < q.LSN || p.LSN == q.LSN && p.Change < q.Change
}

// ConflictsAsked is a question for the conflicts behind a place: fields LSN, change,
// items, bytes.
type ConflictsAsked struct {
	After         ConflictPlace
	Items         int // at most; ConflictsMax if it is 0 or more than that
	ValueBytesMax int // of each value; ConflictValueBytesMax if it is more than that
}

// Encode returns the request's bytes.
func (a ConflictsAsked) Encode() []byte {
	w := begin(4)
	w.Uint(uint64(a.After.LSN))
	w.Uint(uint64(a.After.Change))
	w.Uint(uint64(max(0, a.Items)))
	w.Uint(uint64(max(0, a.ValueBytesMax)))
	return w.Bytes()
}

// DecodeConflictsAsked reads a request, held to its limits.
func DecodeConflictsAsked(b []byte) (ConflictsAsked, error) {
	r, err := open(b, 4)
	if err != nil {
		return ConflictsAsked{}, err
	}
	a := ConflictsAsked{After: ConflictPlace{LSN: record.LSN(r.Uint()), Change: uint16(r.UintMax(math.MaxUint16))}}
	items, bytes := r.Uint(), r.Uint()
	if a.Items = ConflictsMax; items > 0 && items < ConflictsMax {
		a.Items = int(items)
	}
	a.ValueBytesMax = int(min(bytes, ConflictValueBytesMax))
	return a, done(&r)
}

// Conflict is one meeting of writes in different sites that did not know of one
// another, as one node has it.
type Conflict struct {
	ConflictPlace
	Table  string // empty for Triad's own, which holds the definitions of tables
	Key    []byte
	Field  []byte // of a value that has parts
	Type   topology.ConflictType
	Winner []Rival // what was there afterwards
	Losers []Rival // what was there no more, or never
}

// Rival is one of the writes that met.
type Rival struct {
	Site    string // where it was written
	Dot     version.Dot
	Time    version.Timestamp
	Expires version.Timestamp
	Kind    record.Kind
	Removed bool   // it was a removal
	Value   []byte // of a column of a row as msgpack
	Bytes   int    // of the whole value, of which Value may be the beginning
}

// Conflicts is a part of a node's list: fields conflicts, more.
type Conflicts struct {
	All  []Conflict
	More bool
}

// Encode returns the answer's bytes.
func (c *Conflicts) Encode() []byte {
	w := begin(2)
	w.Array(conflictFields * len(c.All))
	for i := range c.All {
		x := &c.All[i]
		w.Uint(uint64(x.LSN))
		w.Uint(uint64(x.Change))
		w.Str(x.Table)
		w.Bin(x.Key)
		w.Bin(x.Field)
		w.Str(string(x.Type))
		putRivals(w, x.Winner)
		putRivals(w, x.Losers)
	}
	w.Bool(c.More)
	return w.Bytes()
}

func putRivals(w *pack.Writer, vs []Rival) {
	vs = vs[:min(len(vs), rivalsMax)]
	w.Array(rivalFields * len(vs))
	for i := range vs {
		v := &vs[i]
		w.Str(v.Site)
		putDot(w, v.Dot)
		w.Uint(uint64(v.Time))
		w.Uint(uint64(v.Expires))
		w.Uint(uint64(v.Kind))
		w.Bool(v.Removed)
		w.Bin(v.Value)
		w.Uint(uint64(max(0, v.Bytes)))
	}
}

// DecodeConflicts reads an answer.
func DecodeConflicts(b []byte) (Conflicts, error) {
	r, err := open(b, 2)
	if err != nil {
		return Conflicts{}, err
	}
	var c Conflicts
	n := r.ArrayMax(conflictFields * ConflictsMax)
	if n%conflictFields != 0 {
		r.Fail("conflicts are not whole")
	}
	for n /= conflictFields; n > 0 && r.Err() == nil; n-- {
		c.All = append(c.All, Conflict{
			ConflictPlace: ConflictPlace{LSN: record.LSN(r.Uint()), Change: uint16(r.UintMax(math.MaxUint16))},
			Table:         r.StrMax(TableBytesMax), Key: r.BinMax(record.KeyBytesMax), Field: r.BinMax(record.FieldBytesMax),
			Type: topology.ConflictType(r.StrMax(nameBytesMax)), Winner: getRivals(&r), Losers: getRivals(&r),
		})
	}
	c.More = r.Bool()
	return c, done(&r)
}

func getRivals(r *pack.Reader) (vs []Rival) {
	n := r.ArrayMax(rivalFields * rivalsMax)
	if n%rivalFields != 0 {
		r.Fail("writes are not whole")
	}
	for n /= rivalFields; n > 0 && r.Err() == nil; n-- {
		vs = append(vs, Rival{
			Site: r.StrMax(nameBytesMax), Dot: getDot(r), Time: version.Timestamp(r.Uint()), Expires: version.Timestamp(r.Uint()),
			Kind: record.Kind(r.UintMax(math.MaxUint8)), Removed: r.Bool(), Value: r.BinMax(ConflictValueBytesMax), Bytes: int(r.UintMax(math.MaxInt32)),
		})
	}
	return vs
}
