// Package topology holds the contracts of the house and no behaviour: what an
// [Engine] owes its callers, and what ports ([Log], [Store], [Transport],
// [Membership], [Control], [Stable]) the host lends it in an [Env].
//
// Engines know these contracts and never an adapter; adapters implement them
// and never know an engine. A caller passes an engine's [Builder] to the root
// package, as a handler is passed to net/http: there is no registry.
//
// Lifecycles are one sentence: Open reads, Run works until its context ends,
// Close releases. Constructors start nothing.
package topology

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// NodeID is a node's name from the configuration: [a-z][a-z0-9-]{0,62}.
type NodeID string

// Valid reports whether n has the form of a node's name.
func (n NodeID) Valid() bool {
	if len(n) == 0 || len(n) > 63 || n[0] < 'a' || n[0] > 'z' {
		return false
	}
	for _, c := range []byte(n) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Builder makes an engine from what the host lends it. It is what
// singleleader.New returns. It starts nothing and does no I/O beyond reading
// through the ports.
type Builder func(Env) (Engine, error)

// Env is what the host lends an engine. All ports are open; the host closes
// them after Engine.Run has returned.
type Env struct {
	Self       NodeID
	Life       uint64 // names the data directory; new for every new one (rule C1)
	Log        GroupLog
	Store      Store
	Stable     Stable
	Sidelog    Sidelog
	Transport  Transport
	Membership Membership
	Control    Control
	Clock      *version.Clock
	Logger     *slog.Logger
	// Founded reports, once Run has been called, whether this process founded the
	// cluster: then nobody can have been told anything by this node that its
	// directory does not know. Nil means that it did not.
	Founded func() bool
}

// Engine is a replication topology over one log and one store.
//
// Write and Read may be called from any goroutine, before and while Run runs.
// What a caller passes in may be used again once the call has returned.
type Engine interface {
	// Write makes a batch one record, or fails with an *Error whose Outcome
	// says whether it may still happen. Ending ctx ends the wait, not the
	// write: the error is then Unknown if the record was appended.
	Write(ctx context.Context, b record.Batch, o WriteOptions) (Receipt, error)
	// Read reads the cells of one key at the consistency that was asked for.
	// A key that holds nothing is ErrNotFound, with a Reading that has no cells and
	// says by its token of which state that is true.
	Read(ctx context.Context, table record.TableID, key []byte, o ReadOptions) (Reading, error)
	// Run works until ctx ends (nil) or the node can not go on (the reason).
	Run(ctx context.Context) error
	// Status is a snapshot, cheap enough to be asked ten times a second.
	Status() Status
}

// The abilities below are optional: callers find them by assertion on the
// engine alone, and nothing wraps an Engine.

// Scanner reads ranges.
type Scanner interface {
	// Scan yields the cells of keys from <= key < to in order (an empty to is
	// the end of the table), from one consistent view at the consistency asked for.
	Scan(ctx context.Context, table record.TableID, from, to []byte, o ReadOptions) iter.Seq2[CellReading, error]
}

// Waiter waits for a session token to be readable at this node (rule C8).
type Waiter interface {
	Wait(ctx context.Context, token Token) error
}

// Promoter changes the leader by hand (rule K2).
type Promoter interface {
	// Promote makes this node the leader of a new term. It returns an error,
	// and changes nothing it can avoid, where that could lose a committed
	// write or end in two leaders, unless forced.
	Promote(ctx context.Context, force bool) (Promotion, error)
}

// Promotion tells what a change of leader did.
type Promotion struct {
	Term    uint64
	Leader  NodeID
	Start   record.LSN // the LSN at which the term starts
	Reached []NodeID   // who has durably accepted the term
	Missed  []NodeID   // who could not be reached
}

// Log is a sequence of records, numbered from 1 without gaps, that one engine
// writes and many read. Every method is safe for concurrent use; the order of
// concurrent Appends is the order of their LSNs.
type Log interface {
	// Append gives rs the next LSNs in term and returns the last of them: the
	// records are then assigned and readable, not yet durable. It does not
	// wait for the disk, but blocks while more than the log's named limit is
	// not yet flushed. It keeps nothing of rs.
	Append(term uint64, rs ...record.Record) (record.LSN, error)
	// Flushed returns once everything up to lsn is durable.
	Flushed(ctx context.Context, lsn record.LSN) error
	// Read yields the entries from `from` up to the end at the time of the
	// call; it does not wait. Below the first LSN it yields ErrCompacted.
	// Entries stay valid as long as they are referenced, and are not to be changed.
	Read(ctx context.Context, from record.LSN) iter.Seq2[record.Entry, error]
	// Wait returns once the log holds an entry after lsn.
	Wait(ctx context.Context, after record.LSN) error
	// Truncate drops what is outside keep, durably on return: retention at
	// the head (whole segments only), rewind at the tail.
	Truncate(keep Range) error
}

// Range is what a Truncate keeps. If First is beyond the end of the log plus
// one, or Last is First−1, everything is dropped and the log continues at
// First; History then replaces the log's own, up to First−1.
type Range struct {
	First, Last record.LSN
	History     History
}

// Bounded is what every Log knows of itself.
type Bounded interface {
	Bounds() Bounds
}

// Bounds are positions in a log. First−1 ≤ Flushed ≤ End; an empty log has
// End = First−1.
type Bounds struct {
	First   record.LSN // the oldest entry held
	End     record.LSN // the newest entry assigned
	Flushed record.LSN // durable up to here
	Bytes   uint64     // bytes of entries ever appended by this process, for lag in bytes
}

// Copier places the entries of another log verbatim, as a follower does.
type Copier interface {
	// Copy places es, which must continue the log without a gap, under their
	// own LSNs, terms, bytes and sums. Like Append it does not wait for the
	// disk and keeps nothing of es.
	Copy(es ...record.Entry) error
	// History tells where each term of the log starts, oldest first; it
	// outlives the entries that retention drops. The slice is shared: read only.
	History() History
	// Offset returns a count of bytes that grows with the log, so that the
	// distance of two LSNs in bytes is a subtraction; for LSNs dropped long
	// ago it may be that of the oldest known.
	Offset(lsn record.LSN) uint64
	// Notify makes the log call f after every flush, and once with its error
	// when it fails. f runs on the log's writer goroutine and must not block.
	// A later f replaces an earlier one; nil removes it.
	Notify(f func(Bounds, error))
}

// GroupLog is the log an engine is lent.
type GroupLog interface {
	Log
	Bounded
	Copier
}

// TermStart says where a term begins in a log.
type TermStart struct {
	Term  uint64
	Start record.LSN
}

// History is the term starts of one log, ascending in both.
type History []TermStart

// TermAt returns the term of lsn; false below the first known start.
func (h History) TermAt(lsn record.LSN) (uint64, bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Start <= lsn {
			return h[i].Term, lsn != 0
		}
	}
	return 0, false
}

