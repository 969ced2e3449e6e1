package shell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/topology"
)

// machine is a computer with a disk, on which a node runs now and then. One
// goroutine of its own, keep, starts, stops and crashes it.
type machine struct {
	w      *world
	id     topology.NodeID
	ip     string
	logger *slog.Logger
	orders chan order
	skew   atomic.Int64 // of the wall clock, in nanoseconds

	ills ills

	mu   sync.Mutex // a leaf
	up   *process   // nil while none runs
	disk *crashfs.FS
}

// order is what a machine is told.
type order struct {
	crash  bool // else: stop in order
	silent bool // others hear of a crash by silence alone, until it is started again
	leaves crashfs.Survival
	loses  Kind // Wipe or RotRest: what becomes of the disk while it is down
	down   time.Duration
}

// process is one life of a node.
type process struct {
	*triad.Node
	m    *machine
	host *transport.Host
	env  atomic.Pointer[topology.Env] // what the node lends its engine
	done chan struct{}                // closed when Run has returned
	err  error                        // of Run; set before done is closed

	dead  atomic.Bool // it crashed: what it still says nobody hears
	mu    sync.Mutex  // a leaf
	calls map[*call]struct{}
}

// call is one that is under way.
type call struct{ cancel context.CancelFunc }

const (
	peersPort  = "7400"
	gossipPort = "7946"

	restartAfter = 500 * time.Millisecond // a node that ended by itself
)

func (m *machine) addr() string { return m.ip + ":" + peersPort }

// keep starts the node and sees to it until ctx ends, and then stops it.
func (m *machine) keep(ctx context.Context, rng *rand.Rand) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		p := m.process()
		var ended <-chan struct{}
		if p != nil {
			ended = p.done
		}
		select {
		case <-again.C:
			if p == nil && !m.start() {
				again.Reset(restartAfter)
			}
		case o := <-m.orders:
			switch {
			case p == nil: // it is down already, and comes up when it was to
			case o.crash:
				m.crash(p, o, rng)
				again.Reset(o.down)
			default:
				m.stop(p)
				again.Reset(o.down)
			}
			m.lose(o.loses, rng)
		case <-ended:
			lost := m.ended(p.err)
			m.crash(p, order{leaves: crashfs.Survivals[rng.IntN(len(crashfs.Survivals))]}, rng)
			m.lose(lost, rng)
			again.Reset(restartAfter)
		case <-ctx.Done():
			if p != nil {
				m.stop(p)
			}
			return
		}
	}
}

func (m *machine) process() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.up
}

func (m *machine) set(p *process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = p
}

// start opens a node on what the disk holds and runs it. It fails where the disk
// does.
func (m *machine) start() bool {
	host := m.w.links.Host(m.ip)
	m.w.links.join(m.ip)
	m.ills.met.Store(false)
	p := &process{m: m, host: host, done: make(chan struct{}), calls: map[*call]struct{}{}}
	l, err := host.Listen(m.addr())
	if err == nil {
		p.Node, err = triad.Open(m.config(p, l))
	}
	if err != nil {
		host.Crash()
		m.lose(m.unopened(err), nil)
		return false
	}
	m.w.wait.Go(func() {
		p.err = p.Run(context.Background())
		close(p.done)
	})
	m.set(p)
	return true
}

// now is the wall clock of the machine.
func (m *machine) now() time.Time { return time.Now().Add(time.Duration(m.skew.Load())) }

// stop ends the node in order.
func (m *machine) stop(p *process) {
	if err := p.Close(); err != nil && !m.ills.met.Load() && !m.w.losses.explain(m.id, err) {
		m.w.fault("%s could not be closed: %v", m.id, err)
	}
	<-p.done
	if p.err != nil && !errors.Is(p.err, topology.ErrClosed) { // closed before it ran
		m.ended(p.err)
	}
	p.die()
	m.set(nil)
}

// crash takes the machine from under the node. What the node does from then on
// reaches nobody and nothing; its goroutines end on their own.
func (m *machine) crash(p *process, o order, rng *rand.Rand) {
	if o.silent {
		m.w.links.part(m.ip)
	}
	p.die()
	m.mu.Lock()
	disk := m.disk
	m.up = nil
	m.mu.Unlock()
	m.insert(disk.Crash(o.leaves, rng, crashfs.Call{}))
	m.w.wait.Go(func() {
		_ = p.Close() // of a machine that is gone
		<-p.done
	})
}

// ended is told of a node that ended by itself, which only a disk may make it. It
// returns what is to become of the disk.
func (m *machine) ended(err error) Kind {
	switch {
	case m.w.losses.explain(m.id, err):
		m.w.reach(reachedRotEnd)
		return Wipe
	case errors.Is(err, syscall.ENOSPC):
		m.w.fault("%s ended because its disk was full: %v", m.id, err)
	case m.ills.met.Load():
		m.w.reach(reachedDiskEnd)
	default:
		m.w.fault("%s ended without a fault of its disk: %v", m.id, err)
	}
	return ""
}

// unopened is told of a node that could not be opened.
func (m *machine) unopened(err error) Kind {
	switch {
	case m.w.losses.explain(m.id, err):
		m.w.reach(reachedRotShut)
		return Wipe
	case m.ills.met.Load():
		m.w.reach(reachedDiskShut)
	default:
		m.w.fault("%s could not be opened, without a fault of its disk: %v", m.id, err)
	}
	return ""
}

// die cuts the process off from everybody who could hear it.
func (p *process) die() {
	p.dead.Store(true)
	p.host.Crash()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.calls {
		c.cancel()
	}
}

// errCrashed is what a client makes of a connection that broke.
var errCrashed = errors.New("the node crashed")

// do runs one call at the node, as if over a connection that breaks when the
// node crashes: then what it returned was not heard.
func (p *process) do(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &call{cancel}
	p.mu.Lock()
	p.calls[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.calls, c)
		p.mu.Unlock()
	}()
	if p.dead.Load() {
		return &topology.Error{Outcome: topology.NotApplied, Err: errCrashed}
	}
	err := f(ctx)
	if p.dead.Load() {
		return &topology.Error{Outcome: topology.Unknown, Err: fmt.Errorf("%w: %w", errCrashed, topology.ErrUnavailable)}
	}
	return err
}
