package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/record"
)

// Server answers Redis clients from a node. Any number of Serve may run.
type Server struct {
	node     Node
	o        Options
	commands map[string]*command
	prefixes []prefix // longest first
	secret   [sha256.Size]byte
	started  time.Time
	logger   *slog.Logger
	cursors  *cursors
	buffers  budget
	batches  sync.Pool
	counts   counts

	mu      sync.Mutex // guards what follows; a leaf
	clients map[int64]*conn
	last    int64
}

// prefix is how the keys of a table begin.
type prefix struct{ text, table string }

// counts are what INFO shows.
type counts struct {
	connections, rejected, commands, groups, forwarded, protocolErrors, authFailures, timeouts, panics atomic.Uint64
}

// budget is what all connections' buffers may take together.
type budget struct {
	used atomic.Int64
	most int64
}

// take takes n bytes, or gives back −n, and reports whether it could.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.most && n > 0 {
		b.used.Add(-n)
		return false
	}
	return true
}

// New returns a server for a node. It starts nothing.
func New(node Node, o Options) (*Server, error) {
	o.complete()
	s := &Server{
		node: node, o: o, commands: tableOfCommands(), secret: sha256.Sum256([]byte(o.Password)), started: time.Now(),
		logger: o.Logger, cursors: newCursors(o.Limits), clients: map[int64]*conn{},
	}
	s.buffers.most = o.Limits.BufferBytesMax
	s.batches.New = func() any { return new(batch) }
	for text, table := range o.Prefixes {
		if text == "" || len(text) > record.KeyBytesMax || table == "" {
			return nil, fmt.Errorf("resp.prefixes: %q → %q: a prefix has 1 to %d bytes and names a table", text, table, record.KeyBytesMax)
		}
		s.prefixes = append(s.prefixes, prefix{text, table})
	}
	slices.SortFunc(s.prefixes, func(a, b prefix) int {
		if d := len(b.text) - len(a.text); d != 0 {
			return d
		}
		if a.text < b.text {
			return -1
		}
		return 1
	})
	return s, nil
}

const (
	acceptPauseMin = 5 * time.Millisecond // after a failed accept, doubled from there
	acceptPauseMax = time.Second          // up to here
)

// Serve answers the clients that l accepts until ctx ends, and then lets what is
// under way end within Limits.DrainTimeout. It closes l. It returns nil once ctx
// has ended and every connection is closed, or why l accepts no more.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Work outlives ctx for a while, so that a client hears of its writes.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var open sync.WaitGroup
	unblock := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer unblock()
	err := s.accept(ctx, l, func(sock net.Conn) {
		c, ok := s.admit(sock)
		if !ok {
			return
		}
		open.Go(func() {
			defer s.forget(c)
			end := context.AfterFunc(ctx, c.end)
			defer end()
			c.serve(ctx, work)
		})
	})
	_ = l.Close()
	drained := time.AfterFunc(s.o.Limits.DrainTimeout, func() { stop(); s.cutOff() })
	defer drained.Stop()
	if err != nil { // ctx lives on, and nobody is left to serve it
		s.endAll()
	}
	open.Wait()
	return err
}

// accept hands what l accepts to f.
func (s *Server) accept(ctx context.Context, l net.Listener, f func(net.Conn)) error {
	pause := acceptPauseMin
	for {
		sock, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			f(sock)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("resp: %w", err)
		default: // out of file descriptors, most likely (bad input 70)
			s.logger.Warn("no client can be accepted", "error", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, acceptPauseMax)
		}
	}
}

// admit makes a connection of a socket, unless there are too many.
func (s *Server) admit(sock net.Conn) (*conn, bool) {
	s.counts.connections.Add(1)
	s.mu.Lock()
	full := len(s.clients) >= s.o.Limits.ConnectionsMax
	var c *conn
	if !full {
		s.last++
		c = newConn(s, sock, s.last)
		s.clients[c.id] = c
	}
	s.mu.Unlock()
	if full {
		s.counts.rejected.Add(1)
		if _, ok := sock.(*tls.Conn); !ok { // a handshake would have to come first
			_ = sock.SetWriteDeadline(time.Now().Add(rejectTimeout))
			_, _ = sock.Write([]byte("-" + string(errClients) + "\r\n"))
		}
		_ = sock.Close()
	}
	return c, !full
}

// rejectTimeout bounds the farewell to a client that is one too many. A socket's
// buffer takes it at once.
const rejectTimeout = 10 * time.Millisecond

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.clients, c.id)
	s.mu.Unlock()
}

// present returns the connections, oldest first.
func (s *Server) present() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	cs := make([]*conn, 0, len(s.clients))
	for _, c := range s.clients {
		cs = append(cs, c)
	}
	slices.SortFunc(cs, func(a, b *conn) int { return int(a.id - b.id) })
	return cs
}

// wall is the time of day, which is now unless the options say otherwise.
func (s *Server) wall(now time.Time) time.Time {
	if w := s.o.Wall; w != nil {
		return w()
	}
	return now
}

// endAll lets every connection end once what it is doing is done.
func (s *Server) endAll() {
	for _, c := range s.present() {
		c.end()
	}
}

// cutOff closes every connection.
func (s *Server) cutOff() {
	for _, c := range s.present() {
		_ = c.sock.Close()
	}
}
