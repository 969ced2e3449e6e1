// Package kind is how values of every kind stand on cells, and what reading and
// changing them means: pure decisions, each to be made in log order by a
// topology.Updater, or to be answered from what a read has returned.
//
// A key is one head and, of some kinds, a cell for each of its parts:
//
//	kind     head: the cell without a field             a cell a part
//	bytes    the value                                  none
//	counter  msgpack int64                              none
//	flag     no value: it is there while it is on       none
//	max, min msgpack int64                              none
//	hll      a sketch, as crdt.HLL is encoded           none
//	row      no value                                   a column: its msgpack value
//	map      msgpack uint: how many fields there are    a field: its value
//	set      msgpack uint: how many members there are   a member: no value
//
// A cell's kind is that of its key. A column's name is not empty; the name of a
// field or a member may be, so one that is made of zero bytes alone, or of none,
// gets one zero byte more.
//
// What holds of every key:
//
//  1. It is there if its head is. A map or set without parts is not there; a row
//     without columns is, once it was put as a row, until its last column goes.
//  2. The count in the head is the number of its parts.
//  3. Its expiry is that of its head; other cells have none.
//  4. Every change rewrites the head, whose dot so is the version of the key.
//  5. It changes its kind only by a put, which replaces it whole. One that has not
//     looked ([Key.Assign]) leaves parts of what it replaces below a head of a kind
//     without parts: they do not show, and go with the key before it has a head of
//     another kind.
//
// A decision is an [Op]: its Reads, and a Decide whose answer stands in the value
// itself. It keeps nothing of a sight, and makes at most what one record holds
// (topology.ErrTooLarge). The package assumes what the Updater promises: that a
// key which is due to expire does not show, and has been removed whole in the
// log before anything is decided on it.
package kind
