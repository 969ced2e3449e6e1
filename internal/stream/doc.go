// Package stream ships one log to another: a [Sender] at the node that holds
// the entries, a [Receiver] at the node that wants them, and between them a
// [Progress] that goes from probe to snapshot to replicate.
//
// It decides nothing of a protocol. What may be shipped and what rides along
// with it comes from a [Source]; whether what arrives is taken is said by a
// [Sink]. Records travel as the bytes they were accepted with, and their sums
// are checked on arrival (rule C5), so a sink never sees a damaged record.
//
// One stream has one connection of its own:
//
//	Sender                          Receiver
//	Begin{group, term}        ⇒
//	                          ⇐     Tail{last term, last LSN}     what I hold
//	Cut{asked, to}            ⇒                                    where our logs part (S8)
//	                          ⇐     Tail …                        until `to` is what was asked
//	Append{prev, commit, …}   ⇒     entries, or none: a heartbeat
//	                          ⇐     Ack{written, flushed, applied, round}
//
// or, where the entries after the tail are gone from the sender's log (S12),
//
//	Offer{id, LSN, history}   ⇒
//	                          ⇐     Resume{mark}                  as far as I came last time
//	Chunk{mark, cells} …      ⇒
//	Chunk{done, count, sum}   ⇒     the receiver switches, then sends a new Tail
//
// Limits have names in [Limits]: bytes in one message, bytes in flight, bytes a
// second of a snapshot.
package stream
