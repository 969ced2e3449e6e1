// Package load makes histories: it is the one source of operations, and the one
// way to ask them from many goroutines, for simulations, tests of real processes and
// benchmarks alike.
//
// A [Source] is pure: what it draws depends on its options, on the random numbers
// it is given and on what it is told by [Source.Observe], so that a deterministic
// floor may use it alone. A [Loop] says when things are asked, closed or open. A
// [Runner] is both: it asks real things through a small [Client], and records what
// it was told; [Engine] is one for a topology.Engine in this process. Who measures
// more than a history holds, as 100,000 writes a second, takes steps of a [Loop] and
// keeps [Latencies].
//
// Rules that a driver of load must keep, and this one does:
//
//  1. Nothing is asked twice: no retries here, nor in a client that is measured.
//     What retries belongs to the system under test, and is then judged as one operation.
//  2. A client whose operation ended unknown is retired; its session goes on
//     under a new number.
//  3. A value is written once, and says by whom.
//  4. In an open loop a time counts from when an operation was due, not from when
//     there was somebody to ask it: what waits for a system that stalls is part of
//     what it makes its users wait.
//  5. When the time is over what is under way is waited for: it ends as itself,
//     not as a cancelled call.
package load
