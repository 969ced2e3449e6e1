package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// arrived takes what a peer sent: duplicates are dropped (M2), the rest waits in
// the queue of its origin, to which a fill brings what it lacked. It stops at the
// first record that is not to be trusted.
func (l *link) arrived(c *Core, items []Item, fill bool) {
	for _, it := range items {
		q := queued{Item: it, from: l.Peer}
		var err error
		if q.rec, err = it.Entry.Record(); err != nil {
			c.freeze(l, it.Dot.Origin, fmt.Errorf("%w: record %v: %w", topology.ErrMalformed, it.Dot, err))
			return
		}
		if err = q.admissible(&c.cfg); err != nil {
			c.freeze(l, it.Dot.Origin, err)
			return
		}
		o := c.log.origin(q.Dot.Origin)
		if q.Dot.Seq > o.last {
			c.Counts.Dropped++
			continue
		}
		l.has = l.has.With(o.Origin, max(l.has.Get(o.Origin), q.Dot.Seq))
		switch {
		case q.Dot.Seq > o.placed.Seq:
			if o.Origin == c.Origin {
				forgotten(c, q.Dot.Seq)
				continue
			}
			whole, err := l.fit(c, &q)
			if err != nil {
				c.freeze(l, o.Origin, fmt.Errorf("%w: record %v: %w", topology.ErrMalformed, q.Dot, err))
				return
			}
			if !whole {
				continue
			}
			if fill {
				o.came(c, q.Dot.Seq)
			}
			if take(c, o, q); l.frozen {
				return
			}
		case !o.agrees(Mark{o.Origin, q.Dot.Seq, q.Chain}):
			c.freeze(l, o.Origin, c.cfg.errForked(o, q.Dot.Seq))
			return
		default:
			c.Counts.Duplicates++
		}
	}
}

// take puts a record among those that wait. Whose turn has come does not wait, so
// that a message brings as much as the log takes, however short the queue is. What
// finds no room is asked for as soon as there is some.
func take(c *Core, o *origin, q queued) {
	if dropped := o.enqueue(q, c.cfg.Limits.Queue); dropped > 0 {
		c.Counts.Dropped++
		o.due = max(o.due, dropped)
	}
	for c.next(o) {
	}
}

// admissible says whether a record may be taken at all.
func (q *queued) admissible(cfg *Config) (err error) {
	if q.rec.IsNote() || q.rec.Dot != q.Dot {
		return fmt.Errorf("%w: record %v came under the name %v", topology.ErrMalformed, q.rec.Dot, q.Dot)
	}
	if _, ok := cfg.site(q.Dot.Origin); !ok {
		return fmt.Errorf("%w: record %v is of no site that takes part", topology.ErrMalformed, q.Dot)
	}
	for _, m := range q.rec.Deps {
		if _, ok := cfg.site(m.Origin); !ok || m.Origin == q.Dot.Origin {
			return fmt.Errorf("%w: record %v depends on %v", topology.ErrMalformed, q.Dot, m.Origin)
		}
	}
	for i := range q.rec.Mutations {
		if err := conflict.Check(anything, &q.rec.Mutations[i]); err != nil {
			return fmt.Errorf("%w: record %v: %w", topology.ErrMalformed, q.Dot, err)
		}
	}
	q.Skip, err = SkipOf(&q.rec)
	return err
}

// deliver appends what has come to its turn, until nothing has: the next of its
// origin, whose deps stand in the log (M2).
func (c *Core) deliver() {
	for again := true; again; {
		again = false
		for _, o := range c.log.origins {
			for c.next(o) {
				again = true
			}
		}
	}
}

// next delivers the head of o's queue if its turn has come.
func (c *Core) next(o *origin) bool {
	for len(o.queue) > 0 && o.queue[0].Dot.Seq <= o.placed.Seq {
		o.queue = slices.Delete(o.queue, 0, 1)
	}
	if len(o.queue) == 0 || o.parked || c.Term == 0 || len(c.log.tail) >= c.cfg.Limits.Uncommitted {
		return false
	}
	q := o.queue[0]
	if q.Dot.Seq != o.placed.Seq+1 || !c.log.stand(q.rec.Deps) {
		return false
	}
	if q.Chain != record.Chain(o.placed.Chain, q.sum()) {
		o.queue = slices.Delete(o.queue, 0, 1)
		c.freeze(c.link(q.from), o.Origin, c.cfg.errForked(o, q.Dot.Seq))
		return true
	}
	if err := c.clock.Observe(q.rec.Time); err != nil {
		park(c, o, &q, err)
		return false
	}
	o.queue = slices.Delete(o.queue, 0, 1)
	o.alarmed = false
	c.place(q.Item)
	c.Counts.Delivered++
	return true
}

// park leaves an origin's queue alone until its clock, or ours, has come to
// reason: the record's time is never rewritten, and nothing of that origin
// passes it (C3).
func park(c *Core, o *origin, q *queued, err error) {
	o.parked = true
	if o.alarmed {
		return
	}
	o.alarmed = true
	c.Counts.Parked++
	site, _ := c.cfg.site(o.Origin)
	c.do(Effect{Kind: DoAlarm, Origin: o.Origin, Err: fmt.Errorf("site %s: record %v waits: %w", site, q.Dot, err)})
}

// errForked tells a fork by its place.
func (c *Config) errForked(o *origin, seq uint64) error {
	site, _ := c.site(o.Origin)
	return fmt.Errorf("%w: records of site %s (%v) up to %d are not those of this log: one life wrote twice, or a log was set back; find out which log is right before the link is thawed", conflict.ErrForked, site, o.Origin, seq)
}

// freeze takes nothing more of a peer and sends it nothing (M1). What waits and
// came from it is dropped, and comes again from somebody else, if it is right.
func (c *Core) freeze(l *link, o version.Origin, err error) {
	if l.frozen {
		return
	}
	l.frozen = true
	if errors.Is(err, conflict.ErrForked) {
		c.Counts.Forks++
	}
	for _, p := range c.log.origins {
		p.queue = slices.DeleteFunc(p.queue, func(q queued) bool { return q.from == l.Peer })
	}
	c.do(Effect{Kind: DoFreeze, Peer: l.Peer, Origin: o, Err: err})
}

// forgotten: a peer has a record of this origin that this log does not hold. It
// was committed, or it had not left the site; so this site has lost its memory,
// and must not write under the old name again (C1).
func forgotten(c *Core, seq uint64) {
	if c.forgot {
		return
	}
	c.forgot = true
	c.do(Effect{Kind: DoAlarm, Origin: c.Origin, Err: fmt.Errorf("%w: a peer holds write %d of %v, this log ends at %d: the site has lost committed writes and needs a new incarnation", topology.ErrFailed, seq, c.Origin, c.log.origin(c.Origin).placed.Seq)})
	c.do(Effect{Kind: DoIncarnate, Origin: c.Origin})
}
