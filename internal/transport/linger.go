package transport

import (
	"net"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Close ends the stream in order: the other side's Recv returns io.EOF once it
// has read what was sent. It does not wait for that; the transport does, for
// its linger time-out at most.
func (s *stream) Close() error {
	s.finish(nil)
	return nil
}

// finish closes the stream; a reason is what the other side's Recv returns.
func (s *stream) finish(reason error) {
	s.shutOnce.Do(func() {
		s.from.closed.Store(true)
		close(s.shut)
		s.t.claims.remove(s.link)
		switch {
		case s.ended():
		case s.sending.Load() > 0: // its message is cut short: there is no order left to end in
			s.end(topology.ErrClosed)
		case s.conn.SetReadDeadline(time.Unix(1, 0)) != nil || !s.t.group.spawn(func() { s.linger(reason) }):
			s.end(topology.ErrClosed)
		}
	})
}

// linger says the end and reads away what still comes, so that the kernel does
// not throw away what was sent: closing with unread bytes resets a connection.
func (s *stream) linger(reason error) {
	defer s.end(topology.ErrClosed)
	until := time.Now().Add(s.t.limits.LingerTimeout)
	late := time.NewTimer(s.t.limits.LingerTimeout)
	defer late.Stop()
	select {
	case <-s.turn: // a beat may be on its way
	case <-late.C:
		return
	case <-s.done:
		return
	}
	if s.broken != nil {
		return
	}
	end := emptyFrame(kindEnd)
	if reason != nil {
		end = topology.AppendError(end, reason)
		seal(end, kindEnd)
	}
	if s.conn.SetWriteDeadline(until) != nil {
		return
	}
	if _, err := s.conn.Write(end); err != nil {
		return
	}
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if s.reading.Load() > 0 {
		select {
		case <-s.left:
		case <-late.C:
			return
		case <-s.done:
			return
		}
	}
	if s.conn.SetReadDeadline(until) == nil {
		discard(s.conn)
	}
}

// discard reads until the connection ends or its deadline passes.
func discard(c net.Conn) {
	b := make([]byte, windowLeast)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// attend sends beats, and lets go of the stream once it has ended.
func (s *stream) attend() {
	s.beat()
	<-s.done
	s.t.claims.remove(s.link)
	if !s.accepted {
		s.t.report(s.link)
	}
}
