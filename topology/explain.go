package topology

import (
	"context"
	"time"

	"github.com/triad-kv/triad/record"
)

// Explainer says what an election would come to if the leader failed now. It is an
// optional ability of an engine, and changes nothing.
type Explainer interface {
	// Explain asks all members where they stand. Where no group is known yet it is
	// ErrUnavailable.
	Explain(ctx context.Context) (Explanation, error)
}

// Explanation is who would lead if the leader failed now, and why nobody else.
type Explanation struct {
	Term       uint64 // the newest that is known
	Leader     NodeID // of it
	Policy     string // that its commits wait for
	Elects     bool   // nodes elect a leader by themselves; else people name one
	Paused     bool   // they do not, until an operator lets them
	Winner     NodeID // who would be elected; where nobody is by himself, who may be named without force; empty: nobody
	Why        string // in a sentence
	BackOff    time.Duration
	Reign      time.Duration // for which the leader's least reign lasts yet, and nobody is elected
	Known      bool          // the leader answers, so that Tail and Lost are all there is
	Tail       uint64        // records durable at the leader, not at the winner, and not committed: they would be put aside
	Lost       uint64        // committed records that the winner does not have: they would be lost
	Contenders []Contender
}

// Contender is one member in an [Explanation].
type Contender struct {
	Node    NodeID
	Role    Role // RoleLeader, RoleFollower or RoleReadReplica
	Answers bool
	InSync  bool
	Term    uint64     // of the last durable entry of its log; this and what follows where it answers
	End     record.LSN // that entry
	Behind  uint64     // records that another node has durable after it
	Loses   uint64     // committed records that it does not have
	Reasons []string   // why it would not be the winner
}
