package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/server/resp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// started is a server that listens, until its test ends.
type started struct {
	*Server
	addr string
	stop func() error // ends Serve and returns what it returned
}

func start(t *testing.T, node Node, o Options) started {
	t.Helper()
	s, err := New(node, o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	var ended bool
	stop := func() error {
		cancel()
		if ended {
			return nil
		}
		ended = true
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return fmt.Errorf("Serve does not end")
		}
	}
	t.Cleanup(func() { require.NoError(t, stop()) })
	return started{Server: s, addr: l.Addr().String(), stop: stop}
}

// client is one connection, as a test drives it.
type client struct {
	t    *testing.T
	sock net.Conn
	in   *bufio.Reader
}

func (s started) dial(t *testing.T) *client {
	t.Helper()
	sock, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = sock.Close() })
	require.NoError(t, sock.SetDeadline(time.Now().Add(patience)))
	return &client{t: t, sock: sock, in: bufio.NewReader(sock)}
}

func (c *client) send(raw string) {
	c.t.Helper()
	_, err := c.sock.Write([]byte(raw))
	require.NoError(c.t, err)
}

// answer reads one answer, in the form that shown gives it.
func (c *client) answer() string {
	c.t.Helper()
	b, err := resp.AppendAnswer(nil, c.in, 1<<28)
	require.NoError(c.t, err)
	text, rest := shown(b)
	require.Empty(c.t, rest)
	return text
}

// do sends a command as an array and returns the answer.
func (c *client) do(args ...string) string {
	c.t.Helper()
	c.send(array(args...))
	return c.answer()
}

// ends requires that the server closes the connection.
func (c *client) ends() {
	c.t.Helper()
	_, err := c.in.ReadByte()
	require.Error(c.t, err)
	var n net.Error
	require.False(c.t, isTimeout(err), "the connection is still open: %v", n)
}

func array(args ...string) string {
	w := resp.Writer{}
	w.Array(len(args))
	for _, a := range args {
		w.BulkString(a)
	}
	return string(w.Bytes())
}

// shown is an answer as a test reads it: on one line, much as redis-cli has it.
func shown(b []byte) (text string, rest []byte) {
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	mark, word := line[0], string(line[1:])
	n, _ := strconv.Atoi(word)
	switch mark {
	case '+':
		return word, rest
	case '-':
		return "(error) " + word, rest
	case ':':
		return "(integer) " + word, rest
	case ',':
		return "(double) " + word, rest
	case '#':
		return "(" + map[string]string{"t": "true", "f": "false"}[word] + ")", rest
	case '_':
		return "(null)", rest
	case '$', '=':
		if n < 0 {
			return "(nil)", rest
		}
		return strconv.Quote(string(rest[:n])), rest[n+2:]
	}
	if n < 0 {
		return "(nil array)", rest
	}
	parts := make([]string, 0, n)
	for range n {
		var part string
		part, rest = shown(rest)
		if mark == '%' {
			var value string
			value, rest = shown(rest)
			part += ": " + value
		}
		parts = append(parts, part)
	}
	ends := map[byte]string{'*': "[]", '%': "{}", '~': "()", '>': "<>"}[mark]
	return ends[:1] + strings.Join(parts, ", ") + ends[1:], rest
}
