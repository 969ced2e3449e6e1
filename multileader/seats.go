package multileader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A store says which sites there are, once that is not what the configuration says, and
// what its site has voted about that, under two keys of the table of origins: "r", a
// roster, and "v", a council.
const (
	keyRoster  = "r"
	keyCouncil = "v"
)

func cellRoster() record.Cell {
	return record.Cell{Table: record.TableOrigins, Key: []byte(keyRoster)}
}

func cellCouncil() record.Cell {
	return record.Cell{Table: record.TableOrigins, Key: []byte(keyCouncil)}
}

// readAssembly reads them.
func readAssembly(g getter) (a core.Assembly, err error) {
	b, err := readValue(g, cellRoster())
	if err == nil && b != nil {
		a.Roster, err = core.DecodeRoster(b)
	}
	if err != nil {
		return a, err
	}
	if b, err = readValue(g, cellCouncil()); err == nil && b != nil {
		a.Council, err = core.DecodeCouncil(b)
	}
	return a, err
}

// readValue reads a cell of one value, nil if there is none.
func readValue(g getter, c record.Cell) ([]byte, error) {
	b, err := g.Get(c)
	if err != nil || b == nil {
		return nil, err
	}
	var s record.State
	if err := record.DecodeState(b, &s); err != nil || len(s.Siblings) != 1 {
		return nil, fmt.Errorf("%w: %d values of %q: %w", topology.ErrMalformed, len(s.Siblings), c.Key, err)
	}
	return s.Siblings[0].Value, nil
}

// seats is which sites there are, by what a node has applied.
type seats struct {
	assembly core.Assembly // of the machine
	founding *core.Roster  // of the configuration; nil at a site that joins
	shown    atomic.Pointer[core.Roster]
}

func (s *seats) show() {
	r := s.assembly.Roster
	if r == nil {
		r = s.founding
	}
	if r == nil {
		r = &core.Roster{}
	}
	s.shown.Store(r)
}

// seat takes a note about the roster.
func (s *seats) take(m *machine, r *record.Record) error {
	a, ok, err := m.seats.assembly.Add(r)
	if err != nil || !ok {
		return err
	}
	if a.Roster != m.seats.assembly.Roster {
		m.put(cellRoster(), r, a.Roster.Encode())
	}
	m.put(cellCouncil(), r, a.Council.Encode())
	m.seats.assembly = a
	return nil
}

// roster is which sites there are, as far as this node has applied.
func (e *engine) roster() *core.Roster { return e.machine.seats.shown.Load() }

// seated is a site of the roster; without a number if it is not in it.
func (e *engine) seated(name string) Site {
	if s := e.roster().Seat(core.Site(name)); s != nil {
		return Site{Name: name, Number: s.Number}
	}
	return Site{Name: name}
}

// here are the sites that exchange with others.
func (e *engine) here() (sites []Site) {
	r := e.roster()
	for i := range r.Seats {
		if s := &r.Seats[i]; s.Here() {
			sites = append(sites, Site{Name: string(s.Site), Number: s.Number})
		}
	}
	return sites
}

// linkedBy reports whether two sites exchange with one another, by a roster. A site that
// comes or goes has its links in a ring besides those of the others.
func (o *Options) linkedBy(r *core.Roster, a, b string) bool {
	x, y := r.Seat(core.Site(a)), r.Seat(core.Site(b))
	if a == b || x == nil || y == nil || !x.Here() || !y.Here() {
		return false
	}
	switch o.Links.Shape {
	case Ring:
		return neighbours(r, a, b, false) || neighbours(r, a, b, true)
	case Star:
		return a == o.Links.Hub || b == o.Links.Hub
	case List:
		return slices.Contains(x.Links, y.Site) || slices.Contains(y.Links, x.Site) ||
			slices.ContainsFunc(o.Links.Pairs, func(p [2]string) bool { return p == [2]string{a, b} || p == [2]string{b, a} })
	}
	return true
}

// neighbours reports whether two sites follow one another in the ring of all, or of those
// that take writes.
func neighbours(r *core.Roster, a, b string, active bool) bool {
	var names []string
	for i := range r.Seats {
		if s := &r.Seats[i]; s.Here() && (!active || s.Standing == core.Active) {
			names = append(names, string(s.Site))
		}
	}
	i, j, n := slices.Index(names, a), slices.Index(names, b), len(names)
	return i >= 0 && j >= 0 && ((i+1)%n == j || (j+1)%n == i)
}

