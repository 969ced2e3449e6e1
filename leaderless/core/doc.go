// Package core decides for one node of a leaderless table: which writes it
// coordinates and what became of them, which records and states of others it
// takes, what it answers to a read, and what it repairs. It is a function of its
// state and an event ([Core.Step]); a shell tells it what happened and carries out
// the effects, in order. It knows no goroutine, clock, disk or network, so one
// loop can run all nodes from a seed.
//
// # A put
//
// The coordinator is a replica of the key; who is not passes the request on,
// once (rule L1). If too few replicas are alive it refuses, and nothing has
// happened (L2). Otherwise it gives the write a dot, of its own share of the
// partition, and a time after everything its client has seen (C3), appends the
// record to its log, and sends it to the other replicas once it is durable there,
// not before (C2). Each of them appends it, makes it durable, applies it and says
// so. The client is answered when enough have; if they do not in time, the
// outcome is unknown, and the dot is told: the record is in at least one log, and
// will be everywhere.
//
// # A get
//
// The coordinator reads its own copy in full and asks others for their versions
// alone (L4); a replica that holds nothing says so, and that is a vote (L3). The
// value comes, in a second round, from whoever is ahead. Then those behind are
// repaired: not at all, while the client is answered, or before it is, so that
// no later read can find less (monotonic reads).
//
// # What a replica keeps
//
// Beside its versions every key has a context, and every partition the exact set
// of the writes applied to it. Both are asked before a record is taken, so that
// neither a late nor a repeated one brings back what was overwritten (L5, X).
// What a repair brings is no write and gets no dot; it stands in the log as a
// note, so that the log replays to the same store.
//
// In tables where the last writer wins, a key's context holds only what the
// partition's set does not: time extends causal order there (C3), so the rest is
// needed neither to refuse a version nor to replace one, and would grow by a dot
// with every write.
//
// # What is forgotten, and mended
//
// Replicas tell one another what they have applied anyway, and by that alone a delete
// goes ([Stable], rule L9). Where two that have applied the same hold different things a
// merge can not help, as it refuses what is known and gone: [Judge] says what the cell
// comes to, and a note in the log replaces what is held, if it still is what was looked
// at ([Mending], rule L7). A value that is due is deleted by one of its replicas, in a
// write that sorts right behind it.
//
// # What always holds
//
//  1. A record leaves its coordinator, an acknowledgement its replica, and a
//     version a reader, only once they are durable there (C2).
//  2. A request that ends NotApplied has left nothing in any log (C9).
//  3. With W + R more than N, a read finds every write that was acknowledged
//     before it began, or one that sorts after it.
//  4. With blocking repair no read finds less than an earlier one did.
//  5. A copy that a node repairs or receives twice, or late, changes nothing.
//  6. A node that may have forgotten something, its own writes or others', neither
//     writes nor votes until it is told that it has caught up (C1, L6a).
package core
