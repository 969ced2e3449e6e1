package topology

import (
	"context"
	"iter"

	"github.com/triad-kv/triad/record"
)

// ConflictLister is an optional ability of an engine where several sites write: to list
// what writes cost that did not know of one another (rule M5).
type ConflictLister interface {
	// Conflicts yields the conflicts that this node has applied, behind an LSN of its
	// site's log, oldest first. They are in no order that another site would see.
	Conflicts(ctx context.Context, after record.LSN) iter.Seq2[Conflict, error]
}

// Conflict is one meeting of writes that did not know of one another.
type Conflict struct {
	LSN    record.LSN // of the record that met the others, in the log of the site asked
	Change uint16     // which of that record's changes
	Cell   record.Cell
	Type   ConflictType
	Winner []record.Version // what the cell held afterwards
	Losers []record.Version // what it held no more, or never; somebody was told that each was written
}

// ConflictType says what met.
type ConflictType string

// The types of conflicts: what won, and what lost.
const (
	UpdateUpdate ConflictType = "update/update"
	UpdateDelete ConflictType = "update/delete" // an update won
	DeleteUpdate ConflictType = "delete/update" // a delete won
	DeleteDelete ConflictType = "delete/delete"
)

// ConflictTypeOf returns the type of a conflict between what won and what lost.
func ConflictTypeOf(winner, losers []record.Version) ConflictType {
	switch w, l := gone(winner), gone(losers); {
	case w && l:
		return DeleteDelete
	case w:
		return DeleteUpdate
	case l:
		return UpdateDelete
	}
	return UpdateUpdate
}

// gone reports whether all of some versions are removals.
func gone(vs []record.Version) bool {
	for i := range vs {
		if !vs[i].Absent {
			return false
		}
	}
	return true
}
