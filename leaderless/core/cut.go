package core

import (
	"slices"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// cut is what every replica of a partition is known to have applied, so that a delete
// among it can be forgotten (rule L9). It goes by what replicas tell in their exchange, and
// by nothing else: neither by time nor by who is said to be alive. One that is away holds
// it where it is.
//
// It goes in two steps. First, every replica has told that it has the writes of a candidate.
// Whatever a replica writes after it has applied a delete sorts behind it; but before, it
// may have written something older, of which the others do not know yet. So then all that
// anybody has told to have by that time is a barrier, and once all have told to have
// that as well the candidate is stable.
type cut struct {
	told      []told
	candidate version.Vector // what all had told to have when the barrier was taken
	barrier   *version.Set   // what anybody had told to have then; nil: none was taken
	stable    version.Vector
}

// told is what a replica has told that it has applied, in its newest life.
type told struct {
	node  topology.NodeID
	life  uint32
	votes bool // it has forgotten nothing, as far as it knows
	set   *version.Set
}

// hear notes what a replica tells.
func (k *cut) hear(from topology.NodeID, m *Message) {
	i := slices.IndexFunc(k.told, func(t told) bool { return t.node == from })
	if i < 0 {
		k.told = append(k.told, told{node: from})
		i = len(k.told) - 1
	}
	t := &k.told[i]
	switch {
	case m.Life < t.life:
		return
	case m.Life > t.life && t.set != nil, t.set != nil && len(t.set.Missing(m.Applied, 1)) > 0:
		// Its disk was lost or set back. What it alone had nobody may have any more, so
		// nobody is to wait for it.
		k.candidate, k.barrier = nil, nil
	}
	*t = told{node: from, life: m.Life, votes: m.Full, set: m.Applied}
}

// advance sees what has become stable.
func (k *cut) advance(c *Core, s *share) {
	all := []*version.Set{&s.applied}
	if !c.votes() || c.cfg.Map.Part(s.partition).Moving() {
		return
	}
	for _, n := range c.cfg.Map.Replicas(s.partition) {
		if n == c.Self {
			continue
		}
		i := slices.IndexFunc(k.told, func(t told) bool { return t.node == n })
		if i < 0 || !k.told[i].votes || k.told[i].set == nil {
			return
		}
		all = append(all, k.told[i].set)
	}
	if k.barrier != nil {
		for _, set := range all {
			if len(k.barrier.Missing(set, 1)) > 0 {
				return
			}
		}
		k.stable = k.stable.Join(k.candidate)
	}
	k.candidate, k.barrier = slices.Clone(s.applied.Prefix), &version.Set{}
	for _, set := range all {
		for _, m := range slices.Clone(k.candidate) {
			k.candidate = k.candidate.With(m.Origin, min(m.Seq, set.Prefix.Get(m.Origin)))
		}
		k.barrier.Union(set.Clone())
	}
}

// Stable returns the writes to a partition that every replica is known to have, and with
// them all that sort before a delete among them: it can be forgotten. It is nil where this
// node holds no copy, or may have forgotten something itself.
func Stable(c *Core, partition int) version.Vector {
	// While a partition moves nothing is forgotten: who is being filled may lack it.
	if s := c.share(partition); s != nil && c.votes() && !c.cfg.Map.Part(partition).Moving() {
		return s.cut.stable
	}
	return nil
}

// Lacking says what a replica of a partition is not known to have: how many of the writes
// that are applied here, up to most, and whether it has told anything at all, as one that
// votes.
func Lacking(c *Core, partition int, node topology.NodeID, most int) (writes int, heard bool) {
	s := c.share(partition)
	if s == nil {
		return 0, true
	}
	i := slices.IndexFunc(s.cut.told, func(t told) bool { return t.node == node })
	if i < 0 {
		return len(s.applied.Missing(nil, most)), false
	}
	t := &s.cut.told[i]
	return len(s.applied.Missing(t.set, most)), t.votes
}
