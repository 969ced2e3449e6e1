package shell

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/control/raft"
	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// world is a cluster in a bubble.
type world struct {
	plan     Plan
	links    *links
	operator *operator
	logger   *slog.Logger
	began    time.Time
	told     *history.Recorder
	members  []triad.Member
	machines map[topology.NodeID]*machine
	losses   *losses
	wait     sync.WaitGroup // everything that runs
	healed   atomic.Bool

	dialling sync.Mutex // a leaf; guards remotes and the far hosts of links
	remotes  []*client.Client

	mu      sync.Mutex // a leaf
	faults  []string   // what was found wrong
	reached map[string]int
}

func newWorld(p Plan, logger *slog.Logger) *world {
	w := &world{
		plan: p, logger: logger, began: time.Now(),
		machines: map[topology.NodeID]*machine{}, reached: map[string]int{}, told: history.NewRecorder(nil),
	}
	w.links = &links{Network: transport.NewNetwork(), w: w}
	w.links.Seed(p.Seed)
	w.operator = &operator{w: w, leads: p.Nodes[0], turn: make(chan struct{}, 1)}
	w.losses = &losses{w: w, rng: rand.New(rand.NewPCG(p.Seed, 3))}
	for i, id := range p.Nodes {
		m := &machine{
			w: w, id: id, ip: fmt.Sprintf("127.0.0.%d", i+1), logger: logger.With("node", id),
			orders: make(chan order, 2*len(p.Faults)+1),
		}
		m.insert(crashfs.New())
		w.machines[id] = m
		w.members = append(w.members, triad.Member{ID: id, Addr: m.addr()})
	}
	w.links.pave(p.Road)
	return w
}

// config is that of the node of a machine.
func (m *machine) config(p *process, l net.Listener) triad.Config {
	plan := &m.w.plan
	c := triad.Config{
		ID: m.id, Dir: "data", FS: m.disk, Members: m.w.members, Leader: plan.Nodes[0], Listener: l, Dial: p.host.Dial,
		Memory: !plan.Pebble, WallClock: m.now, Logger: m.logger,
		Topology: p.lending(singleleader.New(singleleader.Options{
			Sync: plan.Policy, RetryEvery: plan.Retry, RetainBytesMax: plan.Retain, Stream: stream.Limits{HeartbeatEvery: plan.Beat},
		})),
		Limits: triad.Limits{
			LogSegmentBytes: plan.Segment, LogFirstSegmentBytes: plan.Segment, LogTailBytes: plan.Tail, LogRetainBytes: plan.Retain, RetainEvery: time.Second,
			ScrubEvery: plan.scrub(),
		},
	}
	if plan.Elects {
		c.Leader, c.Control = "", raft.New(raft.Options{Voters: plan.Nodes[:3]})
	}
	if plan.Gossip {
		c.Gossip = triad.Gossip{Listen: m.ip + ":" + gossipPort, Net: p.host}
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
