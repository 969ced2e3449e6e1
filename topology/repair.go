package topology

import (
	"context"
	"time"

	"github.com/triad-kv/triad/record"
)

// Repairer is an optional ability of an engine in which nobody leads: to hold what the
// replicas of a key have applied against what they hold, and to mend what is damaged
// (rule L7).
type Repairer interface {
	// Repair compares what this node and the other replicas of its keys hold, while
	// writes go on, and has a replica that holds something else hold what it should. It
	// returns once all were compared, or ctx ends; an error says that it could not begin.
	Repair(ctx context.Context, o RepairOptions) (Repaired, error)
}

// RepairOptions say what is repaired.
type RepairOptions struct {
	Tables []record.TableID // none: all
	// From names a replica that is right wherever it is not known who is. Empty: such
	// cells are left as they are, and counted.
	From NodeID
	// Part is which of the parts of what this node is to compare, from 1; 0: all of them;
	// less: none, which tells how many there are.
	Part int
	// Check says that nothing is changed.
	Check bool
	// Reread says that this node first reads all it holds, and corrects what it knows of it.
	Reread bool
	// BytesPerSec is how much is read and sent a second; 0: as the node is configured.
	BytesPerSec int64
}

// Repaired is what a repair found, and what it did.
type Repaired struct {
	Verification        // with each replica
	Parts        int    // of what this node is to compare
	Reread       uint64 // cells that this node has read again
	Corrected    int    // sums that were not those of what it holds
	Leaves       int    // sums that replicas had otherwise than this node, more than for a moment
	Differ       int    // cells that replicas hold differently, though they have applied the same
	Mended       int    // of them
	Unclear      int    // of them: it is not known who is right
	Bytes        uint64 // that were exchanged
}

// Collector is an optional ability of an engine in which nobody leads: to say why deletes
// are kept (rule L9).
type Collector interface {
	// Collection says what this node keeps of deletes, and who has to have them first.
	Collection(ctx context.Context) (Collection, error)
}

// Collection is what a node keeps of deletes.
type Collection struct {
	Kept      uint64 // deletes; as many as were counted at most
	Collected uint64 // cells that this node has forgotten since it started
	Holds     []Holding
}

// Holding is what a replica holds back, as another knows it.
type Holding struct {
	Node       NodeID
	Partitions int    // that both hold, in which it is not known to have all that this node has
	Writes     uint64 // that it is not known to have; as many as were counted at most
	Silent     int    // partitions of which it has not said yet what it has
	Why        string // in words; empty where it holds back nothing
}

// RepairCounts are what came of comparing replicas, as this node has counted since it started.
type RepairCounts struct {
	Rounds    uint64        // parts compared
	Rereads   uint64        // times that all was read again that this node holds
	Corrected uint64        // sums that were not those of what it holds
	Differ    uint64        // cells that replicas held differently
	Mended    uint64        // of them
	Unclear   uint64        // cells of the last comparison by itself of which it is not known who is right
	Bytes     uint64        // read and sent
	Paused    time.Duration // while requests were slow
	Collected uint64        // cells forgotten, as everybody has their deletes
	Expired   uint64        // deletes written for what was due
}
