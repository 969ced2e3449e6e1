package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// sockets is the gossip port: what memberlist sends and hears through. Unlike
// memberlist's own it is bound before it is served, bounds what it accepts, lets
// a dial be broken off, and waits for its goroutines. It implements
// memberlist.Transport.
type sockets struct {
	net     Net
	tcp     net.Listener
	udp     net.PacketConn
	told    netip.AddrPort // where others are told to reach it
	packets chan *memberlist.Packet
	streams chan net.Conn

	done chan struct{} // closed by Shutdown
	wait sync.WaitGroup

	plain bool // what comes is not encrypted
	head  int  // bytes of the label that begins an accepted connection

	accepted atomic.Int64 // connections that are open
	dropped  atomic.Int64 // packets and connections that brought what nobody here sends, ever
	refused  atomic.Int64 // connections that were one too many, ever

	mu     sync.Mutex // guards what follows; a leaf
	closed bool
	ends   map[*end]struct{} // what Shutdown breaks off
}

// end breaks off a dial or closes a connection.
type end struct{ stop func() }

// bind binds the gossip port at one address, for TCP and UDP, and starts
// nothing. Where the port may be chosen, several are tried.
func bind(n Net, listen, advertise string) (*sockets, error) {
	s := &sockets{
		net:     n,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		done: make(chan struct{}), ends: map[*end]struct{}{},
	}
	var err error
	for range bindTries {
		if err = s.bindOnce(listen); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("gossip.listen: %w", err)
	}
	if s.told, err = tell(s.tcp.Addr(), advertise); err != nil {
		return nil, errors.Join(err, s.Shutdown())
	}
	return s, nil
}

func (s *sockets) bindOnce(listen string) (err error) {
	if s.tcp, err = s.net.Listen(listen); err != nil {
		return err
	}
	if s.udp, err = s.net.ListenPacket(s.tcp.Addr().String()); err != nil {
		return errors.Join(err, s.tcp.Close())
	}
	return nil
}

// tell returns what others are told of a port that is bound at an address.
func tell(bound net.Addr, advertise string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(bound.String())
	if err != nil {
		return at, fmt.Errorf("gossip.listen: %w", err)
	}
	if advertise != "" {
		tcp, err := net.ResolveTCPAddr("tcp", advertise)
		if err != nil {
			return at, fmt.Errorf("gossip.advertise: %w", err)
		}
		at = tcp.AddrPort()
	}
	at = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	if at.Addr().IsUnspecified() {
		return at, fmt.Errorf("gossip.advertise: gossip listens on all interfaces (%v): say at which address others reach it", bound)
	}
	return at, nil
}

// local reports whether the port is bound to loopback alone.
func (s *sockets) local() bool {
	at, err := netip.ParseAddrPort(s.tcp.Addr().String())
	return err == nil && at.Addr().IsLoopback()
}

// serve starts to accept and to read. Shutdown waits for it.
func (s *sockets) serve() {
	s.wait.Go(s.accept)
	s.wait.Go(s.read)
}

func (s *sockets) accept() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			if s.pause(err) {
				continue
			}
			return
		}
		if s.accepted.Add(1) > streamsMax {
			s.accepted.Add(-1)
			s.refused.Add(1)
			_ = c.Close()
			continue
		}
		held, ok := s.hold(c, s.head, func() { s.accepted.Add(-1) })
		if !ok {
			return
		}
		select {
		case s.streams <- held:
		case <-s.done:
			_ = held.Close()
			return
		}
	}
}

func (s *sockets) read() {
	buf := make([]byte, packetBytesMax)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if err != nil {
			if s.pause(err) {
				continue
			}
			return
		}
		if n == 0 {
			continue
		}
		if s.plain && isCompressed(buf[:n]) {
			s.dropped.Add(1)
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()}
		select {
		case s.packets <- p:
		case <-s.done:
			return
		}
	}
}

// pause waits a little after an error that may pass, so that it does not fill a
// processor; false once the port is closed.
func (s *sockets) pause(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	t := time.NewTimer(socketPause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

// held is a connection that Shutdown closes, and that yields no more than
// streamBytesMax: memberlist would read ten times as much before it asks for a key.
type held struct {
	net.Conn
	heard   int
	kind    int // where the type of its message stands, if that is looked at; else -1
	dropped *atomic.Int64
	once    sync.Once
	forget  func()
	outcome error
}

// Read implements net.Conn.
func (h *held) Read(b []byte) (int, error) {
	if h.heard >= streamBytesMax {
		return 0, fmt.Errorf("more than %d bytes over one connection", streamBytesMax)
	}
	n, err := h.Conn.Read(b[:min(len(b), streamBytesMax-h.heard)])
	if at := h.kind - h.heard; 0 <= at && at < n && unwelcome(b[at]) {
		h.dropped.Add(1)
		return 0, errUnwelcome
	}
	h.heard += n
	return n, err
}

// Close implements net.Conn; once.
func (h *held) Close() error {
	h.once.Do(func() {
		h.outcome = h.Conn.Close()
		h.forget()
	})
	return h.outcome
}

// hold makes Shutdown close c, whose message comes after head bytes; freed runs
// once it is closed. If the port is closed already, so is c.
func (s *sockets) hold(c net.Conn, head int, freed func()) (net.Conn, bool) {
	h := &held{Conn: c, kind: -1, dropped: &s.dropped}
	if s.plain {
		h.kind = head
	}
	e := &end{stop: func() { _ = h.Close() }}
	h.forget = func() { s.forget(e); freed() }
	if !s.keep(e) {
		_ = h.Close()
		return nil, false
	}
	return h, true
}

func (s *sockets) keep(e *end) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.ends[e] = struct{}{}
	return true
}

func (s *sockets) forget(e *end) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, e)
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (s *sockets) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return s.told.Addr().AsSlice(), int(s.told.Port()), nil
}

// WriteTo implements memberlist.Transport: addr is an IP address and a port.
func (s *sockets) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = s.udp.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

// DialTimeout implements memberlist.Transport.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	e := &end{stop: cancel}
	if !s.keep(e) {
		return nil, net.ErrClosed
	}
	defer s.forget(e)
	c, err := s.net.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	h, ok := s.hold(c, 0, func() {})
	if !ok {
		return nil, net.ErrClosed
	}
	return h, nil
}

// PacketCh implements memberlist.Transport.
func (s *sockets) PacketCh() <-chan *memberlist.Packet { return s.packets }

// StreamCh implements memberlist.Transport.
func (s *sockets) StreamCh() <-chan net.Conn { return s.streams }

// Shutdown implements memberlist.Transport: it closes the port and every
// connection. It may be called again.
func (s *sockets) Shutdown() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	all := s.ends
	s.ends = map[*end]struct{}{}
	s.mu.Unlock()
	if was {
		s.wait.Wait()
		return nil
	}
	close(s.done)
	err := errors.Join(s.tcp.Close(), s.udp.Close())
	for e := range all {
		e.stop()
	}
	s.wait.Wait()
	return err
}
