package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// MessageKind says what a message between nodes is.
type MessageKind uint8

const (
	MsgRecord MessageKind = iota + 1 // take Entry; Op 0 asks for no answer; Full: the last of a part; answer with another MsgSync, if Round is still your newest
	MsgState                         // take Cells, which another replica holds of the key of Range
	MsgAck                           // what Op asked to be taken is durable and applied here
	MsgNack                          // it is not, or Op is not answered, because of Err
	MsgAsk                           // what do you hold of Range? Without Full, its versions alone
	MsgFound                         // Cells are what I hold; without Full, they lack the values
	MsgSync                          // Applied is what I have applied to Partition; send me what I lack, at most Room records, for Round; Full: I vote
	MsgMap                           // Delta is what is newer than your map; without, tell me what is newer than mine
)

// Message is what nodes tell each other. Every one carries the map's epoch and
// the sender's incarnation, and is refused if they do not fit (rule C7).
type Message struct {
	Kind      MessageKind
	Epoch     uint64
	Life      uint32
	Op        uint64
	Entry     record.Entry // LSN and Term are those of the log it comes from
	Range     topology.CellRange
	Full      bool
	Cells     []Held // in the order of their fields
	Partition int
	Applied   *version.Set
	Round     uint64
	Room      int
	Delta     []byte // of a MsgNack too: because your map is older
	Err       error
}

// lived is the newest incarnation heard of a node.
type lived struct {
	node topology.NodeID
	life uint32
}

func (c *Core) send(to topology.NodeID, m Message) {
	m.Epoch, m.Life = c.cfg.Map.Epoch(), c.Life
	c.do(Effect{Kind: DoSend, Node: to, Message: m})
}

// message takes what came from a node. A message of an earlier life counts for
// nothing; the first of a new one voids what the old one had acknowledged (C1).
func (c *Core) message(from topology.NodeID, m *Message) {
	if m.Kind == MsgMap || m.Kind == MsgNack && len(m.Delta) > 0 {
		learn(c, from, m) // by the newer map what was refused is asked again
		return
	}
	if !fits(c, from, m) {
		return
	}
	if !c.current(from, m.Life) {
		c.Counts.Void++
		return
	}
	switch m.Kind {
	case MsgRecord:
		c.takeRecord(from, m)
	case MsgAck, MsgNack:
		c.acked(c, from, m)
	case MsgFound:
		if v := c.surveying(m.Op); v != nil {
			v.found(c, from, m.Cells)
		} else if g := c.getting(m.Op); g != nil {
			g.found(c, from, m.Cells, m.Full)
		}
	case MsgState, MsgAsk:
		s := c.share(placement.Of(c.cfg.Map, m.Range.Table, m.Range.Key))
		if s == nil {
			c.nack(from, m.Op, fmt.Errorf("%w: %s holds no copy of key %q under map %d", topology.ErrStale, c.Self, m.Range.Key, c.cfg.Map.Epoch()))
		} else if m.Kind == MsgAsk {
			c.asked(from, m)
		} else if err := s.note(c, m.Cells, waiting{node: from, op: m.Op}); err != nil {
			c.nack(from, m.Op, err)
		}
	case MsgSync:
		if s := c.share(m.Partition); s != nil {
			s.compare(c, from, m)
		}
	}
}

// current notes the life of a node, and reports whether it is the newest.
func (c *Core) current(node topology.NodeID, life uint32) bool {
	i := slices.IndexFunc(c.lives, func(l lived) bool { return l.node == node })
	switch {
	case i < 0:
		c.lives = append(c.lives, lived{node, life})
	case life < c.lives[i].life:
		return false
	case life > c.lives[i].life:
		c.lives[i].life = life
		for _, p := range c.puts {
			p.void(c, node)
		}
		for _, g := range c.gets {
			g.void(c, node)
		}
		for _, v := range c.surveys {
			v.void(c, node)
		}
	}
	return true
}

func (c *Core) nack(to topology.NodeID, op uint64, err error) {
	if op != 0 {
		c.send(to, Message{Kind: MsgNack, Op: op, Err: err})
	}
}

// errMute is why a node that may have forgotten something does not vote.
func errMute(c *Core) error {
	return fmt.Errorf("%w: %s may have forgotten writes, and has not caught up", topology.ErrUnavailable, c.Self)
}
