// Package merkle sums up what a replica holds of one partition, so that two replicas find
// where they differ by a few messages, however much they hold (rule L7).
//
// # The tree
//
// Every cell has a [Sum], of its name and of the versions it holds: their dots, times and
// expiries, and a checksum of their values. A cell belongs to the leaf that the hash of
// its key names, with all other cells of its key. A leaf is the sum of its cells, every
// node above the sum of its [Fan] children, modulo 2^64. So a write costs the sum of what
// the cell held before, of what it holds after, and an addition a level; it needs no
// other cell and no order of writes. And a tree that was made again of a store in the
// background is compared with one that went on meanwhile by subtracting.
//
// # What is left out
//
// A version that says absent has no sum. Replicas collect deletes each in their own
// time, and must not differ by that. A delete that one replica has lost shows as soon as it
// matters: where one holds what another's delete hides.
//
// # How large
//
// All trees of a node have about [LeavesMax] leaves between them; the more partitions,
// the fewer leaves in each ([DepthOf]).
package merkle
