package core

import "github.com/triad-kv/triad/topology"

// exchange tells another replica of the partition what is applied here, a
// different one every tick. Whoever holds what another lacks sends it from its
// log: that is all the hints there are (L1, L6). It sends some at a time, and the
// next when it is told that those are durable: the receiver sets the pace.
func (s *share) exchange(c *Core) {
	replicas := writers(c.cfg.Map.Part(s.partition))
	n := len(replicas)
	if s.left || s.filling(c) {
		return // who is being filled lacks most, and is given it by a stream
	}
	if n < 2 {
		s.cut.advance(c, s) // nobody has to tell anything
		return
	}
	to := replicas[c.turn%n]
	if to == c.Self {
		to = replicas[(c.turn+1)%n]
	}
	s.tell(c, to)
}

// tell tells a replica what is applied here. It begins a round, and ends the one
// before it: else every record that comes twice would double what is under way.
func (s *share) tell(c *Core, to topology.NodeID) {
	s.round++
	room := max(1, c.cfg.Limits.Unflushed-len(c.tail))
	c.send(to, Message{Kind: MsgSync, Partition: s.partition, Applied: s.applied.Clone(), Round: s.round, Room: room, Full: c.votes()})
}

// dotsMax is how many writes are looked for at most when another lacks some.
const dotsMax = 1 << 14

// compare sends a replica what it lacks and this node has, some at a time.
func (s *share) compare(c *Core, from topology.NodeID, m *Message) {
	if d, ok := s.unknown(m.Applied); ok {
		c.forget(from, d)
		return
	}
	s.cut.hear(from, m)
	s.cut.advance(c, s)
	// This node may know of writes whose records it does not have: others have them.
	if dots := s.applied.Missing(m.Applied, dotsMax); len(dots) > 0 {
		c.do(Effect{Kind: DoFill, Node: from, Op: m.Round, Dots: dots, Most: min(c.cfg.Limits.Fill, m.Room)})
	}
}
