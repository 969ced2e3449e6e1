package transport

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network is a network in memory, for tests: the same Transport runs over it,
// and it can be cut, slowed down and crashed. All of it works in a bubble of
// testing/synctest, provided the Network was made there. Addresses are any
// text; in one with a port what stands before it is the host, and faults lie
// between hosts, whatever the port. See [Host] for a machine with several ports.
//
// A connection behaves like one of TCP: writes go to a buffer of bounded size,
// what a cut holds back arrives after it is healed, the end of a connection
// travels behind its bytes, and deadlines interrupt. The methods are safe for
// concurrent use, and no lock is held across a wait.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
	packets   map[string]*packetConn
	conns     map[*memoryConn]struct{}
	paths     map[direction]pathState
	changed   chan struct{} // closed at the next change of a path
	draw      *rand.Rand    // jitter and losses
	ports     int           // given to who dials, ever
}

// direction is from one host to another.
type direction struct{ from, to string }

func directionOf(from, to string) direction {
	return direction{hostOf(memoryAddr(from)), hostOf(memoryAddr(to))}
}

type pathState struct {
	cut bool
	Road
}

// Road is what a direction between two hosts is like while it is not cut. The
// zero value takes no time and loses nothing.
type Road struct {
	Delay  time.Duration // of everything
	Jitter time.Duration // up to so much more, drawn anew each time; what is behind waits in a connection, and overtakes as a packet
	Loss   int           // percent: packets are gone, and what is sent over a connection is sent again, a while later
}

// resendAfter is how long a connection takes to notice a loss.
const resendAfter = 200 * time.Millisecond

const acceptBacklogMax = 128

// NewNetwork returns a network without listeners or faults.
func NewNetwork() *Network {
	return &Network{
		listeners: map[string]*memoryListener{}, packets: map[string]*packetConn{}, conns: map[*memoryConn]struct{}{},
		paths: map[direction]pathState{}, changed: make(chan struct{}), draw: rand.New(rand.NewPCG(0, 0)),
	}
}

// Seed decides what jitter and losses are drawn from here on.
func (n *Network) Seed(seed uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.draw = rand.New(rand.NewPCG(seed, 0))
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
	d := directionOf(from, to)
	n.change(func() { n.paths[d] = pathState{true, n.paths[d].Road} })
}

// Heal ends cuts between two addresses, in both directions; what was held back
// arrives.
func (n *Network) Heal(a, b string) {
	n.change(func() {
		for _, d := range []direction{directionOf(a, b), directionOf(b, a)} {
			n.paths[d] = pathState{Road: n.paths[d].Road}
		}
	})
}

// HealAll ends all cuts, and makes every road the best.
func (n *Network) HealAll() { n.change(func() { clear(n.paths) }) }

// Delay makes what goes from one address to another from now on take d.
func (n *Network) Delay(from, to string, d time.Duration) {
	n.Pave(from, to, Road{Delay: d})
}

// Pave makes the way from one address to another like r, for what is sent from now
// on.
func (n *Network) Pave(from, to string, r Road) {
	d := directionOf(from, to)
	n.change(func() { n.paths[d] = pathState{n.paths[d].cut, r} })
}

// Crash closes the ports and all connections of a host. The other sides find a
// reset, as far as they can be reached: cut before, and they find silence.
func (n *Network) Crash(addr string) {
	host := hostOf(memoryAddr(addr))
	var ports []interface{ Close() error }
	var conns []*memoryConn
	n.mu.Lock()
	for _, l := range n.listeners {
		if hostOf(l.addr) == host {
			ports = append(ports, l)
		}
	}
	for _, p := range n.packets {
		if hostOf(p.addr) == host {
			ports = append(ports, p)
		}
	}
	for c := range n.conns {
		if c.out.dir.from == host {
			conns = append(conns, c)
		}
	}
	n.mu.Unlock()
	for _, p := range ports {
		_ = p.Close() // it cannot fail
	}
	for _, c := range conns {
		c.abort()
	}
}

// Reset breaks all connections between two hosts: both ends find it at once, as
// if something on the way had forgotten them.
func (n *Network) Reset(a, b string) {
	ab, ba := directionOf(a, b), directionOf(b, a)
	var conns []*memoryConn
	n.mu.Lock()
	for c := range n.conns {
		if c.out.dir == ab || c.out.dir == ba {
			conns = append(conns, c)
		}
	}
	n.mu.Unlock()
	for _, c := range conns {
		c.out.cutShort()
		c.in.cutShort()
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

// lag is how long what is sent now over a connection takes.
func (n *Network) lag(r Road) time.Duration {
	if r.Jitter == 0 && r.Loss == 0 {
		return r.Delay
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	lag := r.Delay + n.jitter(r)
	for again := resendAfter; n.draw.IntN(100) < r.Loss; again *= 2 {
		lag += again
	}
	return lag
}

// jitter is drawn with the lock held.
func (n *Network) jitter(r Road) time.Duration {
	if r.Jitter == 0 {
		return 0
	}
	return time.Duration(n.draw.Int64N(int64(r.Jitter)))
}

func (n *Network) dial(ctx context.Context, from, to string) (net.Conn, error) {
	if err := n.cross(ctx, directionOf(from, to)); err != nil {
		return nil, dialError(from, to, err)
	}
	n.mu.Lock()
	l := n.listeners[to]
	n.mu.Unlock()
	if err := n.cross(ctx, directionOf(to, from)); err != nil {
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
			if lag := n.lag(p.Road); lag > 0 {
				pause(ctx, lag)
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
	there, back := newPipe(n, directionOf(from, to)), newPipe(n, directionOf(to, from))
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
