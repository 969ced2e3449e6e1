package multileader

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// stats is what the loop publishes for others to read, every tick.
type stats struct {
	mu     sync.Mutex // a leaf
	leads  bool
	open   bool
	barred string // why it is not
	own    version.Origin
	marks  version.Vector
	peers  []peerStats
	count  core.Counts
	held   string   // why nothing can be forgotten, where that has lasted
	apart  []string // what the last comparison found
}

// peerStats is what is known of one peer.
type peerStats struct {
	peer   core.Site
	marks  version.Vector // what it is known to have
	lacks  uint64         // records that it is not known to have
	missed uint64         // records of it and through it that this site lacks
}

// publish notes what the core shows.
func (e *engine) publish() {
	c := e.reign.core
	s := &e.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == nil {
		s.leads, s.open, s.peers = false, false, nil
		return
	}
	s.leads, s.open, s.own, s.count = true, c.Writes(), c.Origin, c.Counts
	s.barred = "it waits for its own past"
	if err := c.Barred(); err != nil {
		s.barred = err.Error()
	} else if c.Open() {
		s.barred = "" // by its configuration
	}
	s.marks = vectorOf(c.Marks())
	s.held = e.reign.cutter.held(s.marks)
	s.peers = s.peers[:0]
	for _, l := range e.links.list() {
		p := peerStats{peer: l.peer, marks: c.Has(l.peer)}
		for _, m := range s.marks {
			p.lacks += m.Seq - min(m.Seq, p.marks.Get(m.Origin))
		}
		for _, m := range p.marks {
			p.missed += m.Seq - min(m.Seq, s.marks.Get(m.Origin))
		}
		s.peers = append(s.peers, p)
	}
}

// needs returns the first entry that some peer may lack, as far as is known.
func (s *stats) needs(e *engine) (record.LSN, bool) {
	s.mu.Lock()
	leads, peers := s.leads, slices.Clone(s.peers) // the loop writes into s.peers
	s.mu.Unlock()
	if !leads {
		return 0, false
	}
	need := e.env.Log.Bounds().End + 1
	for _, p := range peers {
		at, err := before(e.env.Store, e.env.Log.Bounds().End, func(q *place) bool { return p.marks.Descends(vectorOf(q.Marks)) })
		if err != nil {
			return 0, false
		}
		need = min(need, at.LSN+1)
	}
	return need, true
}

// leading reports whether this node leads its site.
func (s *stats) leading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leads
}

// Status implements topology.Engine.
func (e *engine) Status() topology.Status {
	s := e.group.Status()
	s.Kind = "multi-leader"
	s.Site = e.site
	shown, _ := e.machine.seen.atLeast()
	cuts := e.machine.cuts.shown.Load()
	roster := e.roster()
	holders := roster.Holders(shown)
	for i := range roster.Seats {
		seat := &roster.Seats[i]
		site := Site{Name: string(seat.Site), Number: seat.Number}
		x := topology.SiteStatus{Site: site.Name, Number: site.Number, Own: site.Name == e.site, Said: cuts.said(site.Number), Standing: seat.Standing.String()}
		x.ReadOnly, x.Without = slices.Contains(e.o.ReadOnly, x.Site), leftOut(e, x.Site)
		if slices.Contains(holders, seat.Number) {
			x.Holds = cuts.lacks(seat.Number, shown)
		}
		if in := e.machine.in.shown.Load(); in.Stage != core.StageNone && in.From == seat.Site {
			x.Snapshot = in.String()
		}
		for _, m := range shown {
			if m.Origin.ID == site.Number {
				x.Applied += m.Seq
			}
		}
		s.Sites = append(s.Sites, x)
	}
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	for i := range s.Sites {
		x := &s.Sites[i]
		if x.Own {
			x.State = "own"
			continue
		}
		l := e.link(core.Site(x.Site))
		if l == nil {
			x.State = "not linked"
			continue
		}
		x.State, x.Problem, x.Peer = l.state()
		for _, d := range l.problems() {
			x.Problem = strings.TrimPrefix(x.Problem+"; "+d, "; ")
		}
		for _, p := range e.stats.peers {
			if p.peer == l.peer {
				x.Behind.Records, x.Ahead.Records = p.missed, p.lacks
			}
		}
	}
	s.Warnings = append(append(s.Warnings, e.judge.teller.warnings()...), staleWarnings(e)...)
	if e.stats.held != "" {
		s.Warnings = append(s.Warnings, "nothing is forgotten that was deleted: "+e.stats.held)
	}
	s.Warnings = append(s.Warnings, e.stats.apart...)
	if e.stats.leads && !e.stats.open && e.stats.barred != "" {
		s.Warnings = append(s.Warnings, fmt.Sprintf("site %s takes no writes: %s", e.site, e.stats.barred))
	}
	if w := e.council.waits(); w != "" {
		s.Warnings = append(s.Warnings, w)
	}
	return s
}

// state says in words how a link is.
func (l *link) state() (state, problem string, peer topology.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.term == 0:
		return "idle", "", ""
	case l.frozen != "":
		return "frozen", l.frozen, ""
	case l.session == nil:
		return "down", l.problem, ""
	}
	return "up", l.problem, l.session.stream.Peer().ID
}
