// Package resp reads the commands and writes the answers of the Redis protocol,
// RESP2 and RESP3, and knows neither a command's meaning nor a connection.
//
// It promises that no byte a client sends makes it panic, hang or hold more
// memory than [Limits] name: a length is judged when it is claimed, and memory
// grows with what has arrived, never with what was announced. Reading a command
// allocates nothing, and costs the same however its bytes are split.
//
// It assumes that whoever owns a [Reader] sets deadlines on its source: a client
// that stops within a command is no business of this package.
//
// Invariants:
//
//  1. What [Reader.Next] returned stays valid and in place until [Reader.Fill]
//     or [Reader.Shrink].
//  2. After an error framing is lost: every later call returns the same error,
//     and nothing is guessed (bad input 4).
//  3. A [Writer] never puts a line break of a caller into a line of its own
//     (bad input 119).
package resp
