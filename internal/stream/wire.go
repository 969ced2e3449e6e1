package stream

import (
	"fmt"
	"math"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// A message is one byte of kind, then a msgpack array of the kind's fields;
// Append is followed by entries in the layout of record.AppendEntry.
const (
	kindBegin byte = iota + 1
	kindTail
	kindCut
	kindAppend
	kindAck
	kindOffer
	kindResume
	kindChunk
	kindRefuse
)

const (
	nameBytesMax = 255
	pathMax      = 1 << 6
	markBytesMax = record.KeyBytesMax + record.FieldBytesMax + 64
	bodyBytesMax = 1 << 20
	termsMax     = 1 << 16
)

// Place is a point in a log: an LSN and the term of the entry there. The zero
// Place is before the first entry.
type Place struct {
	Term uint64
	LSN  record.LSN
}

// Behind reports whether a log that ends at p may lack something that one that
// ends at q holds.
func (p Place) Behind(q Place) bool {
	return p.Term < q.Term || p.Term == q.Term && p.LSN < q.LSN
}

// Begin opens a stream: who sends, for which group, in which term.
type Begin struct {
	Group string
	Term  uint64
	Body  []byte // the group's document, opaque here

	// What a follower says that feeds another one (S13); empty from a leader.
	Path []topology.NodeID // by whom its log is fed: the leader first, itself last
	Last Place             // the durable end of its log
}

// Tail is what a receiver holds.
type Tail struct {
	Term     uint64 // accepted
	Last     Place  // the newest entry
	Snapshot bool   // the log and the store do not fit together: only a snapshot helps
}

// Cut is the answer to a Tail: To is the newest place at or below Asked that
// the sender's log shares as far as it can tell. To equal to Asked means that
// the logs agree up to there. Asked is echoed, because an answer to an older
// question must not be obeyed (S8).
type Cut struct {
	Term  uint64
	Asked Place
	To    Place
}

// Append carries entries after Prev, or none.
type Append struct {
	Term   uint64
	Prev   Place
	Commit record.LSN        // the sender's commit LSN
	End    record.LSN        // the end of the sender's log
	Behind uint64            // bytes of the entries after the last one here, up to End
	Round  uint64            // echoed by the next Ack: a read round
	Eager  bool              // an Ack is wanted once entries are written, before they are flushed
	Time   version.Timestamp // the sender's HLC
	Age    time.Duration     // of the leader's word that End and Commit are of; 0 from the leader itself
	Count  int
	// Entries are verified, and valid until the Sink returns.
	Entries []record.Entry
}

// Ack is how far a receiver has come in the sender's term. Positions carry,
// not events: the newest Ack says all that older ones said.
type Ack struct {
	Term    uint64
	Written record.LSN
	Flushed record.LSN
	Applied record.LSN
	Round   uint64
}

// Offer begins a snapshot.
type Offer struct {
	Term    uint64
	ID      string
	LSN     record.LSN
	History topology.History // up to LSN
}

// Chunk is a part of a snapshot, in cell order. The last one has Done set and
// no edits; Count and Sum then cover all cells since the first chunk.
type Chunk struct {
	Mark  Mark
	Done  bool
	Edits []topology.Edit
}

// Mark is how far a snapshot has come: the last cell, how many cells up to and
// with it, and a running sum over them.
type Mark struct {
	Last  record.Cell
	Count uint64
	Sum   uint32
}

// Refusal ends a stream with a reason: a *topology.Error.
type Refusal struct {
	Term uint64 // the receiver's accepted term
	Err  error
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("refused in term %d: %v", r.Term, r.Err)
}
func (r *Refusal) Unwrap() error { return r.Err }

func putPlace(w *pack.Writer, p Place) {
	w.Uint(p.Term)
	w.Uint(uint64(p.LSN))
}

func getPlace(r *pack.Reader) Place {
	return Place{Term: r.Uint(), LSN: record.LSN(r.Uint())}
}

const (
	beginParts   = 3
	relayedParts = 6 // of a Begin that does not come from the leader
)

func (b *Begin) encode(w *pack.Writer) {
	if len(b.Path) == 0 {
		start(w, kindBegin, beginParts)
	} else {
		start(w, kindBegin, relayedParts)
	}
	w.Str(b.Group)
	w.Uint(b.Term)
	w.Bin(b.Body)
	if len(b.Path) == 0 {
		return
	}
	w.Array(len(b.Path))
	for _, n := range b.Path {
		w.Str(string(n))
	}
	putPlace(w, b.Last)
}

func (b *Begin) decode(r *pack.Reader) {
	parts := r.Array()
	if r.Err() == nil && parts != beginParts && parts != relayedParts {
		r.Fail("it has neither the parts of a leader's beginning nor those of a follower's")
	}
	b.Group = r.StrMax(nameBytesMax)
	b.Term = r.Uint()
	b.Body = r.BinMax(bodyBytesMax)
	b.Path, b.Last = nil, Place{}
	if parts != relayedParts {
		return
	}
	for n := r.ArrayMax(pathMax); n > 0; n-- {
		b.Path = append(b.Path, topology.NodeID(r.StrMax(nameBytesMax)))
	}
	if len(b.Path) == 0 && r.Err() == nil {
		r.Fail("nobody is on the way from the leader")
	}
	b.Last = getPlace(r)
}

func (t *Tail) encode(w *pack.Writer) {
	start(w, kindTail, 4)
	w.Uint(t.Term)
	putPlace(w, t.Last)
	w.Bool(t.Snapshot)
}

func (t *Tail) decode(r *pack.Reader) {
	r.ArrayOf(4)
	t.Term = r.Uint()
	t.Last = getPlace(r)
	t.Snapshot = r.Bool()
}

func (c *Cut) encode(w *pack.Writer) {
	start(w, kindCut, 5)
	w.Uint(c.Term)
	putPlace(w, c.Asked)
	putPlace(w, c.To)
}

func (c *Cut) decode(r *pack.Reader) {
	r.ArrayOf(5)
	c.Term = r.Uint()
	c.Asked = getPlace(r)
	c.To = getPlace(r)
}

const (
	appendParts  = 10
	passedParts  = 11        // of an Append that is passed on, with its age
	appendAgeMax = time.Hour // as old as any older word
)

func (a *Append) encode(w *pack.Writer) {
	if a.Age > 0 {
		start(w, kindAppend, passedParts)
	} else {
		start(w, kindAppend, appendParts)
	}
	w.Uint(a.Term)
	putPlace(w, a.Prev)
	w.Uint(uint64(a.Commit))
	w.Uint(uint64(a.End))
	w.Uint(a.Behind)
	w.Uint(a.Round)
	w.Bool(a.Eager)
	w.Uint(uint64(a.Time))
	w.Uint(uint64(a.Count))
	if a.Age > 0 {
		w.Uint(uint64(min(a.Age, appendAgeMax)))
	}
}

// decode reads the header and verifies every entry behind it.
func (a *Append) decode(r *pack.Reader) error {
	parts := r.Array()
	if r.Err() == nil && parts != appendParts && parts != passedParts {
		r.Fail("it has neither the parts of a leader's entries nor those of entries passed on")
	}
	a.Term = r.Uint()
	a.Prev = getPlace(r)
	a.Commit = record.LSN(r.Uint())
	a.End = record.LSN(r.Uint())
	a.Behind = r.Uint()
	a.Round = r.Uint()
	a.Eager = r.Bool()
	a.Time = version.Timestamp(r.Uint())
	a.Count = int(r.UintMax(math.MaxInt32))
	if a.Age = 0; parts == passedParts {
		a.Age = time.Duration(r.UintMax(uint64(appendAgeMax)))
	}
	a.Entries = a.Entries[:0]
	if r.Err() != nil {
		return r.Err()
	}
	rest := r.Rest()
	if a.Count > len(rest)/record.EntryHeaderBytes {
		return fmt.Errorf("%d entries claimed in %d bytes", a.Count, len(rest))
	}
	for at := a.Prev; len(a.Entries) < a.Count; {
		e, more, err := record.NextEntry(rest)
		if err != nil {
			return err
		}
		if e.LSN != at.LSN+1 || e.Term < at.Term || e.Term > a.Term {
			return fmt.Errorf("entry %d of term %d can not follow entry %d of term %d in term %d", e.LSN, e.Term, at.LSN, at.Term, a.Term)
		}
		at, rest = Place{Term: e.Term, LSN: e.LSN}, more
		a.Entries = append(a.Entries, e)
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes after the last entry", len(rest))
	}
	return nil
}

func (a *Ack) encode(w *pack.Writer) {
	start(w, kindAck, 5)
	w.Uint(a.Term)
	w.Uint(uint64(a.Written))
	w.Uint(uint64(a.Flushed))
	w.Uint(uint64(a.Applied))
	w.Uint(a.Round)
}

func (a *Ack) decode(r *pack.Reader) {
	r.ArrayOf(5)
	a.Term = r.Uint()
	a.Written = record.LSN(r.Uint())
	a.Flushed = record.LSN(r.Uint())
	a.Applied = record.LSN(r.Uint())
	a.Round = r.Uint()
}

func (o *Offer) encode(w *pack.Writer) {
	start(w, kindOffer, 4)
	w.Uint(o.Term)
	w.Str(o.ID)
	w.Uint(uint64(o.LSN))
	w.Array(2 * len(o.History))
	for _, t := range o.History {
		w.Uint(t.Term)
		w.Uint(uint64(t.Start))
	}
}

func (o *Offer) decode(r *pack.Reader) {
	r.ArrayOf(4)
	o.Term = r.Uint()
	o.ID = r.StrMax(nameBytesMax)
	o.LSN = record.LSN(r.Uint())
	n := r.ArrayMax(2 * termsMax)
	if n%2 != 0 {
		r.Fail("history is not whole")
	}
	o.History = nil
	for n /= 2; n > 0 && r.Err() == nil; n-- {
		t := topology.TermStart{Term: r.Uint(), Start: record.LSN(r.Uint())}
		if k := len(o.History); t.Start == 0 || t.Start > o.LSN || k > 0 && (o.History[k-1].Term >= t.Term || o.History[k-1].Start >= t.Start) {
			r.Fail("history does not ascend, or goes beyond the snapshot")
		}
		o.History = append(o.History, t)
	}
	if !validID(o.ID) {
		r.Fail("snapshot id has bytes other than a-z, 0-9 and '-'")
	}
}

// validID holds ids to what can be a file name anywhere.
func validID(id string) bool {
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}

func putMark(w *pack.Writer, m Mark) {
	w.Array(5)
	w.Uint(uint64(m.Last.Table))
	w.Bin(m.Last.Key)
	w.Bin(m.Last.Field)
	w.Uint(m.Count)
	w.Uint(uint64(m.Sum))
}

func getMark(r *pack.Reader) Mark {
	r.ArrayOf(5)
	return Mark{
		Last:  getCell(r),
		Count: r.Uint(),
		Sum:   uint32(r.UintMax(math.MaxUint32)),
	}
}

// Encode returns the mark as it is kept beside a stage.
func (m Mark) Encode() []byte {
	w := pack.NewWriter(nil)
	putMark(w, m)
	return w.Bytes()
}

// DecodeMark reads what a stage has kept: the zero mark of nothing.
func DecodeMark(b []byte) (Mark, error) {
	if b == nil {
		return Mark{}, nil
	}
	r := pack.NewReader(b)
	m := getMark(&r)
	return m, r.Done()
}

func getCell(r *pack.Reader) record.Cell {
	return record.Cell{
		Table: record.TableID(r.UintMax(math.MaxUint32)),
		Key:   r.BinMax(record.KeyBytesMax),
		Field: r.BinMax(record.FieldBytesMax),
	}
}

func (c *Chunk) encode(w *pack.Writer) {
	start(w, kindChunk, 3)
	putMark(w, c.Mark)
	w.Bool(c.Done)
	w.Array(4 * len(c.Edits))
	for _, e := range c.Edits {
		w.Uint(uint64(e.Table))
		w.Bin(e.Key)
		w.Bin(e.Field)
		w.Bin(e.State)
	}
}

func (c *Chunk) decode(r *pack.Reader) {
	r.ArrayOf(3)
	c.Mark = getMark(r)
	c.Done = r.Bool()
	n := r.Array()
	if n%4 != 0 {
		r.Fail("cells are not whole")
	}
	c.Edits = c.Edits[:0]
	for n /= 4; n > 0 && r.Err() == nil; n-- {
		c.Edits = append(c.Edits, topology.Edit{Cell: getCell(r), State: r.Bin()})
	}
}

func (x *Refusal) encode(w *pack.Writer) {
	start(w, kindRefuse, 2)
	w.Uint(x.Term)
	w.Bin(topology.AppendError(nil, x.Err))
}

func (x *Refusal) decode(r *pack.Reader) {
	r.ArrayOf(2)
	x.Term = r.Uint()
	x.Err = topology.ReadError(r.BinMax(bodyBytesMax))
}

// start begins a message of n fields.
func start(w *pack.Writer, kind byte, n int) {
	w.Reset(append(w.Bytes()[:0], kind))
	w.Array(n)
}
