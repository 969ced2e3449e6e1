// Package placement says where keys are: which partition a key belongs to, and
// which nodes hold a copy of a partition (rule L8). It is a pure function of a
// [Layout], so every node and every client that has the same map finds the same
// answer, and nobody needs a ring, tokens or a table.
//
// # Who holds what
//
// The key space is cut into Q equal partitions, once. Each partition takes the N
// nodes that score highest for it (rendezvous hashing, Thaler and Ravishankar
// 1998): a node that comes or goes moves only the partitions it gains or loses,
// about N·Q/nodes of them. Weights make a score as much more likely to be high
// as a node has weight (Schindelhauer and Schomaker 2005), in integers, so that no
// processor rounds differently. Where there are sites, a partition takes as many
// copies as evenly as it can from all of them, or so many from each as the layout
// says; within a site it takes racks in turn.
//
// Chance makes a load uneven: of Q·N copies over k equal nodes one has m = Q·N/k
// give or take √m. More partitions make that less.
//
// # How it changes
//
// A [Plan] says what a new layout would move, before anything does. Begun, it is a
// map with a target, and its partitions move one by one, each through the stages
// waiting, copying, reading and moved; every step is another map, of an epoch
// greater by one, agreed upon by control. While a partition copies or reads, a
// write needs what it needs of the old replicas and of the new ones, so that
// whoever reads either meets it; reads ask the old ones until the new ones have
// everything, and then the new. Before a step is made, everybody who serves the
// partition must have heard of the step before, and what they had under way by
// older maps must have ended: that is the engine's to see to.
//
// A partition that copies can go back ([Map.Undo]), and so can everything
// ([Map.Cancel]): that exchanges layout and target, and is a change like another.
//
// # What always holds
//
//  1. Two maps of one layout and epoch are the same, whoever made them.
//  2. At every stage a set that is enough for a write meets every one that is enough
//     for a read at this stage, the one before and the one after, if it would in a
//     map that does not move.
//  3. A request is served by who knows at least what its sender knew of the
//     partition, and refused, with what is newer, if the partition has changed
//     since ([Map.Check], [Map.Since]).
//  4. A chunk of a stream counts only in its session: that of the step by which its
//     partition began to copy. Undone and begun again, it is another one.
//  5. A node writes under numbers of its own, which a move does not change (C2).
package placement
