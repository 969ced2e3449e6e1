// Package store keeps the cells: two [topology.Store]s, [Pebble] on
// cockroachdb/pebble for nodes, and [Memory] for tests and for nodes that are to
// keep nothing. Both pass one conformance suite, topologytest.TestStore.
//
// What Pebble promises:
//
//	T1  State and applied position change in one atomic step (C6), and come back
//	    from a crash together: what Open finds is the state at some position,
//	    never between two.
//	T2  After Flush has returned L, a crash comes back with at least L.
//	T3  A store that holds less than it once had flushed says so (WentBack), until
//	    it has caught up or was replaced: opening is no proof of completeness (PS11).
//	T4  After the first I/O error nothing is written, synced or removed any more
//	    (PW4). Every call returns topology.ErrStoreFailed from then on, OnFailure is
//	    called once, and the process lives on. Opened again, the store is at a
//	    position that is at least what was flushed.
//	T5  Install replaces everything by one rename: a crash brings back the old
//	    contents or the new, never a mix. A stage is resumed after a crash from
//	    its last mark. Snapshots outlive an Install.
//	T6  A directory written by a newer version, in use, or not to be written in
//	    is refused; a pointer or a generation that is missing or damaged is, too,
//	    and nothing is deleted for it.
//	T7  No batch, queue or cache is without limit: batchBytesMax, writeBuffersMax,
//	    sublevelsMax, wholePointsMax, stageIDBytesMax, and Options.
//
// It assumes that one goroutine applies, in the order of the log; that the log
// replays what a crash has taken; that a rename is atomic, and durable once its
// directory was synced (PW5); and that nobody else writes in its directory:
//
//	LOCK           held while the store is open
//	current        which generation counts, and how far it was flushed
//	store-000007   the current generation, a Pebble directory
//	store-000008   the stage, if there is one
//
// It has no log: what was applied since the last Flush is gone after a crash.
// Pebble's own log is off. With it on, an I/O error can end the process in a
// way that nobody can stop, and a damaged tail of it is cut off in silence.
//
// What is applied stands in a front first, a hash index in memory, and goes to
// Pebble in large sorted batches (front, layers): filling Pebble's own buffer cell
// by cell was the largest part of what a commit cost.
//
// What it takes under load: CacheBytes and three write buffers of MemTableBytes,
// two fronts of five eighths of one and a batch as long, three more buffers
// while a stage is open, and what open scans pin of buffers that are replaced
// meanwhile. With little written it takes what was written. An idle store has
// no timer and does nothing.
package store