// linksOf returns with whom a site exchanges.
func (o *Options) linksOf(self string) func(*core.Roster) []core.Link {
	return func(r *core.Roster) (links []core.Link) {
		for i := range r.Seats {
			if name := string(r.Seats[i].Site); o.linkedBy(r, self, name) {
				links = append(links, core.Link{Peer: core.Site(name), Relay: o.Links.Shape != Mesh})
			}
		}
		return links
	}
}

// founding is the roster of a configuration; nil where the site joins.
func (o *Options) founding() *core.Roster {
	if o.Joins {
		return nil
	}
	var members []core.Member
	for _, s := range o.Sites {
		members = append(members, core.Member{Site: core.Site(s.Name), Number: s.Number})
	}
	return core.Founding(members)
}

// reachesAll says which sites would not be reached by chains of links, if r held, and
// once those have left who are about to: what can not end is not begun.
func (o *Options) reachesAll(r *core.Roster) error {
	left := &core.Roster{Seats: slices.Clone(r.Seats)}
	for i := range left.Seats {
		if s := &left.Seats[i]; s.Standing == core.Retiring {
			s.Standing = core.Retired
		}
	}
	return errors.Join(o.reaches(r), o.reaches(left))
}

func (o *Options) reaches(r *core.Roster) error {
	if from, away := cutOff(o, r, func(string) bool { return true }); len(away) > 0 {
		return fmt.Errorf("%w: links: nothing of %s would reach %v: change topology.links, or give links with `triad site add --link`", topology.ErrConflict, from, away)
	}
	return nil
}

// cutOff returns the first of some sites that are there by r, and those of them that no
// chain of links between such sites alone joins to it.
func cutOff(o *Options, r *core.Roster, some func(site string) bool) (from string, away []string) {
	var here []string
	for i := range r.Seats {
		if name := string(r.Seats[i].Site); r.Seats[i].Here() && some(name) {
			here = append(here, name)
		}
	}
	if len(here) == 0 {
		return "", nil
	}
	reached := map[string]bool{here[0]: true}
	for range here {
		for _, a := range here {
			for _, b := range here {
				reached[b] = reached[b] || reached[a] && o.linkedBy(r, a, b)
			}
		}
	}
	return here[0], slices.DeleteFunc(slices.Clone(here), func(s string) bool { return reached[s] })
}

// links are the exchanges with other sites, which come and go with the roster.
type links struct {
	e *engine

	mu    sync.Mutex // a leaf
	all   []*link
	start func(*link) // nil: the node does not run
}

// find returns the link to a peer, nil if there is none.
func (ls *links) find(peer core.Site) *link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	i := slices.IndexFunc(ls.all, func(l *link) bool { return l.peer == peer })
	if i < 0 {
		return nil
	}
	return ls.all[i]
}

func (ls *links) list() []*link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Clone(ls.all)
}

// run runs links until ctx ends.
func (ls *links) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	ls.mu.Lock()
	ls.start = func(l *link) {
		own, cancel := context.WithCancel(ctx)
		l.cancel = cancel
		g.Go(func() error { return l.run(own) })
	}
	for _, l := range ls.all {
		ls.start(l)
	}
	ls.mu.Unlock()
	<-ctx.Done()
	ls.mu.Lock()
	ls.start = nil
	ls.mu.Unlock()
	return g.Wait()
}

// follow has the links be those of a roster, led in term.
func (ls *links) follow(r *core.Roster, term uint64) {
	want := ls.e.o.linksOf(ls.e.site)(r)
	ls.mu.Lock()
	was := ls.all
	ls.all = nil
	var fresh, gone []*link
	for _, w := range want {
		i := slices.IndexFunc(was, func(l *link) bool { return l.peer == w.Peer })
		if i >= 0 {
			ls.all = append(ls.all, was[i])
			continue
		}
		l := newLink(ls.e, w.Peer)
		l.smaller = r.Seat(core.Site(ls.e.site)).Number < r.Seat(w.Peer).Number
		ls.all, fresh = append(ls.all, l), append(fresh, l)
		if ls.start != nil {
			ls.start(l)
		}
	}
	for _, l := range was {
		if !slices.Contains(ls.all, l) {
			gone = append(gone, l)
		}
	}
	ls.mu.Unlock()
	for _, l := range fresh {
		l.leads(term)
	}
	for _, l := range gone {
		l.leads(0)
		if l.cancel != nil {
			l.cancel()
		}
	}
}

// reseat goes by another roster, on the loop.
func reseat(e *engine) {
	c := e.reign.core
	if c == nil {
		return
	}
	e.log.Info("the sites are others", "version", c.Roster().Version, "cause", c.Roster().Cause)
	e.links.follow(c.Roster(), e.reign.term)
	e.reign.cutter.substance = ^uint64(0) // all are to hear that this site knows
	e.council.nudge()
}
