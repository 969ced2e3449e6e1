package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// heldMax bounds the messages by newer maps that wait until this node has learnt those;
// more are refused.
const heldMax = 1024

// held is a message by a newer map than this node's.
type held struct {
	from    topology.NodeID
	message *Message
}

// Place is a newer map, and what the log comes to of partitions that this node did not
// hold by the older one.
type Place struct {
	Map     *placement.Map
	Applied []Applied
}

// replace makes a newer map this node's (rule L8). What is under way by the older one
// goes on by the newer at once, so that nothing by an older map is left here when the
// shell says that this node has heard of it.
func replace(c *Core, p *Place) {
	if p == nil || p.Map.Epoch() <= c.cfg.Map.Epoch() {
		return
	}
	c.cfg.Map = p.Map
	at := Position{Applied: p.Applied}
	for _, s := range c.shares {
		s.needs = needs{}
		s.cut.candidate, s.cut.barrier = nil, nil // of who was to have it before
	}
	for q := range p.Map.Partitions() {
		holds := p.Map.Holds(c.Self, q)
		i, ok := slices.BinarySearchFunc(c.shares, q, func(s *share, q int) int { return s.partition - q })
		switch {
		case ok:
			c.shares[i].left = !holds // what it has written it remembers: a dot is given once
		case holds:
			c.shares = slices.Insert(c.shares, i, newShare(c, q, at.At(q)))
		}
	}
	for _, w := range slices.Clone(c.puts) {
		w.rebind(c)
	}
	for _, g := range slices.Clone(c.gets) {
		g.rebind(c)
	}
	for _, v := range slices.Clone(c.surveys) {
		v.rebind(c)
	}
	waiting := c.held
	c.held = nil
	for _, h := range waiting {
		c.message(h.from, h.message)
	}
}

// newShare returns a node's share of a partition, of which so much is applied.
func newShare(c *Core, partition int, applied *version.Set) *share {
	s := &share{partition: partition, own: c.cfg.Map.Origin(c.Self, partition, c.Life), applied: *applied.Clone()}
	s.seq = s.applied.Prefix.Get(s.own)
	return s
}

// partitionOf returns which partition a message is about; false for an answer, and for
// what is about the map.
func (m *Message) partitionOf(c *Core) (partition int, ok bool) {
	switch m.Kind {
	case MsgRecord:
		r, err := m.Entry.Record()
		if err != nil || len(r.Mutations) == 0 {
			return 0, false // it is refused for that
		}
		return placement.Of(c.cfg.Map, r.Mutations[0].Table, r.Mutations[0].Key), true
	case MsgState, MsgAsk:
		return placement.Of(c.cfg.Map, m.Range.Table, m.Range.Key), true
	case MsgSync:
		return m.Partition, true
	}
	return 0, false
}

// fits reports whether a message is by a map that says of its partition what this
// node's says (rules C7, L8). One by an older map is refused, with what is newer; one by
// a newer map waits until this node has learnt that.
func fits(c *Core, from topology.NodeID, m *Message) bool {
	partition, ok := m.partitionOf(c)
	if !ok {
		return true
	}
	switch c.cfg.Map.Check(partition, m.Epoch) {
	case placement.Same:
		return true
	case placement.Behind:
		c.Counts.Behind++
		news := Message{Kind: MsgMap, Delta: c.cfg.Map.Since(m.Epoch).Encode()}
		if m.Op != 0 && m.Kind != MsgSync {
			news.Kind, news.Op = MsgNack, m.Op
			news.Err = fmt.Errorf("%w: partition %d has changed since map %d, here is map %d", topology.ErrStale, partition, m.Epoch, c.cfg.Map.Epoch())
		}
		c.send(from, news)
	case placement.Ahead:
		if len(c.held) >= heldMax {
			c.nack(from, m.Op, fmt.Errorf("%w: %d messages wait at %s for map %d", topology.ErrOverloaded, len(c.held), c.Self, m.Epoch))
			return false
		}
		if !slices.ContainsFunc(c.held, func(h held) bool { return h.from == from }) {
			c.send(from, Message{Kind: MsgMap})
		}
		c.held = append(c.held, held{from, m})
	default:
		c.nack(from, m.Op, fmt.Errorf("%w: there is no partition %d", topology.ErrMalformed, partition))
	}
	return false
}

