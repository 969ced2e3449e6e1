package core

import (
	"fmt"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// need is whose answers a request waits for, at a level.
type need struct {
	quorum.Need[topology.NodeID]
	level quorum.Consistency
}

// String says how many, or by which level.
func (n need) String() string {
	if n.level.Sited() {
		return fmt.Sprintf("%v is needed", n.level)
	}
	k, err := n.Least()
	if err != nil {
		return fmt.Sprintf("%v is needed", n.level)
	}
	return fmt.Sprintf("%d replicas are needed", k)
}

// purpose is what a need is for.
type purpose uint8

const (
	toWrite     purpose = iota // enough for a write
	toRead                     // enough for a read
	toShow                     // enough for a read that no later read of its level finds less than (L4): R, and what every R meets, which is max(R, N−R+1)
	purposes    = 3
	levelsKnown = int(quorum.AtEachQuorum) + 1
)

// needed is what a level comes to at one partition, once it was asked for.
type needed struct {
	need need
	err  error
	done bool
}

// needs are what levels come to at a share, for each purpose. They hold as long as the
// map does.
type needs [purposes][levelsKnown]needed

// needFor returns whom a request of this node needs at a level; a level that means
// nothing here, as one of a site in which no replica stands, is an error that wraps
// [topology.ErrUnsupported].
func (s *share) needFor(c *Core, p purpose, l quorum.Consistency) (need, error) {
	if !l.Valid() {
		return need{}, fmt.Errorf("%w: consistency %v", topology.ErrUnsupported, l)
	}
	at := &s.needs[p][l]
	if !at.done {
		at.need, at.err = bindNeed(c, s.partition, p, l)
		at.done = true
	}
	return at.need, at.err
}

func bindNeed(c *Core, partition int, p purpose, l quorum.Consistency) (n need, err error) {
	n.level = l
	part := c.cfg.Map.Part(partition)
	replicas := part.Replicas()
	self, _ := c.cfg.Map.Node(c.Self)
	switch {
	case part.Moving() && p != toRead:
		n.Need, err = movingNeed(part, p, l, self.Site)
	case !l.Sited():
		n.Need, err = quorum.CountNeed(l.Needed(len(replicas)), replicas)
	case p == toWrite:
		n.Need, err = part.WriteNeed(l.Expr(), self.Site)
	default:
		n.Need, err = part.ReadNeed(l.Expr(), self.Site)
	}
	if err == nil && p == toShow && !part.Moving() {
		n.Need, err = quorum.Joint(n.Need, n.Need.Dual())
	}
	if err != nil {
		return n, fmt.Errorf("%w: consistency %v of partition %d at %s: %w", topology.ErrUnsupported, l, partition, c.Self, err)
	}
	return n, nil
}

// both returns the need that two needs of one partition meet together.
func both(a, b need) (need, error) {
	j, err := quorum.Joint(a.Need, b.Need)
	if b.level.Sited() {
		a.level = b.level
	}
	return need{j, a.level}, err
}

// nearest returns the replicas in the order in which a read of this node asks them: its
// own copy first, then who is alive, those of its site before others, then who is not.
func nearest(c *Core, replicas []topology.NodeID) []topology.NodeID {
	self, _ := c.cfg.Map.Node(c.Self)
	const ranks = 4
	rank := make([]uint8, len(replicas))
	for i, id := range replicas {
		switch {
		case id == c.Self:
		case !c.isAlive(id):
			rank[i] = 3
		case self.Site != "" && !inSite(c, id, self.Site):
			rank[i] = 2
		default:
			rank[i] = 1
		}
	}
	out := make([]topology.NodeID, 0, len(replicas))
	for r := range uint8(ranks) {
		for i, id := range replicas {
			if rank[i] == r {
				out = append(out, id)
			}
		}
	}
	return out
}

func inSite(c *Core, id topology.NodeID, site string) bool {
	n, _ := c.cfg.Map.Node(id)
	return n.Site == site
}

// count tallies answers anew: there are no more of them than replicas.
func count(n need, answers []answered) quorum.Tally[topology.NodeID] {
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
