// Package pbs predicts how stale reads are where read and write quorums need not
// meet: probabilistically bounded staleness, after Bailis, Venkataraman, Franklin,
// Hellerstein and Stoica, "Probabilistically Bounded Staleness for Practical
// Partial Quorums", VLDB 2012.
//
// In versions: [Stale] is the probability that a read misses the last write,
// [Within] that it is not more than k versions old, [Monotonic] that a client does
// not go backwards. They are exact if every order in which replicas answer is as
// likely as any other, and if a write does not spread any further meanwhile, so
// they are pessimistic.
//
// In time: [Setup.Run] draws, for each replica, how long a write takes to reach it
// (W), its acknowledgement to come back (A), a read to reach it (R), and its
// answer to come back (S), and so finds how long after its acknowledgement a write
// may still be missed. What it leaves out: repair by reads and anti-entropy, which
// make reads fresher than predicted; failures and queues, which make them staler.
//
// The package is pure: a seed gives the draws, and the same seed the same answer.
package pbs
