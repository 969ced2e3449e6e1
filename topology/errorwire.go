package topology

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// An error travels between nodes as a msgpack array of thirteen:
//
//	 0  sentinels    array of uint, the numbers below
//	 1  outcome      uint: 0 not applied; a reader takes anything else as unknown (rule C9)
//	 2  op           str
//	 3  node         str
//	 4  table        str
//	 5  key          bin
//	 6  origin       uint, of the dot
//	 7  incarnation  uint
//	 8  seq          uint
//	 9  leader       str
//	10  addr         str
//	11  text         str, of Error.Err
//	12  term         uint, of the dot; an older node leaves it out
//
// A reader steps over values after these and over numbers it does not know, so
// a newer node may add both.
const (
	errorFields    = 13
	errorFieldsMin = 12
)

// Limits of an error on the wire. What is longer is cut when it is written, and
// refused when it is read.
const (
	ErrorTextBytesMax = 4 << 10  // text
	ErrorNameBytesMax = 256      // op, node, table, leader, addr: each
	ErrorBytesMax     = 72 << 10 // the whole, with a key of record.KeyBytesMax
	errorSentinelsMax = 64
)

// sentinels numbers every sentinel for the wire by its index. A number is never
// reused and never changes: new ones go to the end, and one that is retired
// leaves a nil behind. Number 0 names none.
var sentinels = [...]error{
	1:  ErrNotFound,
	2:  ErrNotLeader,
	3:  ErrUnavailable,
	4:  ErrTimeout,
	5:  ErrConditionFailed,
	6:  ErrConflict,
	7:  ErrTooLarge,
	8:  ErrUnsupported,
	9:  ErrNoTable,
	10: ErrMalformed,
	11: ErrStale,
	12: ErrRewound,
	13: ErrCompacted,
	14: ErrOverloaded,
	15: ErrQuarantined,
	16: ErrClosed,
	17: ErrDiskFull,
	18: ErrFailed,
	19: ErrDenied,
	20: ErrStoreFailed,
	21: ErrForgotten,
}

// AppendError appends err to dst in a form that [ReadError] reads, of at most
// [ErrorBytesMax] bytes. Every sentinel that errors.Is finds in err is kept,
// and a context that ended becomes [ErrTimeout].
//
// The first [*Error] in err's chain gives the fields; what was wrapped around
// it stays on this side. An err without one states no outcome, and travels as
// Unknown with its text; so does a nil err or a nil *Error, which is a mistake
// of the caller and never arrives as success.
func AppendError(dst []byte, err error) []byte {
	var e *Error
	switch errors.As(err, &e) {
	case false:
		e = &Error{Outcome: Unknown, Err: err}
	case e == nil:
		err, e = nil, &Error{Outcome: Unknown}
	}
	w := pack.NewWriter(dst)
	w.Array(errorFields)
	putSentinels(w, err)
	w.Uint(uint64(e.Outcome))
	w.Str(bounded(e.Op, ErrorNameBytesMax))
	w.Str(bounded(string(e.Node), ErrorNameBytesMax))
	w.Str(bounded(e.Table, ErrorNameBytesMax))
	w.Bin(e.Key[:min(len(e.Key), record.KeyBytesMax)])
	w.Uint(uint64(e.Dot.Origin.ID))
	w.Uint(uint64(e.Dot.Origin.Incarnation))
	w.Uint(e.Dot.Seq)
	w.Str(bounded(string(e.Leader), ErrorNameBytesMax))
	w.Str(bounded(e.Addr, ErrorNameBytesMax))
	text := "no error was given"
	if e.Err != nil {
		text = e.Err.Error()
	}
	w.Str(bounded(text, ErrorTextBytesMax))
	w.Uint(e.Term)
	return w.Bytes()
}

// ReadError reads what [AppendError] wrote. It returns an [*Error], which keeps
// nothing of b, and never nil: bytes that cannot be read are themselves an
// *Error with outcome Unknown that wraps [ErrMalformed].
func ReadError(b []byte) error {
	r := pack.NewReader(b)
	n := r.Array()
	if n < errorFieldsMin {
		r.Fail(fmt.Sprintf("error of %d fields, %d expected", n, errorFields))
	}
	is := getSentinels(&r)
	e := &Error{Outcome: Unknown}
	if r.Uint() == uint64(NotApplied) {
		e.Outcome = NotApplied
	}
	e.Op = r.StrMax(ErrorNameBytesMax)
	e.Node = NodeID(r.StrMax(ErrorNameBytesMax))
	e.Table = r.StrMax(ErrorNameBytesMax)
	e.Key = slices.Clone(r.BinMax(record.KeyBytesMax))
	e.Dot.Origin = version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}
	e.Dot.Seq = r.Uint()
	e.Leader = NodeID(r.StrMax(ErrorNameBytesMax))
	e.Addr = r.StrMax(ErrorNameBytesMax)
	e.Err = received(r.StrMax(ErrorTextBytesMax), is)
	if n >= errorFields {
		e.Term = r.Uint()
	}
	for ; n > errorFields && r.Err() == nil; n-- {
		r.Skip()
	}
	if err := r.Done(); err != nil {
		return &Error{Outcome: Unknown, Err: fmt.Errorf("an error from a peer: %w: %v", ErrMalformed, err)}
	}
	return e
}

// putSentinels writes the numbers of all sentinels in err.
func putSentinels(w *pack.Writer, err error) {
	var found [len(sentinels)]uint64
	n := 0
	for i, s := range sentinels {
		if s != nil && (errors.Is(err, s) || s == ErrTimeout && ended(err)) {
			found[n] = uint64(i)
			n++
		}
	}
	w.Array(n)
	for _, i := range found[:n] {
		w.Uint(i)
	}
}

// ended reports whether err says that a context ended. It is a time-out to the
// other side: who waited is gone, and the operation may still happen.
func ended(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// getSentinels reads numbers, and leaves out those it does not know.
func getSentinels(r *pack.Reader) []error {
	var is []error
	for n := r.ArrayMax(errorSentinelsMax); n > 0 && r.Err() == nil; n-- {
		if i := r.Uint(); i < uint64(len(sentinels)) && sentinels[i] != nil {
			is = append(is, sentinels[i])
		}
	}
	return is
}

// received returns the sentinel itself where it says all there is to say.
func received(text string, is []error) error {
	if len(is) == 1 && text == is[0].Error() {
		return is[0]
	}
	return &remoteError{text: text, is: is}
}

// remoteError is the ground of an error that happened on another node: its text
// there, and the sentinels it was.
type remoteError struct {
	text string
	is   []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.is }

// bounded returns s as UTF-8 of at most most bytes, cut between two runes.
func bounded(s string, most int) string {
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
