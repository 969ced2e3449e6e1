package topology

import (
	"context"
	"time"

	"github.com/triad-kv/triad/record"
)

// What follows are optional abilities of an engine that an operator asks for;
// callers find them by assertion on the engine alone.

// Switcher hands leadership over in order (rule S10).
type Switcher interface {
	// Switchover makes node to the leader of a new term without losing what was
	// acknowledged. It is asked of the leader; anybody else says ErrNotLeader. On
	// an error that is NotApplied the leader leads on.
	Switchover(ctx context.Context, to NodeID) (Promotion, error)
}

// Resigner hands leadership over before its node ends.
type Resigner interface {
	// Resign makes another node the leader, as this one is about to end, and returns
	// which and where its term starts; a node that does not lead, or whose group elects
	// nobody, returns none and no error. It takes as long as ctx allows at most. On an
	// error that is NotApplied this node leads on; either way it stands no more.
	Resign(ctx context.Context) (Promotion, error)
}

// Pauser stops automatic changes of leader, and lets them go on.
type Pauser interface {
	// Pause keeps the group from electing a leader by itself, or ends that. It
	// lasts until it is ended, over restarts and changes of leader.
	Pause(ctx context.Context, paused bool) error
}

// Chronicler knows which terms there were.
type Chronicler interface {
	// Reigns returns the terms that this node has applied the start of, oldest
	// first; the oldest of many are forgotten.
	Reigns(ctx context.Context) ([]Reign, error)
}

// Reign is one term of a group's past.
type Reign struct {
	Term   uint64
	Leader NodeID
	Cause  string     // why it was started, in a few words
	Time   time.Time  // by the leader's clock
	Start  record.LSN // the entry that starts it
}

// Rewinder cuts from its log what a new leader does not have, once it may (rule
// C10).
type Rewinder interface {
	// ApproveRewind lets a rewind go on that waits for an operator as it would take
	// more than the engine's limit, and returns how many records that is. Where none
	// waits it is ErrNotFound.
	ApproveRewind(ctx context.Context) (records uint64, err error)
}

// Counter adds what an engine counts.
type Counter interface {
	Count(*Counts)
}

// Counts is what a node has counted since it started, and what it holds now.
type Counts struct {
	Reads      [ReadLeased + 1]uint64 // answered, by what was asked for
	Writes     uint64                 // acknowledged
	Errors     map[string]uint64      // calls that failed, by the sentinel and the outcome: "timed out/outcome unknown"
	Fsyncs     uint64                 // of the log
	Pending    Pending
	Rewound    Rewound
	LogBytes   uint64 // of entries between the first and the last
	StoreBytes uint64 // of its files on disk; 0 for one in memory
	Conflicts  ConflictCounts
}

// Pending is what an engine has accepted and not answered yet.
type Pending struct {
	Bytes    uint64
	BytesMax uint64
}

// Rewound is what was cut from a node's log.
type Rewound struct {
	Records uint64 // kept in side files
	Bytes   uint64
	Waiting uint64 // records of a rewind that waits for an operator
}
