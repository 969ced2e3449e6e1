// Package record is what Triad replicates: a [Mutation] is asked for, a
// [Record] is accepted (one atomic write, with its dot), an [Entry] is a record
// in its place in one log, and a [State] is what a key holds afterwards.
//
// A record is encoded once, by who accepts it. The same bytes with the same
// sum ([Sum], rule C5) then stand in the accepting node's log, on the wire and
// in every other log; the sum is checked at every step and never made again.
// The layout is described beside the code, in codec.go, and held by golden files.
package record

import (
	"github.com/triad-kv/triad/version"
)

// LSN is a place in one log, contiguous from 1. Two logs may hold one record at
// different LSNs; within a group the LSNs of what is committed agree.
type LSN uint64

// TableID is the number of a table, never reused.
type TableID uint32

// Reserved tables.
const (
	TableSystem   TableID = 0 // Triad's own: table definitions, and marks that change no cell
	TableDefault  TableID = 1 // "default", kind any, which always exists
	TableExpiry   TableID = 2 // Triad's own: what is to expire, by time
	TableRequests TableID = 3 // Triad's own: the answers to named requests (rule S17)
	TableOrigins  TableID = 4 // Triad's own: where the writes of each origin stand in a site's log
	TableLosers   TableID = 5 // Triad's own: what concurrent writes cost, of a site's log (rule M5)
	TableLeavings TableID = 6 // Triad's own: cells that hold what can go once it is stable (rule M6)
	TableIncoming TableID = 9 // Triad's own: cells of another site's snapshot that are not in their places yet (rule M6a)
	TableFirst    TableID = 16
)

// Op is what a mutation does.
type Op uint8

const (
	OpPut    Op = 1 // sets one cell
	OpDelete Op = 2 // removes one cell; without a field, every cell of the key
	OpMerge  Op = 3 // joins a delta of the kind into one cell
	OpMark   Op = 4 // changes no cell: the start of a term, a cut. Key names which, TableSystem only
	OpState  Op = 5 // joins another replica's encoded State into one cell; in a note only
)

// MarkTerm is the key of the mark that starts a term; its value is the leader's
// node id.
const MarkTerm = "term"

// MarkResult is the key of the mark that goes with a named read-modify-write: its
// value is what the caller was told beside the receipt, for a retry (rule S17).
const MarkResult = "result"

// ResolvedKey is the key of the system table that is written where a named request is
// settled as not applied: the record takes the name, so that the request, if it comes
// late, is refused.
const ResolvedKey = "resolved"

// MarkOrigin is the key of the mark by which a site of a multi-leader cluster notes
// under which origin it writes from there on; its value is multileader/core's.
const MarkOrigin = "origin"

// MarkRepair is the key of the mark by which a site of a multi-leader cluster notes that
// a cell goes on with what another site holds (rule M8); its value is of package
// multileader/core.
const MarkRepair = "repair"

// MarkCut is the key of the mark by which a site says what it has for good (rule M6);
// its value is multileader/core's.
const MarkCut = "cut"

// MarkIncoming is the key of the mark of a step by which a site takes the snapshot of
// another (rule M6a); its value is multileader/core's. Cells come beside it, as states.
const MarkIncoming = "incoming"

// MarkSkip is the key of the mark that stands in a record for what a site leaves out of
// it, as it does not hold those tables (rule M9); its value is multileader/core's.
const MarkSkip = "skip"

// MarkRoster is the key of the mark by which a site notes which sites there are (rule
// K5), MarkCouncil that of what it has voted about that; their values are
// multileader/core's.
const (
	MarkRoster  = "roster"
	MarkCouncil = "council"
)

// ResultBytesMax bounds the value of such a mark.
const ResultBytesMax = 64

// MarkCause is the key of the mark beside it; its value says in words why the term
// was started.
const MarkCause = "cause"

// Kind is what a value is.
type Kind uint8

const (
	KindAny Kind = iota
	KindBytes
	KindRow
	KindCounter
	KindSet
	KindMap
	KindFlag
	KindMax
	KindMin
	KindText
	KindHLL
	kindEnd
)

// Valid reports whether k is a kind this version knows.
func (k Kind) Valid() bool { return k < kindEnd }

