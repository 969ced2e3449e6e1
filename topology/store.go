package topology

import (
	"context"
	"errors"
	"iter"

	"github.com/triad-kv/triad/record"
)

// Store keeps the cells: (table, key, field) → encoded State, in that order. It
// has no log of its own: what was applied since the last Flush is lost in a
// crash and replayed from the log, from the applied position on (rule C6).
//
// One goroutine applies; Get and Snapshot may be called by any.
type Store interface {
	// Apply makes edits visible in order, in one atomic step together with
	// the applied position lsn, which must not go back. It keeps nothing of edits.
	Apply(lsn record.LSN, edits []Edit) error
	// Get returns the encoded state of a cell, nil if there is none. The
	// caller owns the slice.
	Get(c record.Cell) ([]byte, error)
	// Snapshot opens a consistent view of the present state. Its holder closes it.
	Snapshot() (Snapshot, error)
	// Flush makes everything applied durable and returns the applied position
	// that is now safe: the log may be trimmed up to it.
	Flush(ctx context.Context) (record.LSN, error)
	// Stage opens the side place in which a snapshot with this id is built,
	// as far as it has come; any other unfinished one is discarded.
	Stage(id string) (Stage, error)
}

// Edit changes one cell, or drops every cell of a key.
type Edit struct {
	record.Cell
	State []byte // the encoded state; nil removes the cell
	Whole bool   // remove every cell of the key; State and Field are ignored
}

// Snapshot is a store's state at one position.
type Snapshot interface {
	// Applied is the position it shows.
	Applied() record.LSN
	// Installed is the id of the stage whose Install the contents began with,
	// empty if there was none. It comes back from a crash with them.
	Installed() (id string, err error)
	// Get is Store.Get in this snapshot.
	Get(c record.Cell) ([]byte, error)
	// Scan yields the cells from <= cell < to in order, so that Cell{Table: t}
	// to Cell{Table: t+1} is all of table t. What it yields is valid until the
	// next step.
	Scan(from, to record.Cell) iter.Seq2[Edit, error]
	Close() error
}

// Stage is a snapshot being received into a side place.
type Stage interface {
	// Resume returns the mark of the last chunk that is durable, nil if none.
	Resume() []byte
	// Put adds a chunk and durably notes that it has come to mark.
	Put(mark []byte, edits []Edit) error
	// Install makes the staged cells the store's contents, at applied
	// position lsn, by one atomic switch; durable on return.
	Install(lsn record.LSN) error
	// Close releases the stage and keeps what is durable for a later Resume.
	Close() error
}

// ErrStoreFailed is the ground of every error of a store that has met an I/O
// error and takes no more writes.
var ErrStoreFailed = errors.New("the store has failed")
