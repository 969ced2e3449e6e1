package transport

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/topology"
)

// When the parts of a message are copied together and written as one: up to the
// first size always, and up to the second where parts are so small that handing
// each to the kernel costs more than copying it.
const (
	gatherBytes     = 32 << 10
	gatherBytesMost = 256 << 10
	gatherPartBytes = 1 << 10
)

// stream is a topology.Stream. Recv reads the socket and Send writes it, on the
// goroutine of their caller.
type stream struct {
	*link
	t    *Transport
	turn chan struct{} // holds one token while nobody writes

	// Of whoever has the turn:
	buf      []byte
	vec      [][]byte    // a message that is not copied
	step     [][]byte    // what of it is written next
	bufs     net.Buffers // what of that is not written yet
	header   [headerBytes]byte
	writeBy  time.Time // when the write deadline was last set to
	broken   error     // a write failed, and nothing more is written
	deflater *deflater // nil: nothing is compressed

	sent     atomic.Uint64 // frames, so that the beat knows whether one is needed
	sending  atomic.Int32  // Sends in progress
	reading  atomic.Int32  // Recvs in progress
	left     chan struct{} // closed once no Recv is in progress after Close
	leftOnce sync.Once
	shut     chan struct{} // closed by Close
	shutOnce sync.Once

	over error // what Recv returns from now on; of its caller
}

func newStream(t *Transport, l *link) *stream {
	s := &stream{link: l, t: t, turn: make(chan struct{}, 1), left: make(chan struct{}), shut: make(chan struct{})}
	s.turn <- struct{}{}
	if above := t.limits.CompressAbove; above > 0 && l.features&featureS2 != 0 {
		s.deflater = &deflater{above: above, counts: &t.counts}
	}
	return s
}

// Peer is who is at the other end.
func (s *stream) Peer() topology.Peer { return s.peer }

// Send sends one message. It may be called by several goroutines.
func (s *stream) Send(parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if most := s.t.limits.FrameBytesMax; n > most {
		return s.t.failed("send", topology.NotApplied, fmt.Errorf("a message of %d bytes: %w: at most %d", n, topology.ErrTooLarge, most))
	}
	s.sending.Add(1)
	defer s.sending.Add(-1)
	if err := s.acquire(); err != nil {
		return s.t.failed("send", topology.NotApplied, err)
	}
	err := s.write(n, parts)
	if err != nil {
		err = s.breakOff(err)
	}
	s.turn <- struct{}{}
	if err != nil {
		return s.t.failed("send", topology.Unknown, err)
	}
	s.sent.Add(1)
	return nil
}

// breakOff notes that a write failed, and returns the ground of what fails for
// it. The other side's last words may still wait to be received, so it does not
// end the stream, unless the other side takes nothing any more.
func (s *stream) breakOff(err error) error {
	s.broken = err
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.end(writeFault(err))
	}
	return s.why()
}

// acquire takes the turn to write.
func (s *stream) acquire() error {
	select {
	case <-s.turn:
	default:
		if err := s.await(); err != nil {
			return err
		}
	}
	if s.closed() || s.ended() || s.broken != nil {
		err := s.why()
		s.turn <- struct{}{}
		return err
	}
	return nil
}

// await waits for the turn while somebody else writes: another Send, or a beat
// that waits for the other side to read.
func (s *stream) await() error {
	timeout := time.NewTimer(s.t.limits.WriteTimeout)
	defer timeout.Stop()
	select {
	case <-s.turn:
		return nil
	case <-timeout.C:
		s.end(faultf(FaultStuck, "nothing could be written within the write time-out"))
	case <-s.shut:
	case <-s.done:
	}
	return s.why()
}

// write writes one message of n bytes.
func (s *stream) write(n int, parts [][]byte) error {
	if s.deflater != nil {
		if f := s.deflater.frame(n, parts); f != nil {
			return s.writeFrame(f)
		}
	}
	if !s.gathered(n, len(parts)) {
		return s.writeParts(n, parts)
	}
	b := appendFrame(s.buf[:0])
	for _, p := range parts {
		b = append(b, p...)
	}
	seal(b, kindMessage)
	s.buf = b
	if err := s.arm(); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// gathered reports whether a message of n bytes in parts is copied. TLS copies
// in any case, and writes each part for itself.
func (s *stream) gathered(n, parts int) bool {
	return n <= gatherBytes || n <= gatherBytesMost && (n/parts <= gatherPartBytes || s.proven.Role != 0)
}

// writeFrame writes a whole frame, in steps as writeParts does.
func (s *stream) writeFrame(f []byte) error {
	for len(f) > 0 {
		step := f[:min(len(f), writeStepBytes)]
		if err := s.arm(); err != nil {
			return err
		}
		if _, err := s.conn.Write(step); err != nil {
			return err
		}
		f = f[len(step):]
	}
	return nil
}

// writeParts writes a message as it lies, in steps that each have the write
// time-out for themselves: a slow connection is not a stuck one.
func (s *stream) writeParts(n int, parts [][]byte) error {
	putHeader(s.header[:], kindMessage, n)
	sum := crc32.Checksum(s.header[:8], castagnoli)
	s.vec = append(s.vec[:0], s.header[:])
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
		s.vec = append(s.vec, p)
	}
	putSum(s.header[:], sum)
	var err error
	for rest := s.vec; len(rest) > 0 && err == nil; {
		rest = s.cut(rest)
		if err = s.arm(); err == nil {
			s.bufs = s.step
			_, err = s.bufs.WriteTo(s.conn)
		}
	}
	clear(s.vec) // keep nothing of the caller's
	clear(s.step)
	return err
}

