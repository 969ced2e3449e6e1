// Package transport carries calls and streams between the nodes of a cluster,
// and calls from clients, over one port: it is the only place that knows
// sockets. [Transport] is the [topology.Transport] of the house.
//
// # What is on the wire
//
// The dialler sends a preamble of eight bytes and a hello; the listener answers
// with the preamble and its own hello, or a refusal. From then on both send
// frames (frame.go, hello.go and letter.go show the bytes). A connection is of
// one class for its whole life:
//
//   - control: calls of the dialler, multiplexed by request id, and their
//     answers. There is one for each pair of nodes and direction; it is dialled
//     when it is first needed, kept, and dialled again with back-off.
//   - stream: one [topology.Stream]. Bulk never delays a control frame, because
//     it never shares a connection with one.
//
// # What is promised
//
//	T1  Nothing is read from or sent to anybody who has not shown the cluster's
//	    name and id, a protocol version in common and, as a node, a name that
//	    the membership knows (C1, C7). A node that does not know the id yet
//	    learns it, durably, from the first node of a cluster of its name. With a
//	    [Guard], nothing is said to anybody who has not proven who he is, and a
//	    hello that claims another role or name than was proven is refused.
//	T2  One process at a time speaks for a node id. Who comes second is refused
//	    as long as the first answers (C1, B35); a restarted process is let in
//	    once the old one's connections are closed or found dead.
//	T3  A client reaches only what was registered for clients, and no stream.
//	T4  Bad bytes end the connection they came on, are counted by their kind,
//	    and touch nobody else. Nothing is allocated for what is only claimed:
//	    4 KiB before the hello is through, then no more than twice what
//	    arrived, and a window of 64 KiB; for a compressed message of a stream,
//	    what it says it holds, at most 2 MiB.
//	T5  Every error says its outcome (C9): NotApplied if the request never left
//	    this process, Unknown otherwise.
//	T6  Silence is found out: each side sends a beat after a third of the read
//	    time-out without other frames, and the other side's reader gives up after
//	    the read time-out. Beats are written by timers of their own, so a stream
//	    stays alive while nobody calls Send, or nobody calls Recv, at either end.
//	T7  Every queue has a limit, named in [Limits].
//
// # What is assumed
//
// Bytes arrive in order or not at all; frames carry a CRC-32C against accidents,
// not against attackers, whom a [Guard] keeps out, or the network. Handlers
// return soon after their context ends.
//
// # Goroutines
//
// New starts nothing, and all goroutines belong to Run, which waits for them.
// Call and Open wait until Run runs. A control connection has a reader and a
// writer; a stream has one goroutine that sleeps and sends beats, and its Send
// and Recv go to the socket on the goroutine of the caller. Locks guard maps and
// buffers, and none is held across a wait.
package transport
