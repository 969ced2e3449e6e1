package topology

import (
	"context"
	"time"

	"github.com/triad-kv/triad/record"
)

// RingNode is a node of the map that says who holds what, where nobody leads.
type RingNode struct {
	ID     NodeID
	Addr   string // host:port of its peers port; empty where the configuration knows it
	Site   string // of all nodes or of none
	Rack   string // of all nodes or of none
	Weight uint32 // how much it takes beside the others of its site; 1 is the default
}

// RingChange says how the map is to be. What it leaves out stays.
type RingChange struct {
	Add    []RingNode
	Remove []NodeID
	Weigh  []RingNode // ID and Weight alone
	Copies int        // of every key; 0: as many as there are
	// Cancel goes back to the nodes of before, instead of all else: what has moved is
	// moved back.
	Cancel bool
}

// Ring is who holds what.
type Ring struct {
	Epoch      uint64
	Partitions int
	Copies     int
	Moving     bool // partitions move to other nodes
	Nodes      []RingPart
	Moves      []RingMove // of partitions that have not moved yet
	Problem    string     // why the node that was asked could not step the map last
}

// RingPart is what one node has of a ring.
type RingPart struct {
	RingNode
	First   int     // partitions of which it is asked first
	Holds   int     // partitions that it is asked for
	Share   float64 // of all copies, 0 to 1
	Even    float64 // Holds beside what would be its part by weight: 1 is exactly that
	Joins   int     // partitions that it is still to get
	Leaves  int     // and to give away
	Reached bool    // it answers
	Epoch   uint64  // of the map that it goes by, where it answers
	Filling string  // what it takes from others just now
}

// RingMove is a partition that moves.
type RingMove struct {
	Partition int
	Stage     string // waiting, copying, reading
	Old, New  []NodeID
	Waits     string // for what; empty: its next step is due
}

// RingPlan is what a change of the map would do.
type RingPlan struct {
	Epoch uint64 // of the map that it changes
	Moves []RingMove
	Loads []RingLoad
}

// RingLoad is what a plan does to one node. Bytes are what the node that was asked
// reckons from what it holds itself.
type RingLoad struct {
	RingNode
	Before, After   int // partitions
	Gains, Sheds    int // of those
	Receives, Sends uint64
}

// RingPlace is where a key lies.
type RingPlace struct {
	Epoch     uint64 // of the map
	Partition int
	Stage     string // waiting: it does not move, or not yet
	Replicas  []RingNode
	Writers   []RingNode // and who else is sent what is written, while it moves
}

// Handoff is what waits in the log of one node for another, which has not said that it
// has it.
type Handoff struct {
	From, To NodeID
	Records  uint64
	Bytes    uint64
	Age      time.Duration // of the oldest; 0 if there is none
	More     bool          // the log was not looked at to its end
	Reached  bool          // To can be reached
}

// Ringer is an optional ability of an engine: nodes hold parts of the keys, and come and
// go while it works, without a leader (rule L8).
type Ringer interface {
	// Ring returns who holds what, and asks all nodes how they stand.
	Ring(ctx context.Context) (Ring, error)
	// Locate returns where a key lies. It asks nobody.
	Locate(table record.TableID, key []byte) (RingPlace, error)
	// PlanRing returns what a change would do, and does nothing.
	PlanRing(ctx context.Context, c RingChange) (RingPlan, error)
	// ChangeRing begins a change, if the map is still of that epoch; 0: whatever it is.
	// It returns once all nodes that are reached have been told; the partitions move
	// then by themselves, as Ring shows. Where each node has documents of its own it is
	// asked of the one that keeps the map; any other says ErrNotLeader, with who does.
	ChangeRing(ctx context.Context, c RingChange, epoch uint64) (RingPlan, error)
	// Handoff returns what waits in this node's log for others.
	Handoff(ctx context.Context) ([]Handoff, error)
}
