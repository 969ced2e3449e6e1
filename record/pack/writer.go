// Package pack reads and writes the msgpack that Triad keeps and sends: hand-
// written arrays of a known shape, never reflection.
//
// Writing goes through the encoder of vmihailenco/msgpack, in its smallest
// forms. Reading is a bounded cursor of our own over bytes that are already
// there: that library's decoder can be made to end the process by a message of
// six bytes, because it allocates by lengths that were only claimed. A [Reader]
// allocates nothing, checks every length against what remains, refuses a form
// that is not the smallest, and refuses nesting beyond [DepthMax].
package pack

import "github.com/vmihailenco/msgpack/v5"

// Writer appends msgpack to a byte slice. It is not safe for concurrent use,
// and is meant to be kept: a Writer that is reset allocates only when its
// slice must grow.
type Writer struct {
	enc *msgpack.Encoder
	out appender
}

// appender is what the encoder writes to; it cannot fail.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) { a.b = append(a.b, p...); return len(p), nil }
func (a *appender) WriteByte(c byte) error      { a.b = append(a.b, c); return nil }

// NewWriter returns a writer that appends to dst.
func NewWriter(dst []byte) *Writer {
	w := &Writer{}
	w.out.b = dst
	w.enc = msgpack.NewEncoder(&w.out)
	return w
}

// Reset makes the writer append to dst.
func (w *Writer) Reset(dst []byte) { w.out.b = dst }

// Bytes returns dst with all that was appended. It is the caller's until the
// next Reset.
func (w *Writer) Bytes() []byte { return w.out.b }

// The errors of the encoder are those of what it writes to, which cannot fail.

func (w *Writer) Array(n int)     { _ = w.enc.EncodeArrayLen(n) }
func (w *Writer) Map(n int)       { _ = w.enc.EncodeMapLen(n) }
func (w *Writer) Uint(u uint64)   { _ = w.enc.EncodeUint(u) }
func (w *Writer) Int(i int64)     { _ = w.enc.EncodeInt(i) }
func (w *Writer) Bool(b bool)     { _ = w.enc.EncodeBool(b) }
func (w *Writer) Nil()            { _ = w.enc.EncodeNil() }
func (w *Writer) String(s string) { _ = w.enc.EncodeString(s) }

// Bytes8 appends b as msgpack bin; nil and empty are the same, an empty bin.
func (w *Writer) Bin(b []byte) {
	_ = w.enc.EncodeBytesLen(len(b))
	w.out.b = append(w.out.b, b...)
}

// Raw appends b, which must be whole msgpack values, as it is.
func (w *Writer) Raw(b []byte) { w.out.b = append(w.out.b, b...) }
