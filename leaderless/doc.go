// Package leaderless replicates without a leader: every key has N replicas, each of
// which takes writes; a write is answered once W of them have it durable, a read asks
// R of them, and what is behind is brought up to date by reads, by exchange between
// replicas, and from the logs of those who took the writes.
//
// # How it works
//
// The [placement.Map] says which nodes hold a key; it is the same at every node, and
// made from the configuration. A request goes to any node: one that holds no copy
// passes it on, once. The replica that takes it coordinates it. All that is decided is
// decided in the [core], which one goroutine owns, the loop; this package lends it a
// log, a store and the streams to the other nodes. A message that does not arrive is
// made good by the exchange of what each has applied, so streams lose what they can not
// carry and nothing waits for them.
//
// Every replica keeps sums of what it holds, compares them with the others' and mends
// what a disk or a program has damaged; and it forgets a delete once all replicas of the
// key have said that they have it, and what it could be needed against.
//
// Triad's own table is held by every node, so that whoever is written to knows what a
// table is.
//
// # What is promised
//
//  1. A write that was acknowledged is durable on as many replicas as its level needs,
//     and survives the loss of the disks of one less.
//  2. Where W + R is more than N, a read finds every write acknowledged before it, or
//     one that sorts after it; with blocking repair no later read finds less.
//  3. Once all replicas reach each other they hold the same bytes.
//  4. An answer says on how many replicas it stands and what that guarantees.
//  5. What was deleted does not come back: a replica that is away, or was wiped or set
//     back, holds deletes back or is told of them.
//  6. What a replica holds otherwise than what it has applied makes it, is found, and
//     mended or reported.
//
// # What is not
//
//   - Reads are not linearizable, and nothing is decided over a value: there are no
//     conditions.
//   - Of two writes of one key that do not know of each other the one with the later
//     time stays, in every replica; the other is gone.
//   - Where W + R is no more than N, reads are stale now and then; how often is counted.
package leaderless
