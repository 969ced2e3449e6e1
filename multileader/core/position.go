package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Position is where a site's log stands: what a core needs to know of it at its
// start. It is what the committed log comes to, entry by entry, from the zero
// Position or from that of a snapshot.
type Position struct {
	LSN   record.LSN
	Marks []Mark // by origin
	Time  version.Timestamp
	Term  uint64 // the greatest term the site's log was written in
}

// Add moves p over the next entry of the log, and returns the entry's item. An
// entry that does not continue the log, or a record that is not its origin's
// next, is an error that wraps [topology.ErrMalformed], and leaves p as it was.
func (p *Position) Add(e record.Entry) (Item, error) {
	r, err := e.Record()
	if err != nil {
		return Item{}, fmt.Errorf("%w: entry %d: %w", topology.ErrMalformed, e.LSN, err)
	}
	return p.AddRecord(e, &r)
}

// AddRecord is Add of an entry that is decoded already.
func (p *Position) AddRecord(e record.Entry, r *record.Record) (it Item, err error) {
	if e.LSN != p.LSN+1 {
		return Item{}, fmt.Errorf("%w: entry %d behind entry %d", topology.ErrMalformed, e.LSN, p.LSN)
	}
	it = Item{Dot: r.Dot, Entry: e}
	if it.Skip, err = SkipOf(r); err != nil {
		return Item{}, fmt.Errorf("entry %d: %w", e.LSN, err)
	}
	if !r.IsNote() {
		if it.Chain, err = p.raise(r, it.sum()); err != nil {
			return Item{}, err
		}
	}
	marks, at, err := installs(r)
	if err != nil {
		return Item{}, fmt.Errorf("entry %d: %w", e.LSN, err)
	}
	if marks != nil {
		p.Marks = Join(p.Marks, marks)
	}
	p.LSN, p.Time, p.Term = e.LSN, max(p.Time, r.Time, at), max(p.Term, e.Term)
	return it, nil
}

// raise moves the mark of a record's origin over it, and returns its chain.
func (p *Position) raise(r *record.Record, sum uint32) (uint32, error) {
	i, ok := slices.BinarySearchFunc(p.Marks, r.Origin, func(m Mark, o version.Origin) int { return m.Origin.Compare(o) })
	m := Mark{Origin: r.Origin}
	if ok {
		m = p.Marks[i]
	}
	if r.Seq != m.Seq+1 {
		return 0, fmt.Errorf("%w: record %v behind %d of its origin", topology.ErrMalformed, r.Dot, m.Seq)
	}
	m.Seq, m.Chain = r.Seq, record.Chain(m.Chain, sum)
	if ok {
		p.Marks[i] = m
	} else {
		p.Marks = slices.Insert(p.Marks, i, m)
	}
	return m.Chain, nil
}

// New returns the core of a site that starts with its log at p, all of which is
// committed. Its clock is at least at the highest time in the log (C3). It takes
// no writes before EvLead. Of a snapshot that is on its way, in is what the log comes to.
func New(cfg Config, p Position, in Incoming) *Core {
	cfg.Limits = cfg.Limits.Or(limitsDefault)
	c := &Core{
		Self: cfg.Self, Origin: cfg.Origin, last: p.Term, cfg: cfg, enc: record.NewEncoder(), without: cfg.Filters.Without(cfg.Self),
		log: ledger{own: cfg.Origin, end: p.LSN, committed: p.LSN},
	}
	c.fetch.Incoming = in
	c.clock = version.NewClock(func() time.Time { return c.now }, cfg.MaxSkew)
	c.clock.Raise(p.Time)
	for _, m := range p.Marks {
		o := c.log.origin(m.Origin)
		o.placed, o.committed, o.recent = m, m, []uint32{m.Chain}
		if m.Origin != cfg.Origin {
			c.log.others = c.log.others.With(m.Origin, m.Seq)
		}
	}
	c.log.origin(cfg.Origin)
	enrol(c, &cfg)
	return c
}
