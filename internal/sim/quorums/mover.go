package quorums

import (
	"maps"
	"slices"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// mover steps the map, as the engine's does: the first by name of those who reach each
// other, once all who serve a partition have heard of the step before.
type mover struct {
	p    *process
	busy bool
}

// stand is what a node says of itself to who steps the map.
type stand struct {
	epoch  uint64
	filled map[int]uint64
}

func (v *mover) tick() {
	p := v.p
	if !p.w.c.moving.on {
		return
	}
	p.n.m.After(p.s.Lasting(p.w.c.moving.look/2, 2*p.w.c.moving.look), func() {
		if p.dead {
			return
		}
		if v.mine() && !v.busy {
			v.step()
		}
		v.tick()
	})
}

func (v *mover) mine() bool {
	m := v.p.n.place
	if !moves(m) {
		return false
	}
	for _, id := range m.Nodes() {
		if id == v.p.n.id {
			return true
		}
		if slices.Contains(v.p.alive, id) {
			return false
		}
	}
	return false
}

// ask asks all nodes of the map how they stand.
func (v *mover) ask(m *placement.Map, then func(map[topology.NodeID]stand)) {
	v.busy = true
	out, left := map[topology.NodeID]stand{}, len(m.Nodes())
	for _, id := range m.Nodes() {
		call(v.p, v.p.w.node(id), func(q *process, reply func(stand)) {
			reply(stand{q.n.place.Epoch(), maps.Clone(q.n.filled)})
		}, func(s *stand) {
			if s != nil {
				out[id] = *s
			}
			if left--; left == 0 {
				v.busy = false
				then(out)
			}
		})
	}
}

// step takes every partition one stage further that is ready for it, some at a time.
func (v *mover) step() {
	m := v.p.n.place
	v.ask(m, func(stands map[topology.NodeID]stand) {
		room := v.p.w.c.moving.most
		for _, mv := range m.Moves() {
			if m.Part(mv.Partition).Stage != placement.StageWaiting {
				room--
			}
		}
		var ready []int
		for _, mv := range m.Moves() {
			part := m.Part(mv.Partition)
			waiting := part.Stage == placement.StageWaiting
			if waiting && room <= 0 || !v.ready(m, part, stands) {
				continue
			}
			if waiting {
				room--
			}
			ready = append(ready, part.ID)
		}
		if len(ready) > 0 {
			v.swap(m, func(m *placement.Map) (*placement.Map, error) { return m.Step(ready...) })
		}
	})
}

func (v *mover) ready(m *placement.Map, part placement.Part, stands map[topology.NodeID]stand) bool {
	if !v.heard(m, part, stands, m.Target) {
		return false
	}
	if part.Stage != placement.StageCopying {
		return true
	}
	nodes, _, err := part.Fill(v.p.w.c.write.Expr())
	if err != nil {
		v.p.s.Fail("floor", "%v", err)
		return false
	}
	for _, id := range nodes {
		if stands[id].filled[part.ID] != part.Epoch {
			return false
		}
	}
	return true
}

// heard reports whether enough have heard of the map: all who serve the partition, but
// for who leaves for good and can not be reached, if the others meet every request.
func (v *mover) heard(m *placement.Map, part placement.Part, stands map[topology.NodeID]stand, to func() (placement.Layout, bool)) bool {
	stays, _ := to()
	var have []topology.NodeID
	gone := false
	for _, id := range slices.Concat(part.Old, part.New) {
		s, reached := stands[id]
		switch {
		case reached && s.epoch >= m.Epoch():
			have = append(have, id)
		case !reached && !slices.ContainsFunc(stays.Nodes, func(n placement.Node) bool { return n.ID == id }):
			gone = true
		default:
			return false
		}
	}
	if !gone {
		return true
	}
	for _, level := range []quorum.Consistency{v.p.w.c.write, v.p.w.c.read} {
		need, err := part.SourceNeed(level.Expr(), "")
		if err != nil || !need.MetBy(have...) {
			return false
		}
	}
	v.p.s.Reach("a node that leaves was passed over")
	return true
}

// cancel goes back to the layout of before.
func (v *mover) cancel() {
	m := v.p.n.place
	if v.busy || !moves(m) {
		return
	}
	v.ask(m, func(stands map[topology.NodeID]stand) {
		back := func() (placement.Layout, bool) { return m.Layout(), true }
		for _, mv := range m.Moves() {
			if part := m.Part(mv.Partition); part.Moving() && !v.heard(m, part, stands, back) {
				return
			}
		}
		v.p.s.Reach("a move was cancelled")
		v.swap(m, (*placement.Map).Cancel)
	})
}
