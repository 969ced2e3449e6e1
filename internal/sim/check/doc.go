// Package check judges histories: pure functions of what clients were told
// (internal/sim/history) and of what the nodes hold in the end.
//
// A [Case] is a history with its final states. Each method is one promise; it
// returns a [Report] of violations that name the operations concerned, of what
// could not be decided, and of how much was judged: a report that judged nothing
// shows nothing. [Report.Err] is nil only if nothing is wrong and nothing is left
// undecided.
//
// What all of them rest on:
//
//  1. An operation that was not applied has no effect; an applied one has it
//     between its invocation and its return; an unknown one at any time after its
//     invocation, or never.
//  2. The value of a put or a compare-and-set is written once in a history, so
//     that a value names its write. Keys that count (increments, transfers) are
//     judged by their sums instead.
//  3. Which of two writes of a key came first is known from their places (rule C4)
//     where both are known, else, unless sites write independently, from real
//     time: one had been answered before the other was asked. Where neither says
//     it, checkers assume in favour of the system. What it claims itself is judged
//     apart, by [Case.Places].
//  4. A key that holds nothing is explained by a delete that may have come last,
//     or by nothing having been written.
//
// The checkers need goroutines, memory and real time only for [Case.Linearizable],
// which searches for an order: not inside a bubble of testing/synctest.
package check
