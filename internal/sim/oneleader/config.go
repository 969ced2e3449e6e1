package oneleader

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// config is what a seed draws before anything happens. Limits are tiny, so that
// rotation, snapshots and retention happen all the time.
type config struct {
	nodes     []topology.NodeID
	replicas  []topology.NodeID
	upstreams map[topology.NodeID][]topology.NodeID // of replicas
	spare     []topology.NodeID                     // machines that are no members yet
	minInSync int                                   // 0: as many as the policy has
	sync      quorum.Policy

	segmentBytes   int64
	tailBytes      int64
	batchBytesMax  int
	windowBytesMax int
	chunkBytesMax  int
	retainBytesMax uint64
	applyMost      int // entries in one step of the applier

	times
	asking
	leasing
}

type times struct {
	heartbeat   time.Duration
	commitDelay time.Duration
	hold        time.Duration // of a snapshot for a receiver that went away
	callTimeout time.Duration
	retry       time.Duration
	trim        time.Duration
	rest        time.Duration // of the applier
	failAfter   time.Duration // of silence, where nodes agree who leads
}

// leasing is what only a group has whose leaders may answer by themselves.
type leasing struct {
	lease   time.Duration
	drift   time.Duration // by which two clocks may run apart in a second
	leased  float64       // of reads: those that are content with a lease
	lag     uint64        // that an asynchronous group may lose by an election; 0: it elects nobody
	readers int           // clients that read alone, at any node: they wait for no write
}

// asking is what clients are like.
type asking struct {
	clients    int
	keys       int
	valueBytes int
	think      time.Duration
	patience   time.Duration
	lossy      float64       // of their requests
	named      float64       // of their writes: those they send again until it is known what became of them
	calm       time.Duration // without an answer to any of them, until an operator looks
}

func draw(s *sim.Sim) config {
	ms := func(from, to int) time.Duration { return time.Duration(s.Between(from, to)) * time.Millisecond }
	c := config{
		segmentBytes:   int64(sim.Pick(s, 8<<10, 8<<10, 12<<10, 32<<10)),
		tailBytes:      int64(sim.Pick(s, 1, 4<<10, 64<<10)),
		batchBytesMax:  sim.Pick(s, 1, 300, 2<<10, 64<<10),
		windowBytesMax: sim.Pick(s, 1, 1<<10, 16<<10, 256<<10),
		chunkBytesMax:  sim.Pick(s, 1, 200, 4<<10),
		retainBytesMax: uint64(sim.Pick(s, 1, 4<<10, 32<<10, 1<<20)),
		applyMost:      sim.Pick(s, 1, 7, 100),
		times: times{
			heartbeat:   ms(20, 300),
			commitDelay: ms(0, 5),
			hold:        ms(10, 5000),
			callTimeout: ms(100, 1500),
			retry:       ms(10, 200),
			trim:        ms(20, 1000),
			rest:        ms(0, 20),
		},
		asking: asking{
			clients:    s.Between(2, 12),
			keys:       sim.Pick(s, 1, 3, 10, 50),
			valueBytes: sim.Pick(s, 0, 20, 200),
			think:      ms(1, 20),
			patience:   ms(200, 2000),
			lossy:      float64(s.Between(0, 3)) / 100,
			named:      sim.Pick(s, 0, 0.5, 1),
			calm:       ms(100, 1000),
		},
	}
	n := sim.Pick(s, 2, 3, 3, 3, 4, 5)
	for i := range n {
		c.nodes = append(c.nodes, topology.NodeID('a'+rune(i)))
	}
	if n > 3 && s.Chance(0.3) {
		c.cascade(s)
	}
	voters := n - len(c.replicas)
	switch k := s.Between(1, max(voters-1, 1)); sim.Pick(s, "any", "any", "any", "first", "first", "all", "async") {
	case "any":
		c.sync = quorum.Any(k)
	case "first":
		c.sync = quorum.First(k)
	case "all":
		c.sync = quorum.All()
	default:
		c.sync = quorum.Async()
	}
	return c
}

// cascade draws who copies the log for readers alone, and by whom each of them is fed
// rather than by the leader (S13).
func (c *config) cascade(s *sim.Sim) {
	n := len(c.nodes)
	c.replicas = c.nodes[n-s.Between(1, n-3):]
	if s.Chance(0.2) {
		return
	}
	c.upstreams = map[topology.NodeID][]topology.NodeID{}
	for _, r := range c.replicas {
		up := slices.DeleteFunc(slices.Clone(c.nodes), func(o topology.NodeID) bool { return o == r })
		s.Rand.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
		c.upstreams[r] = up[:s.Between(1, len(up))]
	}
}

// agree draws what only a group has whose nodes agree who leads.
func (c *config) agree(s *sim.Sim) {
	c.failAfter = time.Duration(s.Between(30, 1000)) * time.Millisecond
	c.heartbeat = max(c.failAfter/5, time.Millisecond)
	voters := len(c.nodes) - len(c.replicas)
	switch k := s.Between(1, max(voters-1, 1)); sim.Pick(s, "any", "any", "any", "first", "first", "first", "all", "async") {
	case "any":
		c.sync = quorum.Any(k)
	case "first":
		c.sync = quorum.First(k)
		if k > 1 { // with one alone in sync, its directory would be the last
			c.minInSync = s.Between(2, k+1)
		}
	case "all":
		c.sync = quorum.All()
	default:
		c.sync = quorum.Async()
	}
	if s.Chance(0.5) {
		c.spare = []topology.NodeID{topology.NodeID('a' + rune(len(c.nodes)))}
	}
}

// lend draws how leaders may answer by themselves. A lease may be longer than anybody
// would have it: who waits for it is then the rule.
func (c *config) lend(s *sim.Sim) {
	c.lease = c.failAfter * time.Duration(s.Between(20, 300)) / 100
	c.drift = sim.Pick(s, 0, 10*time.Millisecond, 200*time.Millisecond)
	c.leased = sim.Pick(s, 0.5, 1)
	c.readers = s.Between(1, 3)
	if s.Chance(0.3) {
		c.sync, c.minInSync = quorum.Async(), 0
	}
	if c.sync.Kind == quorum.KindAsync {
		c.lag = sim.Pick[uint64](s, 0, 1, 5, 50)
	}
}
