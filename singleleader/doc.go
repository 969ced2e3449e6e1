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
// can reach stops serving reads; automatic failover of an asynchronous group, and
// with control/static of any.
//
// # Who leads
//
// Where nodes agree through their control (control/raft, control/etcd), the group's
// document says who leads, in which term, and who is in sync: who has, in which of
// its directories, everything that is committed. It changes by compare-and-swap
// alone. A commit waits for all of the in-sync set and for whom the leader has
// asked to be let in; who is to leave it is waited for until the control is known
// to have let it go. So any member in sync may be elected, without a look at its
// log, and an old leader commits nothing that its successor lacks: no lease is
// needed for writes. Under Any whoever is fastest has what is committed; there an
// election asks enough voters for a durable promise to obey no older term, and the
// greatest log leads. With control/static people say who leads.
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
//	S1  core.Group: term, leader, policy, voters in one document; core.Agreed: who is in sync
//	S2  a term starts once, with a mark; a restarted leader takes a new term
//	S3  Core.advance: only flushes of this term, by the counted directory, commit
//	S4  durability says when the caller hears; commits do not depend on it; core.Claim, pledge.go: elections under Any
//	S5  core.Keeper, insync.go: who is let in and out of the in-sync set, and waited for meanwhile
//	S6  core.Claim, core.Vigil, stand.go: elections; read replicas (Options.ReadReplicas) are not counted, and not promoted
//	S7  every message carries its term; linearizable reads take a round
//	S8  Core.cut: repeated until the logs agree; an applied entry is never cut
//	S9  asynchronous groups restore by snapshot what must be taken back
//	S10 council.switchover
//	S11 core.Vigil, council.probe: when to stand; back-off; council.pause
//	S12 log while it is there, else snapshot, to a side place, then log
//	S14 followers refuse writes, naming the leader
//	S15 core.Roster, Keeper.step: members come and go, one at a time; members.go
//	S16 conditions.go, update.go: judged in log order over everything accepted (core.Recent)
//	S18 lag is 0 at the end of the log, in every unit
//	K2  core.Bid, ballot.go: failover by hand
//
// # Who runs what
//
// Package core decides, and is pure. turn.go lets one goroutine at a time run
// it. The rest carries out effects: write.go and
// pending.go for callers that write, read.go for readers, reign.go ships as
// leader, sink.go and install.go take as follower, apply.go shows, council.go,
// insync.go, stand.go and pledge.go make terms where nodes agree, ballot.go and
// elect.go where people say who leads.
package singleleader
