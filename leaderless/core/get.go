package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// get is a read that this node coordinates. It goes through three phases: enough
// replicas say what they hold; the value is here; enough replicas hold it.
type get struct {
	op       uint64
	at       topology.CellRange
	replicas []topology.NodeID
	hear     need // who is to be heard
	stand    need // who is to hold the value before it is shown, where repair waits for that (L4)
	repair   Repair
	asked    []topology.NodeID
	heard    []heard
	refused  []answered
	fetching topology.NodeID // who was asked for the value
	value    []Held          // the newest that is here in full, once own has been read
	keeps    bool            // the table keeps all that is concurrent
	own      bool            // the own copy has been read
	settled  bool            // the value is the newest of those heard
	holders  []answered      // who is known to hold it durably, or will not
	given    []topology.NodeID

	level, met quorum.Consistency
	forwarded  bool
	bound      uint64 // as a put's
}

// heard is what a replica holds, as it said.
type heard struct {
	node  topology.NodeID
	cells []Held // without values, but the coordinator's own
}

// get takes a client's read.
func (c *Core) get(ev *Event) {
	part := c.cfg.Map.Part(placement.Of(c.cfg.Map, ev.Range.Table, ev.Range.Key))
	s := c.route(ev, ev.Range.Table, ev.Range.Key, part.Replicas())
	if s == nil {
		return
	}
	g := &get{op: ev.Op, at: ev.Range, repair: ev.Repair, level: ev.Level, met: ev.Met, forwarded: ev.Forwarded, keeps: c.cfg.keeps(ev.Range.Table)}
	err := g.needs(c, s, part)
	if err == nil {
		err = c.able(g.hear)
	}
	if err != nil {
		c.refuse(ev, "get", ev.Range.Key, err)
		return
	}
	c.gets = append(c.gets, g)
	g.begin(c)
}

// begin reads the own copy, which counts where this node is one of those to be heard,
// and asks others for theirs.
func (g *get) begin(c *Core) {
	c.do(Effect{Kind: DoLook, Node: c.Self, Op: g.op, Range: g.at, Full: true})
	if slices.Contains(g.replicas, c.Self) {
		g.asked = append(g.asked, c.Self)
	}
	for _, n := range g.hear.Chosen(nearest(c, g.replicas)) {
		g.ask(c, n, false)
	}
}

// needs finds out who is to be heard and who is to hold the value before it is shown, by
// the read's level and its mode (L4). In blocking repair both are so many that every
// later read of the level meets them. With write-back the value is to stand where a
// write of it would; all of those are asked, as whoever has it already need not be given
// it.
func (g *get) needs(c *Core, s *share, part placement.Part) (err error) {
	g.bound, g.replicas = part.Epoch, part.Replicas()
	if part.Moving() && g.repair >= RepairBlocking {
		g.replicas = part.Writers() // the value is to stand on the old and on the new
	}
	hear := toRead
	if g.repair == RepairBlocking {
		hear = toShow
	}
	if g.hear, err = s.needFor(c, hear, g.level); err != nil {
		return err
	}
	g.stand = g.hear
	if g.repair != RepairWriteBack {
		return nil
	}
	if g.stand, err = s.needFor(c, toWrite, g.met); err == nil {
		g.hear, err = both(g.hear, g.stand)
	}
	return err
}

func (g *get) ask(c *Core, n topology.NodeID, full bool) {
	if n == c.Self || !full && slices.Contains(g.asked, n) {
		return
	}
	if !full {
		g.asked = append(g.asked, n)
	}
	c.send(n, Message{Kind: MsgAsk, Op: g.op, Range: g.at, Full: full})
}

// hedge asks whoever has not been asked.
func (g *get) hedge(c *Core) {
	for _, n := range g.replicas {
		g.ask(c, n, false)
	}
}

// asked: another node wants to know what this one holds.
func (c *Core) asked(from topology.NodeID, m *Message) {
	switch {
	case !c.votes():
		c.nack(from, m.Op, errMute(c))
	case c.share(placement.Of(c.cfg.Map, m.Range.Table, m.Range.Key)) == nil:
		c.nack(from, m.Op, fmt.Errorf("%w: %s holds no copy of key %q under map %d", topology.ErrStale, c.Self, m.Range.Key, c.cfg.Map.Epoch()))
	default:
		c.do(Effect{Kind: DoLook, Node: from, Op: m.Op, Range: m.Range, Full: m.Full})
	}
}

// looked: the own copy was read, for a get of this node or of another.
func (c *Core) looked(ev *Event) {
	keeps := c.cfg.keeps(ev.Range.Table)
	if keeps {
		ev.Cells = covering(ev.Cells, ev.Part.Applied)
	}
	if ev.Node != c.Self {
		cells := ev.Cells
		switch {
		case ev.Full:
		case keeps:
			cells = bareKept(cells)
		default:
			cells = bare(cells)
		}
		c.send(ev.Node, Message{Kind: MsgFound, Op: ev.Op, Cells: cells, Full: ev.Full})
		return
	}
	if v := c.surveying(ev.Op); v != nil {
		v.found(c, c.Self, ev.Cells)
		return
	}
	if g := c.getting(ev.Op); g != nil && !g.own {
		g.own, g.value = true, ev.Cells
		g.found(c, c.Self, ev.Cells, true)
	}
}

