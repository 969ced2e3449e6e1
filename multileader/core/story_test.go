package core_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/version"
)

// Each file of testdata is a story: sites of one node each, and what happens to
// them in the order written. What a site does about it is the report; beats are
// left out of it.
//
//	sites berlin=1 tokyo=2 … [shape=mesh|line|ring|star] [queue=N uncommitted=N shipment=N window=N] [hold-p=(SITE, …)] [read-only=(SITE, …)]
//	put SITE KEY=VALUE … | del SITE KEY         a write, committed only by commit, deliver or run; key p/a is of table p
//	holds SITE hold-p=(SITE, …)                 what a site's configuration says from its next start on
//	careless SITE                               it gives snapshots as if all sites held everything
//	commit SITE
//	clock SITE MS                               sets a wall clock, in ms since the story began
//	up A B | down A B                           a session begins, or breaks with all that is on its way
//	deliver A B [copy] | drop A B               the oldest message from A to B but beats, or a copy; then B commits
//	beats A B                                   the beats from A to B before that message
//	run                                         everything is delivered and committed, until nobody says any more
//	tick [N]                                    N ticks at every site, and run after each
//	crash SITE | start SITE term=N [keep=N] [life=N]   keep: with the first N entries alone, as from a backup
//	incarnate SITE life=N | thaw SITE PEER
//	forget SITE                                 its log is dropped as far as it is committed
//	log SITE | show KEY… | vectors | waits SITE
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var n *network
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			if d.Cmd == "sites" {
				n = storySites(t, d)
				return ""
			}
			n.say = func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
			story{t, d, n, &b}.tell()
			return b.String()
		})
	})
}

type story struct {
	t *testing.T
	d *datadriven.TestData
	n *network
	b *strings.Builder
}

func (s story) word(i int) string { return s.d.CmdArgs[i].Key }

func (s story) site(i int) *host { return s.n.host(core.Site(s.word(i))) }

func (s story) num(key string) (n uint64) {
	if s.d.HasArg(key) {
		s.d.ScanArgs(s.t, key, &n)
	}
	return n
}

func storySites(t *testing.T, d *datadriven.TestData) *network {
	n, shape, limits := newNetwork(), "mesh", core.Limits{}
	var members []core.Member
	var filters core.Filters
	var readOnly []core.Site
	for _, a := range d.CmdArgs {
		var v int
		if a.Key == "shape" {
			shape = a.Vals[0]
			continue
		}
		if f, ok := filterOf(a); ok {
			filters = append(filters, f)
			continue
		}
		if a.Key == "read-only" {
			readOnly = sitesOf(a.Vals)
			continue
		}
		_, err := fmt.Sscanf(a.Vals[0], "%d", &v)
		require.NoError(t, err)
		switch a.Key {
		case "queue":
			limits.Queue = v
		case "uncommitted":
			limits.Uncommitted = v
		case "shipment":
			limits.Shipment = v
		case "window":
			limits.Window = v
		default:
			members = append(members, core.Member{Site: core.Site(a.Key), Number: uint32(v)})
		}
	}
	for i, m := range members {
		h := &host{name: m.Site, wall: epoch, net: n, cfg: core.Config{
			Self: m.Site, Origin: version.Origin{ID: m.Number, Incarnation: 1}, Members: members, Limits: limits,
			Filters: filters, ReadOnly: readOnly,
		}}
		for j, p := range members {
			if linked(shape, i, j, len(members)) {
				h.cfg.Links = append(h.cfg.Links, core.Link{Peer: p.Site, Relay: shape != "mesh"})
			}
		}
		h.start()
		n.hosts = append(n.hosts, h)
		h.step(core.Event{Kind: core.EvLead, Term: 1})
		h.commit()
	}
	return n
}

// filterOf reads which sites hold a table.
func filterOf(a datadriven.CmdArg) (f core.Filter, ok bool) {
	name, ok := strings.CutPrefix(a.Key, "hold-")
	if !ok {
		return f, false
	}
	return core.Filter{Table: tableNamed(name), Name: name, Sites: sitesOf(a.Vals)}, true
}

func sitesOf(names []string) (sites []core.Site) {
	for _, name := range names {
		sites = append(sites, core.Site(name))
	}
	return sites
}

// linked says who exchanges logs in a cluster of a shape.
func linked(shape string, i, j, n int) bool {
	if i == j {
		return false
	}
	switch shape {
	case "line":
		return i-j == 1 || j-i == 1
	case "ring":
		return (i+1)%n == j || (j+1)%n == i
	case "star":
		return i == 0 || j == 0
	}
	return true
}

