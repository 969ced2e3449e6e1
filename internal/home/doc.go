// Package home is a node's data directory: who it belongs to, that nobody else
// is in it, and the small documents that must survive everything.
//
// What stands in it:
//
//	LOCK             held for as long as the directory is open; never read or written
//	identity         cluster name and id, node id, life, places and document names
//	stable/N.a,b     the two copies of the document N
//	aside/N.entries  what left the log, for a person to look at (C10)
//	reserve          room to give back when the disk is full
//	NAME/            a place: a directory that another part of the node was given
//
// What it promises:
//
//	H1  One process, and one Home in it, has the directory; the second is refused.
//	H2  It serves one node of one cluster: another name, another cluster and a
//	    newer format are refused before anything is changed (C1; bad input 75, 76).
//	H3  It is never made anew over something. Where anything but a fresh
//	    file system's own stands in it and the identity does not, or where a place
//	    it once had is gone, it is refused: a missing mount or a deleted file is
//	    for a person to look at (bad input 62, 79).
//	H4  Life is drawn when the directory is made and never again, so a wiped and
//	    remade directory is somebody else (C1).
//	H5  A document that Save returned for is never forgotten in silence. Both of
//	    its copies carry the newest value when Save returns, so that the loss of
//	    either changes nothing; the loss of both is an error, not an empty value
//	    (bad input 63, 64).
//	H6  After the first failure of the disk nothing more is written (PW4): every
//	    later change returns that failure, and the owner is told of it. A disk
//	    without room is not such a failure: a small document gets the room of the
//	    reserve, and one that finds none is refused and may be saved again.
//
// It assumes that a rename is atomic and, like a new name, durable once its
// directory was synced (PW5), and that nobody else changes the files.
package home
