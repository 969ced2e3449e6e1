package core

import (
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// after reports whether v sorts after w, where a zero version is nothing.
func after(v, w record.Version) bool {
	return !v.Dot.IsZero() && (w.Dot.IsZero() || conflict.Compare(v, w) > 0)
}

// mend brings those up to date who were behind, as the read's mode says, and
// answers. Where nobody holds anything there is nothing to repair.
func (g *get) mend(c *Core) {
	var behind []topology.NodeID
	for _, h := range g.heard {
		if len(g.behind(h.cells)) == 0 {
			g.holders = append(g.holders, answered{node: h.node})
		} else {
			behind = append(behind, h.node)
		}
	}
	if len(g.behind(nil)) == 0 || g.repair == RepairNone {
		g.answer(c)
		return
	}
	for _, n := range behind {
		g.give(c, n)
	}
	if g.repair == RepairAsync {
		g.answer(c)
		return
	}
	g.hold(c)
}

// give sends a replica the state that it lacks, once. Where the answer waits it is to say
// when it has it.
func (g *get) give(c *Core, n topology.NodeID) {
	if slices.Contains(g.given, n) {
		return
	}
	g.given = append(g.given, n)
	c.Counts.Repairs++
	op := g.op
	if !g.repair.waits() {
		op = 0
	}
	var theirs []Held // of who was not heard, nothing is known
	if i := slices.IndexFunc(g.heard, func(h heard) bool { return h.node == n }); i >= 0 {
		theirs = g.heard[i].cells
	}
	cells := g.behind(theirs)
	if n != c.Self {
		c.send(n, Message{Kind: MsgState, Op: op, Range: topology.CellRange{Cell: record.Cell{Table: g.at.Table, Key: g.at.Key}}, Cells: cells})
		return
	}
	s := c.share(placement.Of(c.cfg.Map, g.at.Table, g.at.Key))
	if err := s.note(c, cells, waiting{node: c.Self, op: op}); err != nil {
		g.holders = append(g.holders, answered{n, err})
	}
}

// giveMore sends the state to the replicas that were not heard, because one of
// those that were could not be repaired.
func (g *get) giveMore(c *Core) {
	for _, n := range g.replicas {
		if !slices.ContainsFunc(g.holders, func(a answered) bool { return a.node == n }) {
			g.give(c, n)
		}
	}
}

// standing returns how many are known to hold the value.
func (g *get) standing() int {
	t, n := count(g.stand, g.holders), 0
	for range t.Agreed() {
		n++
	}
	return n
}

// stood: a replica has made durable what the read gave it.
func (g *get) stood(c *Core, node topology.NodeID) {
	if g.settled && g.repair.waits() {
		g.holders = append(g.holders, answered{node: node})
		g.hold(c)
	}
}

// hold answers once the value stands on enough replicas: on N−R+1, every later
// read meets one of them; R may be less; with write-back, on those of a write. A replica that could not
// be repaired fails the read only if the others are too few without it.
func (g *get) hold(c *Core) {
	t := count(g.stand, g.holders)
	switch t.Verdict() {
	case quorum.Reached:
		g.answer(c)
	case quorum.Unreachable:
		for n, why := range t.Reasons() {
			g.refused = append(g.refused, answered{n, why})
		}
		g.fail(c, topology.ErrUnavailable, "too few replicas could be repaired before the answer")
	}
}

// answer ends the read. What it returns as context is what a put that follows is
// to carry: the versions it has seen, and the greatest of their times (C3).
func (g *get) answer(c *Core) {
	a := Answer{Context: seenIn(g.value), Stands: g.standing()}
	if g.keeps {
		a.Context = shownIn(g.value)
	}
	for _, h := range g.value {
		if len(h.State.Siblings) > 0 {
			a.Cells = append(a.Cells, Held{h.Cell, record.State{Siblings: h.State.Siblings}})
		}
	}
	g.end(c, a)
}
