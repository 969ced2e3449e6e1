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

// joint returns what a write at a level waits for while its partition moves: enough of
// the old replicas and enough of the new ones (rule L8). Nil while it does not.
func joint(p placement.Part, level quorum.Consistency) (*quorum.Need[topology.NodeID], error) {
	if !p.Moving() {
		return nil, nil
	}
	n, err := p.WriteNeed(level.Expr(), "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", topology.ErrUnavailable, err)
	}
	return &n, nil
}

// jointAlive says whether enough are alive for that (L2).
func jointAlive(c *Core, n *quorum.Need[topology.NodeID]) error {
	if n == nil {
		return nil
	}
	t := n.Tally()
	for _, id := range c.alive {
		t.Yes(id)
	}
	if t.Verdict() == quorum.Reached {
		return nil
	}
	return fmt.Errorf("%w: the partition moves, and %s are missing", topology.ErrUnavailable, t.Lacks())
}

// tallied counts answers by a need.
func tallied(n *quorum.Need[topology.NodeID], answers []answered) quorum.Tally[topology.NodeID] {
	t := n.Tally()
	for _, a := range answers {
		if a.err == nil {
			t.Yes(a.node)
		} else {
			t.No(a.node, a.err)
		}
	}
	return t
}

// tally counts what has been answered.
func (p *put) tally() quorum.Tally[topology.NodeID] {
	if p.both != nil {
		return tallied(p.both, p.answers)
	}
	return count(p.needed, p.replicas, p.answers)
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
	both, err := joint(part, p.level)
	if err != nil {
		p.end(c, p.why(err.Error()))
		return
	}
	anew := part.Stage == placement.StageCopying && part.Epoch != p.bound
	p.answers = slices.DeleteFunc(p.answers, func(a answered) bool {
		return a.err != nil || anew && !slices.Contains(part.Old, a.node)
	})
	p.bound, p.both, p.replicas = part.Epoch, both, writers(part)
	p.needed = p.level.Needed(len(part.Replicas()))
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
	if part.Epoch == g.bound && slices.Equal(part.Replicas(), g.replicas) {
		return
	}
	*g = get{op: g.op, at: g.at, repair: g.repair, level: g.level, forwarded: g.forwarded}
	if c.share(part.ID) == nil {
		if i := slices.IndexFunc(part.Replicas(), c.isAlive); i >= 0 && !g.forwarded {
			c.gets = slices.DeleteFunc(c.gets, func(h *get) bool { return h == g })
			c.do(Effect{Kind: DoForward, Op: g.op, Node: part.Replicas()[i]})
			return
		}
		g.fail(c, topology.ErrStale, fmt.Sprintf("%s holds no copy any more", c.Self))
		return
	}
	err := g.bind(part)
	if err == nil && !c.votes() {
		err = errMute(c)
	}
	if err != nil {
		g.fail(c, err, "the map has changed")
		return
	}
	g.begin(c)
}

// bind says whom a read hears, by the map, and on whom what it shows is to stand.
func (g *get) bind(part placement.Part) error {
	g.bound, g.replicas = part.Epoch, part.Replicas()
	g.needed = g.level.Needed(len(g.replicas))
	if g.repair == RepairBlocking {
		// On how many the value must stand is how many must be heard.
		g.needed = max(g.needed, len(g.replicas)-g.needed+1)
		if part.Moving() {
			stands, err := standing(part, g.level)
			if err != nil {
				return fmt.Errorf("%w: %w", topology.ErrUnavailable, err)
			}
			g.both, g.others = &stands, part.Writers()[len(g.replicas):]
		}
	}
	return nil
}

// standing returns on whom a value must stand before it is shown, in blocking repair,
// while its partition moves: later reads may hear the old replicas or the new ones.
func standing(part placement.Part, level quorum.Consistency) (n quorum.Need[topology.NodeID], err error) {
	var both [2]quorum.Need[topology.NodeID]
	for i, ids := range [][]topology.NodeID{part.Old, part.New} {
		r := level.Needed(len(ids))
		rs := make([]quorum.Replica[topology.NodeID], len(ids))
		for j, id := range ids {
			rs[j].Node = id
		}
		if both[i], err = quorum.Bind(quorum.Count(max(r, len(ids)-r+1)), rs, ""); err != nil {
			return n, err
		}
	}
	return quorum.Joint(both[0], both[1])
}

// stands counts who holds the value.
func (g *get) stands() quorum.Tally[topology.NodeID] {
	if g.both != nil {
		return tallied(g.both, g.holders)
	}
	return count(g.needed, g.replicas, g.holders)
}
