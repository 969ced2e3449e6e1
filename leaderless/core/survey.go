package core

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// survey is the first half of a put with write-back: it hears as many replicas as a read
// does for the greatest time of the key, so that the write sorts after everything that
// was acknowledged before it began, however the clocks stand (L4; Attiya, Bar-Noy, Dolev
// 1995, for several writers). Nothing has happened before it ends (C9).
type survey struct {
	op       uint64
	at       topology.CellRange
	replicas []topology.NodeID
	hear     need
	asked    []topology.NodeID
	answers  []answered
	latest   version.Timestamp

	met   quorum.Consistency
	bound uint64 // as a put's
}

// survey begins one for a put that this node coordinates.
func (s *share) survey(c *Core, ev *Event) {
	v := &survey{op: ev.Op, at: ev.Range, latest: ev.Context.Time, met: ev.Met}
	m := &ev.Mutations[0]
	if v.at.Table != m.Table || string(v.at.Key) != string(m.Key) {
		v.at.Cell, v.at.Whole = record.Cell{Table: m.Table, Key: m.Key, Field: m.Field}, len(ev.Mutations) > 1
	}
	part := c.cfg.Map.Part(s.partition)
	err := v.needs(c, s, part)
	if err == nil {
		err = c.able(v.hear)
	}
	if err != nil {
		c.refuse(ev, "put", m.Key, err)
		return
	}
	c.surveys = append(c.surveys, v)
	v.begin(c)
}

// needs finds out whom it hears, by the map.
func (v *survey) needs(c *Core, s *share, part placement.Part) (err error) {
	v.bound, v.replicas = part.Epoch, part.Replicas()
	v.hear, err = s.needFor(c, toRead, v.met)
	return err
}

// begin looks at the own copy, which counts where this node is one of those to be heard,
// and asks others.
func (v *survey) begin(c *Core) {
	c.do(Effect{Kind: DoLook, Node: c.Self, Op: v.op, Range: v.at})
	v.asked = append(v.asked, c.Self)
	for _, n := range v.hear.Chosen(nearest(c, v.replicas)) {
		v.ask(c, n)
	}
}

// rebind begins anew where the newer map says that others are to be heard.
func (v *survey) rebind(c *Core) {
	part := c.cfg.Map.Part(placement.Of(c.cfg.Map, v.at.Table, v.at.Key))
	if part.Epoch == v.bound && slices.Equal(part.Replicas(), v.replicas) {
		return
	}
	v.asked, v.answers = nil, nil
	s := c.share(part.ID)
	if s == nil {
		v.fail(c, topology.ErrStale, fmt.Sprintf("%s holds no copy any more", c.Self))
		return
	}
	if err := v.needs(c, s, part); err != nil {
		v.fail(c, err, "the map has changed")
		return
	}
	v.begin(c)
}

// surveying returns the survey of the put with that name, nil if there is none under way.
func (q *requests) surveying(op uint64) *survey {
	if i, ok := slices.BinarySearchFunc(q.surveys, op, func(v *survey, op uint64) int { return cmp.Compare(v.op, op) }); ok {
		return q.surveys[i]
	}
	return nil
}

func (v *survey) ask(c *Core, n topology.NodeID) {
	if !slices.Contains(v.asked, n) {
		v.asked = append(v.asked, n)
		c.send(n, Message{Kind: MsgAsk, Op: v.op, Range: v.at})
	}
}

// found: a replica says which versions it holds.
func (v *survey) found(c *Core, from topology.NodeID, cells []Held) {
	for i := range cells {
		for _, x := range cells[i].State.Siblings {
			v.latest = max(v.latest, x.Time)
		}
	}
	v.answer(c, from, nil)
}

// failed: a replica refused, or can not be reached. The others are asked in its place.
func (v *survey) failed(c *Core, from topology.NodeID, why error) {
	for _, n := range v.replicas {
		v.ask(c, n)
	}
	v.answer(c, from, why)
}

func (v *survey) answer(c *Core, from topology.NodeID, why error) {
	v.answers = append(v.answers, answered{from, why})
	t := count(v.hear, v.answers)
	switch t.Verdict() {
	case quorum.Reached:
		v.leave(c)
		c.do(Effect{Kind: DoPut, Op: v.op, Time: v.latest})
	case quorum.Unreachable:
		v.fail(c, topology.ErrUnavailable, "too many replicas refused to say how late the key is")
	}
}

// late: the put has no more time, or takes longer than most.
func (v *survey) late(c *Core, kind EventKind) {
	if kind == EvDeadline {
		v.fail(c, topology.ErrTimeout, "the time was over before anything was written")
		return
	}
	for _, n := range v.replicas {
		v.ask(c, n)
	}
}

// void takes back what a node has said in an earlier life (C1).
func (v *survey) void(c *Core, node topology.NodeID) {
	n := len(v.answers)
	v.answers = slices.DeleteFunc(v.answers, func(a answered) bool { return a.node == node && a.err == nil })
	c.Counts.Void += uint64(n - len(v.answers))
}

func (v *survey) fail(c *Core, why error, what string) {
	err := fmt.Errorf("%w: %s: %v", why, what, v.hear)
	for _, a := range v.answers {
		if a.err != nil {
			err = fmt.Errorf("%w; %s: %w", err, a.node, a.err)
		}
	}
	v.leave(c)
	c.do(Effect{Kind: DoAnswer, Op: v.op, Answer: Answer{Err: &topology.Error{Op: "put", Node: c.Self, Key: v.at.Key, Outcome: topology.NotApplied, Err: err}}})
}

func (v *survey) leave(c *Core) {
	c.surveys = slices.DeleteFunc(c.surveys, func(w *survey) bool { return w == v })
}
