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
	Repairs    *RepairCounts // nil where a leader orders writes
	Silences   Silences      // of the leaders that this node followed
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

// Restorer brings a group back to a point of its past, for whoever must undo a mistake:
// a node that shows no more than what was then leads from there, and what came after it is
// given up by everybody, and kept aside (S9).
type Restorer interface {
	// Restore makes this node, which commits do not count and which shows nothing after
	// the point yet, lead a new term from there. It gives up at most giveUp records of its
	// own log, those after the point: with fewer than there are it is ErrConflict, and
	// nothing happens. With 0 it only says what would be given up. What an old leader that
	// nobody can reach goes on to acknowledge is lost too, as by any leader made by force.
	Restore(ctx context.Context, to Point, giveUp uint64) (Restoration, error)
}

// Point is a point of a group's past: an entry of its log, the last that is kept, or
// where that is 0 a time: the last entry that was accepted at that time or before, by the
// clock of who led then.
type Point struct {
	LSN  record.LSN
	Time time.Time
}

// Restoration is what a restore comes to, or would. What is given up are the entries after
// At, up to Last, as far as this node had them.
type Restoration struct {
	Promotion
	At      record.LSN
	Time    time.Time // of the entry At; zero if the log has it no more
	Last    record.LSN
	First   time.Time // of the first entry that is given up,
	Newest  time.Time // and of the last
	Records uint64    // given up
}
