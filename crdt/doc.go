// Package crdt holds data types that several may change at once, without asking
// one another, and that agree once everybody has taken in what everybody did:
// conflict-free replicated data types. They are values: no clock, no I/O, no
// goroutine, nothing global. The package is of use without the rest of Triad.
//
//	type         is                                   concurrent changes                                     grows with
//	[GCounter]     a count that only grows              all count                                              origins
//	[PNCounter]    a count up and down, with reset      all count; a reset undoes what it had seen, exactly    origins
//	[Max], [Min]     the greatest, the least number       the greater, the less                                  nothing
//	[LWWRegister]  the last writer's value              the later by [Stamp]; the other is lost                  nothing
//	[MVRegister]   what no later value replaced         all are kept, until somebody writes over them          concurrent writers
//	[Flag]         on or off                            enabling wins                                          concurrent enablers
//	[ORSet]        a set                                adding wins                                            elements + origins
//	[LWWMap]       keys with a last writer each         the later by [Stamp], key by key                         keys + deleted keys, until Compact
//	[ORMap]        fields that are causal types         changes win over removal, which takes what it had seen fields + origins
//	[DotCounter]   the counter for fields of an ORMap   all count; a reset undoes what it had seen, exactly    increments, until Compact
//	[HLL]          how many different elements          all count                                              nothing (16 KiB)
//
// # Changing and sharing
//
// Whoever changes a state has a [version.Origin], a name that no other has at the
// same time, or had before and forgot what it wrote. A mutator changes the state it
// is called on and returns a delta: a small state of the same type, which brings
// the change to any other holder by Join. Whole states are joined by the same Join.
// So a holder may send deltas as they come, join some into one first, and send the
// whole state to who has missed any:
//
//	delta, err := likes.Add(berlin, 1) // here
//	likes.Join(delta)                  // there, once, twice, in any order
//
// Every type is a [Lattice]. The zero value is the state before any change and is
// ready to use. A state is not safe for concurrent use; Clone it to share it.
//
// # What always holds
//
//  1. Join is commutative, associative and idempotent, and loses nothing: a and b
//     are both below a ⊔ b.
//  2. A change is inflation, and its delta says all of it: m(a) = a ⊔ δ.
//  3. Deltas may be lost, doubled, delayed, joined to each other first, and taken in
//     any order. What a delta has seen is exactly what it brings and removes.
//  4. One state has one encoding: two holders that have taken in the same changes
//     hold the same bytes. (After a Compact, once both have compacted.)
//  5. A decoder takes what an encoder wrote and nothing else, allocates in
//     proportion to what it was given, and never panics ([BytesMax]).
//  6. Holders that have taken in the same changes show the same value, and it is the
//     one that the specification says, which stands beside the tests of each type.
//
// They are held by the fifteen laws of crdttest, over all types.
//
// # What they can not do
//
// A count can not be kept above zero, and a name can not be given out once, without
// asking: that needs one place that decides. A last writer's clock that is far ahead
// wins until the others' have come to it. And a name that comes back without its
// memory (a restored disk) must come back as a new incarnation.
package crdt
