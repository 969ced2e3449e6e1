package client

import (
	"context"
	"iter"

	"github.com/triad-kv/triad/internal/call"
)

// Conflict is one meeting of writes in different sites that did not know of one
// another: what won, and what is shown no more though somebody was told that it was
// written.
type Conflict = call.Conflict

// ConflictPlace is where a conflict stands in a node's list.
type ConflictPlace = call.ConflictPlace

// Rival is one of the writes that met.
type Rival = call.Rival

// ConflictValueBytesMax is how much of a value a node shows in its list.
const ConflictValueBytesMax = call.ConflictValueBytesMax

// Conflicts yields the conflicts that the node at addr has applied, behind a place,
// oldest first. Each site has a list of its own: it met the same writes in another
// order. Values are cut to valueBytesMax, and to ConflictValueBytesMax at most. Where
// one leader orders all writes it is topology.ErrUnsupported.
func (o Operator) Conflicts(ctx context.Context, addr string, after ConflictPlace, valueBytesMax int) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		for more := true; more; {
			answer, err := o.c.askAt(ctx, addr, call.MethodConflicts, call.ConflictsAsked{After: after, ValueBytesMax: valueBytesMax}.Encode())
			var page call.Conflicts
			if err == nil {
				page, err = call.DecodeConflicts(answer)
			}
			if err != nil {
				yield(Conflict{}, errorOf("conflicts", "", nil, err))
				return
			}
			for _, c := range page.All {
				if !yield(c, nil) {
					return
				}
				after = c.ConflictPlace
			}
			more = page.More && len(page.All) > 0
		}
	}
}
