// Package quorum counts: who must have a write before it is committed or
// acknowledged, and how many must be asked before a new leader may be chosen or a
// read answered (rules S4, S7, L2).
//
// A group with a leader is configured by a [Policy]. Together with the leader and
// the voters it becomes a [Rule], which is fixed for one term. A table without one
// is configured by an [Expr] each for reads and writes: "quorum", "2", "all",
// "local_quorum", "each_quorum", "quorum in 2 of 3 sites", "first 1 (b, c)",
// "3 votes (a:2, b, c)", and whatever "and" and "or" make of them. Together with
// the replicas of a key it becomes a [Need] ([Bind]), and a Rule is one too. A
// [Tally] collects answers under a need. All of them count with the same code: a
// monotone form of votes over bits.
//
// Every policy comes down to two numbers: of n members, the leader and
// needed−1 others must have a write. Async is 1 of 1; First(k) is k+1 of the
// k+1 members it chooses; All is n of n; Any(k) is k+1 of n.
//
// [Meets], [Need.Resilience] and [Guarantees] say of expressions what they are
// good for. They try sets of members; those that nothing tells apart once.
// What a read may miss where quorums do not meet is the subject of quorum/pbs.
//
// What always holds:
//
//  1. The leader is member 0 and is in every set that satisfies a rule.
//  2. Any [Rule.Needed] members and any [Rule.Poll] members have one in common,
//     so an election that has asked that many has met every committed write.
//  3. A verdict of a [Tally] that is not Pending is final: more answers never
//     spoil an expression.
//  4. A set that meets a need has a member in common with every set that meets its
//     [Need.Dual].
//  5. A need that [Bind] returned is met by all of its members.
//
// The package is pure. It imports the standard library alone, knows no clock
// and no network, and names nodes by any string type. The functions a commit or
// an acknowledgement passes through ([Rule.Commit], [Rule.Satisfied], [Tally.Yes])
// allocate nothing.
package quorum
