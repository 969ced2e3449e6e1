package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// raw is a connection on which a test writes what it likes.
type raw struct {
	tb   testing.TB
	conn net.Conn
	in   *frameReader
}

func (f *fleet) raw(to *node) *raw {
	f.tb.Helper()
	dial := f.wires.dialer("raw")
	if dial == nil {
		dial = dialTCP
	}
	conn, err := dial(within(f.tb), to.addr)
	require.NoError(f.tb, err)
	f.tb.Cleanup(func() { _ = conn.Close() })
	require.NoError(f.tb, conn.SetDeadline(time.Now().Add(patience)))
	in := newFrameReader(conn)
	in.settle(windowLeast, windowControl, 32<<20)
	return &raw{tb: f.tb, conn: conn, in: in}
}

func (r *raw) send(wire ...[]byte) {
	r.tb.Helper()
	for _, b := range wire {
		_, err := r.conn.Write(b)
		require.NoError(r.tb, err)
	}
}

// hello says hello and returns the frame that answers it.
func (r *raw) hello(h hello) frame {
	r.tb.Helper()
	r.send(h.append(nil))
	require.NoError(r.tb, readPreamble(r.conn))
	return r.next()
}

func (r *raw) next() frame {
	r.tb.Helper()
	for {
		f, err := r.in.next()
		require.NoError(r.tb, err)
		if f.kind != kindBeat {
			return f
		}
	}
}

// refusal says hello and returns why it was refused.
func (r *raw) refusal(h hello) *Refusal {
	r.tb.Helper()
	f := r.hello(h)
	require.Equal(r.tb, kindRefuse, f.kind)
	var refusal *Refusal
	require.ErrorAs(r.tb, readRefusal(f.payload), &refusal)
	r.requireClosed()
	return refusal
}

// requireClosed reads until the other side has closed.
func (r *raw) requireClosed() {
	r.tb.Helper()
	_, err := io.Copy(io.Discard, r.conn)
	require.False(r.tb, errors.Is(err, os.ErrDeadlineExceeded), "the connection stays open")
}

// as returns the hello of a node, for control.
func as(id topology.NodeID, changes ...func(*hello)) hello {
	h := someHello()
	h.node, h.class, h.protocol = id, classControl, ""
	for _, c := range changes {
		c(&h)
	}
	return h
}

func asClient(h *hello) { h.role, h.life, h.node = topology.PeerClient, 0, "" }

func asStream(h *hello) { h.class, h.protocol = classStream, "echo" }

// called returns the frame of a call of method echo.
func called(id uint64, method string, body []byte) []byte {
	return (&letter{kind: kindCall, id: id, method: method, body: body}).append(nil, pack.NewWriter(nil))
}
