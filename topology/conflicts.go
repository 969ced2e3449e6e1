package topology

import (
	"context"
	"iter"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// ConflictLister is an optional ability of an engine where several sites write: to list
// what writes cost that did not know of one another (rule M5).
type ConflictLister interface {
	// Conflicts yields the conflicts that this node has applied, behind an LSN of its
	// site's log, oldest first. They are in no order that another site would see.
	Conflicts(ctx context.Context, after record.LSN) iter.Seq2[Conflict, error]
}

// ConflictOrders is an optional ability beside it: to write again what a conflict has
// decided, or decided against. Each is an ordinary write, of the site of the node asked,
// and is refused, with ErrConditionFailed, once the key holds a write that the conflict
// has not seen: nothing newer is replaced unseen.
type ConflictOrders interface {
	// Replay asks the table's present resolver about what met, and returns what it makes
	// of that; with write, it is written.
	Replay(ctx context.Context, lsn record.LSN, change uint16, write bool) (Replayed, error)
	// Revert writes again a version that lost. A zero dot names the only one that did.
	Revert(ctx context.Context, lsn record.LSN, change uint16, loser version.Dot) (Replayed, error)
	// Release takes back the quarantine of a table's resolver. A table without one is
	// ErrNotFound.
	Release(ctx context.Context, table record.TableID) (Receipt, error)
}

// Replayed is what was, or would be, written again.
type Replayed struct {
	Shown   []record.Version // what the resolver made: one version, or several that stay concurrent; none if nothing is there
	Same    bool             // the key shows just that already
	Written bool
	Receipt Receipt // if it was written
}

// ConflictCount is how many conflicts of one sort a node has applied since it started.
type ConflictCount struct {
	Table, Resolver string
	Type            ConflictType
	Met             uint64 // meetings
	Lost            uint64 // versions that lost, each counted once
}

// ConflictCounts is what an engine counts of conflicts since it started.
type ConflictCounts struct {
	Counts      []ConflictCount
	Bytes       uint64            // that the list of conflicts takes
	Quarantined []string          // tables, by name
	Faults      map[string]uint64 // by table: sets of writes of which a function failed, on the leader
}

// ConflictCounter is an optional ability of an engine that has conflicts.
type ConflictCounter interface {
	ConflictCounts() ConflictCounts
}

// Conflict is one meeting of writes that did not know of one another.
type Conflict struct {
	LSN      record.LSN // of the record that met the others, in the log of the site asked
	Change   uint16     // which of that record's changes
	Time     version.Timestamp
	By       version.Dot // the write that met the others; zero in lists of older versions
	Cell     record.Cell
	Type     ConflictType
	Resolver string           // what settles the table; empty in lists of older versions
	Winner   []record.Version // what the cell held afterwards
	Losers   []record.Version // what it held no more, or never, or holds and does not show; somebody was told that each was written
}

// Inputs are all versions that met, in canonical order, each once.
func (c *Conflict) Inputs() []record.Version {
	all := slices.Concat(c.Winner, c.Losers)
	slices.SortFunc(all, func(a, b record.Version) int { return a.Compare(b.Dot) })
	return slices.CompactFunc(all, func(a, b record.Version) bool { return a.Dot == b.Dot })
}

// ConflictType says what met.
type ConflictType string

// The types of conflicts (rule M5).
const (
	InsertInsert ConflictType = "insert/insert" // two wrote what, as far as this site can tell, neither knew to be there
	UpdateUpdate ConflictType = "update/update" // two wrote over what was there
	UpdateDelete ConflictType = "update/delete" // one wrote, one deleted
	DeleteDelete ConflictType = "delete/delete"
	Recreate     ConflictType = "recreate"      // one wrote again what it knew to be deleted, another did not know
	Misfit       ConflictType = "misfit"        // a record held what its table can not
	DeleteUpdate ConflictType = "delete/update" // of lists of older versions: a delete won
)

// ConflictTypeOf returns the type of a conflict between what won and what lost, where
// nothing more is known of it.
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
