package topology

import (
	"errors"
	"fmt"
	"strings"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// The sentinels of the module: each exists once, here. They come inside an
// [*Error]; errors.Is finds them, and nothing is matched by text.
var (
	ErrNotFound        = errors.New("not found")
	ErrNotLeader       = errors.New("this node does not lead")
	ErrUnavailable     = errors.New("unavailable")
	ErrTimeout         = errors.New("timed out")
	ErrConditionFailed = errors.New("condition failed")
	ErrConflict        = errors.New("conflict")
	ErrTooLarge        = record.ErrTooLarge
	ErrUnsupported     = errors.New("unsupported")
	ErrNoTable         = errors.New("no such table")
	ErrMalformed       = errors.New("malformed")
	ErrStale           = errors.New("too stale")
	ErrRewound         = errors.New("the write was rewound")
	ErrCompacted       = errors.New("compacted")
	ErrOverloaded      = errors.New("overloaded")
	ErrQuarantined     = errors.New("quarantined")
	ErrClosed          = errors.New("closed")
	ErrDiskFull        = errors.New("the disk is full")
	ErrFailed          = errors.New("the node has failed")
	ErrDenied          = errors.New("denied")
	ErrForgotten       = errors.New("no longer known") // what became of a named request (rule S17)
)

// Outcome is what became of an operation that returned an error (rule C9).
type Outcome uint8

const (
	NotApplied Outcome = iota // it did not happen and will not
	Unknown                   // it may have happened, or may yet
)

func (o Outcome) String() string {
	if o == Unknown {
		return "outcome unknown"
	}
	return "not applied"
}

// Error is how operations fail: what was done, where, and what became of it.
type Error struct {
	Op      string // put, get, append, …
	Node    NodeID // who says so
	Table   string
	Key     []byte
	Outcome Outcome
	Dot     version.Dot // of a write whose outcome is Unknown, if it got one
	Term    uint64      // in which it got that; Resolver needs both
	Leader  NodeID      // with ErrNotLeader: who leads, if known
	Addr    string      // with ErrNotLeader: where
	Err     error       // a sentinel, or wraps one

	// Request is the name that a remote client has given to a write whose outcome is
	// Unknown, so that it can be asked what became of it (rule S17). It is the
	// client's own knowledge, and does not travel.
	Request record.RequestID
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteByte(' ')
	}
	if e.Table != "" {
		fmt.Fprintf(&b, "%s/%q ", e.Table, e.Key)
	}
	if e.Node != "" {
		fmt.Fprintf(&b, "at %s: ", e.Node)
	}
	fmt.Fprintf(&b, "%v", e.Err)
	if e.Leader != "" {
		fmt.Fprintf(&b, "; %s leads", e.Leader)
		if e.Addr != "" {
			fmt.Fprintf(&b, " (%s)", e.Addr)
		}
	}
	fmt.Fprintf(&b, " (%v)", e.Outcome)
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// OutcomeOf returns the outcome an error states; an error that states none is
// Unknown, a nil error is no outcome at all and counts as Unknown too.
func OutcomeOf(err error) Outcome {
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return Unknown
}
