package topology

import (
	"context"

	"github.com/triad-kv/triad/record"
)

// Verifier is an optional ability of an engine where several sites write: to hold what
// they have against one another (rule M8).
type Verifier interface {
	// Verify compares what this node holds with a node of every other site, and with
	// every other node of its own, cell by cell, with dots, while writes go on. It
	// returns once all have been compared, or ctx ends; an error says that it could not
	// begin, or that what differs could not be repaired.
	Verify(ctx context.Context, o VerifyOptions) (Verification, error)
}

// DifferencesMax is how many differences a verification tells of; it counts them all.
const DifferencesMax = 256

// VerifyOptions say what is compared.
type VerifyOptions struct {
	Tables []record.TableID // none: all
	// From names a site whose cells replace those here, where the two differ. Only who
	// leads his site can do that; what is replaced is listed as a conflict. Empty:
	// nothing is changed.
	From string
	// BytesPerSec is how much of what is held here is read a second; 0: as fast as can be.
	BytesPerSec int64
}

// Verification is what was found.
type Verification struct {
	Peers       []VerifiedPeer
	Differences []Difference // at most DifferencesMax
}

// VerifiedPeer is one node that was compared with.
type VerifiedPeer struct {
	Node      NodeID
	Site      string
	Cells     uint64 // how many of this node's were compared
	Differ    int    // cells that differ though each side has what the other's are made of
	Undecided int    // cells that were written to whenever they were looked at
	Problem   string // why it did not come to its end; empty if it did
}

// Difference is a cell that two nodes hold differently, and should not.
type Difference struct {
	Peer     NodeID
	Site     string
	Cell     record.Cell
	Mine     []record.Version // what this node holds
	Theirs   []record.Version
	Repaired bool // this site goes on with theirs
}
