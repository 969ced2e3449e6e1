package core

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Repair says when a read brings those up to date who were behind (rule L4).
type Repair uint8

// The modes of repair.
const (
	RepairNone      Repair = iota // never
	RepairAsync                   // while the client is answered
	RepairBlocking                // before: the answer stands on max(R, N−R+1) replicas
	RepairWriteBack               // before: the answer stands where a write of it would; and a put hears R replicas first for its time (ABD)
)

func (r Repair) String() string {
	return [...]string{"none", "async", "blocking", "write-back"}[min(r, RepairWriteBack)]
}

// waits reports whether an answer waits for what is repaired.
func (r Repair) waits() bool { return r >= RepairBlocking }

// Limits bound what a core holds. A zero field is its default.
type Limits struct {
	Requests  int // puts and gets under way: 1,024; more are refused
	Unflushed int // records in the log that are not durable: 4,096; more are refused, own or others'
	Fill      int // records sent for one exchange of applied sets: 64
	Gaps      int // writes to one partition that are known beyond a gap: 4,096; then only what closes one is taken
	// FillGaps is Gaps of a partition that this node is being given: until it has all
	// there is a gap below everything that is written meanwhile. 1,048,576.
	FillGaps int
}

var limitsDefault = Limits{Requests: 1024, Unflushed: 4096, Fill: 64, Gaps: 4096, FillGaps: 1 << 20}

// gaps is how many writes may be known beyond a gap.
func (l *Limits) gaps(filling bool) int {
	if filling {
		return l.FillGaps
	}
	return l.Gaps
}

func (l Limits) or(d Limits) Limits {
	for _, p := range [...][2]*int{{&l.Requests, &d.Requests}, {&l.Unflushed, &d.Unflushed}, {&l.Fill, &d.Fill}, {&l.Gaps, &d.Gaps}, {&l.FillGaps, &d.FillGaps}} {
		if *p[0] <= 0 {
			*p[0] = *p[1]
		}
	}
	return l
}

// Config is what a core is told once.
type Config struct {
	Self        topology.NodeID
	Map         *placement.Map
	Incarnation uint32 // of this data directory (C1)
	// CatchingUp says that the directory is new or was set back, and that others
	// may hold what it had: the node votes on nothing until EvCaughtUp (L6a).
	CatchingUp bool
	MaxSkew    time.Duration // 0: version.MaxSkewDefault
	Limits     Limits
	// Known reports whether a table is defined here: records of others wait at their
	// sender. Nil knows all.
	Known func(record.TableID) bool
	// Keeps reports whether a table keeps all versions of a cell that did not know of one
	// another, until a write replaces them whose client has seen them. Nil: none does.
	Keeps func(record.TableID) bool
}

// Core decides for one node. Its exported state is there to be read; nobody
// changes it but Step.
type Core struct {
	Self       topology.NodeID
	Life       uint32 // the incarnation under which it writes
	CatchingUp bool
	End        record.LSN // of the node's log
	Flushed    record.LSN
	Counts     Counts

	cfg    Config
	clock  *version.Clock
	now    time.Time
	shares []*share // the partitions it holds, in order
	tail   []tailed // what is in the log and not durable, in order
	requests
	alive  []topology.NodeID // this node included
	lives  []lived           // the newest incarnation heard of each node
	forgot bool              // somebody knows writes of this life that this node does not (C1)
	turn   int               // of exchanges of applied sets
	held   []held            // messages by newer maps

	enc *record.Encoder
	out []Effect
}

// Counts are what a core has seen since it started, for status and for tests;
// nothing is decided by them.
type Counts struct {
	Taken      uint64 // records appended for others
	Duplicates uint64 // records that were there already
	Repairs    uint64 // states sent to replicas that were behind
	Repaired   uint64 // states taken
	Filled     uint64 // records sent because another replica lacked them
	Second     uint64 // reads that needed a second round
	Skewed     uint64 // records and states refused because their time is too far ahead
	Behind     uint64 // messages refused because their sender's map was older
	Mended     uint64 // cells replaced because replicas that had applied the same held different things
	Expired    uint64 // deletes written for values that were due
	Void       uint64 // acknowledgements that counted for nothing: of an earlier life
}

// EventKind says what happened.
type EventKind uint8

