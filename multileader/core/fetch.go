package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// fetching is a snapshot of a peer on its way into this site's log. It is asked for part
// by part: who takes sets the pace, and whatever breaks, what the log holds is there.
type fetching struct {
	Incoming
	from  Site // whom one is asked of, while none has begun
	asked bool // the next step is on its way, as far as is known
	still int  // ticks without one
	away  int  // ticks for which its site was not there
	held  bool // somebody was told that its time is ahead
}

// Incoming returns what the log comes to of a snapshot.
func (c *Core) Incoming() Incoming { return c.fetch.Incoming }

// want: what is missing here of an origin nobody has in his log, and a peer that
// has taken it does not.
func (f *fetching) want(c *Core, o *origin) {
	if c.Term == 0 || c.forgot || (c.fetch.Stage != StageNone || c.fetch.from != "") && !c.fetch.waitsFor(c, o) {
		return
	}
	if l, upTo := holder(c.links, o, false); l != nil && min(upTo, o.last) > o.placed.Seq {
		return // it may yet be asked for
	}
	if l, upTo := giver(c, o); l != nil && min(upTo, o.last) > o.placed.Seq {
		c.fetch.abandon(c)
		c.fetch = fetching{from: l.Peer}
		c.Counts.Fetched++
		return
	}
	site, _ := c.cfg.site(o.Origin)
	c.do(Effect{Kind: DoAlarm, Origin: o.Origin, Err: fmt.Errorf("%w: record %d of site %s (%v) and what follows it wait: no site that is linked has them and holds the tables that they may write to", topology.ErrUnavailable, o.placed.Seq+1, site, o.Origin)})
}

// waitsFor reports whether all of a snapshot is here, and does not count before more of an
// origin is. If that takes a snapshot too, it comes first.
func (f *fetching) waitsFor(c *Core, o *origin) bool {
	return f.Stage == StageComing && f.Whole && writesTo(c, o.Origin, c.cfg.Filters.missing(c.Self, f.From))
}

// more asks for the next step of a snapshot, while the log has room for it.
func (f *fetching) more(c *Core) {
	if c.Term == 0 || f.asked || c.refused || len(c.log.tail) >= c.cfg.Limits.Uncommitted {
		return
	}
	if f.Stage == StageComing && f.Whole {
		f.install(c)
		return
	}
	m := Message{Kind: MsgFetch, First: f.ID, Body: f.Next}
	from := f.From
	switch {
	case f.Stage == StageBegun, f.Stage == StageComing:
	case f.Stage == StageNone && f.from != "":
		from, m.First, m.Body = f.from, 0, nil
	default:
		return
	}
	if l := c.link(from); l != nil && l.up() {
		f.asked, f.still = true, 0
		l.send(c, m)
	}
}

// tick asks again for what does not come, and gives up a snapshot whose site is
// away for long: another may have one.
func (f *fetching) tick(c *Core) {
	from := f.From
	if f.Stage == StageNone {
		from = f.from
	}
	if from == "" || f.Stage == StageSettling || f.Whole {
		return
	}
	if l := c.link(from); l == nil || !l.up() {
		f.asked = false
		if f.away++; f.away >= c.cfg.Limits.FetchTicks {
			c.fetch.abandon(c)
		}
		return
	}
	if f.away = 0; f.still >= c.cfg.Limits.ResendTicks {
		f.asked = false
	}
	f.still++
}

// abandon forgets a snapshot that does not become whole.
func (f *fetching) abandon(c *Core) {
	if c.fetch.Stage == StageBegun || c.fetch.Stage == StageComing {
		if c.Term == 0 {
			return
		}
		ownStep(c, step{stage: StageNone, id: c.fetch.ID, from: c.fetch.From})
	}
	c.fetch = fetching{}
}

// ownStep puts a step of this site's own in the log.
func ownStep(c *Core, s step) {
	r := s.note()
	r.Time, r.Term = c.clock.Now(), c.Term
	c.append(r)
}

// part takes the next step of a snapshot from a peer.
func (l *link) part(c *Core, m *Message) {
	f := &c.fetch
	if c.Term == 0 || f.Stage == StageSettling || l.Peer != f.From && (f.Stage != StageNone || l.Peer != f.from) {
		return
	}
	if len(m.Body) == 0 { // it has it no more
		if m.First == f.ID && f.Stage != StageNone {
			c.fetch.abandon(c)
		}
		return
	}
	e, rest, err := record.NextEntry(m.Body)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes follow it", topology.ErrMalformed, len(rest))
	}
	var r record.Record
	if err == nil {
		r, err = e.Record()
	}
	var s *step
	if err == nil {
		s, err = stepOf(&r)
	}
	if err == nil && s != nil {
		err = f.takes(c, l, s, &r)
	}
	switch {
	case errors.Is(err, errNotNow):
	case err != nil:
		c.freeze(l, c.Origin, fmt.Errorf("a snapshot of site %s: %w", l.Peer, err))
	case s != nil:
		f.take(c, s, bare(c, s, &r, e))
	}
}

// errNotNow is a step that is late, or comes too early.
var errNotNow = errors.New("not now")

