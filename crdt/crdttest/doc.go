// Package crdttest holds any type of package crdt, or a type of one's own, to the
// laws of conflict-free replicated data types: fifteen of them, over random changes
// that several holders make and exchange.
//
//	 1 a ⊔ b = b ⊔ a
//	 2 (a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)
//	 3 a ⊔ a = a
//	 4 inflation: a ⊑ m(a), a ⊑ a ⊔ b
//	 5 a ⊑ b and b ⊑ a: equal bytes, however either came to be
//	 6 a delta says all of a change: m(a) = a ⊔ δ
//	 7 deltas joined to each other first, or one by one: the same state
//	 8 a delta that comes without those before it hides none of them
//	 9 deltas doubled, out of order and lost, and the whole state in place of the lost
//	10 the value is that of an executable specification, at every step
//	11 changes made at the same time commute
//	12 what is encoded is decoded; a part, an addition or a flipped bit is refused or
//	   is the encoding of what it is decoded to
//	13 compaction at a stable cut changes no value, now or later
//	14 an origin that is retired leaves the value as it was
//	15 the encoding is no larger than its bound
//
// A test is one call:
//
//	func TestLaws(t *testing.T) { crdttest.Laws(t, crdttest.Subject[*crdt.Flag]{ … }) }
package crdttest
