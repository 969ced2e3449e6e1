//go:build linux

package nemesis

import (
	"bufio"
	"errors"
	"net"
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
func (c *conn) do(wait time.Duration, commands ...[]string) ([]resp.Answer, error) {
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
	var all []resp.Answer
	for range commands {
		b, err := resp.AppendAnswer(nil, c.in, answerBytesMax)
		if err != nil {
			return all, err
		}
		a, _, err := resp.ParseAnswer(b, answerDepthSeen)
		if err != nil {
			return all, err
		}
		all = append(all, a)
	}
	return all, nil
}

// one sends one command; an error that is answered is an error.
func (c *conn) one(wait time.Duration, words ...string) (resp.Answer, error) {
	all, err := c.do(wait, words)
	if err != nil {
		return resp.Answer{}, err
	}
	if all[0].Fault != "" {
		return all[0], errors.New(all[0].Fault)
	}
	return all[0], nil
}
