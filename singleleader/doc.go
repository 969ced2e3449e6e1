// Package singleleader is the topology in which one node accepts every write,
// streams its log to the others, and answers once those its policy names have
// it durable.
//
// # What is promised
//
//   - A write that was answered Flushed or Applied is in the log of every leader
//     that is made without force: a commit waits for a set of nodes, and a term
//     begins only where those who answer prove that nothing of it is missing
//     (see proven in package core).
//   - What a node shows was committed, and is never taken back, but in an
//     asynchronous group or by force; then what left a log stands in a side file.
//   - At most one node leads in a term; terms grow, and are durable at a node
//     before it answers in them.
//   - A default read at any node shows everything that was acknowledged before
//     it began.
//
// Not promised: that an asynchronous group keeps, over a change of leader, what
// only the old one had; that a group led by an asynchronous leader which nobody
// can reach stops serving reads; automatic failover, which control/static does
// not have.
//
// # How a write walks
//
// Write posts to the turn, which runs the core: leader of an open term? The
// group of waiting writes gets its LSNs, dots and times, stands in the log's
// tail, and the senders ship it while the local disk still works. Flushes, here
// and in acks from members, move positions; the rule of the term (package
// quorum) turns positions into the commit LSN; callers are answered as it
// passes them; the applier shows what is committed.
//
// # Rules
//
// The numbers are those of the protocol description.
//
//	S1  core.Group: term, leader, policy, voters in one document
//	S2  a term starts once, with a mark; a restarted leader takes a new term
//	S3  Core.advance: only flushes of this term, by the counted directory, commit
//	S4  durability says when the caller hears; commits do not depend on it
//	S6  read replicas (Options.ReadReplicas) are not counted, and not promoted
//	S7  every message carries its term; linearizable reads take a round
//	S8  Core.cut: repeated until the logs agree; an applied entry is never cut
//	S9  asynchronous groups restore by snapshot what must be taken back
//	S12 log while it is there, else snapshot, to a side place, then log
//	S14 followers refuse writes, naming the leader
//	S16 conditions.go, update.go: judged in log order over everything accepted (core.Recent)
//	S18 lag is 0 at the end of the log, in every unit
//	K2  core.Bid, ballot.go: failover by hand
//
// # Who runs what
//
// Package core decides, and is pure. turn.go lets one goroutine at a time run
// it. The rest carries out effects: write.go and
// pending.go for callers that write, read.go for readers, reign.go ships as
// leader, sink.go and install.go take as follower, apply.go shows, ballot.go
// and elect.go make terms.
package singleleader
