package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// learn makes a newer map durable at a node, and its core's.
func (h *host) learn(m *placement.Map) {
	h.cfg.Map = m
	at := &core.Place{Map: m}
	for _, a := range h.applied.Applied {
		at.Applied = append(at.Applied, core.Applied{Partition: a.Partition, Set: *a.Set.Clone()})
	}
	h.step(core.Event{Kind: core.EvMap, Part: core.Part{Place: at}})
	h.step(core.Event{Kind: core.EvAlive, Nodes: m.Nodes()})
}

// moves tells of a map that changes.
func (s *story) moves() {
	var err error
	next := s.n.newest
	switch s.d.Cmd {
	case "join":
		s.n.add(core.Config{Self: topology.NodeID(s.word(0)), Map: next, Incarnation: 1})
		return
	case "map":
		for i := range s.d.CmdArgs {
			s.node(i).learn(next)
		}
		return
	case "stream":
		s.stream()
		return
	case "move":
		next, err = s.plan()
	case "step":
		next, err = next.Step(s.partitions()...)
	case "undo":
		next, err = next.Undo(s.partitions()...)
	case "cancel":
		next, err = next.Cancel()
	}
	require.NoError(s.t, err, s.d.Pos)
	s.n.newest = next
	fmt.Fprintf(&s.b, "map %d:", next.Epoch())
	for q := range next.Partitions() {
		p := next.Part(q)
		fmt.Fprintf(&s.b, " partition %d is %v, of %v, to %v, asked at %v\n", q, p.Stage, p.Old, p.New, p.Replicas())
	}
}

func (s *story) partitions() (out []int) {
	for i := range s.d.CmdArgs {
		var p int
		_, err := fmt.Sscan(s.word(i), &p)
		require.NoError(s.t, err)
		out = append(out, p)
	}
	return out
}

func (s *story) plan() (*placement.Map, error) {
	m := s.n.newest
	l := m.Layout()
	was := l.Nodes
	l.Nodes = nil
	for i := range s.d.CmdArgs {
		id := topology.NodeID(s.word(i))
		n := placement.Node{ID: id, Weight: 1, Numbers: placement.Free(m) + uint32(len(l.Nodes)*m.Partitions())}
		if at := slices.IndexFunc(was, func(n placement.Node) bool { return n.ID == id }); at >= 0 {
			n = was[at]
		}
		l.Nodes = append(l.Nodes, n)
	}
	p, err := m.Plan(l)
	if err != nil {
		return nil, err
	}
	return p.Begin(), nil
}

// stream gives a node what another holds of partition 0, as parts of a session.
func (s *story) stream() {
	h, from := s.node(0), s.n.host(topology.NodeID(s.str("from")))
	session := s.num("session")
	if session == 0 {
		session = s.n.newest.Part(0).Epoch
	}
	set := from.core.Applied(0).Clone()
	var cells []core.Held
	for _, name := range slices.Sorted(maps.Keys(from.store)) {
		key, field, _ := strings.Cut(name, ".")
		cells = append(cells, core.Held{Cell: record.Cell{Table: record.TableDefault, Key: []byte(key), Field: []byte(field)}, State: from.store[name]})
	}
	for _, p := range []core.Part{{Cells: cells, Session: session}, {Applied: set, Session: session}} {
		r := &request{name: "the stream", event: core.Event{Kind: core.EvInstall, Node: from.name, Part: p}}
		h.serve(r)
		if r.answer != nil && r.answer.Err != nil {
			return
		}
	}
}

// moving is a, b and c, with d in the place of c from map 2 on, which nobody has heard of.
func moving(t *testing.T) (n *network, step func(at ...*host)) {
	t.Helper()
	place, err := placement.New(1, []topology.NodeID{"a", "b", "c"}, 1, 3, 1)
	require.NoError(t, err)
	n = newNetwork(place)
	for _, name := range []topology.NodeID{"a", "b", "c", "d"} {
		n.add(core.Config{Self: name, Map: place, Incarnation: 1})
	}
	l := place.Layout()
	l.Nodes = []placement.Node{l.Nodes[0], l.Nodes[1], {ID: "d", Weight: 1, Numbers: placement.Free(place)}}
	p, err := place.Plan(l)
	require.NoError(t, err)
	n.newest = p.Begin()
	for _, h := range n.hosts {
		h.learn(n.newest)
	}
	return n, func(at ...*host) {
		n.newest, err = n.newest.Step(0)
		require.NoError(t, err)
		for _, h := range at {
			h.learn(n.newest)
		}
	}
}

func TestWhatWasSaidInASessionThatWasGivenUpCountsNoMore(t *testing.T) {
	n, step := moving(t)
	a, b, d := n.host("a"), n.host("b"), n.host("d")
	step(a, b, d)
	r := putOf("w", "k", "v", quorum.AtQuorum, core.Context{})
	a.serve(r)
	a.flush()
	require.True(t, n.deliver("a", "d", 0, false))
	d.flush()
	require.True(t, n.deliver("d", "a", 0, false))
	require.Nil(t, r.answer, "a and d are enough of the new ones, and a alone of the old ones is not")
	var err error
	n.newest, err = n.newest.Undo(0)
	require.NoError(t, err)
	c := n.host("c")
	step(a, b, c) // a has slept through the end of the session
	for n.deliver("a", "c", 0, false) {
		c.flush()
	}
	for n.deliver("c", "a", 0, false) {
	}
	require.Nil(t, r.answer, "a and c are enough of the old ones, and a alone of the new ones is not")
	n.host("d").learn(n.newest)
	n.run()
	require.NotNil(t, r.answer)
	require.NoError(t, r.answer.Err)
}

func TestAReadBeginsAnewByANewerMap(t *testing.T) {
	n, step := moving(t)
	all := n.hosts
	step(all...)
	a := n.host("a")
	r := getOf("r", "k", quorum.AtAll, core.RepairNone)
	a.serve(r)
	n.sent("a", "b")
	n.sent("a", "c")
	step(all...)
	require.Empty(t, n.sent("a", "c"))
	require.NotEmpty(t, n.sent("a", "d"), "the new replicas are read")
}
