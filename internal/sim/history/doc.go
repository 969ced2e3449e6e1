// Package history is what clients were told: every operation with what it
// asked for, when it was asked and answered, and its outcome. Checkers
// (internal/sim/check) judge it, load (internal/sim/load) makes it, and files of
// it keep a failure for the next reader.
//
// What a history may rely on ([Validate]):
//
//  1. A client does one thing at a time: it asks next after it was answered.
//  2. A client whose operation ended unknown asks nothing more: its number is
//     retired, and who goes on takes a new one. So an unknown operation overlaps
//     everything after it, as it may still happen.
//  3. Applied, NotApplied and Unknown are claims of the system under test. An
//     operation that was never answered is Unknown.
//  4. Times are of one clock that never goes back, virtual or monotonic, of
//     whoever asks: never of a node under test.
//
// A session is a chain of operations whose tokens are handed on; it outlives a
// retired client.
package history
