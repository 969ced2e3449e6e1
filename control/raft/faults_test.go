package raft

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

// crooked is a transport that loses answers, or sends what it is given twice. Of
// raft's own messages it loses nothing.
type crooked struct {
	topology.Transport
	lose, twice atomic.Bool
}

var asked = map[string]bool{methodLoad: true, methodPropose: true, methodRenew: true}

func (c *crooked) Call(ctx context.Context, to topology.NodeID, method string, req []byte) ([]byte, error) {
	if c.twice.Load() && strings.HasPrefix(method, "control.raft.") {
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = c.Transport.Call(ctx, to, method, req) })
		defer wait.Wait()
	}
	b, err := c.Transport.Call(ctx, to, method, req)
	if err == nil && c.lose.Load() && asked[method] {
		return nil, fail(method, topology.Unknown, topology.ErrUnavailable)
	}
	return b, err
}

// gated is a log whose syncs wait while it is held.
type gated struct {
	topology.GroupLog
	gate sync.RWMutex
}

func (g *gated) Flushed(ctx context.Context, lsn record.LSN) error {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.GroupLog.Flushed(ctx, lsn)
}

// hold makes a node's disk hang, until the returned function is called.
func (g *gated) hold() (release func()) {
	g.gate.Lock()
	return g.gate.Unlock
}

// crookedRig is a rig whose nodes have crooked transports and gated logs.
func crookedRig(t testing.TB, o Options, ids ...topology.NodeID) (*rig, map[topology.NodeID]*crooked, map[topology.NodeID]*gated) {
	r := newRig(t, o, ids...)
	wires, logs := map[topology.NodeID]*crooked{}, map[topology.NodeID]*gated{}
	for _, id := range ids {
		w, g := &crooked{}, &gated{}
		wires[id], logs[id] = w, g
		r.meet[id] = func(t topology.Transport) topology.Transport { w.Transport = t; return w }
		r.wrap[id] = func(l topology.GroupLog) topology.GroupLog { g.GroupLog = l; return g }
	}
	return r, wires, logs
}

func groupOf(t *testing.T, ids, cut []topology.NodeID) topologytest.ControlGroup {
	r, wires, logs := crookedRig(t, Options{Voters: voters(3)}, ids...)
	isolate := func(in []topology.NodeID) {
		inside := map[topology.NodeID]bool{}
		for _, id := range in {
			inside[id] = true
		}
		for _, a := range ids {
			for _, b := range ids {
				if inside[a] != inside[b] {
					r.net.Cut(string(a), string(b))
				}
			}
		}
	}
	return topologytest.ControlGroup{
		Nodes: ids,
		Open: func(id topology.NodeID) topology.Control {
			p, err := r.try(id)
			require.NoError(t, err)
			return p
		},
		Minority:  cut,
		Partition: func(in ...topology.NodeID) { isolate(in) },
		Heal:      r.net.HealAll,
		Pause: func(id topology.NodeID) func() {
			isolate([]topology.NodeID{id})
			release := logs[id].hold()
			return func() { release(); r.net.HealAll() }
		},
		LoseAnswers: func(id topology.NodeID) func() {
			wires[id].lose.Store(true)
			return func() { wires[id].lose.Store(false) }
		},
		Duplicate: func(id topology.NodeID) func() {
			wires[id].twice.Store(true)
			return func() { wires[id].twice.Store(false) }
		},
	}
}

func TestRaftIsAControlGroup(t *testing.T) {
	topologytest.TestControlGroup(t, func(t *testing.T) topologytest.ControlGroup {
		return groupOf(t, voters(3), []topology.NodeID{"b"})
	})
}

func TestRaftIsAControlGroupForItsClientsToo(t *testing.T) {
	topologytest.TestControlGroup(t, func(t *testing.T) topologytest.ControlGroup {
		return groupOf(t, []topology.NodeID{"a", "b", "c", "x"}, []topology.NodeID{"c", "x"})
	})
}
