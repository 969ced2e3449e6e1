package sites

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// fork is a site that was given a backup of its past, and nobody has said so: it gives
// out names again that it has given out (C1). Somebody has to notice: it is told by
// others what it has forgotten, or two records differ under one name and a link is
// frozen. Until a person has seen to it, nobody takes what it wrote so.
type fork struct {
	origin version.Origin
	waits  bool // until all others have what it will forget
	found  bool // a core has said so
	twice  bool // two writes are committed under one name
	by     time.Duration
}

// setsBackUnsaid begins to give a site a backup of its past without a word: it takes no
// more writes until all others have what it will forget.
func (w *cluster) setsBackUnsaid(t *site) bool {
	g := t.reign()
	if t.out || t.empty || t.life > livesMax || t.backup == nil || g == nil || g.core.Origin != t.backup.own || !w.settled() {
		return false
	}
	t.fork = &fork{origin: t.backup.own, waits: true, by: w.s.Now() + w.s.Lasting(time.Second, 4*time.Second)}
	return true
}

// begins gives it, once they have.
func (f *fork) begins(t *site) {
	x, w := t.backup, t.w
	ready := t.reign() != nil && x != nil && x.vector.Get(x.own) < t.truth.vector.Get(x.own) && len(w.here()) > 1 // alone it is noticed by nobody
	for _, o := range w.here() {
		ready = ready && o.reign() != nil && o.truth.vector.Get(f.origin) >= t.truth.vector.Get(f.origin)
	}
	if g := t.reign(); ready && g.core.Commit() == g.core.End() && g.core.Origin == f.origin {
		w.s.Reach("a site was set back without a word")
		w.ledger.loses(t)
		for _, o := range t.nodes {
			o.burn()
		}
		f.waits, f.by = false, w.s.Now()+w.s.Lasting(time.Second, 5*time.Second)
		t.empty, t.heir = true, t.nodes[0]
		w.ledger.resets(t, x)
		t.nodes[0].saved, t.nodes[0].begin = x.clone(), true
		t.backup = nil
	} else if w.s.Now() > f.by || w.calm {
		t.fork = nil
	}
}

// forked reports whether a fork is open: a second loss at the same time could leave
// nobody who knows what is right.
func (w *cluster) forked() bool {
	for _, t := range w.sites {
		if t.fork != nil {
			return true
		}
	}
	return false
}

// shut reports whether clients are sent elsewhere: a person looks into it, or the site
// writes under another name before anybody has.
func (t *site) shut() bool {
	if t.fork == nil {
		return false
	}
	g := t.reign()
	return t.fork.waits || t.fork.twice || g == nil || g.core.Origin != t.fork.origin
}

// mends does what a person does about a fork.
func (t *site) mends() {
	f, w := t.fork, t.w
	g := t.reign()
	switch {
	case f == nil && t.late():
		w.s.Reach("a site that had taken what does not count was made anew")
		t.burn()
	case f == nil:
		if g != nil && t.backup == nil && w.s.Chance(0.02) {
			t.backup = g.p.store.clone()
		}
	case f.waits:
		f.begins(t)
	case !f.twice && f.found && g != nil && g.core.Origin != f.origin && g.core.Open() && g.core.Commit() == g.core.End():
		w.s.Reach("a site that was set back found out and began a new life")
		t.fork = nil
		t.hush()
	case f.twice && (f.found && w.s.Now() > f.by || w.calm && w.s.Now() > f.by+20*time.Second):
		if !f.found {
			w.s.Fail("M1", "%s has given out names twice, and nobody has noticed", t.name)
			return
		}
		w.s.Reach("a site that had given out names twice was made anew")
		t.fork, t.mended = nil, w.s.Now()
		t.burn()
		for _, o := range w.sites {
			if r := o.reign(); r != nil {
				r.p.n.m.Do(func() { r.step(core.Event{Kind: core.EvThaw, Peer: t.name}) })
			}
		}
	}
}

// late reports whether a person makes a site anew that has taken, before it had heard of
// it, more of a site that was given up than counts: once who was given up is away, and
// nobody votes.
func (t *site) late() bool {
	g := t.reign()
	if g == nil || !g.core.Beyond() || g.core.Roster().Seat(t.name).Standing != core.Active || unaware(t.w) {
		return false
	}
	return !slices.ContainsFunc(t.w.sites, func(o *site) bool { r := o.reign(); return r != nil && r.council.busy })
}

// twice: a site commits a write under a name that another one has.
func (l *ledger) twice(t *site, r *record.Record) bool {
	if t.fork == nil || r.Origin != t.fork.origin {
		return false
	}
	l.w.s.Reach("a site gave out a name twice")
	t.fork.twice = true
	return true
}

// froze: a core freezes a link. Nobody has written twice under one name, unless he was
// set back without a word.
func (l *ledger) froze(p *process, e *core.Effect) {
	if f := l.w.named(e.Peer).fork; f != nil && !f.waits {
		f.found = true
		return
	}
	if f := p.n.site.fork; f != nil && !f.waits {
		f.found = true
		return
	}
	if replaced(p) || l.late(p, e.Peer) {
		return
	}
	l.w.s.Fail("M1", "%s freezes %s: %v", p.n.name, e.Peer, e.Err)
}

// forgot: a core is told that its site has forgotten writes.
func (l *ledger) forgot(p *process) {
	if f := p.n.site.fork; f != nil && !f.waits {
		f.found = true
		return
	}
	if replaced(p) {
		return
	}
	l.w.s.Fail("C1", "%s is told that it has forgotten writes, and has not", p.n.name)
}

// replaced reports whether somebody else leads the site of a node that leads: what its
// peers have is then its successor's, and what it does about that is never committed.
func replaced(p *process) bool {
	if p.reign == nil || p.reign.term >= p.n.site.term {
		return false
	}
	p.s.Reach("a leader that was replaced heard of what its successor wrote")
	return true
}

// forkEchoes is for how long after a person has seen to a fork somebody may yet come by
// what was on its way.
const forkEchoes = 15 * time.Second

// late reports whether a link was frozen by what was on its way when a fork was mended. A
// person thaws it.
func (l *ledger) late(p *process, peer core.Site) bool {
	g := p.reign
	for _, t := range []*site{p.n.site, l.w.named(peer)} {
		if t.mended > 0 && p.s.Now() < t.mended+forkEchoes {
			p.n.m.After(time.Second, func() { g.step(core.Event{Kind: core.EvThaw, Peer: peer}) })
			return true
		}
	}
	return false
}
