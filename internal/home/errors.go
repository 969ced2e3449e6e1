package home

import (
	"errors"
	"fmt"
)

// Why a directory is refused. They come inside a [*Refusal].
var (
	ErrLocked   = errors.New("another process has it open")
	ErrForeign  = errors.New("it belongs to somebody else")
	ErrNewer    = errors.New("it was written by a newer version")
	ErrExposed  = errors.New("other users can get at it")
	ErrReadOnly = errors.New("it cannot be written")
	ErrLost     = errors.New("something is missing from it")
	ErrCorrupt  = errors.New("something in it cannot be read")
)

// Refusal says why a directory was not opened, or a document in it not read,
// and what a person can do about it. Nothing was changed.
type Refusal struct {
	Dir    string
	Detail string // what exactly, in the terms of the files
	Remedy string // what to do
	Err    error  // one of the reasons above, or wraps one
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("data directory %s: %v: %s; %s", r.Dir, r.Err, r.Detail, r.Remedy)
}

func (r *Refusal) Unwrap() error { return r.Err }
