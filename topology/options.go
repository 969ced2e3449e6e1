package topology

import (
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
)

// Durability says when the caller of a write is answered. It never weakens
// when a write is committed, only when its caller hears of it.
type Durability uint8

const (
	DurabilityDefault Durability = iota // the engine's configured one
	Received                            // the needed replicas have it in memory or page cache
	Flushed                             // the needed replicas have it durable: it is committed
	Applied                             // and it is visible in the leader's store
)

func (d Durability) String() string {
	switch d {
	case Received:
		return "received"
	case Flushed:
		return "flushed"
	case Applied:
		return "applied"
	case DurabilityDefault:
		return "default"
	}
	return fmt.Sprintf("Durability(%d)", uint8(d))
}

// ParseDurability reads a durability as configurations spell it.
func ParseDurability(s string) (Durability, error) {
	for d := Received; d <= Applied; d++ {
		if d.String() == s {
			return d, nil
		}
	}
	return 0, fmt.Errorf("durability %q: one of received, flushed, applied", s)
}

// WriteOptions are the per-call options of a write. The zero value is the
// engine's defaults.
type WriteOptions struct {
	Durability  Durability
	Consistency Consistency // leaderless: how many replicas must have it
	// Context is what the client has seen of the one key that is written, in a table that
	// keeps siblings: the write replaces that, and nothing else. Zero: all that the site
	// has, as in every other table.
	Context Context
}

// Consistency says how many replicas of a key a leaderless request waits for (rule
// L2). An engine with a leader ignores it.
type Consistency uint8

const (
	ConsistencyDefault Consistency = iota // the engine's configured one
	ConsistencyOne
	ConsistencyQuorum // more than half
	ConsistencyAll
	ConsistencyTwo
	ConsistencyLocalOne    // of the replicas in the site of who is asked
	ConsistencyLocalQuorum // more than half of those
	ConsistencyEachQuorum  // more than half in every site

	ConsistencyLast = ConsistencyEachQuorum
)

func (c Consistency) String() string {
	return [...]string{"default", "one", "quorum", "all", "two", "local_one", "local_quorum", "each_quorum"}[min(c, ConsistencyLast)]
}

// ParseConsistency reads a consistency as configurations spell it.
func ParseConsistency(s string) (Consistency, error) {
	for c := ConsistencyOne; c <= ConsistencyLast; c++ {
		if c.String() == s {
			return c, nil
		}
	}
	return 0, fmt.Errorf("consistency %q: one of one, two, quorum, all, local_one, local_quorum, each_quorum", s)
}

// Guarantee is what a read asks for, and what its answer met.
type Guarantee uint8

const (
	ReadDefault      Guarantee = iota // the topology's own default
	ReadAny                           // whatever the asked node holds
	ReadBounded                       // no staler than MaxStale, MaxLag
	ReadSession                       // at least what After has seen
	ReadLinearizable                  // at least all that was acknowledged before the read began
	ReadLeased                        // the same, as far as clocks run as they should: by the leader's lease where it has one
)

// What the answer of a leaderless read may have met besides; nobody asks for it by these
// names, but by how many replicas it wants to hear.
const (
	ReadRegular   Guarantee = ReadLeased + 1 + iota // at least all that as many replicas had acknowledged before the read began
	ReadMonotonic                                   // and no later read finds less
	ReadSite                                        // at least all that was acknowledged, before the read began, to who asked in the same site
)

func (g Guarantee) String() string {
	return [...]string{"default", "any", "bounded", "session", "linearizable", "leased", "regular", "monotonic", "site"}[min(g, ReadSite)]
}

// ReadOptions are the per-call options of a read. The zero value is the
// topology's default. Bounds that are set are all met, or the read fails with
// ErrStale.
type ReadOptions struct {
	Guarantee   Guarantee
	After       Token         // ReadSession
	MaxStale    time.Duration // ReadBounded: 0 is no bound in time
	MaxLag      uint64        // ReadBounded: 0 is no bound in records
	MaxBytes    uint64        // ReadBounded: 0 is no bound in bytes
	Field       []byte        // one cell of the key; empty is the cell without a field
	Whole       bool          // all cells of the key
	Consistency Consistency   // leaderless: how many replicas are heard
	Siblings    bool          // of a table that keeps siblings all of them, removals too, instead of the last
	Parts       bool          // of a key with parts the cell without a field is read beside them: how many there are is not asked
}

// Role is what a node does for its group.
type Role string

