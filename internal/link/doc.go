// Package link makes connections of this machine behave as if their two ends were
// far apart: bytes arrive later, and a link can be cut and healed.
//
//	far, err := link.New(link.Options{Delay: 40 * time.Millisecond}, link.Options{Delay: 40 * time.Millisecond})
//	conn, err := far.Dial(ctx, func(ctx context.Context) (net.Conn, error) { … })
//
// # What it promises
//
//   - Bytes come out in the order in which they went in, each no sooner than its
//     delay after it was written: so does the end of a half-closed or broken
//     connection. Jitter delays more, and never reorders.
//   - A delay lowers no throughput by itself. What is under way is held with the
//     time at which it is due, as many bytes as a line of [Options.BytesPerSecond]
//     holds in that time ([Options.QueueBytes]); beyond it writers wait, as for a
//     socket whose buffer is full. Only a line that is [Options.Shaped] carries no more
//     than its rate, over all its connections.
//   - What is lost on the way ([Options.Loss]) arrives later, and what follows it on its
//     connection behind it, as TCP has it.
//   - Deadlines, half-closing and concurrent use are those of a [net.Conn].
//   - Close ends reading and writing at once and takes nothing back: what was
//     written arrives when it is due, then the connection below is closed. It is
//     given up [LingerTimeout] after its delay: the other side reads no more, or
//     the link is cut. What was received and not read is dropped.
//   - Nothing passes a link that is cut, and nothing is lost by it: what is under
//     way waits, and after Heal is sent once more, as TCP does it. A connection
//     is made after the link was healed, or fails with its context.
//   - Setting up a connection costs a round trip.
//
// # What it assumes
//
// One end of a connection wraps it, not both: the end that dials delays both ways,
// as does the end that listens where it wraps its listener. What is between them
// in truth, the loopback, takes no time worth speaking of.
package link
