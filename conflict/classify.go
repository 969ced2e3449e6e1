package conflict

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
)

// Class says what met in a conflict.
type Class uint8

// The classes of conflicts.
const (
	NoConflict   Class = iota
	InsertInsert       // two wrote what neither knew to be there
	UpdateUpdate       // two wrote over what was there
	UpdateDelete       // one wrote, one deleted
	DeleteDelete
	Recreate // one wrote again what it knew to be deleted, another wrote or deleted without knowing
)

var classNames = [...]string{"none", "insert/insert", "update/update", "update/delete", "delete/delete", "recreate"}

func (c Class) String() string {
	if int(c) >= len(classNames) {
		return fmt.Sprintf("class %d", c)
	}
	return classNames[c]
}

// Classify says what met where in came to a cell of which it superseded gone, and which
// keeps kept (rule X3). It goes by what is seen in this place: an update whose
// predecessor had been superseded here by another is an insert to who asks here, so
// places may name one conflict differently.
func Classify(in record.Version, gone, kept []record.Version) Class {
	isIn := func(v record.Version) bool { return v.Dot == in.Dot }
	if len(kept) < 2 || !slices.ContainsFunc(kept, isIn) {
		return NoConflict
	}
	live, dead := false, false // among the others
	for _, v := range kept {
		if !isIn(v) {
			live, dead = live || !v.Absent, dead || v.Absent
		}
	}
	switch {
	case in.Absent && !live:
		return DeleteDelete
	case in.Absent:
		return UpdateDelete
	case slices.ContainsFunc(gone, func(v record.Version) bool { return v.Absent }):
		return Recreate
	case dead:
		return UpdateDelete
	case len(gone) > 0:
		return UpdateUpdate
	}
	return InsertInsert
}