const (
	RoleLeader      Role = "leader"
	RoleFollower    Role = "follower"
	RoleCandidate   Role = "none" // knows no leader yet
	RoleReadReplica Role = "read-replica"
	RoleWitness     Role = "witness" // votes, and keeps no data
	RoleReplica     Role = "replica" // leaderless: takes writes like every other
	RoleRemoved     Role = "removed" // is no member of its group any more
	RoleFailed      Role = "failed"  // refuses to go on; Status.Failure says why
)

// Writes reports whether a node with this role takes writes.
func (r Role) Writes() bool { return r == RoleLeader || r == RoleReplica }

// Status is what a node knows of itself and, where it leads, of its followers.
type Status struct {
	Node    NodeID
	Cluster string
	Kind    string // the topology
	Role    Role
	Leader  NodeID // empty if not known
	Term    uint64
	Policy  string
	Since   time.Time // of the role
	First   record.LSN
	End     record.LSN // newest entry in the log
	Flushed record.LSN // durable here
	Commit  record.LSN // known to be committed
	Applied record.LSN // visible here
	Lag     Lag        // behind the leader, as this node knows it; zero on the leader
	Standing
	Peers    []PeerStatus // on the leader: every other member
	Rewound  uint64       // records cut from this node's log and kept in side files
	Failure  string       // why the node stopped, if it has
	Warnings []string     // what an operator should know
	Scrub    Scrub
}

// Standing is how a node stands to its group and to those who ask it.
type Standing struct {
	Delay     time.Duration // by which it applies late, on purpose
	Sync      bool          // commits wait for it, or may count it
	Stale     time.Duration // upper bound on how old what it shows may be; 0 on the leader, -1 if not known
	Reached   time.Time     // on the leader: when as many as a commit needs were last heard of; zero elsewhere, and before
	Undefined []string      // tables of its configuration that are not defined yet, by name
	Paused    bool          // nobody is made leader but by hand
	Change    MemberChange  // of the members, that is under way
	Upstream  NodeID        // who feeds this node, where that is not its leader
	Lease     time.Duration // for which this leader still may answer reads by itself; 0: it has none
	Site      string        // multi-leader: that of this node
	Sites     []SiteStatus  // multi-leader: all of them, as this node's site knows them
}

// Scrub is how far a node has come in reading its own files again, to see whether
// they hold what was written.
type Scrub struct {
	Passes uint64        // since it started
	Ended  time.Time     // the last whole one; zero if there was none
	Took   time.Duration // that one
	Bytes  uint64        // read by that one
	Damage []string      // found by the last one, whole or not, and still there; at most 16
}

// Lag is a distance behind the leader.
type Lag struct {
	Records uint64
	Bytes   uint64
	Time    time.Duration
}

// PeerStatus is what a leader knows of one member.
type PeerStatus struct {
	Node    NodeID
	Addr    string
	State   string     // down, probe, snapshot, replicate, refused, cascade
	Sync    bool       // commits wait for it, or may count it
	Sent    record.LSN // the last entry sent over the present connection, or that it was seen to hold
	Written record.LSN
	Flushed record.LSN
	Applied record.LSN
	Lag     Lag
	Contact time.Time // last frame from it
	Problem string

	Upstream NodeID // the follower that feeds it, where its state is cascade
}

// StateCascade is the state of a member that another follower feeds, and not the leader.
const StateCascade = "cascade"

// SiteStatus is what a site knows of one of the sites of a multi-leader cluster.
type SiteStatus struct {
	Site     string
	Number   uint32
	Own      bool      // it is the node's own
	State    string    // own, up, down, frozen, not linked; idle where this node does not lead its own site
	Peer     NodeID    // who leads it, where the link is up
	Applied  uint64    // writes of it that this node shows
	Behind   Lag       // what it is known to have, and this site has not; on the leader
	Ahead    Lag       // what this site has, and it is not known to have; on the leader
	Standing string    // in its cluster: joining, active, retiring, retired, evicting, evicted; empty: not known
	Holds    uint64    // records that are here and that it has not said to have for good: they can not be forgotten for it
	Snapshot string    // what this site takes of its store, in a few words; empty: nothing
	Said     time.Time // when it last said what it has for good, by its own clock; zero: never. What is newer can not be forgotten yet
	Problem  string
	ReadOnly bool           // it takes no writes of clients, by the configuration of the node that was asked
	Without  []SkippedTable // tables that it does not hold, likewise; by name
}

// SkippedTable is a table that a site does not hold, where several sites write.
type SkippedTable struct {
	Table   string
	Records uint64 // of the node's own site: of which what they wrote to the table is left out
}
