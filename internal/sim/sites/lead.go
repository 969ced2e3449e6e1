package sites

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// reign is a node at the head of its site, in one term: what the shell of package
// multileader does, played by events.
type reign struct {
	p       *process
	term    uint64
	start   record.LSN // of the term in the log
	others  []progress
	crowned bool

	born    record.LSN // up to there its log says under which origin it writes
	core    *core.Core // once all that is in the log from before is committed
	tail    tail
	links   map[core.Site]*end
	session uint64
	waiting map[record.LSN]*request // by where their writes stand
	replies []*core.Reply           // of the step that is being taken
	swept   record.LSN              // up to where a snapshot was put in its place; 0: none is
	served  map[core.Site]*served
	council council

	cutAt  time.Duration // when it was cut last
	told   uint64        // the substance at that time
	shipps bool          // what was appended is about to be shipped
}

func newReign(p *process, term uint64) *reign {
	g := &reign{p: p, term: term, links: map[core.Site]*end{}, waiting: map[record.LSN]*request{}, served: map[core.Site]*served{}}
	for _, o := range p.n.site.nodes {
		if o != p.n {
			g.others = append(g.others, progress{n: o, disk: o.disk, next: p.end() + 1})
		}
	}
	g.council.g = g
	return g
}

// live reports whether it still leads.
func (g *reign) live() bool { return !g.p.dead && g.p.reign == g }

// over ends it. What was accepted and is not committed may yet be.
func (g *reign) over() {
	p := g.p
	if p.reign != g {
		return
	}
	p.s.Note(p.n.name, "is deposed", g.term)
	for _, t := range p.w.sites {
		if l := g.links[t.name]; l != nil {
			l.drop()
		}
	}
	for lsn := p.known + 1; len(g.waiting) > 0 && lsn <= p.end(); lsn++ {
		if r := g.waiting[lsn]; r != nil {
			delete(g.waiting, lsn)
			r.answer(reply{err: topology.ErrNotLeader, outcome: topology.Unknown})
		}
	}
	p.reign = nil
}

// crown makes the core, as all that was in the log is committed.
func (g *reign) crown() {
	p := g.p
	g.crowned = true
	t := p.n.site
	if t.empty {
		t.empty, t.heir = false, nil
		for _, n := range t.nodes {
			n.blank = false
		}
	}
	t.sender = g
	g.council.boots()
	g.begin()
}

// begin opens the site for writes, if it is in a roster that is known.
func (g *reign) begin() {
	p, t := g.p, g.p.n.site
	x := p.store
	known := x.assembly.Roster
	if known == nil && t.joins {
		known = g.council.boot
	}
	if known == nil && !t.joins {
		known = p.w.founding
	}
	if known == nil {
		return
	}
	seat := known.Seat(t.name)
	if seat == nil {
		p.s.Fail("K5", "%s is not in the roster of its own log", t.name)
		return
	}
	cfg := core.Config{
		Self: t.name, Origin: x.own, MaxSkew: p.w.c.clocks.maxSkew, Limits: p.w.c.limits, Roster: known, Assembly: x.assembly,
		Linked: func(r *core.Roster) []core.Link { return p.w.c.shape.links(r, t.name) },
	}
	if x.own.ID != seat.Number || t.lossy || x.own.Incarnation < seat.Life && seat.Here() {
		cfg.Origin = version.Origin{ID: seat.Number, Incarnation: t.newLife(seat.Life)}
		p.s.Note(p.n.name, "begins a life", uint64(cfg.Origin.Incarnation))
	}
	at := x.pos
	at.Marks = slices.Clone(at.Marks)
	at.Term = min(at.Term, g.term-1)
	g.core = core.New(cfg, at, x.in.Incoming)
	if err := g.tail.from(x, nil); err != nil {
		p.s.Fail("PM3", "%s: %v", p.n.name, err)
		return
	}
	p.s.Note(p.n.name, "leads", g.term, uint64(x.pos.LSN))
	g.step(core.Event{Kind: core.EvLead, Term: g.term})
	if g.live() {
		g.born = g.core.End()
		g.relink()
	}
}

// step lets the core judge an event, and carries out what it says.
func (g *reign) step(ev core.Event) []core.Effect {
	if !g.live() || g.core == nil {
		return nil
	}
	ev.Now = g.p.n.wall()
	effects := slices.Clone(g.core.Step(ev))
	for i := range effects {
		if !g.live() {
			break
		}
		g.perform(&effects[i])
	}
	return effects
}

func (g *reign) perform(e *core.Effect) {
	p := g.p
	switch e.Kind {
	case core.DoAppend:
		g.append(e)
	case core.DoCommit:
		g.answer(e.LSN)
	case core.DoSend:
		p.w.ledger.sends(p, &e.Message)
		if l := g.links[e.Peer]; l != nil && l.session == e.Session {
			l.send(e.Message.Encode())
		}
	case core.DoRead, core.DoFill, core.DoServe:
		x := *e
		p.n.m.After(p.s.Lasting(0, p.w.c.ticks.reading), func() { supply{g}.read(&x) })
	case core.DoReply:
		g.replies = append(g.replies, e.Reply)
	case core.DoRoster:
		reseat(g)
	case core.DoFreeze:
		p.s.Say(p.n.name, "freezes %s: %v", e.Peer, e.Err)
		p.w.ledger.froze(p, e)
	case core.DoAlarm:
		p.s.Say(p.n.name, "%v", e.Err)
		p.s.Reach("a core told a person what does not go on")
	case core.DoIncarnate:
		p.w.ledger.forgot(p)
		o := version.Origin{ID: g.core.Origin.ID, Incarnation: p.n.site.newLife(0)}
		p.n.m.After(0, func() { g.step(core.Event{Kind: core.EvIncarnate, Origin: o}) })
	}
}

