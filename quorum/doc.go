// Package quorum counts: who must have a write before it is committed, and how
// many must be asked before a new leader may be chosen (rules S4, S7).
//
// A [Policy] is what a user configures. Together with a leader and the voters
// of its group it becomes a [Rule], which is fixed for one term, and a [Tally]
// collects answers under a rule.
//
// Every policy comes down to two numbers: of n members, the leader and
// needed−1 others must have a write. Async is 1 of 1; First(k) is k+1 of the
// k+1 members it chooses; All is n of n; Any(k) is k+1 of n.
//
// What always holds:
//
//  1. The leader is member 0 and is in every set that satisfies a rule.
//  2. Any [Rule.Needed] members and any [Rule.Poll] members have one in common,
//     so an election that has asked that many has met every committed write.
//  3. A verdict of a [Tally] that is not Pending is final.
//
// The package is pure. It imports the standard library alone, knows no clock
// and no network, and names nodes by any string type. The functions a commit
// passes through ([Rule.Commit], [Rule.Satisfied], [Tally.Yes]) allocate nothing.
package quorum
