// Package plug connects one node in this process to its disk and its network, and
// does to it there what happens to machines: the plug is pulled, everything stands
// still, disk or network become slow. What passes is counted.
//
// # What it promises
//
//   - Pulled, it does to the node what SIGKILL does to a process: what the node has
//     written stays as the kernel has it, nothing is written, synced or renamed any
//     more, and its connections are reset without a word. So nothing of an orderly
//     end reaches disk or peers, whatever the node tries. It stays pulled.
//   - Frozen, nothing is read from or written to disk or network until Thaw, or
//     until the plug is pulled: what SIGSTOP does, but for the node's own
//     goroutines, which go on until they meet either.
//   - Slow, every sync of a file takes so much longer, and so does every read from
//     a connection that brings something.
//   - Every byte on a connection is counted once, by who receives it, and so is every
//     time that something arrives.
//
// # What it assumes
//
// All files and connections of the node are made through it. Connections can be
// frozen only if that was asked for ([Options]): it costs them the ability to write
// several buffers in one call of the kernel.
package plug

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ErrPulled is what a node meets at its disk once its plug was pulled.
var ErrPulled = errors.New("the plug was pulled")

// Options say what a plug must be able to do.
type Options struct {
	Freezes bool // connections can be frozen
}

// Counts are what has passed so far.
type Counts struct {
	WireBytes uint64        // received on connections
	Messages  uint64        // received on connections; such as come at once count as one
	DiskBytes uint64        // written to files
	Syncs     uint64        // of files and directories
	SyncTime  time.Duration // that those which have ended took, added up
}

// Plus adds what passed elsewhere.
func (c Counts) Plus(o Counts) Counts {
	return Counts{c.WireBytes + o.WireBytes, c.Messages + o.Messages, c.DiskBytes + o.DiskBytes, c.Syncs + o.Syncs, c.SyncTime + o.SyncTime}
}

// Minus leaves out what had passed before.
func (c Counts) Minus(o Counts) Counts {
	return Counts{c.WireBytes - o.WireBytes, c.Messages - o.Messages, c.DiskBytes - o.DiskBytes, c.Syncs - o.Syncs, c.SyncTime - o.SyncTime}
}

// A Plug is one node's. Its methods may be called from any goroutine.
type Plug struct {
	o Options

	wire, disk, syncs  atomic.Uint64
	messages           atomic.Uint64
	syncTime           atomic.Int64 // in ns
	syncLate, readLate atomic.Int64 // how much longer a sync, a read takes, in ns

	mu     sync.Mutex // guards what follows; a leaf
	pulled bool
	frozen chan struct{}                           // closed when that ends; nil: it is not
	open   map[interface{ Close() error }]struct{} // listeners and connections
}

// New returns a plug that is in.
func New(o Options) *Plug { return &Plug{o: o, open: map[interface{ Close() error }]struct{}{}} }

// Pull cuts disk and network, for good.
func (p *Plug) Pull() {
	p.mu.Lock()
	open := p.open
	p.open, p.pulled = nil, true
	p.thaw()
	p.mu.Unlock()
	for c := range open {
		if conn, ok := c.(breaker); ok {
			conn.reset()
			continue
		}
		_ = c.(*listener).Listener.Close()
	}
}

// Freeze stops everything at the plug until Thaw.
func (p *Plug) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil && !p.pulled {
		p.frozen = make(chan struct{})
	}
}

// Thaw ends a Freeze.
func (p *Plug) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thaw()
}

func (p *Plug) thaw() {
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// SlowDisk makes every sync take so much longer; 0 ends that.
func (p *Plug) SlowDisk(d time.Duration) { p.syncLate.Store(int64(d)) }

// SlowNet makes every read of a connection so much later; 0 ends that.
func (p *Plug) SlowNet(d time.Duration) { p.readLate.Store(int64(d)) }

// Counts returns what has passed so far.
func (p *Plug) Counts() Counts {
	return Counts{p.wire.Load(), p.messages.Load(), p.disk.Load(), p.syncs.Load(), time.Duration(p.syncTime.Load())}
}

// pass returns once nothing is frozen: with ErrPulled if the plug was pulled.
func (p *Plug) pass() error {
	for {
		p.mu.Lock()
		frozen, pulled := p.frozen, p.pulled
		p.mu.Unlock()
		switch {
		case pulled:
			return ErrPulled
		case frozen == nil:
			return nil
		}
		<-frozen
	}
}

// late waits as long as a slow disk or network takes longer.
func late(by *atomic.Int64) {
	if d := by.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
}

// hold notes something to close when the plug is pulled; false if it was.
func (p *Plug) hold(c interface{ Close() error }) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.pulled {
		p.open[c] = struct{}{}
	}
	return !p.pulled
}

func (p *Plug) drop(c interface{ Close() error }) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// Dial is a triad.Config's Dial.
func (p *Plug) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := p.pass(); err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return p.conn(c)
}

// Listener plugs a listener in, whose owner it becomes.
func (p *Plug) Listener(l net.Listener) net.Listener {
	t := &listener{Listener: l, plug: p}
	p.hold(t)
	return t
}
