// Package conflict is what happens when two writes meet that did not know of
// each other. It has two steps, and all topologies share the first:
//
//   - [Merge] decides by causality alone, by dots: what one writer had seen of
//     the other is superseded, everything else is kept.
//   - a [Resolver] settles what was kept, all of it at once: [LWW], [FirstWriter],
//     [SitePriority], [Fields], [Siblings], [Join] of the kinds that are data types of
//     several writers, or a function of one's own ([Func], [Typed]).
//
// [Apply] is both steps for a record, [JoinWith] for another replica's state;
// [ApplyLWW] and [JoinLWW] are the same for tables where the last writer wins. What a
// client asks for as a merge is made what its record says by [Seal], where the record
// gets its dot. [Prune] says what may go once it is stable, [Classify] what met in a
// conflict, and a [Registry] whether two nodes have the same resolvers.
//
// Who has seen what is told to Merge by two sets, seen and covers. The
// topologies differ in these and in nothing else (rule X):
//
//	                     in                     seen                           covers                          afterwards
//	multi-leader record  its version            the site's applied vector      the record's deps and what      applied += dot
//	                                            before it                      its origin wrote before it
//	leaderless record    its version            key context ∪ the partition's  the client's exact context      applied += dot,
//	                                            applied set                                                    key context ∪= covers ∪ dot
//	leaderless state     the sender's versions  key context ∪ the partition's  the sender's key context,       key context ∪= covers ∪ dots,
//	                                            applied set                    never its applied set           applied as it was
//
// In a leaderless table records travel alone, so each of these is an exact set
// and never a plain vector: a later write that arrives first must not hide an
// earlier one (rule X1). Multi-leader sites take records in causal order, so
// vectors are exact there.
//
// What always holds of Merge, and is tested as laws:
//
//  1. What nobody's covers and nobody's seen names is kept: no unseen write is lost.
//  2. What either set names and its holder lacks does not come back.
//  3. Taking something twice is taking it once.
//  4. Records that are taken in any order their knowledge permits end in the
//     same versions: those that no taken record covers.
//  5. A dot with two contents is an error, and changes nothing.
//
// And of what is shown, for every resolver, also where holders prune at their own
// moments (the test of all resolvers over sites that exchange records):
//
//  6. It is a function of the versions that no taken record supersedes.
//  7. Only the last writer forgets who lost before it is stable (rule X2).
//  8. A delta supersedes what it accounts for, not all that its writer had seen.
//
// The package is pure: no clock, randomness, I/O or order of arrival. So must be the
// functions that are given to it; conflicttest examines them.
package conflict