// Until returns the terms that start at lsn or before. It shares h.
func (h History) Until(lsn record.LSN) History {
	n := len(h)
	for n > 0 && h[n-1].Start > lsn {
		n--
	}
	return h[:n:n]
}

// Last returns the newest term, 0 for an empty history.
func (h History) Last() uint64 {
	if len(h) == 0 {
		return 0
	}
	return h[len(h)-1].Term
}

// Stable keeps small documents beside the log: the accepted term, a promise.
type Stable interface {
	// Save makes value the durable value of name, atomically, before it returns.
	Save(name string, value []byte) error
	// Load returns the value of name, nil if there is none. A value that was
	// saved and cannot be read is an error: amnesia is never silent.
	Load(name string) ([]byte, error)
}

// Sidelog keeps what replication takes out of a log, so that nothing is lost
// without a trace (rule C10): rewound tails first of all.
type Sidelog interface {
	// Keep writes entries, and why they left, to a side file, durably before
	// it returns. No entries make no file.
	Keep(why string, entries iter.Seq2[record.Entry, error]) (Kept, error)
	// Miss notes, durably before it returns, that the entries from first to last
	// are lost and can not be kept, and why: it is listed like what is kept, with no
	// records.
	Miss(why string, first, last record.LSN) (Kept, error)
	// List returns what is kept, and what is missing, oldest first.
	List() ([]Kept, error)
}

// Kept describes one side file.
type Kept struct {
	Name    string // unique in this directory
	Why     string
	First   record.LSN
	Last    record.LSN
	Records uint64 // 0: nothing is kept of First to Last, and this only says so
}

// Membership says who can be reached; never who counts.
type Membership interface {
	// View returns the current view and a channel that is closed once it is stale.
	View() (View, <-chan struct{})
	// Leave says goodbye, so that others need not find out.
	Leave(ctx context.Context) error
	// Run works until ctx ends.
	Run(ctx context.Context) error
}

// View is who can be reached, by ID in ascending order, this node included. It
// is shared: read only.
type View struct {
	Members   []Member
	Strangers []Member // heard of, and not of the configuration; they never count
}

// Member is one node as seen by its peers. Which members a view has depends on
// the configuration, and on whom an Admitter was told of: one that has failed is still
// among them.
type Member struct {
	ID       NodeID
	Addr     string // host:port of its peers port; empty if not known yet
	Site     string
	Liveness Liveness // what a view knows of it; a configuration says nothing of it
}

// Liveness is what a membership has found out about a member. It is a hint for
// those who look: no decision about who counts may rest on it.
type Liveness uint8

const (
	LivenessUnknown Liveness = iota // nobody looks, or it was not heard of
	LivenessAlive                   // it answers, or somebody says that it does
	LivenessFailed                  // it fell silent
	LivenessLeft                    // it said goodbye
)

