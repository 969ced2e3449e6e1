package world

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
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
	if n.first = nil; l == nil {
		var err error
		if l, err = net.Listen("tcp", n.addr); err != nil {
			return fmt.Errorf("restart %s: %w", n.ID, err)
		}
	}
	p := plug.New(plug.Options{Freezes: n.world.o.Scenario.Apart()})
	c, err := n.world.config(n)
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
		return n.first.Close()
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

func (n *Node) counts() plug.Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life == nil {
		return n.past
	}
	return n.past.Plus(n.life.plug.Counts())
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
func (n *Node) pause(on bool) {
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

// Way is how clients of a site ask a node.
type Way struct {
	Node *Node
	link *link.Link // nil: it is near
}

// errDown is why a node that was killed is not asked.
var errDown = fmt.Errorf("%w: the node is down", topology.ErrUnavailable)

// Do asks the node: f is given it as it lives. Of what was sent and not answered nobody
// knows what came of it.
func (w Way) Do(ctx context.Context, op string, f func(ctx context.Context, n *triad.Node) error) error {
	fail := func(o topology.Outcome, err error) error {
		return &topology.Error{Op: op, Node: topology.NodeID(w.Node.ID), Outcome: o, Err: fmt.Errorf("%w: %w", topology.ErrTimeout, err)}
	}
	ask := func(ctx context.Context) error {
		if err := w.Node.awake(ctx); err != nil {
			return fail(topology.Unknown, err)
		}
		open := w.Node.open()
		if open == nil {
			return &topology.Error{Op: op, Node: topology.NodeID(w.Node.ID), Outcome: topology.NotApplied, Err: errDown}
		}
		err := f(ctx, open)
		if lost := w.Node.awake(ctx); lost != nil {
			return fail(topology.Unknown, lost)
		}
		return err
	}
	if w.link == nil {
		return ask(ctx)
	}
	var answer error
	done, err := w.link.Call(ctx, func(ctx context.Context) error {
		answer = ask(ctx)
		return nil
	})
	switch {
	case err == nil:
		return answer
	case done && topology.OutcomeOf(answer) == topology.NotApplied && answer != nil:
		return answer // whoever asked has not heard, and need not
	case done:
		return fail(topology.Unknown, err)
	}
	return fail(topology.NotApplied, err)
}
