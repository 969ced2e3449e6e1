package sim

import (
	"time"

	"github.com/triad-kv/triad/internal/sim/crashfs"
)

// Fault is something that befalls a run now and then.
type Fault struct {
	Name   string
	Weight int
	// Do lets it happen, and returns how to end it: nil if it ends by itself. It
	// reports false if it cannot happen now.
	Do func() (end func(), ok bool)
}

// nemesis draws faults, one after another, until it is told to stop.
type nemesis struct {
	s       *Sim
	faults  []Fault
	pause   time.Duration
	happens int
	open    []func() // ends what goes on
	over    bool
}

// Fault adds a fault of the world's own.
func (s *Sim) Fault(f Fault) { s.nemesis.faults = append(s.nemesis.faults, f) }

// Faults returns how many faults there were.
func (s *Sim) Faults() int { return s.nemesis.happens }

// begin draws which kinds of faults there are under this seed, and lets them
// begin.
func (n *nemesis) begin() {
	s := n.s
	n.faults = append(n.faults, n.network()...)
	n.faults = append(n.faults, n.machines()...)
	kept := n.faults[:0]
	for _, f := range n.faults {
		if s.Chance(0.7) {
			f.Weight = f.Weight * s.Between(1, 4)
			kept = append(kept, f)
		}
	}
	if n.faults = kept; len(kept) == 0 {
		n.faults = append(n.faults, n.machines()[0])
	}
	n.pause = time.Duration(s.Between(50, 800)) * time.Millisecond
	n.next()
}

func (n *nemesis) next() {
	n.s.After(n.s.Lasting(n.pause/10, 3*n.pause), func() {
		if !n.over {
			n.strike()
			n.next()
		}
	})
}

func (n *nemesis) strike() {
	s, sum := n.s, 0
	for _, f := range n.faults {
		sum += f.Weight
	}
	at := s.Rand.IntN(sum)
	for _, f := range n.faults {
		if at -= f.Weight; at >= 0 {
			continue
		}
		end, ok := f.Do()
		if !ok {
			return
		}
		n.happens++
		s.faults[f.Name]++
		s.Note("", "fault: "+f.Name)
		if end != nil {
			n.during(s.Lasting(20*time.Millisecond, 6*time.Second), f.Name, end)
		}
		return
	}
}

// during lets end run after d, or when the faults are over.
func (n *nemesis) during(d time.Duration, name string, end func()) {
	i, done := len(n.open), false
	once := func() {
		if !done {
			done = true
			n.open[i] = nil
			n.s.Note("", "ends: "+name)
			end()
		}
	}
	n.open = append(n.open, once)
	n.s.After(d, once)
}

// stop ends all faults: from now on nothing fails.
func (n *nemesis) stop() {
	n.over = true
	for _, end := range n.open {
		if end != nil {
			end()
		}
	}
	n.s.Net.heal()
	for _, m := range n.s.machines {
		m.Disk.heal()
	}
	n.s.Note("", "heals")
}

// network are the faults between machines.
func (n *nemesis) network() []Fault {
	s, net := n.s, n.s.Net
	cut := func(pairs [][2]int) func() {
		for _, p := range pairs {
			net.block(p[0], p[1], 1)
		}
		return func() {
			for _, p := range pairs {
				net.block(p[0], p[1], -1)
			}
		}
	}
	return []Fault{
		{"a machine is cut off", 6, func() (func(), bool) { return cut(n.around(true, true)), true }},
		{"a machine is not heard", 3, func() (func(), bool) { return cut(n.around(false, true)), true }},
		{"a machine does not hear", 3, func() (func(), bool) { return cut(n.around(true, false)), true }},
		{"the network parts in two", 4, func() (func(), bool) { return cut(n.halves()), true }},
		{"one way is cut", 3, func() (func(), bool) {
			a, b := s.Rand.IntN(len(s.machines)), s.Rand.IntN(len(s.machines))
			return cut([][2]int{{a, b}}), a != b
		}},
		{"datagrams are lost", 2, func() (func(), bool) {
			was := net.loss
			net.loss = s.Rand.Float64() * 0.5
			return func() { net.loss = was }, true
		}},
		{"datagrams are doubled", 2, func() (func(), bool) {
			was := net.twice
			net.twice = s.Rand.Float64() * 0.5
			return func() { net.twice = was }, true
		}},
		{"messages are late", 2, func() (func(), bool) {
			was := net.lag
			net.lag = s.Rand.Float64() * 0.05
			return func() { net.lag = was }, true
		}},
		{"the network is slow", 2, func() (func(), bool) {
			delay, swing := net.delay, net.swing
			net.delay, net.swing = delay+s.Lasting(0, 100*time.Millisecond), swing+s.Lasting(0, 300*time.Millisecond)
			return func() { net.delay, net.swing = delay, swing }, true
		}},
	}
}

// around are the ways to and from one machine.
func (n *nemesis) around(to, from bool) (pairs [][2]int) {
	i := n.s.Rand.IntN(len(n.s.machines))
	for j := range n.s.machines {
		if to && j != i {
			pairs = append(pairs, [2]int{j, i})
		}
		if from && j != i {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}

func (n *nemesis) halves() (pairs [][2]int) {
	side := n.s.Rand.Uint64()
	for i := range n.s.machines {
		for j := range n.s.machines {
			if side>>i&1 != side>>j&1 {
				pairs = append(pairs, [2]int{i, j})
			}
		}
	}
	return pairs
}

// machines are the faults of machines, disks and clocks.
func (n *nemesis) machines() []Fault {
	s := n.s
	draw := func() *Machine { return s.machines[s.Rand.IntN(len(s.machines))] }
	crash := func(survivals ...crashfs.Survival) func() (func(), bool) {
		return func() (func(), bool) {
			m := draw()
			if !m.up {
				return nil, false
			}
			m.Crash(Pick(s, survivals...))
			return m.Start, true
		}
	}
	return []Fault{
		{"a process dies", 6, crash(crashfs.Killed)},
		{"the power fails", 6, crash(crashfs.Nothing, crashfs.Sectors)},
		{"the power fails everywhere", 1, func() (func(), bool) {
			for _, m := range s.machines {
				m.Crash(Pick(s, crashfs.Nothing, crashfs.Sectors))
			}
			return func() {
				for _, m := range s.machines {
					m.Start()
				}
			}, true
		}},
		{"the power fails under a call", 9, func() (func(), bool) {
			m := draw()
			m.Disk.cutIn, m.Disk.survive = s.Between(1, 40), Pick(s, crashfs.Nothing, crashfs.Sectors, crashfs.Torn, crashfs.Torn)
			return m.Start, m.up
		}},
		{"a sync fails", 3, func() (func(), bool) {
			m := draw()
			m.Disk.failing = s.Between(1, 2)
			return func() { m.Disk.failing = 0 }, m.up
		}},
		{"a disk is full", 3, func() (func(), bool) {
			m := draw()
			m.Disk.full = true
			return func() { m.Disk.full = false }, true
		}},
		{"a disk is slow", 3, func() (func(), bool) {
			m := draw()
			m.Disk.slow = s.Between(10, 1000)
			return func() { m.Disk.slow = 1 }, true
		}},
		{"a clock jumps", 2, func() (func(), bool) {
			m := draw()
			m.Clock.set(time.Duration(s.Between(-600_000, 600_000))*time.Millisecond, m.Clock.drift)
			return nil, true
		}},
		{"a clock drifts", 2, func() (func(), bool) {
			m := draw()
			m.Clock.set(0, (s.Rand.Float64()-0.5)/5)
			return nil, true
		}},
	}
}
