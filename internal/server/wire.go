package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
)

// wire is the socket of a connection: what comes, what goes, and how long each
// may take.
type wire struct {
	server *Server
	sock   net.Conn
	id     int64
	since  time.Time
	reader *resp.Reader
	out    []byte    // answers that are not sent
	began  time.Time // a command's first byte; zero: no part of one is there
	bounds bounds
}

// bounds are the deadlines of a connection.
type bounds struct {
	mu      sync.Mutex // guards what follows; a leaf
	ended   bool       // no read is begun any more
	read    time.Time  // the deadline that is set; zero: none
	written time.Time
}

// end makes the connection end once it waits for the client.
func (w *wire) end() {
	w.bounds.mu.Lock()
	defer w.bounds.mu.Unlock()
	w.bounds.ended = true
	_ = w.sock.SetReadDeadline(time.Unix(1, 0))
}

// shake does the handshake of TLS, so that it has a deadline of its own.
func (w *wire) shake(ctx context.Context) bool {
	t, ok := w.sock.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, w.server.o.Limits.AuthTimeout)
	defer cancel()
	err := t.HandshakeContext(ctx)
	if err != nil {
		w.server.logger.Info("a client's TLS handshake failed", "client", w.id, "from", w.sock.RemoteAddr(), "error", err)
	}
	return err == nil
}

// fill reads once from the client, within the time that what it is doing may take.
func (w *wire) fill(trusted bool) error {
	l := &w.server.o.Limits
	var deadline time.Time
	switch {
	case w.reader.Partial():
		if w.began.IsZero() {
			w.began = time.Now()
		}
		deadline = w.began.Add(l.CommandTimeout)
	case l.IdleTimeout > 0:
		deadline = time.Now().Add(l.IdleTimeout)
	}
	if !trusted {
		if auth := w.since.Add(l.AuthTimeout); deadline.IsZero() || auth.Before(deadline) {
			deadline = auth
		}
	}
	if !w.bounds.setRead(w.sock, deadline) {
		return errEnding
	}
	w.reader.Shrink()
	err := w.reader.Fill()
	if err != nil && w.bounds.over() {
		return errEnding
	}
	return err
}

// over reports whether the connection ends.
func (b *bounds) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// errEnding is why a connection is closed that the server ends.
var errEnding = errors.New("the server ends")

// setRead sets the deadline of the next read, unless the connection ends.
func (b *bounds) setRead(sock net.Conn, deadline time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	if !deadline.Equal(b.read) {
		b.read = deadline
		return sock.SetReadDeadline(deadline) == nil
	}
	return true
}

// outBytesKept is how much is gathered before it is sent, even within a pipeline.
const outBytesKept = 64 << 10

// send adds an answer to what will be sent.
func (w *wire) send(answer []byte) error {
	if len(answer) >= outBytesKept {
		if err := w.flush(); err != nil {
			return err
		}
		return w.write(answer)
	}
	w.out = append(w.out, answer...)
	if len(w.out) >= outBytesKept {
		return w.flush()
	}
	return nil
}

func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	err := w.write(w.out)
	if w.out = w.out[:0]; cap(w.out) > outBytesKept {
		w.out = nil
	}
	return err
}

// write sends b; a client that does not read it in time has left.
func (w *wire) write(b []byte) error {
	timeout := w.server.o.Limits.WriteTimeout
	now := time.Now()
	// One deadline serves many writes: it is set anew when a quarter has passed.
	if w.bounds.written.Sub(now) < timeout {
		w.bounds.written = now.Add(timeout + timeout/4)
		if err := w.sock.SetWriteDeadline(w.bounds.written); err != nil {
			return err
		}
	}
	_, err := w.sock.Write(b)
	if err != nil {
		if isTimeout(err) {
			w.server.counts.timeouts.Add(1)
		}
		w.server.logger.Debug("a client does not take its answers", "client", w.id, "from", w.sock.RemoteAddr(), "error", err)
	}
	return err
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// farewell tells a client why it is left: what it sends is no command.
func (w *wire) farewell(err error) {
	var p *resp.ProtocolError
	if errors.As(err, &p) {
		w.server.counts.protocolErrors.Add(1)
		w.server.logger.Info("a client is left", "client", w.id, "from", w.sock.RemoteAddr(), "error", err)
		answer := resp.Writer{}
		answer.Error("ERR " + p.Error())
		w.out = append(w.out, answer.Bytes()...)
	}
	_ = w.flush()
}

// left notes why no more is read from a client.
func (w *wire) left(err error) {
	if isTimeout(err) {
		w.server.counts.timeouts.Add(1)
	}
	var p *resp.ProtocolError
	if errors.As(err, &p) {
		w.farewell(err)
	} else if !errors.Is(err, io.EOF) && !errors.Is(err, errEnding) {
		w.server.logger.Debug("a client is gone", "client", w.id, "from", w.sock.RemoteAddr(), "error", err)
	}
}