// append puts an item in the log, if it takes it.
func (g *reign) append(e *core.Effect) {
	p := g.p
	p.w.ledger.minted(&e.Item.Entry)
	if e.LSN != p.end()+1 {
		return // behind what was not appended
	}
	if p.copies(e.Item.Entry) != nil {
		if g.live() {
			g.refused()
		}
		return
	}
	if err := g.tail.add(e.Item.Entry); err != nil {
		p.s.Fail("PM3", "%s can not take entry %d: %v", p.n.name, e.LSN, err)
	}
	g.shipSoon()
}

// refused tells the core that the log has taken nothing.
func (g *reign) refused() {
	p := g.p
	g.step(core.Event{Kind: core.EvNotAppended, LSN: p.end()})
	if g.live() {
		if err := g.tail.from(p.store, p.since(p.store.pos.LSN+1)); err != nil {
			p.s.Fail("PM3", "%s: %v", p.n.name, err)
		}
	}
}

// shipSoon ships what this event appends, all at once.
func (g *reign) shipSoon() {
	if g.shipps {
		return
	}
	g.shipps = true
	g.p.n.m.After(0, func() {
		if g.shipps = false; g.live() {
			g.ship()
		}
	})
}

// tick lets time pass.
func (g *reign) tick() {
	p := g.p
	for i := range g.others {
		q := &g.others[i]
		if q.still++; q.still > 3 {
			q.waits = false
		}
	}
	g.ship()
	switch {
	case !g.crowned:
		return
	case g.core == nil:
		g.council.tick()
		return
	case g.core.Term == 0: // the log did not take how its term begins
		if g.term == p.n.site.term {
			p.n.site.elect(true)
		}
		return
	}
	g.step(core.Event{Kind: core.EvTick})
	if g.live() {
		g.cut()
	}
	if g.live() {
		g.settle()
	}
	if g.live() {
		g.redial()
		g.council.tick()
	}
}

// settle has more of a snapshot put in its place, as soon as what was placed before is.
func (g *reign) settle() {
	c, x := g.core, g.p.store
	if c == nil || c.Incoming().Stage != core.StageSettling {
		g.swept = 0
		return
	}
	if g.swept == 0 {
		g.swept = c.End()
	}
	if x.pos.LSN < g.swept {
		return
	}
	over := x.in.Stage == core.StageNone
	if over {
		g.p.s.Reach("a snapshot was put in its place")
	}
	g.step(core.Event{Kind: core.EvSettle, Over: over})
	if g.live() {
		g.swept = g.core.End()
	}
}

// cut says what the site has for good, if there is something to tell or something goes
// by what others have told.
func (g *reign) cut() {
	p, x := g.p, g.p.store
	if p.s.Now()-g.cutAt < p.w.c.ticks.cut || !g.core.Open() || p.n.site.shut() || p.n.site.silent() {
		return
	}
	g.cutAt = p.s.Now()
	c := &core.Cut{Has: durable(g), Members: g.core.Roster().Holders(x.vector)}
	own := g.core.Origin
	for _, m := range x.vector {
		if m.Origin.ID == own.ID && m.Origin != own {
			c.Dead = append(c.Dead, m.Origin)
		}
	}
	by := x.said()
	by[own] = c
	stable, ok, _ := core.Stable(c.Members, by, x.vector)
	if x.substance == g.told && !(ok && x.leaves(stable)) {
		return
	}
	g.told = x.substance
	g.step(core.Event{Kind: core.EvCut, Cut: c})
}

// durable returns what every node has on its disk that may lead the site.
func durable(g *reign) version.Vector {
	p := g.p
	least := p.store.pos.LSN
	for i := range g.others {
		least = min(least, g.others[i].match)
	}
	if least >= p.store.pos.LSN {
		return p.store.vector
	}
	at := p.store.before(least, func(*core.Position) bool { return true })
	if at.LSN > least {
		return nil
	}
	return vectorOf(at.Marks)
}

// answer answers the writes that are committed up to lsn.
func (g *reign) answer(lsn record.LSN) {
	for _, at := range sortedLSNs(g.waiting) {
		if at > lsn {
			break
		}
		r := g.waiting[at]
		delete(g.waiting, at)
		g.p.w.ledger.answers(g.p, r)
		r.answer(reply{seen: version.Vector{}.With(r.dot.Origin, r.dot.Seq)})
	}
}

func sortedLSNs(m map[record.LSN]*request) (out []record.LSN) {
	for lsn := range m {
		out = append(out, lsn)
	}
	slices.Sort(out)
	return out
}