// newest returns the version of a state that wins, the zero version if it holds
// none: a not-found is a vote like any other (L3).
func newest(s *record.State) (v record.Version) {
	for _, w := range s.Siblings {
		if v.Dot.IsZero() || conflict.Compare(w, v) > 0 {
			v = w
		}
	}
	return v
}

// found: a replica says what it holds.
func (g *get) found(c *Core, from topology.NodeID, cells []Held, full bool) {
	if full && from != c.Self && from == g.fetching {
		g.fetched(c, from, cells)
		return
	}
	if !slices.ContainsFunc(g.heard, func(h heard) bool { return h.node == from }) {
		g.heard = append(g.heard, heard{from, cells})
	}
	g.advance(c)
}

// advance goes on once enough have been heard, the own copy among them.
func (g *get) advance(c *Core) {
	tally := g.tally()
	switch {
	case g.settled || g.fetching != "":
	case tally.Verdict() == quorum.Unreachable:
		g.fail(c, topology.ErrUnavailable, "too many replicas refused")
	case g.own && tally.Verdict() == quorum.Reached:
		g.settle(c)
	}
}

func (g *get) tally() quorum.Tally[topology.NodeID] {
	answers := slices.Clone(g.refused)
	for _, h := range g.heard {
		answers = append(answers, answered{node: h.node})
	}
	return count(g.hear, answers)
}

// settle finds out whether the value is here, and else asks for it who is ahead.
func (g *get) settle(c *Core) {
	if g.keeps {
		g.settleKept(c)
		return
	}
	var first topology.NodeID
	var best []Held
	for _, h := range g.heard {
		if ahead(h.cells, g.value) && (first == "" || ahead(h.cells, best)) {
			first, best = h.node, h.cells
		}
	}
	if first != "" {
		c.Counts.Second++
		g.fetching = first
		g.ask(c, first, true)
		return
	}
	g.settled = true
	g.mend(c)
}

// fetched: the value has come from who was ahead. It is merged with what was read
// here by the same rule as on any replica (X, third row), but for the partition's
// applied set: that may have grown since the own copy was read, and would refuse
// what it now holds.
func (g *get) fetched(c *Core, from topology.NodeID, cells []Held) {
	merge := join
	if g.keeps {
		merge = joinKept
	}
	joined, err := merge(g.value, cells)
	if err != nil {
		g.forked(c, from, err)
		return
	}
	for i := range g.heard {
		if g.heard[i].node == from {
			g.heard[i].cells = cells
		}
	}
	g.value, g.fetching = joined, ""
	g.settle(c)
}

func (g *get) forked(c *Core, with topology.NodeID, err error) {
	c.do(Effect{Kind: DoAlarm, Err: fmt.Errorf("key %q at %s and %s: %w", g.at.Key, c.Self, with, err)})
	g.fail(c, err, "two replicas hold one write with two contents")
}

// failed: a replica refused, or could not be asked.
func (g *get) failed(c *Core, from topology.NodeID, err error) {
	if g.settled {
		g.holders = append(g.holders, answered{from, err})
		g.giveMore(c)
		g.hold(c)
		return
	}
	g.refused = append(g.refused, answered{from, err})
	g.heard = slices.DeleteFunc(g.heard, func(h heard) bool { return h.node == from })
	if g.fetching == from {
		g.fetching = ""
	}
	g.hedge(c)
	g.advance(c)
}

// void takes back what a node said in an earlier life.
func (g *get) void(c *Core, node topology.NodeID) {
	if !g.settled {
		g.heard = slices.DeleteFunc(g.heard, func(h heard) bool { return h.node == node })
		if g.fetching == node {
			g.fetching = ""
		}
		g.hedge(c)
		return
	}
	n := len(g.holders)
	g.holders = slices.DeleteFunc(g.holders, func(a answered) bool { return a.node == node && a.err == nil })
	c.Counts.Void += uint64(n - len(g.holders))
}

// expire: the time is over.
func (g *get) expire(c *Core) {
	what := "the time is over"
	if g.settled {
		what = fmt.Sprintf("the time is over: the value stands on %d replicas, and not on enough to be shown", g.standing())
	}
	g.fail(c, topology.ErrTimeout, what)
}

func (g *get) fail(c *Core, err error, what string) {
	n := g.hear
	if g.settled {
		n = g.stand
	}
	err = fmt.Errorf("%w: %s: %v", err, what, n)
	for _, r := range g.refused {
		err = fmt.Errorf("%w; %s: %w", err, r.node, r.err)
	}
	g.end(c, Answer{Err: &topology.Error{Op: "get", Node: c.Self, Key: g.at.Key, Outcome: topology.NotApplied, Err: err}})
}

func (g *get) end(c *Core, a Answer) {
	c.gets = slices.DeleteFunc(c.gets, func(h *get) bool { return h == g })
	c.do(Effect{Kind: DoAnswer, Op: g.op, Answer: a})
}
