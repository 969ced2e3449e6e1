package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Position is where a node's log and store stand: what a core needs to know of
// them at its start. It is what the log comes to, entry by entry, from the zero
// Position or from that of a snapshot.
type Position struct {
	LSN     record.LSN
	Time    version.Timestamp // the highest in the log (C3)
	Applied []Applied         // by partition
}

// Applied is the exact set of writes applied to one partition.
type Applied struct {
	Partition int
	Set       version.Set
}

// Add moves p over the next entry of the log. An entry that does not continue it,
// or is no record of a leaderless table, is an error that wraps
// [topology.ErrMalformed], and leaves p as it was.
func (p *Position) Add(e record.Entry, m *placement.Map) error {
	r, err := e.Record()
	if err != nil {
		return fmt.Errorf("%w: entry %d: %w", topology.ErrMalformed, e.LSN, err)
	}
	if e.LSN != p.LSN+1 || len(r.Mutations) == 0 {
		return fmt.Errorf("%w: entry %d, with %d mutations, behind entry %d", topology.ErrMalformed, e.LSN, len(r.Mutations), p.LSN)
	}
	partition, learnt, err := Learnt(&r)
	switch {
	case err != nil:
		return fmt.Errorf("entry %d: %w", e.LSN, err)
	case learnt != nil:
		p.At(partition).Union(learnt)
	case !r.IsNote():
		p.At(placement.Of(m, r.Mutations[0].Table, r.Mutations[0].Key)).Add(r.Dot)
	}
	p.LSN, p.Time = e.LSN, max(p.Time, r.Time)
	return nil
}

// At returns the set of a partition, to be read and added to.
func (p *Position) At(partition int) *version.Set {
	i, ok := slices.BinarySearchFunc(p.Applied, partition, func(a Applied, q int) int { return a.Partition - q })
	if !ok {
		p.Applied = slices.Insert(p.Applied, i, Applied{Partition: partition})
	}
	return &p.Applied[i].Set
}

// New returns the core of a node that starts with its log and store at p, all of
// which is durable. Its clock is at least at the highest time in the log (C3).
func New(cfg Config, p Position) *Core {
	cfg.Limits = cfg.Limits.or(limitsDefault)
	c := &Core{
		Self: cfg.Self, Life: cfg.Incarnation, CatchingUp: cfg.CatchingUp,
		End: p.LSN, Flushed: p.LSN, cfg: cfg, enc: record.NewEncoder(), alive: []topology.NodeID{cfg.Self},
	}
	c.clock = version.NewClock(func() time.Time { return c.now }, cfg.MaxSkew)
	c.clock.Raise(p.Time)
	for q := range cfg.Map.Partitions() {
		if !cfg.Map.Holds(cfg.Self, q) {
			continue
		}
		c.shares = append(c.shares, newShare(c, q, p.At(q)))
	}
	return c
}
