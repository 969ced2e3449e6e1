// Package pack reads and writes the msgpack that Triad keeps and sends: hand-
// written arrays of a known shape, never reflection.
//
// Writing goes through the encoder of vmihailenco/msgpack, in its smallest
// forms. Reading is a bounded cursor of our own over bytes that are already
// there: that library's decoder can be made to end the process by a message of
// six bytes, because it allocates by lengths that were only claimed, and by one
// of nested arrays, because its recursion has no end. A [Reader] allocates
// nothing but the strings it returns, and checks every length against what
// remains.
//
// There are two ways to read, and two degrees of strictness:
//
//   - A shape of Triad's own is read value by value ([Reader.Uint],
//     [Reader.Bin], [Reader.Array] …). A form that is not the smallest is
//     refused, so that what was read has one encoding alone.
//   - A value that any msgpack client may have written is walked whole
//     ([Reader.Skip], [Walk]), in any form the format allows, within [DepthMax]
//     and [ElementsMax]. Only then may a reflecting decoder see it.
//
// Every refusal wraps [ErrMalformed] and names the offset.
package pack
