package topology

// RoleChange says that a node has begun to lead, or leads no more.
type RoleChange struct {
	Node   NodeID
	Role   Role   // RoleLeader where it leads; else what it was before, or is by now: a follower
	Term   uint64 // that it leads, or led
	Leader NodeID // who leads now, as far as the node knows; empty: nobody
}

// Fencing is a leader that must not be able to do anything more before another leads,
// as nothing proves that it has noticed: it does not answer.
type Fencing struct {
	Node NodeID // that is about to lead
	Old  NodeID // the leader before
	Addr string // where that was
	Term uint64 // that it led
}