// learn answers who asks what is newer than the map of its message, or takes what is
// newer than this node's own: the shell makes that durable first.
func learn(c *Core, from topology.NodeID, m *Message) {
	if len(m.Delta) == 0 {
		if m.Epoch < c.cfg.Map.Epoch() {
			c.send(from, Message{Kind: MsgMap, Delta: c.cfg.Map.Since(m.Epoch).Encode()})
		}
		return
	}
	d, err := placement.DecodeDelta(m.Delta)
	next := c.cfg.Map
	if err == nil {
		next, err = c.cfg.Map.Apply(d)
	}
	switch {
	case errors.Is(err, topology.ErrStale):
		c.send(from, Message{Kind: MsgMap}) // something between is not known here
	case err != nil:
		c.do(Effect{Kind: DoAlarm, Err: fmt.Errorf("a newer map of %s: %w", from, err)})
	case next.Epoch() > c.cfg.Map.Epoch():
		c.do(Effect{Kind: DoPlace, Map: next})
	}
}

// askAgain asks for the maps that messages wait for.
func askAgain(c *Core) {
	if len(c.held) > 0 {
		c.send(c.held[0].from, Message{Kind: MsgMap})
	}
}

// writers returns who is sent what is written to a partition; read only.
func writers(p placement.Part) []topology.NodeID {
	if !p.Moving() {
		return p.Replicas()
	}
	return p.Writers()
}

// filling reports whether this node is being given the partition, and is asked for
// nothing of it yet.
func (s *share) filling(c *Core) bool {
	p := c.cfg.Map.Part(s.partition)
	return p.Stage == placement.StageCopying && !slices.Contains(p.Old, c.Self)
}

// movingNeed returns what is enough at a level for a write, or for a value to be shown,
// while its partition moves: enough of the old replicas and enough of the new ones, as
// later reads may hear either (rule L8).
func movingNeed(part placement.Part, p purpose, l quorum.Consistency, local string) (n quorum.Need[topology.NodeID], err error) {
	if p == toWrite {
		return part.WriteNeed(l.Expr(), local)
	}
	both, err := part.ReadNeeds(l.Expr(), local)
	if err != nil {
		return n, err
	}
	for i := range both {
		if both[i], err = quorum.Joint(both[i], both[i].Dual()); err != nil {
			return n, err
		}
	}
	return quorum.Joint(both[0], both[1])
}

// rebind makes a put wait for whom the newer map says. What old and new replicas have
// acknowledged counts on, as they have it; but what somebody has who is being filled
// anew was of another session. Whoever has not is sent the record again: by the older
// map it may have been refused.
func (p *put) rebind(c *Core) {
	part := c.cfg.Map.Part(p.partition)
	if part.Epoch == p.bound && slices.Equal(writers(part), p.replicas) {
		return
	}
	needed, err := bindNeed(c, p.partition, toWrite, p.needed.level)
	if err != nil {
		p.end(c, p.why(err.Error()))
		return
	}
	anew := part.Stage == placement.StageCopying && part.Epoch != p.bound
	p.answers = slices.DeleteFunc(p.answers, func(a answered) bool {
		return a.err != nil || anew && !slices.Contains(part.Old, a.node)
	})
	p.bound, p.needed, p.replicas = part.Epoch, needed, writers(part)
	if !p.sent {
		return
	}
	for _, n := range p.replicas {
		if n != c.Self && !slices.ContainsFunc(p.answers, func(a answered) bool { return a.node == n }) {
			c.send(n, Message{Kind: MsgRecord, Op: p.op, Entry: p.entry})
		}
	}
	p.judge(c)
}

// rebind begins a read anew where the newer map says that others are to be asked, or
// that what it shows is to stand elsewhere: it has had no effect but repairs.
func (g *get) rebind(c *Core) {
	part := c.cfg.Map.Part(placement.Of(c.cfg.Map, g.at.Table, g.at.Key))
	if part.Epoch == g.bound {
		return
	}
	*g = get{op: g.op, at: g.at, repair: g.repair, level: g.level, met: g.met, forwarded: g.forwarded, keeps: g.keeps}
	s := c.share(part.ID)
	if s == nil {
		if i := slices.IndexFunc(part.Replicas(), c.isAlive); i >= 0 && !g.forwarded {
			c.gets = slices.DeleteFunc(c.gets, func(h *get) bool { return h == g })
			c.do(Effect{Kind: DoForward, Op: g.op, Node: part.Replicas()[i]})
			return
		}
		g.fail(c, topology.ErrStale, fmt.Sprintf("%s holds no copy any more", c.Self))
		return
	}
	err := g.needs(c, s, part)
	if err == nil && !c.votes() {
		err = errMute(c)
	}
	if err != nil {
		g.fail(c, err, "the map has changed")
		return
	}
	g.begin(c)
}
