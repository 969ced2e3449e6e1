// Package load makes histories: it is the one source of operations, and the one
// way to ask them from many goroutines.
//
// A [Source] is pure: what it draws depends on its options, on the random numbers
// it is given and on what it is told by [Source.Observe], so that a deterministic
// floor may use it alone. A [Runner] asks real things through a small [Client];
// [Engine] is one for a topology.Engine in this process.
//
// Rules that a driver of load must keep, and this one does:
//
//  1. Nothing is asked twice: no retries here, nor in a client that is measured.
//     What retries belongs to the system under test, and is then judged as one operation.
//  2. A client whose operation ended unknown is retired; its session goes on
//     under a new number.
//  3. A value is written once, and says by whom.
//  4. When the time is over what is under way is waited for: it ends as itself,
//     not as a cancelled call.
package load
