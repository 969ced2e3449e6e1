package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// A site that lacks what nobody's log holds any more takes the snapshot of a peer: what
// the peer's store shows at one vector. It comes as notes in the taker's own log, so
// that every node of the site has it, and a change of its leader loses none of it. The
// cells wait beside the others until all have come; then one note raises the log's
// vector to the snapshot's, from where the two are one by dots alone, cell by cell (rule
// X: what the taker lacks of it is taken, what it alone has stays). Further notes put the
// cells in their places, a few at a time.
//
// A step is the value of a mark [record.MarkIncoming], an array of nine, of ten where
// tables are left out:
//
//	0  format  uint, 1; 2 with tables
//	1  stage   uint: what the snapshot comes to with it, see Stage
//	2  id      uint: its name among those of one site
//	3  from    str: whose it is
//	4  time    uint: the highest that it holds
//	5  marks   array of 4n, of the begin and the install: the vector, and its chains
//	6  at      bin, of a part: behind which cell it begins,
//	7  next    bin: and the next one. Only who sends them reads them
//	8  whole   bool: no part follows
//	9  tables  array of n, of the begin and the install: of which no cell comes, ascending
//
// The cells of a part are further mutations of the same note, each a record.OpState.
type step struct {
	stage Stage
	id    uint64
	from  Site
	time  version.Timestamp
	marks []Mark
	at    []byte
	next  []byte
	whole bool

	without []record.TableID
}

// Stage is how far a snapshot has come.
type Stage uint8

const (
	StageNone     Stage = iota // there is none
	StageBegun                 // the first step: nothing has come
	StageComing                // parts come
	StageSettling              // all is here, and counts; cells go to their places
)

const (
	stepFormat    = 1
	stepFormatTo  = 2 // with tables that are left out
	stepFields    = 9
	siteBytesMax  = 63
	placeBytesMax = 4 + 2*record.KeyBytesMax + 64 // of at and next
)

// Incoming is what the log of a site comes to of a snapshot that it takes.
type Incoming struct {
	Stage Stage
	ID    uint64
	From  Site
	Begun record.LSN // of the note that began it
	Marks []Mark     // by origin
	Time  version.Timestamp
	Next  []byte // where the next part begins
	Parts uint64

	Without []record.TableID // of which no cell comes
	Whole   bool             // all parts are here
}

func (s *step) encode() []byte {
	w := pack.NewWriter(nil)
	format := stepFormat
	if len(s.without) > 0 {
		format = stepFormatTo
	}
	w.Array(stepFields + format - stepFormat)
	w.Uint(uint64(format))
	w.Uint(uint64(s.stage))
	w.Uint(s.id)
	w.Str(string(s.from))
	w.Uint(uint64(s.time))
	w.Array(4 * len(s.marks))
	for _, k := range s.marks {
		putMark(w, k)
	}
	w.Bin(s.at)
	w.Bin(s.next)
	w.Bool(s.whole)
	if len(s.without) > 0 {
		putTables(w, s.without)
	}
	return w.Bytes()
}

func decodeStep(b []byte) (*step, error) {
	r := pack.NewReader(b)
	n, f := r.Array(), int(r.UintMax(1<<16))
	if r.Err() == nil && (f < stepFormat || f > stepFormatTo) {
		return nil, fmt.Errorf("a step of a snapshot has format %d, this version knows %d to %d: %w", f, stepFormat, stepFormatTo, topology.ErrUnsupported)
	}
	if r.Err() == nil && n != stepFields+f-stepFormat {
		r.Fail(fmt.Sprintf("a step of %d fields", n))
	}
	s := &step{stage: Stage(r.UintMax(uint64(StageSettling))), id: r.Uint(), from: Site(r.StrMax(siteBytesMax))}
	s.time = version.Timestamp(r.Uint())
	s.marks = getMarks(&r, record.MarksMax)
	if !ascending(s.marks) {
		r.Fail("marks are not in canonical order")
	}
	s.at, s.next = slices.Clone(r.BinMax(placeBytesMax)), slices.Clone(r.BinMax(placeBytesMax))
	s.whole = r.Bool()
	if f == stepFormatTo {
		if s.without = getTables(&r); len(s.without) == 0 {
			r.Fail("no table is left out")
		}
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("a step of a snapshot: %w: %w", topology.ErrMalformed, err)
	}
	return s, nil
}

// stepOf returns the step that a note is, nil if it is none.
func stepOf(r *record.Record) (*step, error) {
	if !r.IsNote() || len(r.Mutations) == 0 {
		return nil, nil
	}
	m := &r.Mutations[0]
	if m.Op != record.OpMark || m.Table != record.TableSystem || string(m.Key) != record.MarkIncoming {
		return nil, nil
	}
	return decodeStep(m.Value)
}

