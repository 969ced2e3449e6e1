package core

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Accepted is the newest term a node has promised to obey, as it is kept beside
// the log.
type Accepted struct {
	Term   uint64
	Leader topology.NodeID
	Life   uint64 // of the leader's directory
}

// Encode returns the document as it is stored.
func (a Accepted) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(a.Term)
	w.Str(string(a.Leader))
	w.Uint(a.Life)
	return w.Bytes()
}

// DecodeAccepted reads the stored document; of none, nil, it is zero.
func DecodeAccepted(b []byte) (a Accepted, err error) {
	if b == nil {
		return a, nil
	}
	r := pack.NewReader(b)
	r.ArrayOf(3)
	a = Accepted{Term: r.Uint(), Leader: topology.NodeID(r.StrMax(nameBytesMax)), Life: r.Uint()}
	if err := r.Done(); err != nil {
		return Accepted{}, fmt.Errorf("accepted term: %w", err)
	}
	return a, nil
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
func Recover(self topology.NodeID, async bool, a Accepted, p *Positions) Core {
	return Core{
		Self: self, Async: async,
		Term: a.Term, Leader: a.Leader, Life: a.Life,
		End: p.End, Flushed: p.Flushed, LastTerm: p.History.Last(),
		Applied: min(p.Applied, p.End), Commit: min(p.Applied, p.End),
	}
}
