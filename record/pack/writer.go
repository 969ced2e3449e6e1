package pack

import "github.com/vmihailenco/msgpack/v5"

// Writer appends msgpack to a byte slice. It is not safe for concurrent use,
// and is meant to be kept: a Writer that is reset allocates only when its
// slice must grow.
//
// Every value has one form here, the smallest, so equal values are equal bytes.
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
// The forms that fill most of a record are one or two bytes, and are appended
// here: through the encoder, which writes by way of an interface, a record
// took twice as long (BenchmarkEncode in record).

// Array appends the header of an array; n values must follow.
func (w *Writer) Array(n int) {
	if n < 16 {
		w.out.b = append(w.out.b, 0x90|byte(n))
		return
	}
	_ = w.enc.EncodeArrayLen(n)
}

// Map appends the header of a map; n pairs of values must follow.
func (w *Writer) Map(n int) { _ = w.enc.EncodeMapLen(n) }

// Uint appends an unsigned integer.
func (w *Writer) Uint(u uint64) {
	if u < 0x80 {
		w.out.b = append(w.out.b, byte(u))
		return
	}
	_ = w.enc.EncodeUint(u)
}

// Int appends a signed integer. One that is not negative has the form of
// [Writer.Uint].
func (w *Writer) Int(i int64) { _ = w.enc.EncodeInt(i) }

// Bool appends a boolean.
func (w *Writer) Bool(b bool) { _ = w.enc.EncodeBool(b) }

// Nil appends a nil.
func (w *Writer) Nil() { _ = w.enc.EncodeNil() }

// Str appends a string. It must be UTF-8, or no [Reader] takes it.
func (w *Writer) Str(s string) { _ = w.enc.EncodeString(s) }

// Bin appends a bin; nil and empty are the same, an empty bin.
func (w *Writer) Bin(b []byte) {
	if len(b) < 256 {
		w.out.b = append(w.out.b, 0xc4, byte(len(b)))
	} else {
		_ = w.enc.EncodeBytesLen(len(b))
	}
	w.out.b = append(w.out.b, b...)
}

// Raw appends b, which must be whole msgpack values, as it is.
func (w *Writer) Raw(b []byte) { w.out.b = append(w.out.b, b...) }
