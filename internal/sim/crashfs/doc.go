// Package crashfs is a file system in memory that knows what a disk would: which
// bytes and which names are durable. Every call that changes something has a
// number and can be waited at, failed, or be the moment of a crash, after which
// the file system is one of those that a disk may come back with.
//
// What it assumes of a disk is what the log and the store assume of theirs:
//
//	D1  A file's bytes are durable once a sync of it that began after the write
//	    has returned; a name, once its directory was synced.
//	D2  Until then a crash keeps any of it: of the names, each for itself, though
//	    a file that was renamed keeps one; of the bytes, any sectors of any writes;
//	    and of the write under way, a part that may end within a sector. A sector
//	    that was not written keeps its bytes.
//	D3  A sync that fails has dropped what it did not write. The bytes can be
//	    read on, while the machine runs, and no later sync makes them durable.
//	D4  A process that dies, where the machine lives, loses nothing but its files'
//	    being open: what can be read can be read, durable or not.
//
// Beyond that a disk may rot: [FS.Flip] changes a bit that was durable.
//
// SyncTo promises nothing, and so does nothing here. Choices are drawn from the
// caller's source in the order of the names, so that the same calls and the same
// seed give the same disk.
package crashfs
