package subjects

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/internal/server/resp"
)

// respClient is the least that a Redis client does: one connection, one command
// at a time, or several in one write.
type respClient struct {
	conn   net.Conn
	in     *bufio.Reader
	out    []byte
	answer []byte
}

// answerBytesMax bounds one answer.
const answerBytesMax = 2 << 20

func newRespClient(ctx context.Context, addr string) (*respClient, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &respClient{conn: conn, in: bufio.NewReader(conn)}, nil
}

// add adds a command to what is sent next.
func (c *respClient) add(name string, args ...[]byte) {
	c.out = append(strconv.AppendInt(append(c.out, '*'), int64(1+len(args)), 10), "\r\n"...)
	c.out = appendBulk(c.out, name)
	for _, a := range args {
		c.out = appendBulk(c.out, a)
	}
}

func appendBulk[T []byte | string](b []byte, arg T) []byte {
	b = append(strconv.AppendInt(append(b, '$'), int64(len(arg)), 10), "\r\n"...)
	return append(append(b, arg...), "\r\n"...)
}

// send sends what was added, in one write.
func (c *respClient) send() error {
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

var errAnswer = errors.New("not the answer that was expected")

// next returns the next answer, as it came, until the answer behind it is read.
// It begins with one of the marks, or is an error.
func (c *respClient) next(marks string) ([]byte, error) {
	var err error
	if c.answer, err = resp.AppendAnswer(c.answer[:0], c.in, answerBytesMax); err != nil {
		return nil, err
	}
	for i := range len(marks) {
		if c.answer[0] == marks[i] {
			return c.answer, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", errAnswer, c.answer)
}

// ask sends one command and returns its answer.
func (c *respClient) ask(marks, name string, args ...[]byte) ([]byte, error) {
	c.add(name, args...)
	if err := c.send(); err != nil {
		return nil, err
	}
	return c.next(marks)
}

// client puts with SET, and gets with GET.
func (c *respClient) client() compare.Client {
	return compare.Client{
		Put: func(key, value []byte) error {
			_, err := c.ask("+", "SET", key, value)
			return err
		},
		Get: c.get,
	}
}

func (c *respClient) get(key []byte) error {
	answer, err := c.ask("$", "GET", key)
	if err == nil && answer[1] == '-' {
		err = fmt.Errorf("%w: %s is not there", errAnswer, key)
	}
	return err
}
