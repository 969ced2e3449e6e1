package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// answerDepthMax bounds how answers may stand within answers.
const answerDepthMax = 32

// ErrAnswer is the ground of an answer that can not be read.
var ErrAnswer = errors.New("not an answer of the Redis protocol")

// AppendAnswer reads one whole answer from r and appends it to dst as it came.
// One of more than most bytes, or nested too deep, is an error, which ends what
// can be read from r.
func AppendAnswer(dst []byte, r *bufio.Reader, most int) ([]byte, error) {
	return appendAnswer(dst, r, len(dst)+most, answerDepthMax)
}

func appendAnswer(dst []byte, r *bufio.Reader, end, depth int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return dst, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return dst, fmt.Errorf("%w: a line of %d bytes", ErrAnswer, len(line))
	}
	if len(dst)+len(line) > end {
		return dst, fmt.Errorf("%w: it is too long", ErrAnswer)
	}
	mark := line[0]
	n, next, ok := length(line, 1)
	ok = ok && next == len(line)
	dst = append(dst, line...)
	switch mark {
	case '+', '-', ':', '_', ',', '#', '(':
		return dst, nil
	case '$', '=', '!':
		if !ok || n < -1 {
			return dst, fmt.Errorf("%w: its length", ErrAnswer)
		}
		if n < 0 {
			return dst, nil
		}
		return appendBytes(dst, r, n+2, end)
	case '%':
		if n > 0 && n <= end {
			n *= 2
		}
	case '*', '~', '>':
	default:
		return dst, fmt.Errorf("%w: it begins with %q", ErrAnswer, mark)
	}
	if !ok || n < -1 || n > end || depth == 0 {
		return dst, fmt.Errorf("%w: %d answers, %d deep", ErrAnswer, n, answerDepthMax-depth)
	}
	for ; n > 0; n-- {
		if dst, err = appendAnswer(dst, r, end, depth-1); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// chunk is how much room is made at a time for bytes that were only announced.
const chunk = 64 << 10

func appendBytes(dst []byte, r *bufio.Reader, n, end int) ([]byte, error) {
	if n > end-len(dst) {
		return dst, fmt.Errorf("%w: it is too long", ErrAnswer)
	}
	for n > 0 {
		from, step := len(dst), min(n, chunk)
		dst = append(dst, make([]byte, step)...)
		if _, err := io.ReadFull(r, dst[from:]); err != nil {
			return dst[:from], err
		}
		n -= step
	}
	return dst, nil
}