func (l Liveness) String() string {
	switch l {
	case LivenessAlive:
		return "alive"
	case LivenessFailed:
		return "failed"
	case LivenessLeft:
		return "left"
	}
	return "unknown"
}

// Find returns the member with that id.
func (v View) Find(id NodeID) (Member, bool) {
	for _, m := range v.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// ControlBuilder makes a control backend from what the host lends it.
type ControlBuilder func(ControlEnv) (Control, error)

// ControlEnv is what the host lends a control backend.
type ControlEnv struct {
	Self       NodeID
	Life       uint64 // as Env.Life
	Stable     Stable
	Transport  Transport
	Membership Membership
	Logger     *slog.Logger
	// OpenLog opens the log of that name, which stands beside the node's own, and
	// makes it at the first time. A backend calls it while it is built and at no
	// other time; the host runs the log longer than the backend's Run, and closes
	// it. Nil where the host keeps nothing on a disk.
	OpenLog func(name string) (GroupLog, error)
}

// Steerer is an optional ability of a control backend: to keep its own leader
// away from a node, so that the death of one node does not cost two elections.
type Steerer interface {
	// Steer names the node to stay away from; empty for none. It never blocks: a
	// backend moves when it can, and stays where it is if it cannot.
	Steer(away NodeID)
}

// ControlReporter is an optional ability of a control backend: to say how it is.
type ControlReporter interface {
	// Report is a snapshot of what this node knows, cheap enough to be asked ten
	// times a second.
	Report() ControlStatus
}

// ControlStatus is what a node knows of its control backend.
type ControlStatus struct {
	Kind    string // the backend
	Leader  NodeID // of the backend's own election; empty if not known
	Term    uint64 // of that election
	Voters  []NodeID
	Votes   bool   // this node is one of those who are counted now
	First   uint64 // what stands in the backend's log here
	Last    uint64
	Commit  uint64
	Applied uint64
	Problem string // what keeps it from working, empty if nothing does
}

// Seeder is what a control backend may know from the configuration alone: the
// leader of the first term. It is asked only where no group document exists.
type Seeder interface {
	FirstLeader() NodeID
}

// ByHand is a control each node of which keeps documents of its own, as that of
// control/static does: nobody agrees upon them, people say who leads, and an engine
// makes its terms by asking the other nodes (rule K2).
type ByHand interface {
	ByHand()
}

// Control holds the small documents that say who counts. A backend learns no
// protocol: elections are pure functions in an engine's core.
type Control interface {
	// Load reads a document, linearizably where the backend can. A document
	// that was never written has version 0 and no body.
	Load(ctx context.Context, name string) (Document, error)
	// Swap replaces a document if its version is still d.Version, and returns
	// it with the version one higher; otherwise ErrConflict. It may end Unknown.
	Swap(ctx context.Context, d Document) (Document, error)
	// Latest returns the last known document and a channel that is closed
	// once a newer one is known.
	Latest(name string) (Document, <-chan struct{})
	// Register claims the name id for this process.
	Register(ctx context.Context, id NodeID) (Registration, error)
	// Run works until ctx ends.
	Run(ctx context.Context) error
}

// Document is a named body with a version that grows by one at every change.
type Document struct {
	Name    string
	Version uint64
	Body    []byte
}

// Names of the control documents (rule K1).
const (
	DocumentGroup     = "group"
	DocumentTables    = "tables"
	DocumentVoters    = "voters"    // of a backend that nodes keep themselves
	DocumentPlacement = "placement" // who holds what, where nobody leads
)

// Registration is a claim on a node's name.
type Registration interface {
	Number() uint64        // tells connections apart; grows with every claim
	Lost() <-chan struct{} // closed when the claim is gone
	Close() error
}

// Receipt is the answer to a write.
type Receipt struct {
	Token      Token
	Dot        version.Dot
	LSN        record.LSN
	Term       uint64
	Time       version.Timestamp
	Durability Durability // what was reached when the caller was answered
	Durable    []NodeID   // who had it flushed by then, as far as the leader knew; this node first
}

// Reading is the answer to a read.
type Reading struct {
	Cells     []CellReading // of the key, by field; at least one
	Token     Token         // for After: no later read with it sees an older state
	Served    NodeID        // who read its store
	Stale     time.Duration // upper bound on how stale it may be; 0 for a linearizable read, -1 if not known
	Guarantee Guarantee     // what was met
	Context   Context       // of a key whose table keeps siblings: what was shown, to be written with
	Replicas  int           // leaderless: on how many it is known to stand
}

// CellReading is one cell's value.
type CellReading struct {
	Key   []byte
	Field []byte
	record.Version
	Others int // where a table keeps siblings, and all were not asked for: how many there are beside this one
}
