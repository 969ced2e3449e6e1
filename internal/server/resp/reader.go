package resp

import (
	"bytes"
	"io"
)

// Reader takes commands out of what a client sends: arrays of bulk strings, and
// lines of text. It is for one goroutine.
type Reader struct {
	src      io.Reader
	limits   Limits
	stranger bool             // words errors for a client that has not shown who it is
	grow     func(n int) bool // asked before the buffer grows by n, told when it shrinks; nil: always
	buf      []byte
	from     int  // the command in progress begins here
	to       int  // what was read ends here
	full     bool // the last read filled the buffer: the client is ahead of us
	err      error

	// Of the command in progress. Places count from its beginning, so that it
	// may move.
	at    int // understood up to here
	args  int // arguments still to come; 0: nothing but, perhaps, a part of its first line has come
	bulk  int // length of the argument that has begun, -1 if none has
	spans []span
}

type span struct{ from, to int }

// NewReader returns a reader of src for a stranger (see [Reader.Trust]). grow is
// asked before the buffer grows by n bytes beyond [BufferBytesMin], and told
// with a negative n when it has shrunk; nil lets it grow within the limits.
func NewReader(src io.Reader, l Limits, grow func(n int) bool) *Reader {
	return &Reader{src: src, limits: l, stranger: true, grow: grow, buf: make([]byte, BufferBytesMin), bulk: -1}
}

// Trust sets the limits for a client that has shown who it is.
func (r *Reader) Trust(l Limits) { r.limits, r.stranger = l, false }

// Distrust sets the limits for one that has not.
func (r *Reader) Distrust(l Limits) { r.limits, r.stranger = l, true }

// Partial reports whether a part of a command has come, and not all of it.
func (r *Reader) Partial() bool { return r.from != r.to }

// First returns the first byte that has come and was not taken; false if none.
func (r *Reader) First() (byte, bool) {
	if r.from == r.to {
		return 0, false
	}
	return r.buf[r.from], true
}

// Next appends the arguments of the next command to dst, if all of it has been
// read, and reports whether it was. They alias the reader's buffer and may be
// changed. Commands without arguments are passed over.
func (r *Reader) Next(dst [][]byte) (args [][]byte, ok bool, err error) {
	if r.err != nil {
		return dst, false, r.err
	}
	for {
		begun, err := r.begin()
		if err != nil {
			r.err = err
			return dst, false, err
		}
		if !begun {
			return dst, false, nil
		}
		if r.args > 0 {
			break
		}
		if len(r.spans) > 0 { // a line of text, whole
			return r.take(dst), true, nil
		}
		r.drop()
	}
	whole, err := r.bulks()
	if err != nil {
		r.err = err
		return dst, false, err
	}
	if !whole {
		return dst, false, nil
	}
	return r.take(dst), true, nil
}

// take appends the command in progress to dst and begins the next.
func (r *Reader) take(dst [][]byte) [][]byte {
	b := r.buf[r.from:]
	for _, s := range r.spans {
		dst = append(dst, b[s.from:s.to:s.to])
	}
	r.drop()
	return dst
}

// drop forgets the command in progress.
func (r *Reader) drop() {
	r.from += r.at
	r.at, r.args, r.bulk, r.spans = 0, 0, -1, r.spans[:0]
	if r.from == r.to && cap(r.spans) > spansKept {
		r.spans = nil
	}
}

// spansKept bounds the places that are kept between commands.
const spansKept = 1 << 10

// begin understands the first line, unless that is done, and reports whether it
// is there: of an array its count, of a line of text everything.
func (r *Reader) begin() (bool, error) {
	if r.args > 0 {
		return true, nil
	}
	b := r.buf[r.from:r.to]
	if len(b) == 0 {
		return false, nil
	}
	if b[0] != '*' {
		return r.line(b)
	}
	n, next, ok := length(b, 1)
	switch {
	case next == 0:
		return false, nil
	case next < 0:
		return false, errArgsText
	case ok && n <= 0: // Redis takes it for nothing, too
		r.at = next
		return true, nil
	case r.stranger && n > r.limits.ArgsMax:
		return false, errArgsStranger
	case !ok || n > r.limits.ArgsMax:
		return false, errArgs
	}
	r.at, r.args = next, n
	return true, nil
}

