// Package raft is a control backend that a few nodes of the cluster keep
// themselves: 1, 3 or 5 voters agree on the documents by hashicorp/raft, and all
// other nodes are their clients (rule K3).
//
// What it promises, while a majority of the voters can reach each other:
//
//	V1  A document changes by Swap on its version only, each version is given
//	    once, and the change is durable at a majority before Swap returns.
//	V2  Load is linearizable, from any node: it shows every Swap that returned
//	    before it was called.
//	V3  A Swap, or a claim, takes place at most once, however often its message
//	    arrives. An error says NotApplied only where no voter can have taken it.
//	V4  What Latest returns never goes back within a process, and its channel is
//	    closed once a newer version is known. A voter learns from its own copy and
//	    from a question that is always open at the one that leads, a client from
//	    one at some voter.
//	V5  A name has one holder among living processes. Numbers grow with every
//	    claim, over all names.
//	V6  Nothing is written while nothing changes: a registration is renewed in the
//	    leader's memory alone.
//	V7  A directory that was lost never votes as if it remembered. Its node comes
//	    back as another server, which gets a vote when it has caught up; so voters
//	    may lose their directories one after another, but not a majority at once.
//	V8  A node that is new and names different voters, and nodes that belong to
//	    voters that were founded apart, are refused and told why.
//	V9  A leader whose disk hangs for longer than the larger of ten heartbeats and
//	    two seconds is replaced.
//	V10 Who votes changes while the group works, one server at a time: who is to
//	    vote counts once it has caught up, who is not to is removed once a majority
//	    of those who stay answers, and is a client from then on.
//
// What it does not. A group of one voter is lost with its directory, as is one of
// three that loses two: the survivors then change nothing, and nobody founds a
// group anew beside them. A configuration alone
// exchanges no voters: it may name those of the founding, or those of now. A registration whose holder is cut off ends for the others first; the
// holder hears of it when it can reach a leader again. What a process has asked
// for is remembered for its last 32 changes and for the last 128 processes; a
// message that comes later than that is refused as unknown.
//
// It assumes a [topology.Stable] and a log that forget nothing they have returned
// for, that a directory has one process at a time, and that the other end of a call
// is who the transport says it is. Clocks may jump and differ; they have to run
// at about the same speed, which raft's lease and the end of a registration rest
// on, and V1 to V3 do not.
//
// The protocol itself is raft's. What is decided here is in two places: state.go,
// what a command does, a pure function that is the same at every voter; and
// founding.go, who may vote for the first time.
package raft
