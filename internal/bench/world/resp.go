package world

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
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
func (w *wire) do(ctx context.Context, n int) ([]resp.Answer, error) {
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
	all, from := make([]resp.Answer, 0, n), len(w.last[:0])
	w.last = w.last[:0]
	for range n {
		if err != nil {
			break
		}
		if w.last, err = resp.AppendAnswer(w.last, w.in, answerBytesMax); err != nil {
			break
		}
		var a resp.Answer
		if a, _, err = resp.ParseAnswer(bytes.Clone(w.last[from:]), answerDepthMax); err == nil {
			all, from = append(all, a), len(w.last)
		}
	}
	if err != nil {
		return all, fmt.Errorf("%w: %w", errSent, err)
	}
	return all, nil
}

// faultOf is the error of an answer, with the outcome that docs/redis.md gives its code.
func faultOf(a resp.Answer, op string) error {
	if a.Fault == "" {
		return nil
	}
	e := &topology.Error{Op: op, Outcome: topology.NotApplied, Err: errors.New(a.Fault)}
	switch a.Code() {
	case "UNKNOWN":
		e.Outcome, e.Err = topology.Unknown, fmt.Errorf("%w: %s", topology.ErrTimeout, a.Fault)
	case "READONLY", "MOVED":
		e.Err = fmt.Errorf("%w: %s", topology.ErrNotLeader, a.Fault)
	case "TRYAGAIN", "MISCONF", "CLUSTERDOWN":
		e.Err = fmt.Errorf("%w: %s", topology.ErrUnavailable, a.Fault)
	case "STALE":
		e.Err = fmt.Errorf("%w: %s", topology.ErrStale, a.Fault)
	}
	return e
}

// dialWait bounds one attempt to connect.
const dialWait = 500 * time.Millisecond
