package raft

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// machine is the state as raft drives it: one command after another, and all who
// wait for news are told.
type machine struct {
	known *known

	mu      sync.Mutex // a leaf; guards what follows
	state   *state
	applied uint64        // the index of the last command
	moved   chan struct{} // closed when applied grows
}

var _ raft.FSM = (*machine)(nil)

func newMachine(k *known) *machine {
	return &machine{known: k, state: newState(), moved: make(chan struct{})}
}

// Apply implements raft.FSM.
func (m *machine) Apply(g *raft.Log) any {
	c, err := decodeCommand(g.Data)
	if err != nil {
		// Every voter reads the same bytes and comes to the same verdict.
		m.advance(g.Index)
		return err
	}
	c.document.Body = bytes.Clone(c.document.Body)
	m.mu.Lock()
	r := m.state.apply(c)
	d, changed := m.state.documents[c.document.Name], c.kind == commandSwap && r.code == codeDone
	m.mu.Unlock()
	if changed {
		m.known.learn(d)
	}
	m.advance(g.Index)
	return r
}

func (m *machine) advance(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = max(m.applied, index)
	close(m.moved)
	m.moved = make(chan struct{})
}

// Snapshot implements raft.FSM.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return frozen(m.state.encode()), nil
}

// Restore implements raft.FSM.
func (m *machine) Restore(from io.ReadCloser) error {
	b, err := io.ReadAll(io.LimitReader(from, snapshotBytesMax+1))
	if err != nil {
		return err
	}
	s, err := decodeState(b)
	if err != nil {
		return fmt.Errorf("control: the state of a snapshot: %w", err)
	}
	m.mu.Lock()
	m.state = s
	m.mu.Unlock()
	for _, name := range s.names() {
		m.known.learn(s.documents[name])
	}
	m.advance(0)
	return nil
}

// document returns a document as of the last command.
func (m *machine) document(name string) topology.Document {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.state.documents[name]
	if !ok {
		d.Name = name
	}
	return d
}

// claims returns the names that are held with their numbers.
func (m *machine) claims() map[topology.NodeID]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[topology.NodeID]uint64, len(m.state.claims))
	for id, c := range m.state.claims {
		all[id] = c.number
	}
	return all
}

// at returns the index of the last command, and a channel that is closed once there
// is a later one.
func (m *machine) at() (uint64, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied, m.moved
}

// frozen is a state as it was.
type frozen []byte

// Persist implements raft.FSMSnapshot.
func (f frozen) Persist(s raft.SnapshotSink) error {
	if _, err := s.Write(f); err != nil {
		return err
	}
	return s.Close()
}

// Release implements raft.FSMSnapshot.
func (f frozen) Release() {}