// bulks understands arguments as far as they have come, and reports whether all have.
func (r *Reader) bulks() (bool, error) {
	b, at := r.buf[r.from:r.to], r.at
	for r.args > 0 {
		if r.bulk < 0 {
			if at >= len(b) {
				break
			}
			if b[at] != '$' {
				return false, &ProtocolError{"expected '$', got '" + printable(b[at]) + "'"}
			}
			n, next, ok := length(b, at+1)
			switch {
			case next == 0:
				r.at = at
				return false, nil
			case next < 0:
				return false, errBulkText
			case r.stranger && n > r.limits.BulkBytesMax:
				return false, errBulkStranger
			case !ok || n < 0 || n > r.limits.BulkBytesMax:
				return false, errBulk
			case next+n+2 > r.limits.CommandBytesMax:
				return false, errCommand
			}
			at, r.bulk = next, n
		}
		end := at + r.bulk
		if len(b) < end+2 {
			break
		}
		if b[end] != '\r' || b[end+1] != '\n' {
			return false, errEnd
		}
		r.spans = append(r.spans, span{at, end})
		at, r.bulk = end+2, -1
		r.args--
	}
	r.at = at
	return r.args == 0, nil
}

func printable(c byte) string {
	if c < ' ' || c > '~' {
		return "?"
	}
	return string(rune(c))
}

// length reads a decimal number and its line end. next is the place behind it,
// 0 if it has not all come, negative if it is too long to be one; ok is false
// if what stands there is no number.
func length(b []byte, at int) (n, next int, ok bool) {
	if at+2 < len(b) { // a digit alone, as most are
		if c := b[at] - '0'; c <= 9 && b[at+1] == '\r' && b[at+2] == '\n' {
			return int(c), at + 3, true
		}
	}
	i, sign := at, 1
	if i < len(b) && b[i] == '-' {
		sign = -1
		i++
	}
	first := i
	ok = true
	for ; i < len(b) && b[i] != '\r'; i++ {
		if i-at >= lengthBytesMax {
			return 0, -1, false
		}
		c := b[i] - '0'
		if c > 9 || n > (1<<63-1-int(c))/10 {
			ok = false
			continue
		}
		n = n*10 + int(c)
	}
	if i+1 >= len(b) {
		return 0, 0, false
	}
	ok = ok && i > first && b[i+1] == '\n' && (b[first] != '0' || i == at+1)
	return sign * n, i + 2, ok
}

// line understands a line of text.
func (r *Reader) line(b []byte) (bool, error) {
	end := bytes.IndexByte(b[r.at:min(len(b), InlineBytesMax+1)], '\n')
	if end < 0 {
		if r.at = min(len(b), InlineBytesMax+1); r.at > InlineBytesMax {
			return false, errInline
		}
		return false, nil
	}
	end += r.at
	r.at = end + 1
	if end > 0 && b[end-1] == '\r' {
		end--
	}
	var ok bool
	if r.spans, ok = split(b[:end], r.spans); !ok {
		return false, errQuotes
	}
	if len(r.spans) > r.limits.ArgsMax {
		if r.stranger {
			return false, errArgsStranger
		}
		return false, errArgs
	}
	return true, nil
}

// Fill reads once from the source, and makes room before if there is none. What
// Next returned is no longer valid.
func (r *Reader) Fill() error {
	if r.err != nil {
		return r.err
	}
	if r.from > 0 {
		copy(r.buf, r.buf[r.from:r.to])
		r.from, r.to = 0, r.to-r.from
	}
	if r.to == len(r.buf) || r.full && len(r.buf) < BufferBytesKept {
		if !r.resize(2*len(r.buf)) && r.to == len(r.buf) {
			r.err = errMemory
			return r.err
		}
	}
	n, err := r.src.Read(r.buf[r.to:])
	r.to += n
	r.full = r.to == len(r.buf)
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// resize gives the buffer another length, which holds what has come.
func (r *Reader) resize(n int) bool {
	if r.grow != nil && !r.grow(n-len(r.buf)) {
		return false
	}
	b := make([]byte, n)
	copy(b, r.buf[r.from:r.to])
	r.buf, r.from, r.to = b, 0, r.to-r.from
	return true
}

// Shrink gives back what a large command or pipeline made the buffer grow to,
// if nothing is in it. What Next returned is no longer valid.
func (r *Reader) Shrink() {
	if r.from == r.to && len(r.buf) > BufferBytesKept {
		r.resize(BufferBytesMin)
	}
}

// Close gives the whole buffer back. The reader is not to be used again.
func (r *Reader) Close() {
	if r.grow != nil && r.buf != nil {
		r.grow(BufferBytesMin - len(r.buf))
	}
	r.buf, r.from, r.to, r.err = nil, 0, 0, io.ErrClosedPipe
}
