// Package conflict is what happens when two writes meet that did not know of
// each other. It has two steps, and all topologies share the first:
//
//   - [Merge] decides by causality alone, by dots: what one writer had seen of
//     the other is superseded, everything else is kept.
//   - a resolver settles what was kept. [SettleLWW] lets the last writer win.
//
// [ApplyLWW] and [JoinLWW] are both steps for a record and for another
// replica's state.
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
// The package is pure: no clock, randomness, I/O or order of arrival.
package conflict
