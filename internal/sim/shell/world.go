package shell

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// world is a cluster in a bubble.
type world struct {
	plan     Plan
	net      *transport.Network
	logger   *slog.Logger
	began    time.Time
	members  []triad.Member
	machines map[topology.NodeID]*machine
	wait     sync.WaitGroup // everything that runs

	mu      sync.Mutex // a leaf
	faults  []string   // what was found wrong
	reached map[string]int
}

func newWorld(p Plan, logger *slog.Logger) *world {
	w := &world{
		plan: p, net: transport.NewNetwork(), logger: logger, began: time.Now(),
		machines: map[topology.NodeID]*machine{}, reached: map[string]int{},
	}
	w.net.Seed(p.Seed)
	for i, id := range p.Nodes {
		m := &machine{
			w: w, id: id, ip: fmt.Sprintf("127.0.0.%d", i+1), logger: logger.With("node", id),
			orders: make(chan order, len(p.Faults)+1), disk: vfs.NewCrashableMem(),
		}
		w.machines[id] = m
		w.members = append(w.members, triad.Member{ID: id, Addr: m.addr()})
	}
	w.pave(p.Road)
	return w
}

// pave makes all roads alike.
func (w *world) pave(r transport.Road) {
	for _, a := range w.members {
		for _, b := range w.members {
			w.net.Pave(a.Addr, b.Addr, r)
		}
	}
}

// part cuts a machine off from all others.
func (w *world) part(ip string) { w.others(ip, w.net.Cut) }

// join ends every cut of a machine.
func (w *world) join(ip string) { w.others(ip, w.net.Heal) }

func (w *world) others(ip string, f func(a, b string)) {
	for _, m := range w.machines {
		if m.ip != ip {
			f(ip, m.ip)
		}
	}
}

// config is that of the node of a machine.
func (m *machine) config(host *transport.Host, l net.Listener) triad.Config {
	p := &m.w.plan
	c := triad.Config{
		ID: m.id, Dir: "data", FS: m.disk, Members: m.w.members, Leader: p.Nodes[0], Listener: l, Dial: host.Dial,
		Memory: !p.Pebble, WallClock: m.now, Logger: m.logger,
		Topology: singleleader.New(singleleader.Options{
			Sync: p.Policy, RetryEvery: p.Retry, Stream: stream.Limits{HeartbeatEvery: p.Beat},
		}),
		Limits: triad.Limits{LogSegmentBytes: p.Segment, LogFirstSegmentBytes: p.Segment, LogTailBytes: p.Tail},
	}
	if p.Gossip {
		c.Gossip = triad.Gossip{Listen: m.ip + ":" + gossipPort, Net: host}
		for _, other := range m.w.machines {
			c.Gossip.Join = append(c.Gossip.Join, other.ip+":"+gossipPort)
		}
	}
	return c
}

// fault notes what must not be.
func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf("%v: ", time.Since(w.began))+fmt.Sprintf(format, args...))
}

// reach counts something that a run is meant to meet now and then.
func (w *world) reach(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached[what]++
}

// ended is told of every node that ended by itself.
func (w *world) ended(id topology.NodeID, err error) {
	w.fault("%s ended: %v", id, err)
}

// unopened is told of every node that could not be opened.
func (w *world) unopened(id topology.NodeID, err error) {
	w.fault("%s could not be opened: %v", id, err)
}

// run keeps all machines until f returns, and returns when all has ended.
func (w *world) run(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	for i, id := range w.plan.Nodes {
		m := w.machines[id]
		w.wait.Go(func() { m.keep(ctx, rand.New(rand.NewPCG(w.plan.Seed, uint64(i)))) })
	}
	f(ctx)
	cancel()
	w.wait.Wait()
}