// Limits of what a log accepts; larger values are refused before they reach it
// ([Mutation.Check], [Batch.Check]). A record within the others is within
// RecordBytesMax.
const (
	KeyBytesMax    = 64 << 10
	FieldBytesMax  = 64 << 10
	ValueBytesMax  = 16 << 20 // the default; configurable downwards
	MutationsMax   = 4096     // of one batch, and of one record
	ConditionsMax  = 4096     // of one batch
	BatchBytesMax  = 16 << 20 // keys, fields and values of one batch's mutations
	RecordBytesMax = BatchBytesMax + 1<<20
	MarksMax       = 1 << 14 // marks of one vector, dots of one set
)

// Mutation is one change asked for.
//
// The unit of storage is the cell (table, key, field): a column of a row, an
// element of a set; a value without parts is the cell without a field.
type Mutation struct {
	Table   TableID
	Key     []byte
	Field   []byte // empty for the whole key
	Op      Op
	Kind    Kind
	Expires version.Timestamp // 0: never
	Value   []byte
}

// RequestID names a client's request, so that a retry inside the window gets
// the first answer (rule S17). The zero value names none.
type RequestID struct {
	Client uint64 // random, chosen by the client; 0 names none
	Seq    uint64 // grows by one with every request of that client
}

// IsZero reports whether id names no request.
func (id RequestID) IsZero() bool { return id.Client == 0 }

// Record is one accepted write: 1..n mutations, all or nothing.
//
// A record without a dot is a note: nobody's write, but something its log has to
// remember in its place, such as what this node learnt of others' writes by
// repair ([OpState]). A note belongs to its log and never leaves it.
type Record struct {
	version.Dot
	Time      version.Timestamp
	Term      uint64 // the origin's term at acceptance
	Request   RequestID
	Deps      version.Vector // what its writer had seen, without its own entry
	Context   *version.Set   // leaderless: what its client had seen; where sites write: what of its site's siblings its client had not
	Mutations []Mutation
}

// IsNote reports whether r is a note: it has no dot.
func (r *Record) IsNote() bool { return r.Dot.IsZero() }

// Entry is one record in its place in one log. It is the record as it travels:
// Bytes are its encoding, verbatim, and Sum is the sum they were accepted with.
type Entry struct {
	LSN   LSN
	Term  uint64 // that log's term; the record's own is its origin's, at acceptance
	Sum   uint32 // Sum(Bytes) as its acceptor computed it
	Bytes []byte // owned by whoever made the entry; see there how long they live
}

// Record decodes the entry. The record's slices alias e.Bytes.
func (e Entry) Record() (Record, error) {
	var r Record
	err := Decode(e.Bytes, &r)
	return r, err
}

// Cell is the unit of storage. Order: table, key, field.
type Cell struct {
	Table TableID
	Key   []byte
	Field []byte
}

// Clone returns a copy that shares nothing with c.
func (c Cell) Clone() Cell {
	return Cell{Table: c.Table, Key: append([]byte(nil), c.Key...), Field: append([]byte(nil), c.Field...)}
}

// AfterKey is the least cell behind all cells of a key.
func AfterKey(table TableID, key []byte) Cell {
	return Cell{Table: table, Key: append(append([]byte(nil), key...), 0)}
}

// Version is one write's value in a cell. A delete is a version that says absent.
type Version struct {
	version.Dot
	Time    version.Timestamp
	Expires version.Timestamp // 0: never
	Kind    Kind
	Absent  bool
	Value   []byte
}

// State is what a cell holds: no version, one, or several siblings in the
// canonical order of their dots. Context is used by leaderless only.
type State struct {
	Siblings []Version
	Context  *version.Set
}

// Condition must hold of a cell's state, in log order, for a batch to be
// accepted (rule S16). Exactly one of the three is asked for.
type Condition struct {
	Cell
	Absent  bool        // the cell holds no value
	Version version.Dot // the cell holds the value of this write
	Value   []byte      // the cell holds these bytes; with Equal
	Equal   bool        // Value is asked for
}

// Batch is what a caller asks for as one atomic write.
type Batch struct {
	Mutations  []Mutation
	Conditions []Condition
	Request    RequestID
	Context    *version.Set // the record's, where several sites write
}
