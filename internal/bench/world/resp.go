package world

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/topology"
)

// Limits of answers of the port for Redis clients.
const (
	answerBytesMax = 32 << 20
	answerDepthMax = 4
)

// wire is one connection to that port, which one goroutine at a time uses.
type wire struct {
	sock net.Conn
	in   *bufio.Reader
	out  resp.Writer
	last []byte // room for an answer
	read string // what TRIAD READ says for it
}

// answer is one answer of RESP2, understood.
type answer struct {
	fault string // of an error: its text
	text  []byte // of anything but an array; the caller's until the next command
	null  bool
	parts []answer
}

func newWire(sock net.Conn) *wire { return &wire{sock: sock, in: bufio.NewReader(sock)} }

func (w *wire) close() { _ = w.sock.Close() }

// add adds a command to what do sends.
func (w *wire) add(words ...[]byte) {
	w.out.Array(len(words))
	for _, b := range words {
		w.out.Bulk(b)
	}
}

// errSent says that the bytes of a command may have arrived.
var errSent = errors.New("the connection broke")

// do sends what was added, in one go, and returns the answers, so many. After an error the
// connection is of no use.
func (w *wire) do(ctx context.Context, n int) ([]answer, error) {
	by, _ := ctx.Deadline() // none: the zero time, which is none to a socket
	if err := w.sock.SetDeadline(by); err != nil {
		return nil, err
	}
	b := w.out.Bytes()
	sent, err := w.sock.Write(b)
	w.out.Reset(b[:0])
	if err != nil && sent == 0 {
		return nil, err
	}
	all, from := make([]answer, 0, n), len(w.last[:0])
	w.last = w.last[:0]
	for range n {
		if err != nil {
			break
		}
		if w.last, err = resp.AppendAnswer(w.last, w.in, answerBytesMax); err != nil {
			break
		}
		var a answer
		if a, _, err = parse(bytes.Clone(w.last[from:]), answerDepthMax); err == nil {
			all, from = append(all, a), len(w.last)
		}
	}
	if err != nil {
		return all, fmt.Errorf("%w: %w", errSent, err)
	}
	return all, nil
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
		a.text = line[1:]
		return a, rest, nil
	case '$', '*':
	default:
		return a, nil, fmt.Errorf("%w: %.40q is not of RESP2", resp.ErrAnswer, line)
	}
	n, err := strconv.Atoi(word)
	switch {
	case err != nil:
		return a, nil, err
	case n < 0:
		a.null = true
		return a, rest, nil
	case line[0] == '$' && len(rest) >= n+2:
		a.text = rest[:n]
		return a, rest[n+2:], nil
	case line[0] == '$':
		return a, nil, fmt.Errorf("%w: it ends early", resp.ErrAnswer)
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

// err is the error of an answer, with the outcome that docs/redis.md gives its code.
func (a answer) err(op string) error {
	if a.fault == "" {
		return nil
	}
	code, _, _ := strings.Cut(a.fault, " ")
	e := &topology.Error{Op: op, Outcome: topology.NotApplied, Err: errors.New(a.fault)}
	switch code {
	case "UNKNOWN":
		e.Outcome, e.Err = topology.Unknown, fmt.Errorf("%w: %s", topology.ErrTimeout, a.fault)
	case "READONLY", "MOVED":
		e.Err = fmt.Errorf("%w: %s", topology.ErrNotLeader, a.fault)
	case "TRYAGAIN", "MISCONF", "CLUSTERDOWN":
		e.Err = fmt.Errorf("%w: %s", topology.ErrUnavailable, a.fault)
	case "STALE":
		e.Err = fmt.Errorf("%w: %s", topology.ErrStale, a.fault)
	}
	return e
}

// dialWait bounds one attempt to connect.
const dialWait = 500 * time.Millisecond
