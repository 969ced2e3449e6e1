// Package wal is the write-ahead log: an implementation of [topology.GroupLog]
// over segments of preallocated, recycled files, with one writer goroutine, one
// write and one fdatasync a group.
//
// # What it promises
//
//	W1  Nothing is reported flushed before the sync that covers it has returned
//	    (PW1). Append and Copy never wait for the disk.
//	W2  After a crash the log is exactly a prefix of what was appended, and holds
//	    all that was reported flushed (PW2).
//	W3  Every frame carries the offset up to which its file was durable when it
//	    was written. What is invalid beyond the last such promise, in the last
//	    segment, is a torn tail: it is cut, logged, and its remains are zeroed
//	    before anything else is written. Anything else that is invalid, a closed
//	    segment, a missing one, one that is too short or somebody else's, is
//	    refused with a [*CorruptError] or a [*ForeignError] and nothing is changed
//	    (PW3, C5).
//	W4  The first failed write or sync ends the log: nothing more is reported
//	    flushed, every later call returns that failure, and no sync is tried
//	    twice (PW4). A full disk that only keeps the next segment from being made
//	    is not such a failure: Append refuses with ErrDiskFull until space
//	    returns, and what was accepted is written.
//	W5  Names are durable before they are relied on (PW5), and come from numbers,
//	    never from a clock.
//	W6  A record is encoded and summed once. Copy takes bytes and sum verbatim and
//	    does not compute the sum again: record.NextEntry, by which a receiver
//	    read the entry, has checked it (C5). Every read of a file checks both sums.
//	W7  An entry that was read stays valid as long as somebody references it:
//	    memory that entries alias is never written again.
//	W8  What a process left behind that died alone is as good as what a power
//	    failure leaves: Open makes durable whatever it goes by, names and bytes,
//	    before it changes anything on the strength of it.
//	W9  A scrub tells damage from change: it raises no alarm over what is cut,
//	    retired or written meanwhile.
//
// # What it assumes
//
// One process has the directory (package home sees to it). A rename is atomic.
// A sector that is written again with the same bytes keeps them when the power
// fails. A file that was written to its full length and synced keeps its blocks,
// so that fdatasync need not write metadata.
//
// # What stands in the directory
//
//	manifest                which cluster and node, the first segment and LSN, the
//	                        terms before it, a cut that has begun; replaced atomically
//	0000000000000001.seg    segments, numbered without gaps: a header block, then
//	                        frames; a closed one ends in a footer
//	00000001.spare          a file of zeros, or a retired segment, to become the next one
//	reserve                 space to give back when the disk is full
//	*.damaged               a retired segment in which a scrub found damage, for inspection
//	*.tmp                   a file in the making; removed when the log is opened
//
// A segment's name exists only once its header is durable. A segment gets its
// footer only once the next one's header is durable, and the next one gets
// frames only once that footer is durable. So a closed segment without a
// successor has lost it, and frames after an unclosed segment mean that the
// footer was lost; both are refused.
//
// The frame sum of every frame starts from the sum of its segment's header,
// which names cluster, node, number and predecessor: frames that a recycled file
// still holds, or that came from another log, never validate.
//
// # Who owns what
//
// A leaf mutex guards positions, the tail in memory and the waiters; it is never
// held across a wait or I/O. A token, the pen, goes to whoever writes files: the
// writer goroutine for the length of a group, Truncate for the length of a cut.
// The goroutine of the spares alone makes spare files.
package wal