// Add returns what in comes to with the note r at lsn, and whether it is a step at all.
func (in Incoming) Add(lsn record.LSN, r *record.Record) (Incoming, bool, error) {
	s, err := stepOf(r)
	if s == nil || err != nil {
		return in, false, err
	}
	switch s.stage {
	case StageBegun:
		return Incoming{Stage: StageBegun, ID: s.id, From: s.from, Begun: lsn, Marks: s.marks, Time: s.time, Without: s.without}, true, nil
	case StageNone:
		return Incoming{}, true, nil
	}
	if in.ID == s.id && in.Stage != StageNone {
		in.Stage = s.stage
		if s.stage == StageComing {
			in.Next, in.Parts, in.Whole = s.next, in.Parts+1, s.whole
		}
	}
	return in, true, nil
}

// Begin returns the note that begins a snapshot of a site, whose store shows marks, and
// of whose tables some are left out, in ascending order.
func Begin(id uint64, from Site, at version.Timestamp, marks []Mark, without ...record.TableID) record.Record {
	s := step{stage: StageBegun, id: id, from: from, time: at, marks: marks, without: without}
	return s.note()
}

// Part returns a note of a snapshot: its cells from at on, up to next; whole says that
// these are the last.
func Part(id uint64, from Site, at, next []byte, whole bool, cells []record.Mutation) record.Record {
	s := step{stage: StageComing, id: id, from: from, at: at, next: next, whole: whole}
	r := s.note()
	r.Mutations = append(r.Mutations, cells...)
	return r
}

func (s *step) note() record.Record {
	return record.Record{Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkIncoming), Value: s.encode()}}}
}

// installs returns the vector to which a note raises the log's, nil if it is no such note.
func installs(r *record.Record) ([]Mark, version.Timestamp, error) {
	s, err := stepOf(r)
	if s == nil || err != nil || s.stage != StageSettling {
		return nil, 0, err
	}
	return s.marks, s.time, nil
}

// Settles says whether a note puts a snapshot, or some of its cells, in its place.
func Settles(r *record.Record) bool {
	s, err := stepOf(r)
	return err == nil && s != nil && s.stage == StageSettling
}

// Raises says whether it is the one from which on the snapshot counts.
func Raises(r *record.Record) bool {
	marks, _, err := installs(r)
	return err == nil && marks != nil
}

// Join raises marks to what others show beyond them, by origin.
func Join(marks, others []Mark) []Mark {
	out := slices.Clone(marks)
	for _, m := range others {
		i, ok := slices.BinarySearchFunc(out, m.Origin, func(k Mark, o version.Origin) int { return k.Origin.Compare(o) })
		switch {
		case !ok:
			out = slices.Insert(out, i, m)
		case out[i].Seq < m.Seq:
			out[i] = m
		}
	}
	return out
}

func ascending(marks []Mark) bool {
	return slices.IsSortedFunc(marks, func(a, b Mark) int { return a.Origin.Compare(b.Origin) }) &&
		len(slices.CompactFunc(slices.Clone(marks), func(a, b Mark) bool { return a.Origin == b.Origin })) == len(marks)
}

// cellsMax bounds the cells of one part.
const cellsMax = record.MutationsMax - 1

// fit says whether a part may be taken: cells of tables that sites share, in states that
// the snapshot's vector has.
func (in *Incoming) fit(ms []record.Mutation) error {
	if len(ms) > cellsMax {
		return fmt.Errorf("%w: %d cells in one part, at most %d", topology.ErrMalformed, len(ms), cellsMax)
	}
	has := vector(in.Marks)
	var s record.State
	for i := range ms {
		m := &ms[i]
		if m.Op != record.OpState || len(m.Key) == 0 || m.Table == record.TableIncoming {
			return fmt.Errorf("%w: mutation %d of a part is no cell", topology.ErrMalformed, i)
		}
		if err := record.DecodeState(m.Value, &s); err != nil {
			return fmt.Errorf("%w: cell %q of a part: %w", topology.ErrMalformed, m.Key, err)
		}
		if m.Table < record.TableFirst && m.Table != record.TableDefault && m.Table != record.TableSystem {
			continue // not of sites; the taker knows which it wants
		}
		for k := range s.Siblings {
			if !has.Has(s.Siblings[k].Dot) {
				return fmt.Errorf("%w: cell %q of a part holds %v, which its snapshot has not", topology.ErrMalformed, m.Key, s.Siblings[k].Dot)
			}
		}
	}
	return nil
}
