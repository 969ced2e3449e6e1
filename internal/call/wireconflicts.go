package call

import (
	"math"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// MethodConflicts asks a node for conflicts: ConflictsAsked → Conflicts.
const MethodConflicts = "client.conflicts"

// Methods that write again what a conflict was about: ConflictOrder → Replayed.
const (
	MethodReplay = "client.replay"
	MethodRevert = "client.revert"
)

// MethodRelease takes back the quarantine of a table's resolver: its name → Receipt.
const MethodRelease = "client.release"

// Limits of what an answer about conflicts holds.
const (
	ConflictsMax          = 1 << 8   // of one answer
	ConflictValueBytesMax = 64 << 10 // of one value; more is cut off
	rivalsMax             = 1 << 10  // winners, or losers, of one conflict
	conflictFields        = 8
	conflictFieldsMore    = 8 + 5 // of one of which is known what settles its table
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

	Resolver string            // what settles the table; empty in lists of older versions
	Time     version.Timestamp // when it met the others, by the clock of its site
	By       version.Dot       // the write that did
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
	more := slices.ContainsFunc(c.All, func(x Conflict) bool { return x.Resolver != "" })
	f, fields := uint64(format), conflictFields
	if more {
		f, fields = formatMore, conflictFieldsMore
	}
	w := beginAs(f, 2)
	w.Array(fields * len(c.All))
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
		if more {
			w.Str(x.Resolver)
			w.Uint(uint64(x.Time))
			putDot(w, x.By)
		}
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
	r, f, err := openTo(formatMore, b, 2)
	if err != nil {
		return Conflicts{}, err
	}
	var c Conflicts
	fields := conflictFields
	if f == formatMore {
		fields = conflictFieldsMore
	}
	n := r.ArrayMax(fields * ConflictsMax)
	if n%fields != 0 {
		r.Fail("conflicts are not whole")
	}
	some := false
	for n /= fields; n > 0 && r.Err() == nil; n-- {
		x := Conflict{
			ConflictPlace: ConflictPlace{LSN: record.LSN(r.Uint()), Change: uint16(r.UintMax(math.MaxUint16))},
			Table:         r.StrMax(TableBytesMax), Key: r.BinMax(record.KeyBytesMax), Field: r.BinMax(record.FieldBytesMax),
			Type: topology.ConflictType(r.StrMax(nameBytesMax)), Winner: getRivals(&r), Losers: getRivals(&r),
		}
		if f == formatMore {
			x.Resolver, x.Time, x.By = r.StrMax(resolverBytesMax), version.Timestamp(r.Uint()), getDot(&r)
			some = some || x.Resolver != ""
		}
		c.All = append(c.All, x)
	}
	if f == formatMore && !some {
		r.Fail("format 2 without a resolver")
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

// ConflictOrder is a request to write again what a conflict was about: fields lsn, change,
// write, loser.
type ConflictOrder struct {
	At    ConflictPlace
	Write bool        // of a replay: its result is written, else only told
	Loser version.Dot // of a revert: which; zero for the only one
}

// Encode returns the request's bytes.
func (o ConflictOrder) Encode() []byte {
	w := begin(6)
	w.Uint(uint64(o.At.LSN))
	w.Uint(uint64(o.At.Change))
	w.Bool(o.Write)
	putDot(w, o.Loser)
	return w.Bytes()
}

// DecodeConflictOrder reads a request.
func DecodeConflictOrder(b []byte) (ConflictOrder, error) {
	r, err := open(b, 6)
	if err != nil {
		return ConflictOrder{}, err
	}
	o := ConflictOrder{At: ConflictPlace{LSN: record.LSN(r.Uint()), Change: uint16(r.UintMax(math.MaxUint16))}, Write: r.Bool(), Loser: getDot(&r)}
	return o, done(&r)
}

// Replayed is its answer: fields values, same, written, receipt.
type Replayed struct {
	Values  []Rival // what was made, or was to be: none where the key is to be removed
	Same    bool    // the key shows just that already
	Written bool
	Receipt topology.Receipt // where it was written
}

// Encode returns the answer's bytes.
func (p Replayed) Encode() []byte {
	w := begin(4)
	putRivals(w, p.Values)
	w.Bool(p.Same)
	w.Bool(p.Written)
	w.Bin(EncodeReceipt(p.Receipt))
	return w.Bytes()
}

// DecodeReplayed reads an answer.
func DecodeReplayed(b []byte) (Replayed, error) {
	r, err := open(b, 4)
	if err != nil {
		return Replayed{}, err
	}
	p := Replayed{Values: getRivals(&r), Same: r.Bool(), Written: r.Bool()}
	receipt := r.BinMax(receiptBytesMax)
	if err := done(&r); err != nil {
		return Replayed{}, err
	}
	p.Receipt, err = DecodeReceipt(receipt)
	return p, err
}

const receiptBytesMax = 1 << 20
