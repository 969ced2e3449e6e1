// Package oneleader is the single-leader topology on the deterministic floor:
// singleleader/core over real logs, stable documents and side files, failover by
// hand as control/static has it (K2), and clients that read, write and compare.
//
// # What is held against the group
//
//	PS1   one node starts a term, once
//	PS2   what was acknowledged is in every later leader's log, and at the end
//	PS4   one entry at one place; what is committed is never another, nor cut
//	PS5   reads and writes stand in the log's order where their times say
//	PS14  progress after the faults
//	PS15  every store is the committed log replayed, byte by byte
//	PS16  what was cut off stands in a side file
//	PW1   what is acknowledged or committed is on the disks it must be on
//	PW2   a log that recovers is what it was, as far as it was flushed
//	PW3   a log that nobody damaged is taken
//	S3    nothing is applied that is not committed and durable
//	C6    the store is never ahead of the log
//	C9    what was answered NotApplied is nowhere
//
// An asynchronous group that was forced to a leader may lose what only the old
// one had: that is counted, entry by entry, and everything else still holds.
//
// ledger.go and final.go judge; the other files play the shell of package
// singleleader, file by file, in events.
package oneleader
