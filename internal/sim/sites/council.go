package sites

import (
	"errors"
	"slices"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// council is a site's part in what all agree upon, at its leader: it answers others, has
// changes agreed upon, and goes on with what takes several steps.
type council struct {
	g       *reign
	boot    *core.Roster // what others say, where the log has none
	round   uint64       // the greatest that was met
	at      time.Duration
	busy    bool
	patient int
	pending int
	next    int
	pledges []pledge
}

// pledge is an answer that counts once the log is committed up to lsn.
type pledge struct {
	lsn  record.LSN
	tell func()
}

const (
	askPatience  = 2 * time.Second
	proposalsMax = 8
	joinLagMax   = 64
	rankPatience = 5
)

// boots forgets what a reign before knew.
func (k *council) boots() { k.boot = nil }

// tick looks at what goes on by itself, now and then.
func (k *council) tick() {
	s := k.g.p.s
	if s.Now() < k.at || k.busy {
		return
	}
	k.at = s.Now() + k.g.p.w.c.ticks.council
	k.look()
}

// answer answers a question to this site, once that is committed.
func (k *council) answer(a *core.Ask, tell func(*core.Reply)) {
	g := k.g
	if g.core == nil || g.core.Term == 0 {
		return
	}
	g.replies = nil
	g.step(core.Event{Kind: core.EvAsk, Ask: a})
	if !g.live() || g.core.Term == 0 || len(g.replies) == 0 {
		return
	}
	r := g.replies[0]
	k.pledges = append(k.pledges, pledge{g.core.End(), func() { tell(r) }})
	k.settle(g.p.known)
}

// settle gives the answers that count by now.
func (k *council) settle(lsn record.LSN) {
	for len(k.pledges) > 0 && k.pledges[0].lsn <= lsn {
		q := k.pledges[0]
		k.pledges = k.pledges[1:]
		q.tell()
	}
}

// ask asks the leader of a site; no answer is nil.
func (k *council) ask(t *site, a core.Ask, then func(*core.Reply)) {
	g, self := k.g, k.g.p.n.site
	a.From = self.name
	heard := func(r *core.Reply) {
		if g.live() {
			then(r)
		}
	}
	if t == self {
		over := false
		end := func(r *core.Reply) {
			if !over {
				over = true
				heard(r)
			}
		}
		g.p.n.m.After(askPatience, func() { end(nil) })
		k.answer(&a, end)
		return
	}
	far := t.reign()
	if far == nil {
		g.p.n.m.After(time.Millisecond, func() { heard(nil) })
		return
	}
	b := a.Encode()
	g.p.s.Net.Call(g.p.n.m, far.p.n.m, askPatience, func(reply func([]byte)) {
		q, err := core.DecodeAsk(b)
		if err == nil && far.live() {
			far.council.answer(q, func(r *core.Reply) { reply(r.Encode()) })
		}
	}, func(b []byte) {
		if b == nil {
			heard(nil)
			return
		}
		r, err := core.DecodeReply(b)
		if err != nil {
			g.p.s.Fail("floor", "%s does not understand %s: %v", self.name, t.name, err)
			return
		}
		heard(r)
	})
}

// askAll asks several sites at once; who does not answer has no reply.
func (k *council) askAll(names []core.Site, a core.Ask, then func(map[core.Site]*core.Reply)) {
	replies, left := map[core.Site]*core.Reply{}, len(names)
	if left == 0 {
		then(replies)
		return
	}
	for _, name := range names {
		k.ask(k.g.p.w.named(name), a, func(r *core.Reply) {
			if r != nil {
				replies[name] = r
			}
			if left--; left == 0 {
				then(replies)
			}
		})
	}
}

// change has the sites agree on a roster that f makes of the present one.
func (k *council) change(without core.Site, tries int, f func(*core.Roster) (*core.Roster, error)) {
	g := k.g
	if !g.live() || g.core == nil || g.core.Term == 0 || tries == 0 {
		k.busy = false
		return
	}
	r := g.core.Roster()
	want, err := f(r)
	if err != nil || !g.p.w.c.shape.reachesAll(want) {
		if err != nil && !errors.Is(err, core.ErrAsIs) {
			g.p.s.Say(g.p.n.name, "%v", err)
		}
		k.busy = false
		return
	}
	k.busy = true
	k.propose(r, want, without, func(done bool) {
		if done {
			k.busy = false
			return
		}
		g.p.n.m.After(g.p.s.Lasting(20*time.Millisecond, 400*time.Millisecond), func() { k.change(without, tries-1, f) })
	})
}

// propose has want be the version after r, if nobody else was first.
func (k *council) propose(r, want *core.Roster, without core.Site, then func(bool)) {
	voters := r.Voters()
	asked := slices.DeleteFunc(slices.Clone(voters), func(s core.Site) bool { return s == without })
	enough := len(voters)/2 + 1
	if without != "" {
		enough = len(asked)/2 + 1
	}
	k.round++
	b := core.Ballot{Round: k.round, Number: k.g.core.Origin.ID}
	k.askAll(asked, core.Ask{Kind: core.AskPrepare, Version: want.Version, Ballot: b}, func(promised map[core.Site]*core.Reply) {
		value, best := want.Encode(), core.Ballot{}
		n := k.count(asked, promised, r.Version, func(p *core.Reply) {
			if p.Accepted.Compare(best) > 0 {
				best, value = p.Accepted, p.Value
			}
		})
		if n < enough {
			then(false)
			return
		}
		k.askAll(asked, core.Ask{Kind: core.AskAccept, Version: want.Version, Ballot: b, Value: value}, func(accepted map[core.Site]*core.Reply) {
			if k.count(asked, accepted, r.Version, func(*core.Reply) {}) < enough {
				k.g.p.s.Reach("a change of the roster was not agreed upon at once")
				then(false)
				return
			}
			k.agreed(value)
			then(string(value) == string(want.Encode()))
		})
	})
}

// count counts those who agree. If one knows a newer roster, that is learnt, and nobody
// does.
func (k *council) count(asked []core.Site, replies map[core.Site]*core.Reply, at uint64, agrees func(*core.Reply)) (n int) {
	for _, name := range asked {
		p := replies[name]
		if p == nil {
			continue
		}
		k.round = max(k.round, p.Promised.Round)
		if v, err := core.DecodeRoster(p.Roster); err == nil && v.Version > at {
			k.ask(k.g.p.n.site, core.Ask{Kind: core.AskLearn, Value: p.Roster}, func(*core.Reply) {})
			return 0
		}
		if p.OK {
			agrees(p)
			n++
		}
	}
	return n
}

// agreed has all know what was agreed upon.
func (k *council) agreed(value []byte) {
	v, err := core.DecodeRoster(value)
	if err != nil {
		k.g.p.s.Fail("K5", "%s has had agreed upon what is no roster: %v", k.g.p.n.name, err)
		return
	}
	k.g.p.w.ledger.chosen(k.g.p, v)
	self, learn := k.g.p.n.site.name, core.Ask{Kind: core.AskLearn, Value: value}
	names, nothing := others(v, self), func(map[core.Site]*core.Reply) {}
	if s := v.Seat(self); s == nil || s.Here() || len(names) == 0 {
		k.askAll(append(names, self), learn, nothing)
		return
	}
	k.askAll(names, learn, func(replies map[core.Site]*core.Reply) { // who has left goes by it last
		for _, p := range replies {
			if p.OK {
				k.askAll([]core.Site{self}, learn, nothing)
				return
			}
		}
	})
}

// others are the sites of a roster that take part, but one.
func others(r *core.Roster, self core.Site) (names []core.Site) {
	for i := range r.Seats {
		if s := &r.Seats[i]; s.Here() && s.Site != self {
			names = append(names, s.Site)
		}
	}
	return names
}

// look does what is next of what takes several steps.
func (k *council) look() {
	g := k.g
	if g.core == nil {
		k.hear()
		return
	}
	r := g.core.Roster()
	self := r.Seat(g.p.n.site.name)
	if self == nil {
		return
	}
	linked := g.p.w.c.shape.links(r, self.Site)
	if self.Standing == core.Evicting || slices.ContainsFunc(linked, func(l core.Link) bool { e := g.links[l.Peer]; return e == nil || e.dialing }) {
		k.hear()
	}
	if p := k.unheard(r); p != nil {
		k.change("", proposalsMax, func(r *core.Roster) (*core.Roster, error) {
			if r.Version >= p.Version {
				return nil, core.ErrAsIs
			}
			return p, nil
		})
		return
	}
	name := self.Site
	switch self.Standing {
	case core.Joining:
		if k.caughtUp(r, self) {
			k.change("", proposalsMax, func(r *core.Roster) (*core.Roster, error) { return r.Activate(name) })
		}
	case core.Retiring:
		k.leave(r, self)
	case core.Retired, core.Evicted:
		g.p.w.ledger.left(g.p, r, self)
	case core.Active:
		k.evictions(r, self)
	}
}

// unheard returns a roster that was accepted here and of which nothing was heard for long.
func (k *council) unheard(r *core.Roster) *core.Roster {
	p := core.Pending(k.g.core)
	if p == nil {
		k.pending = 0
		return nil
	}
	if k.pending++; k.pending <= (1+slices.Index(r.Voters(), k.g.p.n.site.name))*rankPatience {
		return nil
	}
	k.pending = 0
	k.g.p.s.Reach("a roster that was accepted and not heard of was tried again")
	return p
}

// hear asks another site for its roster, where this one may not be told.
func (k *council) hear() {
	g, self := k.g, k.g.p.n.site
	k.next++
	t := g.p.w.sites[k.next%len(g.p.w.sites)]
	if t == self || t.out {
		return
	}
	k.ask(t, core.Ask{Kind: core.AskRoster}, func(p *core.Reply) {
		if p == nil {
			return
		}
		v, err := core.DecodeRoster(p.Roster)
		if err != nil {
			return
		}
		switch {
		case g.core != nil && v.Version > g.core.Roster().Version:
			k.ask(self, core.Ask{Kind: core.AskLearn, Value: p.Roster}, func(*core.Reply) {})
		case g.core == nil:
			if s := v.Seat(self.name); s != nil && s.Here() {
				k.boot = v
				g.begin()
			}
		}
	})
}

// caughtUp reports whether this site may begin to take writes (M9).
func (k *council) caughtUp(r *core.Roster, self *core.SiteSeat) bool {
	g := k.g
	c, x := g.core, g.p.store
	if c.Beyond() || c.Incoming().Stage != core.StageNone || x.in.Stage != core.StageNone {
		return false
	}
	for i := range r.Seats {
		s := &r.Seats[i]
		if s.Number == self.Number || s.Standing != core.Active && s.Standing != core.Retiring {
			continue
		}
		var now version.Origin
		for _, m := range x.vector {
			if m.Origin.ID == s.Number {
				now = m.Origin
			}
		}
		if cut := x.cuts[now]; cut == nil || !slices.Contains(cut.cut.Members, self.Number) {
			return false
		}
	}
	links := g.p.w.c.shape.links(r, self.Site)
	lacks, up := uint64(0), len(links) == 0
	for _, l := range links {
		has := c.Has(l.Peer)
		up = up || len(has) > 0
		for _, m := range has {
			lacks += m.Seq - min(m.Seq, x.vector.Get(m.Origin))
		}
	}
	return up && lacks <= joinLagMax
}

// leave has this site out, once all that it has written is at every other.
func (k *council) leave(r *core.Roster, self *core.SiteSeat) {
	name, number := self.Site, self.Number
	sites := others(r, name)
	k.busy = true
	k.askAll(append(slices.Clone(sites), name), core.Ask{Kind: core.AskRoster}, func(replies map[core.Site]*core.Reply) {
		k.busy = false
		mine := replies[name]
		if mine == nil || len(replies) <= len(sites) {
			return
		}
		final := ofSite(mine.Marks, number)
		for _, s := range sites { // they may have of an earlier life what this one has lost
			final = final.Join(ofSite(replies[s].Marks, number))
		}
		for _, s := range sites {
			if !vectorOf(replies[s].Marks).Descends(final) {
				return
			}
		}
		k.change("", proposalsMax, func(r *core.Roster) (*core.Roster, error) { return r.Retired(name, final) })
	})
}

// ofSite are the marks of a site's lives.
func ofSite(marks []core.Mark, number uint32) (v version.Vector) {
	for _, m := range marks {
		if m.ID == number {
			v = v.With(m.Origin, m.Seq)
		}
	}
	return v
}

// evictions goes on with sites that are given up (M6a).
func (k *council) evictions(r *core.Roster, self *core.SiteSeat) {
	var out *core.SiteSeat
	rank := 0
	for i := range r.Seats {
		s := &r.Seats[i]
		if s.Standing == core.Evicting && out == nil {
			out = s
		}
		if s.Standing == core.Active && s.Number < self.Number {
			rank++
		}
	}
	if out == nil {
		k.patient = 0
		return
	}
	if k.patient++; k.patient <= rank*rankPatience {
		return
	}
	name, number := out.Site, out.Number
	sites := append(others(r, self.Site), self.Site)
	k.busy = true
	k.askAll(sites, core.Ask{Kind: core.AskRoster}, func(replies map[core.Site]*core.Reply) {
		k.busy = false
		if len(replies) < len(sites) {
			return
		}
		var final version.Vector
		for _, s := range sites {
			p := replies[s]
			v, err := core.DecodeRoster(p.Roster)
			if err != nil {
				return
			}
			if v.Version < r.Version {
				k.ask(k.g.p.w.named(s), core.Ask{Kind: core.AskLearn, Value: r.Encode()}, func(*core.Reply) {})
				return
			}
			for _, m := range ofSite(p.Marks, number) {
				final = final.With(m.Origin, max(m.Seq, final.Get(m.Origin)))
			}
		}
		k.change("", proposalsMax, func(r *core.Roster) (*core.Roster, error) { return r.Evicted(name, final) })
	})
}

// reseat goes by another roster.
func reseat(g *reign) {
	if g.core == nil {
		return
	}
	r := g.core.Roster()
	g.p.s.Note(g.p.n.name, "goes by a roster", r.Version)
	g.p.s.Say(g.p.n.name, "version %d: %s", r.Version, r.Cause)
	g.p.w.ledger.seated(g.p, r)
	g.relink()
	g.told = ^uint64(0)
}
