package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// A record is a msgpack array of ten:
//
//	0  format       uint, 1; 2 of a note
//	1  origin       uint, Origin.ID
//	2  incarnation  uint, Origin.Incarnation
//	3  seq          uint, not 0
//	4  time         uint, HLC
//	5  term         uint
//	6  request      nil for none, or array of 2: client, seq
//	7  deps         array of 3n: id, incarnation, seq, sorted
//	8  context      nil for none, or array of 2: prefix (as deps), dots (as deps)
//	9  mutations    array of 7n: table, op, kind, expires, key, field, value
//
// Integers and lengths stand in their smallest form and nothing follows the
// array, so a record has exactly one encoding, and a reader refuses any other.
// It refuses a format it does not know, too.
//
// A note is laid out alike, with a dot of zeros and operations that a record
// with a dot may not have: [OpState] besides [OpMark].
const (
	recordFormat = 1
	noteFormat   = 2
)

const recordFields = 10
const mutationFields = 7

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the sum of a record's bytes (rule C5): CRC-32C.
func Sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Chain continues a rolling sum over the records of one origin by the sum of its
// next one (rule M1); before the first record it is 0. Two logs with equal
// chains at one dot hold the same records of that origin up to there.
func Chain(chain, sum uint32) uint32 {
	return crc32.Update(chain, castagnoli, binary.LittleEndian.AppendUint32(nil, sum))
}

// Encoder encodes records. It is not safe for concurrent use and is meant to be
// kept: it allocates only when the destination must grow.
type Encoder struct{ w *pack.Writer }

// NewEncoder returns an encoder.
func NewEncoder() *Encoder { return &Encoder{w: pack.NewWriter(nil)} }

// Append appends the encoding of r to dst. It does not check r: a record with
// more than [MarksMax] marks or a batch that [Batch.Check] refuses has bytes
// that [Decode] refuses.
func (e *Encoder) Append(dst []byte, r *Record) []byte {
	w := e.w
	w.Reset(dst)
	w.Array(recordFields)
	if r.IsNote() {
		w.Uint(noteFormat)
	} else {
		w.Uint(recordFormat)
	}
	w.Uint(uint64(r.Origin.ID))
	w.Uint(uint64(r.Origin.Incarnation))
	w.Uint(r.Seq)
	w.Uint(uint64(r.Time))
	w.Uint(r.Term)
	if r.Request == (RequestID{}) {
		w.Nil()
	} else {
		w.Array(2)
		w.Uint(r.Request.Client)
		w.Uint(r.Request.Seq)
	}
	putVector(w, r.Deps)
	putSet(w, r.Context)
	w.Array(mutationFields * len(r.Mutations))
	for i := range r.Mutations {
		m := &r.Mutations[i]
		w.Uint(uint64(m.Table))
		w.Uint(uint64(m.Op))
		w.Uint(uint64(m.Kind))
		w.Uint(uint64(m.Expires))
		w.Bin(m.Key)
		w.Bin(m.Field)
		w.Bin(m.Value)
	}
	return w.Bytes()
}