// takes says whether a step is the next one, and may be taken.
func (f *fetching) takes(c *Core, l *link, s *step, r *record.Record) error {
	switch {
	case s.from != l.Peer:
		return fmt.Errorf("%w: it is said to be of site %s", topology.ErrMalformed, s.from)
	case len(c.log.tail) >= c.cfg.Limits.Uncommitted:
		f.asked = false
		return errNotNow
	case f.Stage == StageNone && s.stage == StageBegun:
		return f.begins(c, s)
	case f.Stage == StageNone || s.stage != StageComing || s.id != f.ID || string(s.at) != string(f.Next):
		return errNotNow
	}
	return f.fit(r.Mutations[1:])
}

// begins says whether a snapshot may begin.
func (f *fetching) begins(c *Core, s *step) error {
	missing := c.cfg.Filters.missing(c.Self, s.from)
	if lacks := (&Skip{Tables: s.without}); lacks.lacks(c.cfg.Filters, c.Self, func(t record.TableID) bool { return slices.Contains(missing, t) }) {
		*f = fetching{}
		c.do(Effect{Kind: DoAlarm, Peer: s.from, Err: fmt.Errorf("%w: site %s gives a snapshot without table %s, which this site holds: the two are not configured alike", topology.ErrConflict, s.from, c.cfg.Filters.Name(firstHeld(c, lacks)))})
		return errNotNow
	}
	brings := false
	for _, m := range s.marks {
		if _, ok := c.cfg.site(m.Origin); !ok {
			return fmt.Errorf("%w: it holds records of %v, who is no site that takes part", topology.ErrMalformed, m.Origin)
		}
		if orphaned(c, c.link(s.from), m) {
			return errNotNow
		}
		o := c.log.origin(m.Origin)
		if !o.agrees(m) {
			return c.cfg.errForked(o, m.Seq)
		}
		if o.Origin == c.Origin && m.Seq > o.placed.Seq {
			forgotten(c, m.Seq)
			return errNotNow
		}
		brings = brings || m.Seq > o.placed.Seq && !writesTo(c, o.Origin, missing)
	}
	if !brings {
		*f = fetching{}
		return errNotNow
	}
	if err := c.clock.Observe(s.time); err != nil {
		if !f.held {
			f.held = true
			c.do(Effect{Kind: DoAlarm, Peer: f.from, Err: fmt.Errorf("a snapshot of site %s waits: %w", f.from, err)})
		}
		return errNotNow
	}
	return nil
}

// take puts a step in the log as it came, and what the last one leads to.
func (f *fetching) take(c *Core, s *step, e record.Entry) {
	c.place(Item{Entry: e})
	if f.asked = false; s.whole {
		f.install(c)
	}
}

// install has a snapshot count, all of which is here. One of a site that does not hold all
// tables that this one holds counts once nothing is missing here of what sites have written
// that write to those: so it brings nothing of which a part is left out.
func (f *fetching) install(c *Core) {
	missing := c.cfg.Filters.missing(c.Self, f.From)
	for _, m := range f.Marks {
		if c.log.origin(m.Origin).placed.Seq < m.Seq && writesTo(c, m.Origin, missing) {
			return
		}
	}
	ownStep(c, step{stage: StageSettling, id: f.ID, from: f.From, time: f.Time, marks: f.Marks, without: f.Without})
}

// settle has a few more cells of a snapshot put in their places; over says that none
// is left.
func (f *fetching) settle(c *Core, over bool) {
	switch {
	case c.fetch.Stage != StageSettling || c.Term == 0:
	case over:
		c.fetch = fetching{}
	case len(c.log.tail) < c.cfg.Limits.Uncommitted:
		ownStep(c, step{stage: StageSettling, id: c.fetch.ID, from: c.fetch.From})
	}
}

// heard hears of a note that was placed: a step of a snapshot changes what the log
// comes to, and may raise it over records that it does not hold.
func heard(c *Core, e record.Entry) {
	r, err := e.Record()
	if err != nil {
		return
	}
	t := &c.log.tail[len(c.log.tail)-1]
	t.was = &notes{c.fetch.Incoming, c.roster, c.council}
	convene(c, &r)
	in, ok, err := c.fetch.Incoming.Add(e.LSN, &r)
	if err != nil || !ok {
		return
	}
	c.fetch.Incoming = in
	if marks, _, err := installs(&r); err == nil {
		t.jumps = c.log.raise(marks)
	}
}

// jump is an origin whose records a snapshot brought.
type jump struct {
	o             *origin
	before, after Mark
}

// raise moves the log over a snapshot's vector.
func (g *ledger) raise(marks []Mark) (js []jump) {
	for _, m := range marks {
		o := g.origin(m.Origin)
		if m.Seq <= o.placed.Seq {
			continue
		}
		js = append(js, jump{o, o.placed, m})
		o.jump(m)
		if o.Origin != g.own {
			g.others = g.others.With(o.Origin, m.Seq)
		}
	}
	return js
}

func (o *origin) jump(m Mark) {
	o.placed, o.recent, o.missing = m, []uint32{m.Chain}, 0
}
