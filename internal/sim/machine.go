package sim

import (
	"time"

	"github.com/triad-kv/triad/internal/sim/crashfs"
)

// Machine is where a node lives: a disk, a wall clock, and the power to die.
type Machine struct {
	Name  string
	Disk  *Disk
	Clock *Clock

	s     *Sim
	index int
	boots uint64 // how often it was started
	up    bool
	boot  func()
	halt  func()
	conns []*Conn
}

// Machine adds a machine, which is down. boot starts its node from the disk, and
// halt is told that the node is no more: it was not asked.
func (s *Sim) Machine(name string, boot, halt func()) *Machine {
	m := &Machine{Name: name, s: s, index: len(s.machines), boot: boot, halt: halt}
	m.Disk = newDisk(s)
	m.Clock = &Clock{s: s}
	s.machines = append(s.machines, m)
	s.Net.add()
	return m
}

// Up reports whether it runs.
func (m *Machine) Up() bool { return m.up }

// Boots counts its starts: what was begun in one is nothing to the next.
func (m *Machine) Boots() uint64 { return m.boots }

// Start starts it, if it is down.
func (m *Machine) Start() {
	if m.up {
		return
	}
	m.boots++
	m.up = true
	m.s.Note(m.Name, "starts", m.boots)
	m.Do(m.boot)
}

// Do runs f on the machine, if it is up. If the power fails meanwhile, the
// machine is down afterwards.
func (m *Machine) Do(f func()) {
	if !m.up {
		return
	}
	f()
	if m.up && m.Disk.gone != nil {
		m.Crash(m.Disk.survive)
	}
}

// After runs f on the machine once d has passed, if it has not died meanwhile.
func (m *Machine) After(d time.Duration, f func()) {
	boot := m.boots
	m.s.After(d, func() {
		if m.boots == boot {
			m.Do(f)
		}
	})
}

// Crash kills it: the process alone, or by a failure of the power. What is found
// on the disk at the next start follows from that.
func (m *Machine) Crash(s crashfs.Survival) {
	if !m.up {
		return
	}
	m.up = false
	m.s.Note(m.Name, "dies: "+s.String(), m.boots)
	m.halt()
	m.Disk.crash(s)
	conns := m.conns
	m.conns = nil
	for _, c := range conns {
		c.lost()
	}
}

// Exit ends the process, which has decided so.
func (m *Machine) Exit() { m.Crash(crashfs.Killed) }

// Wipe gives it an empty disk. It is down.
func (m *Machine) Wipe() {
	m.Disk.wipe()
	m.s.Note(m.Name, "is wiped")
}