// Decode reads one record from b into r, whose slices of mutations and deps are
// used again if they are large enough. Keys, fields and values alias b.
//
// An error wraps [pack.ErrMalformed], [ErrTooLarge] or [ErrFormat], and leaves
// r with what was read so far, which is worth nothing.
func Decode(b []byte, r *Record) error {
	if len(b) > RecordBytesMax {
		return fmt.Errorf("%w: record of %d bytes, at most %d", ErrTooLarge, len(b), RecordBytesMax)
	}
	rd := pack.NewReader(b)
	rd.ArrayOf(recordFields)
	format, err := getFormat(&rd, "record", noteFormat)
	if err != nil {
		return err
	}
	if format == noteFormat {
		r.Dot = getNoDot(&rd)
	} else {
		r.Dot = getDot(&rd)
	}
	r.Time = version.Timestamp(rd.Uint())
	r.Term = rd.Uint()
	r.Request = getRequest(&rd)
	r.Deps = getVector(&rd, r.Deps[:0])
	r.Context = getSet(&rd)
	r.Mutations = getMutations(&rd, format, r.Mutations[:0])
	if err := rd.Done(); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// getFormat reads the number of a format, and refuses those of newer versions.
func getFormat(rd *pack.Reader, what string, known uint64) (uint64, error) {
	f := rd.Uint()
	if rd.Err() == nil && (f == 0 || f > known) {
		return f, fmt.Errorf("%s: %w %d: this version knows %d; upgrade this node", what, ErrFormat, f, known)
	}
	return f, nil
}

// getDot reads the dot of a write, which must name one.
func getDot(rd *pack.Reader) version.Dot {
	d := version.Dot{Origin: getOrigin(rd), Seq: rd.Uint()}
	if d.Origin.IsZero() || d.Seq == 0 {
		rd.Fail("the dot names no write")
	}
	return d
}

// getNoDot reads the dot of a note, which names none.
func getNoDot(rd *pack.Reader) version.Dot {
	d := version.Dot{Origin: getOrigin(rd), Seq: rd.Uint()}
	if !d.IsZero() {
		rd.Fail("a note has no dot")
	}
	return version.Dot{}
}

func getRequest(rd *pack.Reader) RequestID {
	if rd.Nil() {
		return RequestID{}
	}
	rd.ArrayOf(2)
	id := RequestID{Client: rd.Uint(), Seq: rd.Uint()}
	if id == (RequestID{}) {
		rd.Fail("a request that names none is a nil")
	}
	return id
}

func getMutations(rd *pack.Reader, format uint64, ms []Mutation) []Mutation {
	last, valueBytesMax := OpMark, ValueBytesMax
	if format == noteFormat {
		last, valueBytesMax = OpState, RecordBytesMax // a state is longer than the values in it
	}
	n := rd.ArrayMax(mutationFields * MutationsMax)
	if n%mutationFields != 0 || n == 0 {
		rd.Fail("mutations are not whole, or none")
		return ms
	}
	if n /= mutationFields; cap(ms) < n {
		ms = make([]Mutation, 0, n)
	}
	for ; n > 0 && rd.Err() == nil; n-- {
		m := Mutation{
			Table:   TableID(rd.UintMax(math.MaxUint32)),
			Op:      Op(rd.UintMax(uint64(last))),
			Kind:    Kind(rd.UintMax(uint64(kindEnd - 1))),
			Expires: version.Timestamp(rd.Uint()),
			Key:     rd.BinMax(KeyBytesMax),
			Field:   rd.BinMax(FieldBytesMax),
			Value:   rd.BinMax(valueBytesMax),
		}
		if m.Op == 0 {
			rd.Fail("mutation without an operation")
			break
		}
		if format == noteFormat && m.Op < OpMark {
			rd.Fail("a note writes nothing")
			break
		}
		ms = append(ms, m)
	}
	return ms
}

func getOrigin(rd *pack.Reader) version.Origin {
	return version.Origin{ID: uint32(rd.UintMax(math.MaxUint32)), Incarnation: uint32(rd.UintMax(math.MaxUint32))}
}

func putVector(w *pack.Writer, v version.Vector) {
	w.Array(3 * len(v))
	for _, m := range v {
		w.Uint(uint64(m.Origin.ID))
		w.Uint(uint64(m.Origin.Incarnation))
		w.Uint(m.Seq)
	}
}

func getVector(rd *pack.Reader, v version.Vector) version.Vector {
	n := rd.ArrayMax(3 * MarksMax)
	if n%3 != 0 {
		rd.Fail("vector is not whole")
		return nil
	}
	if n /= 3; n == 0 {
		return v
	}
	if cap(v) < n {
		v = make(version.Vector, 0, n)
	}
	for ; n > 0 && rd.Err() == nil; n-- {
		v = append(v, version.Mark{Origin: getOrigin(rd), Seq: rd.Uint()})
	}
	if rd.Err() == nil && !v.Valid() {
		rd.Fail("vector is not in canonical order")
	}
	return v
}

func putSet(w *pack.Writer, s *version.Set) {
	if s == nil {
		w.Nil()
		return
	}
	w.Array(2)
	putVector(w, s.Prefix)
	w.Array(3 * len(s.Dots))
	for _, d := range s.Dots {
		w.Uint(uint64(d.Origin.ID))
		w.Uint(uint64(d.Origin.Incarnation))
		w.Uint(d.Seq)
	}
}

func getSet(rd *pack.Reader) *version.Set {
	if rd.Nil() {
		return nil
	}
	rd.ArrayOf(2)
	s := &version.Set{Prefix: getVector(rd, nil)}
	n := rd.ArrayMax(3 * MarksMax)
	if n%3 != 0 {
		rd.Fail("set is not whole")
		return nil
	}
	if n /= 3; n > 0 {
		s.Dots = make([]version.Dot, 0, n)
	}
	for ; n > 0 && rd.Err() == nil; n-- {
		s.Dots = append(s.Dots, version.Dot{Origin: getOrigin(rd), Seq: rd.Uint()})
	}
	if rd.Err() == nil && !s.Valid() {
		rd.Fail("set is not in canonical order")
	}
	return s
}
