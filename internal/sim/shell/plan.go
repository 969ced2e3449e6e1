package shell

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Limits of a plan.
const (
	OpsMin    = 1000            // client operations of a run, at least
	FaultsMin = 10              // faults, at least
	Recovery  = 2 * time.Minute // after the heal, until all is as it was
)

// Plan is what a seed gives: a cluster, its load and its faults.
type Plan struct {
	Seed    uint64
	Nodes   []topology.NodeID
	Policy  quorum.Policy
	Elects  bool // who leads is found out by the nodes, through an embedded raft
	Gossip  bool
	Pebble  bool          // the store on the file system, else in memory
	Segment int64         // bytes of a file of the log
	Tail    int64         // bytes of the log that stay in memory
	Retain  uint64        // bytes of the log kept for who is away; with Pebble
	Retry   time.Duration // between attempts to reach a node
	Beat    time.Duration // between heartbeats of a stream with nothing to send
	Road    transport.Road
	Clients int
	Remote  int // of them far away, through the network
	Keys    int
	Think   time.Duration // of a client between two operations
	Bound   time.Duration // of bounded reads
	Length  time.Duration // from the first operation to the heal
	Faults  []Fault       // by the time at which they come
	Hasty   bool          // the operator tries any node, and not the best one first
}

// NewPlan draws a plan. The same seed is the same plan.
func NewPlan(seed uint64) Plan {
	rng := rand.New(rand.NewPCG(seed, 0x5e11))
	p := Plan{
		Seed:    seed,
		Nodes:   []topology.NodeID{"a", "b", "c"},
		Gossip:  rng.IntN(3) == 0,
		Segment: 8 << 10 << rng.IntN(6),
		Tail:    4 << 10 << rng.IntN(8),
		Retain:  4 << 10 << rng.IntN(6),
		Retry:   time.Duration(20+rng.IntN(400)) * time.Millisecond,
		Beat:    time.Duration(20+rng.IntN(400)) * time.Millisecond,
		Clients: 4 + rng.IntN(8),
		Keys:    3 + rng.IntN(12),
		Think:   time.Duration(60+rng.IntN(100)) * time.Millisecond,
		Bound:   time.Duration(1+rng.IntN(30)) * 100 * time.Millisecond,
	}
	if rng.IntN(4) == 0 {
		p.Nodes = append(p.Nodes, "d", "e")
	}
	p.Policy = drawPolicy(rng, p.Nodes)
	if rng.IntN(2) == 0 {
		p.Road.Delay = time.Duration(rng.IntN(20)) * time.Millisecond
		p.Road.Jitter = time.Duration(rng.IntN(5)) * time.Millisecond
	}
	p.Length = time.Duration(30+rng.IntN(30)) * time.Second
	p.Faults = drawFaults(rng, &p)
	p.Remote = rng.IntN(p.Clients/2 + 1)
	p.Hasty = rng.IntN(2) == 0
	p.Elects = p.Policy.Kind != quorum.KindAsync && rng.IntN(2) == 0
	rng = rand.New(rand.NewPCG(seed, 0x1055)) // of its own: what was drawn above stays what it was
	p.Faults = append(p.Faults, drawLosses(rng, &p)...)
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	return p
}

// drawPolicy draws one that keeps what it acknowledges (PS2, PS3), or now and
// then one that keeps it only with the leader's disk.
func drawPolicy(rng *rand.Rand, nodes []topology.NodeID) quorum.Policy {
	others := len(nodes) - 1
	switch rng.IntN(8) {
	case 0:
		return quorum.Async()
	case 1:
		return quorum.All()
	case 2, 3:
		return quorum.First(1 + rng.IntN(others))
	default:
		return quorum.Any(others/2 + rng.IntN(others-others/2+1))
	}
}

// scrub is the time between scrubs.
func (p Plan) scrub() time.Duration { return time.Duration(2+p.Seed%8) * time.Second }

func (p Plan) String() string {
	var b strings.Builder
	store := "memory"
	if p.Pebble {
		store = "pebble"
	}
	fmt.Fprintf(&b, "seed %d: %d nodes, %v, elect %v, gossip %v, store %s, segments %d, tail %d, retain %d, retry %v, beat %v, scrub %v, road %v±%v, %d clients (%d far), %d keys, %v, a hasty operator %v, %d faults",
		p.Seed, len(p.Nodes), p.Policy, p.Elects, p.Gossip, store, p.Segment, p.Tail, p.Retain, p.Retry, p.Beat, p.scrub(), p.Road.Delay, p.Road.Jitter, p.Clients, p.Remote, p.Keys, p.Length, p.Hasty, len(p.Faults))
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "\n  %v", f)
	}
	return b.String()
}
