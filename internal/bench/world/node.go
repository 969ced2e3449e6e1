package world

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/link"
	"github.com/triad-kv/triad/internal/plug"
	"github.com/triad-kv/triad/topology"
)

// Node is one node, over all its lives.
type Node struct {
	ID, Site string

	world  *World
	dir    string
	addr   string
	first  net.Listener // of its first life, until that begins
	links  map[string]*link.Link
	dialer link.Dialer

	proc   *process          // nil: it is in this process
	relays map[string]*relay // of processes that links lie between: where each of the others is reached

	absent atomic.Bool // it takes no part now
	joins  atomic.Bool // it comes, or came, to those that worked already

	clock atomic.Int64 // by which its time of day is ahead, in ns
	slow  atomic.Int64 // by which it answers later, in ns

	mu     sync.Mutex // guards what follows; a leaf
	life   *life
	past   plug.Counts   // of earlier lives
	paused chan struct{} // closed when it goes on; nil: it does
}

// life is one run of a node.
type life struct {
	plug *plug.Plug
	node *triad.Node
	end  context.CancelFunc
	done chan struct{}
	err  error // of Run and Close; set before done is closed
}

// segmentBytes is the length of the first file of a log: enough for a short run, so
// that no measured second pays for making another.
const segmentBytes = 32 << 20

// start begins a life, at the node's address and on what is in its directory.
func (n *Node) start() error {
	l := n.first
	if n.first = nil; n.proc != nil {
		if l != nil {
			if err := l.Close(); err != nil { // it held the address
				return err
			}
		}
		return n.proc.start()
	}
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", n.addr); err != nil {
			return fmt.Errorf("restart %s: %w", n.ID, err)
		}
	}
	p := plug.New(plug.Options{Freezes: n.world.o.Scenario.Apart()})
	c, err := told{n.world}.config(n)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	c.Listener, c.FS = p.Listener(l), p.FS()
	dialer := link.Dialer{Links: n.dialer.Links, Below: p.Dial}
	c.Dial = dialer.Dial
	c.WallClock = func() time.Time { return time.Now().Add(time.Duration(n.clock.Load())) }
	node, err := triad.Open(c)
	if err != nil {
		return fmt.Errorf("open %s: %w", n.ID, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := &life{plug: p, node: node, end: cancel, done: make(chan struct{})}
	n.mu.Lock()
	n.life = x
	n.mu.Unlock()
	go x.run(ctx)
	return nil
}

func (x *life) run(ctx context.Context) {
	defer close(x.done)
	x.err = x.node.Run(ctx)
	if x.err == nil && ctx.Err() == nil {
		x.err = errors.New("it ended without a reason")
	}
	x.err = errors.Join(x.err, x.node.Close())
}

// open is the node as it lives; nil if it is down.
func (n *Node) open() *triad.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life == nil {
		return nil
	}
	return n.life.node
}

// lives reports whether the node was started and not ended since. One that is paused, or
// has ended by itself, lives for all that its clients know.
func (n *Node) lives() bool {
	if n.proc != nil {
		return n.proc.living() != nil
	}
	return n.open() != nil
}

// Engine is that of the node as it lives; nil if it is down.
func (n *Node) Engine() topology.Engine {
	if open := n.open(); open != nil {
		return open.Engine()
	}
	return nil
}

// Open is the node as it lives; nil if it is down.
func (n *Node) Open() *triad.Node { return n.open() }

// take ends the use of the present life.
func (n *Node) take() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	x := n.life
	if n.life = nil; x != nil {
		n.past = n.past.Plus(x.plug.Counts())
	}
	return x
}

// stop ends a life in order.
func (n *Node) stop(ctx context.Context) error {
	if n.first != nil {
		err := n.first.Close()
		if n.proc != nil {
			err = errors.Join(err, n.proc.letGo())
		}
		return err
	}
	if n.proc != nil {
		return n.proc.end(ctx, syscall.SIGTERM)
	}
	x := n.take()
	if x == nil {
		return nil
	}
	x.end()
	select {
	case <-x.done:
		if x.err != nil {
			return fmt.Errorf("%s did not end in order: %w", n.ID, x.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", n.ID, context.Cause(ctx))
	}
}

// kill ends a life without a word, and waits for that.
func (n *Node) kill(ctx context.Context) error {
	if n.proc != nil {
		return n.proc.end(ctx, syscall.SIGKILL)
	}
	x := n.take()
	if x == nil {
		return nil
	}
	x.plug.Pull()
	x.end()
	for _, l := range n.links {
		l.Heal() // or what a cut link holds would be waited for, which no longer goes anywhere
	}
	select {
	case <-x.done: // what the node complains of is no news
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", n.ID, context.Cause(ctx))
	}
}

// drain waits until what was sent has arrived, as long as a link tries to deliver it.
func (n *Node) drain(ctx context.Context) error { return n.dialer.Drain(ctx) }

// usage is what the node has used over all its lives. CPU and allocations of one in this
// process are not told apart from all else.
func (n *Node) usage(ctx context.Context) (u Usage) {
	if n.proc != nil {
		u = n.proc.usage(ctx)
		for _, r := range n.relays {
			u.WireBytes += r.bytes.Load()
		}
		return u
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if u.Counts = n.past; n.life != nil {
		u.Counts = u.Plus(n.life.plug.Counts())
	}
	return u
}

// plugged calls f with the plug of the present life, if there is one.
func (n *Node) plugged(f func(p *plug.Plug)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life != nil {
		f(n.life.plug)
	}
}

// pause stops a node, or lets it go on.
func (n *Node) pause(on bool) error {
	if n.proc != nil {
		return n.proc.pause(on)
	}
	n.plugged(func(p *plug.Plug) {
		if on {
			p.Freeze()
		} else {
			p.Thaw()
		}
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case on && n.paused == nil:
		n.paused = make(chan struct{})
	case !on && n.paused != nil:
		close(n.paused)
		n.paused = nil
	}
	return nil
}

// awake returns once the node is not paused, and as late as it is slow.
func (n *Node) awake(ctx context.Context) error {
	n.mu.Lock()
	paused := n.paused
	n.mu.Unlock()
	if paused != nil {
		select {
		case <-paused:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if d := time.Duration(n.slow.Load()); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
