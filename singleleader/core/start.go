package core

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// DecodeAccepted reads the document of the newest term that a node has promised to
// obey, as it is kept beside the log; of none, nil, it is zero. It is a group's
// document, kept apart from the control document because one write of it is the
// promise and what was promised. Before it was, it was an array of three: term,
// leader, and the leader's life.
func DecodeAccepted(b []byte) (Group, error) {
	if b == nil {
		return Group{}, nil
	}
	r := pack.NewReader(b)
	if r.Array() != 3 {
		return DecodeGroup(b)
	}
	g := Group{Reign: Reign{Term: r.Uint(), Leader: topology.NodeID(r.StrMax(nameBytesMax))}, Life: r.Uint()}
	if err := r.Done(); err != nil {
		return Group{}, fmt.Errorf("accepted term: %w", err)
	}
	return g, nil
}

// Standing returns the newest document that is durable here: that of the accepted
// term, unless the control document is newer.
func Standing(document, accepted Group) Group {
	if accepted.Term >= document.Term && accepted.Policy != "" {
		return accepted
	}
	return document
}

// Positions are where a node's log and store stand at its start.
type Positions struct {
	topology.Bounds
	History topology.History
	Applied record.LSN
}

// Fits reports whether log and store can be of one history: the store has
// nothing that the log has lost, and lacks nothing that the log has dropped.
func (p *Positions) Fits() bool { return p.Applied <= p.End && p.Applied+1 >= p.First }

// Recover returns the core of a node that starts. What its store shows was
// committed.
func Recover(self topology.NodeID, async bool, accepted Group, pledge uint64, p *Positions) Core {
	return Core{
		Self: self, Async: async, Pledge: pledge,
		Term: accepted.Term, Leader: accepted.Leader, Life: accepted.Life,
		End: p.End, Flushed: p.Flushed, LastTerm: p.History.Last(),
		Applied: min(p.Applied, p.End), Commit: min(p.Applied, p.End),
	}
}
