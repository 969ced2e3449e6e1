package transport

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Host is a machine on a Network, for one life of its: it listens and dials under
// one name, and after its crash it reaches nobody any more, whatever of it still
// runs. The machine that is started again is another Host of the same name.
type Host struct {
	n    *Network
	name string
	down chan struct{}
	once sync.Once
}

// Host returns a machine, of which there may be one of a name at a time.
func (n *Network) Host(name string) *Host {
	return &Host{n: n, name: name, down: make(chan struct{})}
}

// Crash ends the host as [Network.Crash] does, for good.
func (h *Host) Crash() {
	h.once.Do(func() { close(h.down) })
	h.n.Crash(h.name)
}

// Listen binds a port of the host.
func (h *Host) Listen(addr string) (net.Listener, error) {
	l, err := h.n.Listen(addr)
	if err == nil && isClosed(h.down) {
		_ = l.Close() // it cannot fail
		err = h.isDown("listen", addr)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ListenPacket binds a port of the host for packets.
func (h *Host) ListenPacket(addr string) (net.PacketConn, error) {
	p, err := h.n.ListenPacket(addr)
	if err == nil && isClosed(h.down) {
		_ = p.Close() // it cannot fail
		err = h.isDown("listen", addr)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Dial connects to addr from a port of the host's that nobody had before.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	wait.Go(func() {
		select {
		case <-h.down:
			cancel()
		case <-ctx.Done():
		}
	})
	c, err := h.n.dial(ctx, h.port(), addr)
	if !isClosed(h.down) {
		return c, err
	}
	if err == nil {
		_ = c.Close() // it was open for nobody
	}
	return nil, h.isDown("dial", addr)
}

func (h *Host) isDown(op, addr string) error {
	return &net.OpError{Op: op, Net: memoryNet, Source: memoryAddr(h.name), Addr: memoryAddr(addr), Err: os.NewSyscallError(op, syscall.ENETDOWN)}
}

// portFirst is the first port that is given to who dials.
const portFirst = 20000

func (h *Host) port() string {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.n.ports++
	return net.JoinHostPort(h.name, strconv.Itoa(portFirst+h.n.ports%(1<<16-portFirst)))
}

// packetsMax is how many packets wait for a reader; what comes then is lost.
const packetsMax = 256

// packet arrives at some time.
type packet struct {
	bytes []byte
	from  memoryAddr
	at    time.Time
}

// packetConn is a port for packets, which a cut loses for good.
type packetConn struct {
	n       *Network
	addr    memoryAddr
	closed  chan struct{}
	once    sync.Once
	readBy  deadline
	mu      sync.Mutex // a leaf
	packets []packet   // by the time of their arrival
	changed chan struct{}
}

// ListenPacket binds addr for packets. It may be bound for connections too.
func (n *Network) ListenPacket(addr string) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.packets[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: memoryNet, Addr: memoryAddr(addr), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	p := &packetConn{n: n, addr: memoryAddr(addr), closed: make(chan struct{}), changed: make(chan struct{})}
	n.packets[addr] = p
	return p, nil
}

// WriteTo sends a packet, which arrives or does not.
func (p *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if isClosed(p.closed) {
		return 0, p.fail("write", net.ErrClosed)
	}
	d := directionOf(string(p.addr), to.String())
	p.n.mu.Lock()
	path, other := p.n.paths[d], p.n.packets[to.String()]
	lost := path.cut || p.n.draw.IntN(100) < path.Loss
	at := time.Now().Add(path.Delay + p.n.jitter(path.Road))
	p.n.mu.Unlock()
	if other != nil && !lost {
		other.arrive(packet{bytes: append([]byte(nil), b...), from: p.addr, at: at})
	}
	return len(b), nil
}

func (p *packetConn) arrive(in packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.packets) >= packetsMax {
		return
	}
	i := len(p.packets)
	for i > 0 && p.packets[i-1].at.After(in.at) {
		i--
	}
	p.packets = append(p.packets, packet{})
	copy(p.packets[i+1:], p.packets[i:])
	p.packets[i] = in
	close(p.changed)
	p.changed = make(chan struct{})
}

// ReadFrom waits for a packet. What does not fit into b is lost.
func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		late := p.readBy.passed()
		switch {
		case isClosed(p.closed):
			return 0, nil, p.fail("read", net.ErrClosed)
		case isClosed(late):
			return 0, nil, p.fail("read", os.ErrDeadlineExceeded)
		}
		got, changed, until := p.take()
		if got != nil {
			return copy(b, got.bytes), got.from, nil
		}
		await([]<-chan struct{}{changed, p.closed}, until, late)
	}
}

// take returns a packet that has arrived, or what to wait for, until when.
func (p *packetConn) take() (got *packet, changed <-chan struct{}, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.packets) == 0 {
		return nil, p.changed, time.Time{}
	}
	first := p.packets[0]
	if first.at.After(time.Now()) {
		return nil, p.changed, first.at
	}
	p.packets = p.packets[1:]
	return &first, nil, time.Time{}
}

func (p *packetConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: memoryNet, Source: p.addr, Err: err}
}

// Close gives the port up.
func (p *packetConn) Close() error {
	p.once.Do(func() {
		p.n.mu.Lock()
		delete(p.n.packets, string(p.addr))
		p.n.mu.Unlock()
		p.readBy.stop()
		close(p.closed)
	})
	return nil
}

func (p *packetConn) LocalAddr() net.Addr               { return p.addr }
func (p *packetConn) SetReadDeadline(t time.Time) error { return p.readBy.set(t) }
func (p *packetConn) SetWriteDeadline(time.Time) error  { return nil } // a write never waits
func (p *packetConn) SetDeadline(t time.Time) error     { return p.readBy.set(t) }