func (s story) tell() {
	switch s.d.Cmd {
	case "put":
		var pairs [][2]string
		for _, a := range s.d.CmdArgs[1:] {
			pairs = append(pairs, [2]string{a.Key, a.Vals[0]})
		}
		s.site(0).batch(pairs...)
	case "del":
		s.site(0).put(s.word(1), "")
	case "commit":
		s.site(0).commit()
	case "clock":
		var ms int64
		_, err := fmt.Sscanf(s.word(1), "%d", &ms)
		require.NoError(s.t, err)
		s.site(0).wall = epoch.Add(time.Duration(ms) * time.Millisecond)
	case "up":
		s.n.up(core.Site(s.word(0)), core.Site(s.word(1)))
	case "down":
		s.n.down(core.Site(s.word(0)), core.Site(s.word(1)))
	case "deliver", "drop":
		s.one()
	case "beats":
		s.beats(core.Site(s.word(0)), core.Site(s.word(1)))
	case "run":
		s.n.run()
	case "tick":
		s.ticks()
	case "crash":
		s.site(0).crash()
	case "start":
		s.start()
	case "incarnate":
		s.site(0).step(core.Event{Kind: core.EvIncarnate, Origin: version.Origin{ID: s.site(0).cfg.Origin.ID, Incarnation: uint32(s.num("life"))}})
	case "forget":
		s.site(0).drop()
	case "holds":
		s.site(0).cfg.Filters = nil
		for _, a := range s.d.CmdArgs[1:] {
			f, _ := filterOf(a)
			s.site(0).cfg.Filters = append(s.site(0).cfg.Filters, f)
		}
	case "careless":
		s.site(0).snaps.careless = true
	case "thaw":
		s.site(0).step(core.Event{Kind: core.EvThaw, Peer: core.Site(s.word(1))})
	default:
		s.look()
	}
}

func (s story) one() {
	a, b := core.Site(s.word(0)), core.Site(s.word(1))
	pair := [2]core.Site{a, b}
	s.beats(a, b)
	require.NotEmpty(s.t, s.n.queues[pair], "%s: nothing is on its way", s.d.Pos)
	if s.d.Cmd == "drop" {
		s.n.queues[pair] = s.n.queues[pair][1:]
		return
	}
	s.n.deliver(a, b, 0, s.d.HasArg("copy"))
	s.n.host(b).commit()
}

// beats delivers the beats from a to b that come before anything else.
func (s story) beats(a, b core.Site) {
	pair := [2]core.Site{a, b}
	for len(s.n.queues[pair]) > 0 && s.n.queues[pair][0].message.Kind == core.MsgBeat {
		s.n.deliver(a, b, 0, false)
	}
}

func (s story) ticks() {
	count := 1
	if len(s.d.CmdArgs) > 0 {
		_, err := fmt.Sscanf(s.word(0), "%d", &count)
		require.NoError(s.t, err)
	}
	for range count {
		s.n.tick()
		s.n.run()
	}
}

func (s story) start() {
	h := s.site(0)
	if s.d.HasArg("keep") {
		h.log = h.log[:s.num("keep")]
	}
	if s.d.HasArg("life") {
		h.cfg.Origin.Incarnation = uint32(s.num("life"))
	}
	h.start()
	h.step(core.Event{Kind: core.EvLead, Term: s.num("term")})
	h.commit()
}

func (s story) look() {
	switch s.d.Cmd {
	case "log":
		for _, it := range s.site(0).log {
			fmt.Fprintf(s.b, "%s\n", describe(it))
		}
	case "show":
		for _, h := range s.n.hosts {
			fmt.Fprintf(s.b, "%s:", h.name)
			for _, a := range s.d.CmdArgs {
				fmt.Fprintf(s.b, " %s=%s", a.Key, h.get(a.Key))
			}
			fmt.Fprintf(s.b, ", %d lost\n", len(h.lost))
			require.Equal(s.t, h.recount(), len(h.lost))
		}
	case "vectors":
		for _, h := range s.n.hosts {
			fmt.Fprintf(s.b, "%s: %s\n", h.name, marksText(h.core.Marks()))
		}
	case "waits":
		h := s.site(0)
		for _, p := range h.cfg.Members {
			if k := h.core.Queued(version.Origin{ID: p.Number, Incarnation: 1}); k > 0 {
				fmt.Fprintf(s.b, "%d of %s wait\n", k, p.Site)
			}
		}
	default:
		s.d.Fatalf(s.t, "no command %q", s.d.Cmd)
	}
}