const (
	EvPut         EventKind = iota + 1 // a client writes Mutations, of one key, having seen Context, and waits for Level. With RepairWriteBack the greatest time in Range is heard at Met first
	EvGet                              // a client reads Range at Level, with Repair. With RepairWriteBack the answer stands at Met before it is given
	EvFlushed                          // the log is durable up to LSN
	EvNotAppended                      // the log ends at LSN: because of Err it took nothing of what was to stand behind
	EvLooked                           // the answer to DoLook for Node and Op: Cells; of a table that keeps siblings Part.Applied is what was applied to the partition when they were read, no more and no less
	EvFound                            // the answer to DoFill for Node and Op: Entries
	EvMessage                          // Message came from Node
	EvDeadline                         // request Op has no more time
	EvHedge                            // request Op takes longer than most: ask the others too
	EvAlive                            // who can be reached, this node included: Nodes; never who counts
	EvTick                             // time passes: exchange applied sets
	EvLost                             // Node can not be reached: nothing that it was sent need be answered
	EvInstall                          // a part of what another replica holds: Part
	EvIncarnate                        // this node writes as Incarnation from now on (C1)
	EvCaughtUp                         // this node holds what N−W+1 others held (L6a)
	EvMap                              // the map is Part.Place.Map from now on, durably
	EvDue                              // what Cells, one, holds may be due to expire
)

// Event is something that happened, and when. Which fields count is said by Kind.
type Event struct {
	Kind        EventKind
	Now         time.Time // the node's wall clock; it may jump
	Node        topology.NodeID
	Op          uint64 // names a request at this node; the shell gives it, greater every time, also after a restart
	Forwarded   bool   // the request was passed on by who is no replica
	Mutations   []record.Mutation
	Context     Context
	Level       quorum.Consistency
	Met         quorum.Consistency // with RepairWriteBack: the table's level of writes for a get, that of reads for a put
	Repair      Repair
	Range       topology.CellRange
	Cells       []Held
	LSN         record.LSN
	Entries     []record.Entry
	Nodes       []topology.NodeID
	Incarnation uint32
	Full        bool
	Part        Part
	Err         error
	Message     *Message // owned by the core from then on
}

// Part is some of what another replica holds of a partition.
type Part struct {
	Partition int
	Cells     []Held
	Applied   *version.Set // what all parts come to; nil but for the last
	// Session names, by its epoch, the step by which the partition began to copy, of a
	// part of a stream to a new replica: it counts in that session alone (L8). 0: it is
	// no such part.
	Session uint64
	// Time is at least that of everything that its source had applied, of the last part of
	// a stream: what was deleted and forgotten there comes with no cell, and what this node
	// writes has to sort after it (C3, L9).
	Time  version.Timestamp
	Place *Place    // of EvMap: the map, and what the log comes to of its partitions
	Mends []Mending // what cells are to hold instead of what they hold
}

// Held is what a replica holds of one cell.
type Held struct {
	record.Cell
	State record.State
}

// Context is what a client has seen of a key: exactly which writes, and the
// greatest of their times (C3). It comes from a Reading and goes with a put.
type Context struct {
	Seen *version.Set
	Time version.Timestamp
}

// EffectKind says what is to be done.
type EffectKind uint8

const (
	DoAppend    EffectKind = iota + 1 // put Entry in the log at LSN, without waiting for the disk; else tell EvNotAppended
	DoApply                           // apply the log up to LSN: it is durable
	DoSend                            // send Message to Node
	DoForward                         // pass request Op on to Node, as Forwarded
	DoLook                            // read Range, and of its key the cell without a field, and tell EvLooked for Node, Op and Full; the values matter if Full
	DoFill                            // read the records of Dots, the first Most that the log has, and tell EvFound for Node and Op
	DoAnswer                          // request Op has ended: Answer
	DoAlarm                           // tell a person Err
	DoIncarnate                       // make a new incarnation durable, and tell EvIncarnate
	DoPlace                           // make Map durable, and tell EvMap
	DoPut                             // request Op, a put, has heard how late its key is: tell EvPut again, without Repair, with Time or the later time of its own in its Context
)

