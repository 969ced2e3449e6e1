// Package quorums is the leaderless topology on the deterministic floor:
// leaderless/core on five nodes over real logs, eight partitions of three copies
// that move to nodes that join in half of the seeds, and clients that put and get through whatever node they meet.
// The last writer wins.
//
// # What is held against the nodes
//
//	PL1   a read finds what was acknowledged before it was asked, or what sorts
//	      after it, where W + R > N
//	PL2   with write-back, where W + R > N, every key is a linearizable register, by
//	      what clients were told; where W + R <= N stale reads are counted
//	PL4   what was acknowledged is in every replica at the end: as the value, or
//	      lost to a later writer, which is counted, exactly
//	PL5   replicas of a partition end with equal applied sets and equal bytes, and
//	      with the greatest of all writes
//	L9    who forgets a delete does so once all replicas have it, and every write
//	      that sorts before it
//	L4    with blocking repair or write-back no read finds less than one before it
//	C1    one dot is one write, on every disk
//	C2    a record leaves its coordinator once it is durable there
//	C3    a write sorts after what it covers, and after all that stands before it
//	      in its coordinator's log
//	C9    what was answered NotApplied is on no disk, and nobody reads it
//	PW1   what is acknowledged is on W disks
//	PW2   a log that recovers has what was durable in it
//	PS14  progress after the faults
//
// Clocks jump by minutes, which MaxSkew forbids or allows, as the seed has it; in
// the end an operator sets them right.
package quorums
