package sim

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// World is one topology on the floor.
type World struct {
	Name string
	// New draws the configuration of a run from s, makes its machines with nodes
	// on them and its clients, and returns what there is to ask of them.
	New func(s *Sim) Cluster
	// Reaches are states that the seeds of a run of many must have reached.
	Reaches []string
}

// Cluster is a world under one seed.
type Cluster interface {
	// Begin starts nodes and clients.
	Begin()
	// Heal is told that the faults are over: what an operator would do to bring a
	// quorum back may be begun.
	Heal()
	// Progress reports whether clients have got on since.
	Progress() bool
	// Settle stops the clients, and reports whether all nodes have come to rest in
	// one state. It is asked until they have.
	Settle() bool
	// Check looks at the end of it all.
	Check()
}

// What a run has of everything, at least, and how long it may take.
const (
	OpsMin    = 1000
	FaultsMin = 10

	troubleMax  = 90 * time.Second // of virtual time, until there was enough trouble
	enoughMax   = 5 * time.Minute  // after the faults, until there were enough operations
	ProgressMax = 30 * time.Second // after the faults
	SettleMax   = 60 * time.Second // after the clients
)

// Result is what a run was.
type Result struct {
	World   string
	Seed    uint64
	Sum     uint64 // of the trace
	Lines   uint64 // of it
	Ops     int
	Virtual time.Duration
	Faults  map[string]int
	Reached map[string]int
	Failure *Violation // nil where every rule held
}

// Replay is the command that runs a seed again.
func (r *Result) Replay() string {
	return fmt.Sprintf("go test ./internal/sim -run Replay -world=%s -seed=%d -traced", r.World, r.Seed)
}

func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %d operations, %d faults, %v, trace %016x of %d lines",
		r.World, r.Seed, r.Ops, r.FaultCount(), r.Virtual.Round(time.Millisecond), r.Sum, r.Lines)
	if r.Failure != nil {
		fmt.Fprintf(&b, "\n%v\nrun it again with: %s", r.Failure, r.Replay())
	}
	return b.String()
}

// FaultCount returns how many faults there were.
func (r *Result) FaultCount() (n int) {
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		n += r.Faults[kind]
	}
	return n
}

// Run runs a world under a seed. The trace goes to w, if there is one.
func Run(world *World, seed uint64, w io.Writer) *Result {
	s := newSim(seed)
	s.trace.w = w
	c := world.New(s)
	c.Begin()
	s.nemesis.begin()
	s.until(troubleMax, func() bool { return s.ops >= OpsMin && s.nemesis.happens >= FaultsMin })
	s.finish(c)
	return &Result{
		World: world.Name, Seed: seed, Sum: s.trace.sum, Lines: s.trace.lines, Ops: s.ops, Virtual: s.now,
		Faults: s.faults, Reached: s.reached, Failure: s.failure,
	}
}

// finish heals, and holds the world to what it owes then.
func (s *Sim) finish(c Cluster) {
	s.nemesis.stop()
	for _, m := range s.machines {
		m.Start()
	}
	c.Heal()
	if !s.until(s.now+ProgressMax, c.Progress) {
		s.Fail("PS14", "no progress within %v after the faults", ProgressMax)
		return
	}
	if !s.until(s.now+enoughMax, func() bool { return s.ops >= OpsMin && s.nemesis.happens >= FaultsMin }) {
		s.Fail("floor", "%d operations and %d faults in %v: it is not worked hard enough", s.ops, s.nemesis.happens, s.now)
		return
	}
	if !s.until(s.now+SettleMax, c.Settle) {
		s.Fail("PS15", "not at rest in one state %v after the clients", SettleMax)
		return
	}
	c.Check()
}
