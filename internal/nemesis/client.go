//go:build linux

package nemesis

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
)

const (
	dialWait        = 500 * time.Millisecond
	answerWait      = 3 * time.Second
	answerBytesMax  = 8 << 20
	answerDepthSeen = 4
)

// conn is one connection to a port for Redis clients.
type conn struct {
	sock net.Conn
	in   *bufio.Reader
	out  resp.Writer
}

func dial(addr string) (*conn, error) {
	sock, err := net.DialTimeout("tcp", addr, dialWait)
	if err != nil {
		return nil, err
	}
	return &conn{sock: sock, in: bufio.NewReader(sock)}, nil
}

func (c *conn) close() { _ = c.sock.Close() }

// unsent is the error of commands of which not one byte has left.
type unsent struct{ error }

// do sends commands in one go and returns their answers. After an error the
// connection is of no use.
func (c *conn) do(wait time.Duration, commands ...[]string) ([]answer, error) {
	c.out.Reset(c.out.Bytes()[:0])
	for _, words := range commands {
		c.out.Array(len(words))
		for _, w := range words {
			c.out.BulkString(w)
		}
	}
	if err := c.sock.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, unsent{err}
	}
	if n, err := c.sock.Write(c.out.Bytes()); err != nil {
		if n == 0 {
			return nil, unsent{err}
		}
		return nil, err
	}
	var all []answer
	for range commands {
		b, err := resp.AppendAnswer(nil, c.in, answerBytesMax)
		if err != nil {
			return all, err
		}
		a, _, err := parse(b, answerDepthSeen)
		if err != nil {
			return all, err
		}
		all = append(all, a)
	}
	return all, nil
}

// answer is one answer of RESP2, understood.
type answer struct {
	fault string // of an error: its text
	text  string // of anything but an array
	null  bool
	parts []answer
}

// code is the first word of an error.
func (a answer) code() string {
	word, _, _ := strings.Cut(a.fault, " ")
	return word
}

// parse understands an answer that AppendAnswer has found whole.
func parse(b []byte, depth int) (a answer, rest []byte, err error) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(line) == 0 || depth == 0 {
		return a, nil, fmt.Errorf("%w: %.40q", resp.ErrAnswer, b)
	}
	word := string(line[1:])
	switch line[0] {
	case '-':
		a.fault = word
		return a, rest, nil
	case '+', ':':
		a.text = word
		return a, rest, nil
	case '$', '*':
	default:
		return a, nil, fmt.Errorf("%w: %.40q is not of RESP2", resp.ErrAnswer, line)
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		return a, nil, err
	}
	if n < 0 {
		a.null = true
		return a, rest, nil
	}
	if line[0] == '$' {
		if len(rest) < n+2 {
			return a, nil, errors.New("an answer ends early")
		}
		a.text = string(rest[:n])
		return a, rest[n+2:], nil
	}
	for range n {
		var p answer
		if p, rest, err = parse(rest, depth-1); err != nil {
			return a, nil, err
		}
		a.parts = append(a.parts, p)
	}
	return a, rest, nil
}

// one sends one command; an error that is answered is an error.
func (c *conn) one(wait time.Duration, words ...string) (answer, error) {
	all, err := c.do(wait, words)
	if err != nil {
		return answer{}, err
	}
	if all[0].fault != "" {
		return all[0], errors.New(all[0].fault)
	}
	return all[0], nil
}
