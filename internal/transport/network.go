package transport

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network is a network in memory, for tests: the same Transport runs over it,
// and it can be cut, slowed down and crashed. All of it works in a bubble of
// testing/synctest, provided the Network was made there. Addresses are any
// text; one with a port keeps the host apart, as ConnsPerIPMax wants it.
//
// A connection behaves like one of TCP: writes go to a buffer of bounded size,
// what a cut holds back arrives after it is healed, the end of a connection
// travels behind its bytes, and deadlines interrupt. The methods are safe for
// concurrent use, and no lock is held across a wait.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
	conns     map[*memoryConn]struct{}
	paths     map[direction]pathState
	changed   chan struct{} // closed at the next change of a path
}

type direction struct{ from, to string }

type pathState struct {
	cut   bool
	delay time.Duration
}

const acceptBacklogMax = 128

// NewNetwork returns a network without listeners or faults.
func NewNetwork() *Network {
	return &Network{
		listeners: map[string]*memoryListener{}, conns: map[*memoryConn]struct{}{},
		paths: map[direction]pathState{}, changed: make(chan struct{}),
	}
}

// Listen binds addr.
func (n *Network) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: memoryNet, Addr: memoryAddr(addr), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &memoryListener{n: n, addr: memoryAddr(addr), backlog: make(chan *memoryConn, acceptBacklogMax), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// Dial connects to addr from an address of nobody.
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.dial(ctx, "", addr)
}

// Dialer returns a Config.Dial whose connections come from addr, so that faults
// between two addresses meet connections in both directions.
func (n *Network) Dialer(from string) func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) { return n.dial(ctx, from, addr) }
}

// Cut holds back everything between two addresses, in both directions:
// connections stall, and dials wait.
func (n *Network) Cut(a, b string) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay holds back everything that goes from one address to another.
func (n *Network) CutOneWay(from, to string) {
	n.change(func() { n.paths[direction{from, to}] = pathState{cut: true, delay: n.paths[direction{from, to}].delay} })
}

// Heal ends cuts between two addresses, in both directions; what was held back
// arrives.
func (n *Network) Heal(a, b string) {
	n.change(func() {
		for _, d := range []direction{{a, b}, {b, a}} {
			n.paths[d] = pathState{delay: n.paths[d].delay}
		}
	})
}

// HealAll ends all cuts and delays.
func (n *Network) HealAll() { n.change(func() { clear(n.paths) }) }

// Delay makes what goes from one address to another from now on take d.
func (n *Network) Delay(from, to string, d time.Duration) {
	n.change(func() { n.paths[direction{from, to}] = pathState{cut: n.paths[direction{from, to}].cut, delay: d} })
}

// Crash closes the listener and all connections of an address. The other sides
// find a reset, as far as they can be reached: cut before, and they find silence.
func (n *Network) Crash(addr string) {
	n.mu.Lock()
	l := n.listeners[addr]
	var conns []*memoryConn
	for c := range n.conns {
		if string(c.local) == addr {
			conns = append(conns, c)
		}
	}
	n.mu.Unlock()
	if l != nil {
		_ = l.Close() // it cannot fail
	}
	for _, c := range conns {
		c.abort()
	}
}

func (n *Network) change(f func()) {
	n.mu.Lock()
	f()
	changed := n.changed
	n.changed = make(chan struct{})
	n.mu.Unlock()
	close(changed)
}

// path returns the state of a direction, and a channel that is closed once it
// may be another.
func (n *Network) path(d direction) (pathState, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.paths[d], n.changed
}

func (n *Network) dial(ctx context.Context, from, to string) (net.Conn, error) {
	if err := n.cross(ctx, direction{from, to}); err != nil {
		return nil, dialError(from, to, err)
	}
	n.mu.Lock()
	l := n.listeners[to]
	n.mu.Unlock()
	if err := n.cross(ctx, direction{to, from}); err != nil {
		return nil, dialError(from, to, err)
	}
	if l == nil {
		return nil, dialError(from, to, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	near, far := n.pair(from, to)
	select {
	case l.backlog <- far:
		if !isClosed(l.closed) {
			return near, nil
		}
	case <-l.closed:
	case <-ctx.Done():
	}
	near.abort()
	far.abort()
	if ctx.Err() != nil {
		return nil, dialError(from, to, ctx.Err())
	}
	return nil, dialError(from, to, os.NewSyscallError("connect", syscall.ECONNREFUSED))
}

// cross waits as long as a packet takes in a direction.
func (n *Network) cross(ctx context.Context, d direction) error {
	for {
		p, changed := n.path(d)
		if !p.cut {
			if p.delay > 0 {
				pause(ctx, p.delay)
			}
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func dialError(from, to string, err error) error {
	return &net.OpError{Op: "dial", Net: memoryNet, Source: memoryAddr(from), Addr: memoryAddr(to), Err: err}
}

// pair makes the two ends of a connection.
func (n *Network) pair(from, to string) (near, far *memoryConn) {
	there, back := newPipe(n, direction{from, to}), newPipe(n, direction{to, from})
	near = newMemoryConn(n, from, to, back, there)
	far = newMemoryConn(n, to, from, there, back)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[near], n.conns[far] = struct{}{}, struct{}{}
	return near, far
}

func (n *Network) forget(c *memoryConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

type memoryListener struct {
	n       *Network
	addr    memoryAddr
	backlog chan *memoryConn
	closed  chan struct{}
	once    sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: memoryNet, Addr: l.addr, Err: net.ErrClosed}
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		delete(l.n.listeners, string(l.addr))
		l.n.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.backlog:
				c.abort()
				continue
			default:
			}
			return
		}
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.addr }

const memoryNet = "memory"

type memoryAddr string

func (a memoryAddr) Network() string { return memoryNet }
func (a memoryAddr) String() string  { return string(a) }