// Effect is something to do. Which fields count is said by Kind.
type Effect struct {
	Kind    EffectKind
	Node    topology.NodeID
	Op      uint64
	LSN     record.LSN
	Entry   record.Entry
	Range   topology.CellRange
	Full    bool
	Dots    []version.Dot
	Time    version.Timestamp
	Most    int // records to read for DoFill
	Message Message
	Map     *placement.Map
	Answer  Answer
	Err     error
}

// Answer is how a request ended. An Err states its outcome.
type Answer struct {
	Dot     version.Dot       // of a put
	Time    version.Timestamp // of a put
	Have    []topology.NodeID // of a put: who had it durable by then, as far as this node knew
	Cells   []Held            // of a get, in the order of their fields: those that hold a version, be it one that says absent
	Context Context           // of a get: what a put that follows is to carry
	Stands  int               // on how many replicas the answer was known to stand
	Err     error
}

// State returns what the answer has of the cell without a field.
func (a *Answer) State() record.State { return headOf(a.Cells) }

// Latest returns a time that is at least that of everything in this node's log.
func Latest(c *Core) version.Timestamp { return c.clock.Last() }

// Step takes one event. The effects are valid until the next step.
func (c *Core) Step(ev Event) []Effect {
	c.out = c.out[:0]
	if !ev.Now.IsZero() {
		c.now = ev.Now
	}
	switch ev.Kind {
	case EvPut:
		c.put(&ev)
	case EvGet:
		c.get(&ev)
	case EvFlushed:
		c.flushed(ev.LSN)
	case EvNotAppended:
		retract(c, ev.LSN, ev.Err)
	case EvLooked:
		c.looked(&ev)
	case EvFound:
		for i, e := range ev.Entries {
			c.Counts.Filled++
			last := i+1 == len(ev.Entries)
			c.send(ev.Node, Message{Kind: MsgRecord, Entry: e, Full: last, Round: ev.Op})
		}
	case EvMessage:
		c.message(ev.Node, ev.Message)
	case EvDeadline, EvHedge:
		c.late(c, ev.Op, ev.Kind)
	case EvAlive:
		c.alive = append([]topology.NodeID{c.Self}, ev.Nodes...)
	case EvTick:
		c.turn++
		for _, s := range c.shares {
			s.exchange(c)
		}
		askAgain(c)
	case EvLost:
		c.lose(c, ev.Node, ev.Err)
	case EvInstall:
		install(c, &ev)
	case EvIncarnate:
		c.incarnate(ev.Incarnation)
	case EvCaughtUp:
		c.CatchingUp = false
	case EvMap:
		replace(c, ev.Part.Place)
	case EvDue:
		expire(c, &ev)
	}
	return c.out
}

func (c *Core) do(e Effect) { c.out = append(c.out, e) }

// incarnate begins a new life: a new origin in every partition. Whatever the
// old one had forgotten, it votes on nothing before it has caught up (L6a).
func (c *Core) incarnate(incarnation uint32) {
	if incarnation <= c.Life {
		return
	}
	c.Life, c.forgot, c.CatchingUp = incarnation, false, true
	for _, s := range c.shares {
		s.own, s.seq = c.cfg.Map.Origin(c.Self, s.partition, incarnation), 0
	}
}

// share returns this node's share of a partition, nil if it holds no copy.
func (c *Core) share(partition int) *share {
	i, ok := slices.BinarySearchFunc(c.shares, partition, func(s *share, p int) int { return s.partition - p })
	if !ok || c.shares[i].left {
		return nil
	}
	return c.shares[i]
}

// Applied returns the writes applied to a partition here, nil if it holds no
// copy. It is the core's own: read only.
func (c *Core) Applied(partition int) *version.Set {
	if s := c.share(partition); s != nil {
		return &s.applied
	}
	return nil
}

// votes reports whether this node may write, acknowledge and answer.
func (c *Core) votes() bool { return !c.forgot && !c.CatchingUp }

// knows reports whether a table is defined here.
func (cfg *Config) knows(t record.TableID) bool {
	return t == record.TableSystem || t == record.TableDefault || cfg.Known == nil || cfg.Known(t)
}

// keeps reports whether a table keeps all that is concurrent.
func (cfg *Config) keeps(t record.TableID) bool { return cfg.Keeps != nil && cfg.Keeps(t) }

func (c *Core) isAlive(n topology.NodeID) bool { return slices.Contains(c.alive, n) }