// cut moves the first writeStepBytes of rest to step, and returns what is left.
func (s *stream) cut(rest [][]byte) [][]byte {
	s.step = s.step[:0]
	for room := writeStepBytes; room > 0 && len(rest) > 0; {
		p := rest[0]
		if len(p) > room {
			rest[0] = p[room:]
			p = p[:room]
		} else {
			rest = rest[1:]
		}
		s.step = append(s.step, p)
		room -= len(p)
	}
	return rest
}

// arm moves the write deadline ahead, if it is time.
func (s *stream) arm() error {
	if now := time.Now(); s.writeBy.Sub(now) < s.t.limits.WriteTimeout {
		s.writeBy = now.Add(s.t.limits.WriteTimeout * (deadlineSlack + 1) / deadlineSlack)
		if err := s.conn.SetWriteDeadline(s.writeBy); err != nil {
			return err
		}
	}
	if s.closed() {
		return net.ErrClosed
	}
	return nil
}

// Recv returns the next message, valid until the next Recv.
func (s *stream) Recv() ([]byte, error) {
	s.reading.Add(1)
	b, err := s.recv()
	if s.reading.Add(-1) == 0 && s.closed() {
		s.leftOnce.Do(func() { close(s.left) })
	}
	return b, err
}

func (s *stream) recv() ([]byte, error) {
	for s.over == nil {
		if s.closed() {
			return nil, s.t.failed("recv", topology.Unknown, s.why())
		}
		f, err := s.in.next()
		switch {
		case err != nil:
			if !s.closed() {
				s.end(err)
			}
			s.over = s.t.failed("recv", topology.Unknown, s.why())
		case f.kind == kindMessage:
			return f.payload, nil
		default:
			s.over = s.note(f)
		}
	}
	return nil, s.over
}

// note takes a frame that is not a message, and returns what ends Recv, if so.
func (s *stream) note(f frame) error {
	switch {
	case f.kind >= kindLimit || f.kind == 0:
		s.t.counts.ignored.Add(1)
		s.tell(kindIgnored, byte(f.kind))
	case f.kind == kindBeat, f.kind == kindPong:
	case f.kind == kindPing:
		s.tell(kindPong)
	case f.kind == kindIgnored:
		s.t.counts.ignoredByPeer.Add(1)
	case f.kind == kindEnd && len(f.payload) == 0:
		return io.EOF
	case f.kind == kindEnd:
		return topology.ReadError(f.payload)
	case f.kind == kindRefuse:
		err := readRefusal(f.payload)
		s.end(err)
		return s.t.failed("recv", topology.NotApplied, err)
	default:
		s.end(faultf(FaultKind, "a frame of kind %d on a stream", f.kind))
		return s.t.failed("recv", topology.Unknown, s.why())
	}
	return nil
}

// tell writes a small frame, unless somebody writes just now: who does shows
// that this side lives.
func (s *stream) tell(k kind, payload ...byte) {
	select {
	case <-s.turn:
	default:
		return
	}
	if s.broken != nil {
		s.turn <- struct{}{}
		return
	}
	f := append(emptyFrame(k), payload...)
	seal(f, k)
	s.writeBy = time.Time{}
	err := s.conn.SetWriteDeadline(time.Now().Add(s.t.limits.WriteTimeout))
	if err == nil {
		_, err = s.conn.Write(f)
	}
	if err != nil {
		_ = s.breakOff(err) // whoever sends next is told
	}
	s.turn <- struct{}{}
}

// beat sends a beat whenever nothing else was sent for long, until the stream
// is closed or ends. Where the other side reads nothing the socket fills up in
// the course of hours; the beat then waits, and a Send waits for it.
func (s *stream) beat() {
	tick := time.NewTicker(s.t.limits.beat())
	defer tick.Stop()
	var seen uint64
	for {
		select {
		case <-tick.C:
		case <-s.shut:
			return
		case <-s.done:
			return
		}
		if n := s.sent.Load(); n != seen {
			seen = n
			continue
		}
		s.writeBeat()
	}
}

func (s *stream) writeBeat() {
	select {
	case <-s.turn:
	default:
		return // a Send is in progress
	}
	if !s.closed() && s.broken == nil {
		s.writeBy = time.Time{}
		err := s.conn.SetWriteDeadline(time.Time{})
		if err == nil {
			_, err = s.conn.Write(beatFrame)
		}
		if err != nil {
			_ = s.breakOff(err) // whoever sends next is told
		}
	}
	s.turn <- struct{}{}
}

// closed reports whether this side closed the stream.
func (s *stream) closed() bool { return s.from.closed.Load() }

// why is the ground of what fails on a stream that was closed, has ended, or is
// broken, in which case the caller has the turn.
func (s *stream) why() error {
	var cause error
	switch {
	case s.closed():
		return fmt.Errorf("the stream was closed: %w", topology.ErrClosed)
	case s.ended():
		cause = s.cause
	default:
		cause = s.broken
	}
	if errors.Is(cause, net.ErrClosed) {
		return fmt.Errorf("the transport was closed: %w", topology.ErrClosed)
	}
	return fmt.Errorf("the stream with %s ended: %w", name(s.peer), lost(cause))
}
