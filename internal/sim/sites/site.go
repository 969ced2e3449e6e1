package sites

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// site is a group of nodes, and the people who run it: they name another leader where
// one is away, as an election would, and force one where that can not be.
type site struct {
	w      *cluster
	name   core.Site
	index  int
	nodes  []*node
	term   uint64 // the last that was begun
	life   uint32 // the incarnation given out last
	out    bool   // it is no part of the cluster: its machines are off
	empty  bool   // it is to begin with empty disks: a life is over
	heir   *node  // who has what it begins with then; nil: nobody
	lossy  bool   // who leads next may lack something
	since  time.Duration
	sender *reign        // whose log the nodes copy
	joins  bool          // it has no roster of the configuration
	backup *state        // of its past
	fork   *fork         // it was set back, and nobody has said so
	mended time.Duration // when a person saw to a fork last
	hushed bool          // it takes no writes before it has heard another one

	regains []version.Vector // what others had when it lost something; nil: it has got back what one of them had

	truth truth
}

// truth is what the ledger knows of a site: what is committed there.
type truth struct {
	lsn    record.LSN
	vector version.Vector
	time   version.Timestamp
	from   record.LSN
	sums   []uint32                  // of the entries behind from
	counts []int                     // how many writes were lost in all by then; -1: it is not known
	model  map[string]record.Version // the winners of the table where the last writer wins
	lost   int
}

func (w *cluster) addSite(index, nodes int, out bool) *site {
	t := &site{w: w, name: siteName(index), index: index, out: out, joins: out}
	for i := range nodes {
		n := &node{w: w, site: t, name: fmt.Sprintf("%s%d", t.name, i+1)}
		if a := w.c.clocks.apart; a > 0 {
			n.skew = w.apart()
		}
		n.m = w.s.Machine(n.name, n.boot, n.halt)
		t.nodes = append(t.nodes, n)
	}
	w.ledger.resets(t, nil)
	w.sites = append(w.sites, t)
	return t
}

// apart draws how far a clock is wrong, either way.
func (w *cluster) apart() time.Duration {
	a := int(w.c.clocks.apart / time.Millisecond)
	return time.Duration(w.s.Between(-a, a)) * time.Millisecond
}

func (t *site) majority() int { return len(t.nodes)/2 + 1 }

// reign returns the one that leads the site as a core, nil if none does.
func (t *site) reign() *reign {
	var best *reign
	for _, n := range t.nodes {
		if p := n.live(); p != nil && p.reign != nil && p.reign.core != nil && (best == nil || p.reign.term > best.term) {
			best = p.reign
		}
	}
	return best
}

// start has its machines on.
func (t *site) start() {
	t.out = false
	for _, n := range t.nodes {
		n.m.Start()
	}
}

// stop has its machines off. Nobody looks into what they did any more.
func (t *site) stop() {
	t.out, t.fork = true, nil
	for _, n := range t.nodes {
		n.m.Exit()
	}
}

// look sees to it that somebody leads, again and again.
func (t *site) look() {
	t.w.s.After(t.w.s.Lasting(20*time.Millisecond, 200*time.Millisecond), func() {
		if !t.out {
			t.elect(false)
			t.mends()
		}
		t.look()
	})
}

// elect names another leader, if none works or one is to hand over: whose log is the
// longest of those that more than half of the nodes agree to.
func (t *site) elect(again bool) {
	s := t.w.s
	if !again {
		works := slices.ContainsFunc(t.nodes, func(n *node) bool {
			p := n.live()
			return p != nil && p.reign != nil && p.reign.term == t.term && len(t.reached(n)) >= t.majority()
		})
		switch {
		case works:
			t.since = 0
			return
		case t.since == 0:
			t.since = s.Now() + s.Lasting(0, t.w.c.ticks.elect)
		}
		if s.Now() < t.since {
			return
		}
	}
	t.since = 0
	best, voters := t.candidate()
	if best == nil {
		return
	}
	t.term++
	s.Note(best.name, "is elected", t.term, uint64(best.p.end()))
	for _, n := range voters {
		n.m.Do(func() { n.promise(t.term) })
	}
	best.m.Do(func() {
		if p := best.live(); p != nil {
			p.lead(t.term)
		}
	})
}

// candidate returns whose log goes furthest among those that agree to him, and them.
func (t *site) candidate() (best *node, voters []*node) {
	for _, n := range t.nodes {
		if n.live() == nil || n.blank && !t.empty || t.heir != nil && t.heir != n && n.p.end() < max(t.truth.lsn, 1) {
			continue
		}
		reach := t.reached(n)
		if len(reach) < t.majority() || slices.ContainsFunc(reach, func(o *node) bool { return further(o.p, n.p) }) {
			continue
		}
		if best == nil || further(n.p, best.p) {
			best, voters = n, reach
		}
	}
	return best, voters
}

// further reports whether a's log goes further than b's.
func further(a, b *process) bool {
	x, y := a.at, b.at
	return x.Term > y.Term || x.Term == y.Term && x.LSN > y.LSN
}

// reached are the nodes that count and hear a node, and are heard by it.
func (t *site) reached(n *node) (all []*node) {
	net := t.w.s.Net
	for _, o := range t.nodes {
		if o.live() != nil && (!o.blank || t.empty) && net.Open(n.m, o.m) && net.Open(o.m, n.m) {
			all = append(all, o)
		}
	}
	return all
}

// newLife gives out an incarnation under which the site has not written.
func (t *site) newLife(least uint32) uint32 {
	t.life = max(t.life+1, least)
	return t.life
}

// number is the site's in the rosters that are known; that of the configuration, if
// there is none.
func (t *site) number() uint32 { return uint32(t.index + 1) }

// burn loses all its disks. It comes back with empty ones, and a new life.
func (t *site) burn() {
	t.fork, t.backup = nil, nil
	t.hush()
	t.w.ledger.loses(t)
	for _, n := range t.nodes {
		n.burn()
	}
	t.empty, t.lossy, t.heir = true, true, nil
	t.w.ledger.resets(t, nil)
}

// lead begins a term over what a node's log holds.
func (p *process) lead(term uint64) {
	p.reign = newReign(p, term)
	r := record.Record{Term: term, Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkTerm), Value: []byte(p.n.name)}}}
	b := record.NewEncoder().Append(nil, &r)
	g := p.reign
	g.start = p.end() + 1
	if p.copies(record.Entry{LSN: g.start, Term: term, Sum: record.Sum(b), Bytes: b}) != nil {
		if !p.dead {
			p.reign = nil
		}
		return
	}
	p.w.ledger.leads(p)
	g.ship()
}

// silent reports whether a site that has lost something is kept from clients until it has
// heard another one, which has not: by that it learns that it has (M6). The product
// leaves that to who runs the site.
func (t *site) silent() bool {
	if !t.hushed {
		return false
	}
	g := t.reign()
	for _, o := range t.w.sites {
		if g != nil && o != t && !o.out && !o.hushed && len(g.core.Has(o.name)) > 0 {
			t.hushed = false
		}
	}
	return t.hushed
}

// hush begins it.
func (t *site) hush() {
	t.hushed, t.regains = false, nil
	for _, o := range t.w.sites {
		if o != t && !o.out && !o.hushed {
			t.hushed = true
			t.regains = append(t.regains, o.truth.vector)
		}
	}
}

// lacks reports whether it has not got back yet what it has lost: another one that loses
// something then may be the last that knows of it.
func (t *site) lacks() bool {
	if t.out || slices.ContainsFunc(t.regains, t.truth.vector.Descends) {
		t.regains = nil
	}
	return len(t.regains) > 0
}
