package wal

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// CorruptError says what is wrong with a log and where. Nothing was changed.
// It is topology.ErrQuarantined, and what it wraps.
type CorruptError struct {
	File   string
	Offset int64      // in the file, in bytes
	LSN    record.LSN // of the entry that cannot be read; 0 if none can be named
	Reason string
	Remedy string
	Err    error // the cause, if there is one
}

// What a person can do about a log that is refused.
const (
	remedyPeers   = "keep this directory for inspection, and let the node start with an empty one and catch up from its peers"
	remedyUpgrade = "start the version that wrote it, or a later one"
	remedyPlace   = "give the node its own directory"
)

func corrupt(file string, offset int64, lsn record.LSN, cause error, format string, args ...any) *CorruptError {
	return &CorruptError{File: file, Offset: offset, LSN: lsn, Reason: fmt.Sprintf(format, args...), Remedy: remedyPeers, Err: cause}
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("log file %s, offset %d", e.File, e.Offset)
	if e.LSN != 0 {
		s += fmt.Sprintf(", LSN %d", e.LSN)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Remedy
}

func (e *CorruptError) Unwrap() []error {
	if e.Err == nil {
		return []error{topology.ErrQuarantined}
	}
	return []error{topology.ErrQuarantined, e.Err}
}

// ForeignError says that a file belongs to another cluster or node (bad input
// 59, 76). It is topology.ErrConflict.
type ForeignError struct {
	File              string
	Cluster, Expected [16]byte // equal, or the Expected one is not known
	Node, Self        topology.NodeID
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("log file %s belongs to node %s of cluster %x, this is node %s of cluster %x; %s",
		e.File, e.Node, e.Cluster, e.Self, e.Expected, remedyPlace)
}

func (e *ForeignError) Unwrap() error { return topology.ErrConflict }

// FormatError says that a file has a format this version does not know (bad
// input 75). It is topology.ErrUnsupported.
type FormatError struct {
	File   string
	Format uint64
	Known  uint64
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("log file %s has format %d, this version knows %d; %s", e.File, e.Format, e.Known, remedyUpgrade)
}

func (e *FormatError) Unwrap() error { return topology.ErrUnsupported }

// OrderError says that entries do not continue a log: an LSN that leaves a gap
// or overlaps, or a term below the log's last. Nothing was appended. It is
// topology.ErrMalformed.
type OrderError struct {
	LSN, Next  record.LSN // what came, and what the log takes next
	Term, Last uint64     // what came, and the log's last
}

func (e *OrderError) Error() string {
	return fmt.Sprintf("entry %d of term %d does not continue a log whose next LSN is %d and whose last term is %d", e.LSN, e.Term, e.Next, e.Last)
}

func (e *OrderError) Unwrap() error { return topology.ErrMalformed }

// unreadable is the error of a file that could not be read. Where the medium
// says that its content is lost, that is damage of this range (bad input 66);
// anything else, as a lack of descriptors, says nothing about the log.
func unreadable(file string, offset int64, lsn record.LSN, cause error) error {
	if errors.Is(cause, syscall.EIO) || errors.Is(cause, syscall.EBADMSG) || errors.Is(cause, os.ErrNotExist) {
		return corrupt(file, offset, lsn, cause, "it cannot be read")
	}
	return fmt.Errorf("log file %s, offset %d: %w", file, offset, cause)
}

// unsettledError says that a change was made, and may not be durable: whatever its
// cause, lack of space included, it is the end of the log (W4).
type unsettledError struct{ cause error }

func (e *unsettledError) Error() string {
	return "it may be so or not after a crash: " + e.cause.Error()
}
func (e *unsettledError) Unwrap() error { return e.cause }

// isFull reports whether an error says that there is no space, and that nothing
// was done for want of it.
func isFull(err error) bool {
	if _, ok := errors.AsType[*unsettledError](err); ok {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, topology.ErrDiskFull)
}

// failure makes the cause of a log's end what its callers see (W4).
func failure(doing string, cause error) error {
	if errors.Is(cause, topology.ErrFailed) || errors.Is(cause, topology.ErrDiskFull) {
		return cause
	}
	kind := topology.ErrFailed
	if isFull(cause) {
		kind = topology.ErrDiskFull
	}
	return fmt.Errorf("log: %s: %w: %w", doing, kind, cause)
}
