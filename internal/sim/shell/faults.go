package shell

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults. One that lasts ends after its time.
const (
	Crash     Kind = "crash"     // what was not synced is lost in part; it is started again
	PowerCut  Kind = "power cut" // the same, and nobody hears of it but by silence
	Blackout  Kind = "blackout"  // all nodes crash at once
	Restart   Kind = "restart"   // stopped in order and started again
	Isolate   Kind = "isolate"   // cut off from all others
	OneWay    Kind = "one way"   // what it sends to another one is held back
	Split     Kind = "split"     // two halves
	Flap      Kind = "flap"      // a link that comes and goes
	Reset     Kind = "reset"     // all its connections break
	Slow      Kind = "slow"      // its links delay and lose
	SlowDisk  Kind = "slow disk" // every sync takes its time
	FullDisk  Kind = "full disk" // nothing can be made longer
	BadSync   Kind = "bad sync"  // one sync fails
	BadWrite  Kind = "bad write" // one write fails
	Skew      Kind = "skew"      // its wall clock jumps
	Promotion Kind = "promotion" // an operator makes it leader, without need

	Wipe    Kind = "wipe"     // it crashes, and comes back with an empty directory
	RotRest Kind = "rot"      // a bit on its disk flips while it is down
	RotLive Kind = "live rot" // a bit on its disk flips while it runs
	Force   Kind = "force"    // the leader is cut off, and an operator makes another one by force
)

// weights say how often a kind is drawn.
var weights = []struct {
	Kind
	weight int
}{
	{Crash, 6}, {PowerCut, 3}, {Blackout, 1}, {Restart, 3}, {Isolate, 5}, {OneWay, 3}, {Split, 2}, {Flap, 2}, {Reset, 2}, {Slow, 3},
	{SlowDisk, 2}, {FullDisk, 2}, {BadSync, 2}, {BadWrite, 1}, {Skew, 2}, {Promotion, 2},
}

// lossKinds are those that take what was durable, and how often each is drawn:
// of disks where the policy keeps what it acknowledges through the loss of one, by
// force where it does not promise that.
var lossKinds = map[bool][]Kind{
	true:  {Wipe, Wipe, RotRest, RotRest, RotLive, RotLive, RotLive},
	false: {Force},
}

// Fault is one thing that goes wrong.
type Fault struct {
	Kind
	At     time.Duration // since the first operation
	For    time.Duration
	Node   topology.NodeID // whom it meets; with Leader, whoever leads by then
	Leader bool
	Other  topology.NodeID
	Leaves crashfs.Survival // a crash
	By     time.Duration    // of a skew, a delay, a sync
}

func (f Fault) String() string {
	who := string(f.Node)
	if f.Leader {
		who = "the leader"
	}
	return fmt.Sprintf("%v %s %s (%s) for %v, %v, by %v", f.At, f.Kind, who, f.Other, f.For, f.Leaves, f.By)
}

// drawFaults draws faults with a swarm: some kinds are left out of every plan.
func drawFaults(rng *rand.Rand, p *Plan) []Fault {
	var kinds []Kind
	for _, w := range weights {
		if rng.IntN(3) == 0 && w.Kind != Crash {
			continue
		}
		for range w.weight {
			kinds = append(kinds, w.Kind)
		}
	}
	var out []Fault
	for range FaultsMin + rng.IntN(8) {
		f := drawFault(rng, p, kinds)
		switch f.Kind {
		case Skew:
			f.By = time.Duration(rng.Int64N(int64(2*time.Hour))) - time.Hour
		case SlowDisk, Slow:
			f.By = time.Duration(rng.Int64N(int64(400*time.Millisecond))) + time.Millisecond
		}
		out = append(out, f)
	}
	return out
}

// drawLosses draws what two plans of three have beside their faults.
func drawLosses(rng *rand.Rand, p *Plan) (out []Fault) {
	if rng.IntN(3) == 0 {
		return nil
	}
	for range 1 + rng.IntN(4) {
		out = append(out, drawFault(rng, p, lossKinds[p.Policy.Kind != quorum.KindAsync]))
	}
	return out
}

func drawFault(rng *rand.Rand, p *Plan, kinds []Kind) Fault {
	f := Fault{
		Kind: kinds[rng.IntN(len(kinds))], Node: p.Nodes[rng.IntN(len(p.Nodes))], Leader: rng.IntN(2) == 0,
		At:     time.Duration(rng.Int64N(int64(p.Length))),
		For:    time.Duration(rng.Int64N(int64(8*time.Second))) + 10*time.Millisecond,
		Leaves: crashfs.Survivals[rng.IntN(len(crashfs.Survivals))],
	}
	for f.Other = f.Node; f.Other == f.Node; {
		f.Other = p.Nodes[rng.IntN(len(p.Nodes))]
	}
	return f
}
