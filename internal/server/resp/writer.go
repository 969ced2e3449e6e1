package resp

import (
	"math"
	"strconv"
)

// Writer appends answers to a slice. RESP3's own forms become, for a client of
// RESP2, what Redis makes of them.
type Writer struct {
	Proto int // 3, or RESP2
	b     []byte
}

// Bytes returns what was written since Reset.
func (w *Writer) Bytes() []byte { return w.b }

// Len returns how much was written since Reset.
func (w *Writer) Len() int { return len(w.b) }

// Reset makes the writer append to dst.
func (w *Writer) Reset(dst []byte) { w.b = dst }

// Truncate forgets what was written after the first n bytes.
func (w *Writer) Truncate(n int) { w.b = w.b[:n] }

// Raw appends what is encoded already.
func (w *Writer) Raw(b []byte) { w.b = append(w.b, b...) }

func (w *Writer) end() { w.b = append(w.b, '\r', '\n') }

// line appends text as one line, whatever it holds.
func (w *Writer) line(s string) {
	for i := range len(s) {
		c := s[i]
		if c == '\r' || c == '\n' {
			c = ' '
		}
		w.b = append(w.b, c)
	}
	w.end()
}

func (w *Writer) header(mark byte, n int) {
	w.b = append(w.b, mark)
	if n >= 0 && n < 10 {
		w.b = append(w.b, byte('0'+n))
	} else {
		w.b = strconv.AppendInt(w.b, int64(n), 10)
	}
	w.end()
}

// Simple appends a short word, such as OK.
func (w *Writer) Simple(s string) {
	w.b = append(w.b, '+')
	w.line(s)
}

// OK appends +OK.
func (w *Writer) OK() { w.b = append(w.b, "+OK\r\n"...) }

// Error appends an error; s begins with its code in capitals.
func (w *Writer) Error(s string) {
	w.b = append(w.b, '-')
	w.line(s)
}

// Int appends an integer.
func (w *Writer) Int(n int64) {
	w.b = append(w.b, ':')
	w.b = strconv.AppendInt(w.b, n, 10)
	w.end()
}

// Bulk appends bytes.
func (w *Writer) Bulk(b []byte) {
	w.header('$', len(b))
	w.b = append(w.b, b...)
	w.end()
}

// BulkString is Bulk of a string.
func (w *Writer) BulkString(s string) {
	w.header('$', len(s))
	w.b = append(w.b, s...)
	w.end()
}

// BulkInt appends an integer as text.
func (w *Writer) BulkInt(n int64) {
	var digits [20]byte
	w.Bulk(strconv.AppendInt(digits[:0], n, 10))
}

// Null appends the absence of a value.
func (w *Writer) Null() {
	if w.Proto == 3 {
		w.b = append(w.b, "_\r\n"...)
		return
	}
	w.b = append(w.b, "$-1\r\n"...)
}

// NullArray appends the absence of an array, which RESP2 tells from that of a value.
func (w *Writer) NullArray() {
	if w.Proto == 3 {
		w.b = append(w.b, "_\r\n"...)
		return
	}
	w.b = append(w.b, "*-1\r\n"...)
}

// Array begins an array of n.
func (w *Writer) Array(n int) { w.header('*', n) }

// Map begins a map of n pairs.
func (w *Writer) Map(n int) {
	if w.Proto == 3 {
		w.header('%', n)
		return
	}
	w.header('*', 2*n)
}

// Set begins a set of n.
func (w *Writer) Set(n int) {
	if w.Proto == 3 {
		w.header('~', n)
		return
	}
	w.header('*', n)
}

// Bool appends a truth value.
func (w *Writer) Bool(v bool) {
	switch {
	case w.Proto == 3 && v:
		w.b = append(w.b, "#t\r\n"...)
	case w.Proto == 3:
		w.b = append(w.b, "#f\r\n"...)
	default:
		w.Flag(v)
	}
}

// Flag appends 1 or 0, as commands answer that are older than truth values.
func (w *Writer) Flag(v bool) {
	if v {
		w.Int(1)
	} else {
		w.Int(0)
	}
}

// Double appends a number.
func (w *Writer) Double(f float64) {
	var text [32]byte
	s := text[:0]
	switch {
	case math.IsInf(f, 1):
		s = append(s, "inf"...)
	case math.IsInf(f, -1):
		s = append(s, "-inf"...)
	case math.IsNaN(f):
		s = append(s, "nan"...)
	default:
		s = strconv.AppendFloat(s, f, 'g', -1, 64)
	}
	if w.Proto != 3 {
		w.Bulk(s)
		return
	}
	w.b = append(w.b, ',')
	w.b = append(w.b, s...)
	w.end()
}

// Verbatim appends text for people; RESP2 has it as bytes.
func (w *Writer) Verbatim(s string) {
	if w.Proto != 3 {
		w.BulkString(s)
		return
	}
	w.header('=', len(s)+4)
	w.b = append(w.b, "txt:"...)
	w.b = append(w.b, s...)
	w.end()
}
