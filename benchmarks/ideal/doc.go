// Package ideal is the yardstick of the benchmarks: the least that a
// synchronous replicated log can do, and so about the most that a machine lets
// any of them reach. Ratios to it, taken in one run, say what a real log costs.
//
// Promises. A leader in this process and two followers elsewhere. The leader
// appends a group of writes to its own file and ships the same bytes to both
// followers at the same time; each makes what has arrived durable with one
// flush and answers with its position. A write is answered once the leader and
// one of the two have it (ANY 1 of two).
//
// What it leaves out, on purpose: sums, terms, recovery, reconnection,
// snapshots, an applied store, any limit to its buffers beyond what its writers
// have in flight. It is no product and shares no code with one.
//
// Assumptions. Files are zeroed once and then written over again and again, so
// that no flush has to write metadata. A writer has one write in flight.
//
// Invariants:
//
//  1. Positions are counts of bytes since the start, the same on all three.
//  2. commit = min(leader's, max(followers')), and never goes back.
//  3. Whoever waits is released in the order of its writes.
package ideal
