package leaderless

import (
	"context"
	"github.com/triad-kv/triad/leaderless/placement"
	"sort"
	"sync/atomic"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// keeper knows how much of the log others still need, by what they say they have
// applied; and sees when this node lacks what nobody's log has any more. It belongs to
// the loop, but for what says otherwise.
type keeper struct {
	e     *engine
	kept  atomic.Uint64 // the first entry that somebody may need; read by anybody
	told  map[topology.NodeID]*telling
	stuck map[int]stuck
	ticks int
	gone  []version.Dot // of entries that nobody needs; the machine forgets where they stand
	mends chan mend
	busy  atomic.Bool
}

// telling is what a node has said, in its newest life, that it has applied.
type telling struct {
	life  uint32
	votes bool
	sets  map[int]*version.Set
}

// stuck is that this node lacks writes that another has, and gets none.
type stuck struct {
	from  topology.NodeID
	since int    // ticks
	size  uint64 // of what this node has applied then
}

// mend is a partition to take over from another node, cell by cell.
type mend struct {
	from      topology.NodeID
	partition int
}

const (
	keptPerTick = 4096 // entries looked at
	stuckTicks  = 50   // without progress, until cells are taken over instead of records
)

func newKeeper(e *engine) *keeper {
	return &keeper{e: e, told: map[topology.NodeID]*telling{}, stuck: map[int]stuck{}, mends: make(chan mend, 1)}
}

// heard notes what a node says that it has applied.
func (k *keeper) heard(from topology.NodeID, m *core.Message) {
	if m.Kind != core.MsgSync || m.Applied == nil || m.Partition >= k.e.place.Partitions() {
		return
	}
	t := k.told[from]
	if t == nil || t.life < m.Life {
		t = &telling{life: m.Life, sets: map[int]*version.Set{}}
		k.told[from] = t
	}
	if t.life > m.Life {
		return
	}
	t.sets[m.Partition], t.votes = m.Applied.Clone(), m.Full
	k.compare(from, m)
}

// applied is what a replica is known to have applied to a partition; nil if nothing is
// known. This node's own is the core's: read only.
func (k *keeper) applied(id topology.NodeID, partition int) *version.Set {
	if id == k.e.env.Self {
		return k.e.loop.core.Applied(partition)
	}
	if t := k.told[id]; t != nil {
		return t.sets[partition]
	}
	return nil
}

// compare sees whether this node lacks, and goes on to lack, what another has.
func (k *keeper) compare(from topology.NodeID, m *core.Message) {
	own := k.e.loop.core.Applied(m.Partition)
	if own == nil || !k.e.place.Full(k.e.env.Self, m.Partition) {
		return // a stream fills it
	}
	s, was := k.stuck[m.Partition]
	if len(m.Applied.Missing(own, 1)) == 0 {
		if was && s.from == from {
			delete(k.stuck, m.Partition)
		}
		return
	}
	size := sizeOf(own)
	if !was || s.size != size {
		k.stuck[m.Partition] = stuck{from: from, since: k.ticks, size: size}
		return
	}
	if k.ticks-s.since < stuckTicks || k.busy.Load() {
		return
	}
	select {
	case k.mends <- mend{from: from, partition: m.Partition}:
		k.busy.Store(true)
		delete(k.stuck, m.Partition)
	default:
	}
}

// sizeOf is how many writes a set holds.
func sizeOf(s *version.Set) uint64 {
	n := uint64(len(s.Dots))
	for _, m := range s.Prefix {
		n += m.Seq
	}
	return n
}

// tick moves on over entries that all replicas of their keys have.
func (k *keeper) tick() {
	k.ticks++
	at := record.LSN(max(k.kept.Load(), uint64(k.e.env.Log.Bounds().First)))
	n := 0
	for e, err := range k.e.env.Log.Read(context.Background(), at) {
		if err != nil || n == keptPerTick || e.LSN > k.e.machine.at.LSN {
			break // what can not be read now is needed
		}
		if !k.everywhere(&e) {
			break
		}
		n++
		at = e.LSN + 1
	}
	k.kept.Store(uint64(at))
}

// everywhere reports whether nobody needs an entry any more.
func (k *keeper) everywhere(e *record.Entry) bool {
	r, err := e.Record()
	if err != nil {
		return false
	}
	if r.IsNote() {
		return true
	}
	p := placement.Of(k.e.place, r.Mutations[0].Table, r.Mutations[0].Key)
	for _, id := range k.e.place.Part(p).Writers() {
		if id == k.e.env.Self {
			continue
		}
		if t := k.told[id]; t == nil || t.sets[p] == nil || !t.sets[p].Has(r.Dot) {
			return false
		}
	}
	k.gone = append(k.gone, r.Dot)
	return true
}

// Retain returns the first entry that has to be kept, where the store has all up to
// flushed: what some replica lacks, as far as the budget goes. What is dropped beyond it
// a replica that comes back takes over cell by cell. It may be called by anybody.
func (e *engine) Retain(flushed record.LSN) record.LSN {
	k, b := e.loop.keeper, e.env.Log.Bounds()
	need := max(record.LSN(k.kept.Load()), b.First)
	end := e.env.Log.Offset(b.End)
	if end-e.env.Log.Offset(need) > e.o.RetainBytesMax {
		n := sort.Search(int(b.End-need), func(i int) bool {
			return end-e.env.Log.Offset(need+record.LSN(i)) <= e.o.RetainBytesMax
		})
		need += record.LSN(n)
	}
	return min(need, flushed+1)
}

// run takes over, cell by cell, what nobody's log has any more.
func (k *keeper) run(ctx context.Context) error {
	for {
		select {
		case m := <-k.mends:
			f := &filling{e: k.e, taken: map[int][]topology.NodeID{}, only: []int{m.partition}}
			if err := f.from(ctx, m.from); err != nil && ctx.Err() == nil {
				k.e.log.Warn("a partition is not taken over yet", "partition", m.partition, "from", m.from, "err", err)
			} else if err == nil {
				k.e.stats.mends.Add(1)
				k.e.log.Info("a partition was taken over, as its writes are in nobody's log any more", "partition", m.partition, "from", m.from, "cells", f.cells)
			}
			k.busy.Store(false)
		case <-ctx.Done():
			return nil
		}
	}
}
