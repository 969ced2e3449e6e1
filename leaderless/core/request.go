package core

import (
	"cmp"
	"slices"

	"github.com/triad-kv/triad/topology"
)

// requests are the puts and gets under way at their coordinator, by name.
type requests struct {
	puts    []*put
	gets    []*get
	surveys []*survey
}

// Busy returns how many requests are under way.
func (q *requests) Busy() int { return len(q.puts) + len(q.gets) + len(q.surveys) }

// putting returns the put with that name, nil if there is none under way.
func (q *requests) putting(op uint64) *put {
	if i, ok := slices.BinarySearchFunc(q.puts, op, func(p *put, op uint64) int { return cmp.Compare(p.op, op) }); ok {
		return q.puts[i]
	}
	return nil
}

// getting returns the get with that name, nil if there is none under way.
func (q *requests) getting(op uint64) *get {
	if i, ok := slices.BinarySearchFunc(q.gets, op, func(g *get, op uint64) int { return cmp.Compare(g.op, op) }); ok {
		return q.gets[i]
	}
	return nil
}

// acked: a replica has taken what a request sent it, or has not.
func (q *requests) acked(c *Core, from topology.NodeID, m *Message) {
	err := m.Err
	if m.Kind == MsgNack && err == nil {
		err = topology.ErrUnavailable
	}
	if p := q.putting(m.Op); p != nil {
		p.answer(c, from, err)
		return
	}
	if v := q.surveying(m.Op); v != nil {
		v.failed(c, from, err)
		return
	}
	g := q.getting(m.Op)
	switch {
	case g == nil:
	case m.Kind == MsgAck:
		g.stood(c, from)
	default:
		g.failed(c, from, err)
	}
}

// late: a request has no more time, or is taking longer than most.
func (q *requests) late(c *Core, op uint64, kind EventKind) {
	if p := q.putting(op); p != nil && kind == EvDeadline {
		p.end(c, p.why("the time is over"))
	}
	if v := q.surveying(op); v != nil {
		v.late(c, kind)
	}
	if g := q.getting(op); g != nil {
		if kind == EvHedge {
			g.hedge(c)
		} else {
			g.expire(c)
		}
	}
}

// lose: a node can not be reached. What it has not answered it need not answer.
func (q *requests) lose(c *Core, node topology.NodeID, why error) {
	for _, p := range slices.Clone(q.puts) {
		if p.sent && slices.Contains(p.replicas, node) && !slices.ContainsFunc(p.answers, func(a answered) bool { return a.node == node }) {
			p.answer(c, node, why)
		}
	}
	for _, v := range slices.Clone(q.surveys) {
		if slices.Contains(v.asked, node) {
			v.failed(c, node, why)
		}
	}
	for _, g := range slices.Clone(q.gets) {
		switch {
		case g.settled:
			if slices.Contains(g.given, node) && !slices.ContainsFunc(g.holders, func(a answered) bool { return a.node == node }) {
				g.failed(c, node, why)
			}
		case g.fetching == node, slices.Contains(g.asked, node) && !slices.ContainsFunc(g.heard, func(h heard) bool { return h.node == node }):
			g.failed(c, node, why)
		}
	}
}

// answered is what a replica said of a request: nil if it took it.
type answered struct {
	node topology.NodeID
	err  error
}
