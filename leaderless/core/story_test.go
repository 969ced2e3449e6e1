package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Each file of testdata is a story: nodes, and what happens to them in the order
// written. What a node does about it is the report; exchanges of applied sets are
// left out of it, but for what they bring.
//
//	nodes a b c … [n=N] [partitions=N] [requests=N unflushed=N fill=N gaps=N] [sites=(eu,us,…)] [keeps]   a site for each, in their order; the table keeps siblings
//	where KEY                                   who holds it
//	put NAME at=NODE KEY[.FIELD]=VALUE|KEY[.FIELD] [level=one|quorum|all|…] [seen=READ] [repair=write-back met=…]
//	get NAME at=NODE KEY[.all] [level=…] [repair=none|async|blocking|write-back] [met=…]
//	flush NODE                                  its log is durable
//	deliver A B [copy] | drop A B | lose A B    the oldest message from A to B, or a copy; or all that there are
//	run                                         everything is delivered and flushed, until nobody says any more
//	tick [N] | deadline NAME | hedge NAME
//	clock NODE MS                               sets a wall clock, in ms since the story began
//	alive NODE…                                 what all nodes believe
//	crash NODE | start NODE [wiped] [life=N] [catching-up]
//	incarnate NODE life=N | caught-up NODE
//	unreachable NODE                            nobody reaches it any more
//	install NODE from=NODE                      it is given all that another holds, key by key, at last the set of it
//	show KEY[.FIELD] | applied KEY
//	join NODE                                   a node that holds nothing yet, by the newest map
//	move NODE…                                  a newer map: partitions are to move to those
//	step P… | undo P… | cancel                  a newer map
//	map NODE…                                   learns the newest map
//	stream NODE from=NODE [session=E]           is given all that another holds, in a session; 0: that of now
//	stable KEY | collect                        what all are known to have of its partition; all nodes forget the deletes that can go
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s *story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "nodes" {
				s = newStory(t, d)
				return ""
			}
			s.d = d
			s.b.Reset()
			s.tell()
			return s.b.String()
		})
	})
}

type story struct {
	t        *testing.T
	d        *datadriven.TestData
	n        *network
	b        strings.Builder
	requests map[string]*request
}

func newStory(t *testing.T, d *datadriven.TestData) *story {
	s := &story{t: t, d: d, requests: map[string]*request{}}
	var names []topology.NodeID
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 && a.Key != "keeps" {
			names = append(names, topology.NodeID(a.Key))
		}
	}
	place := s.place(names)
	s.n = newNetwork(place)
	for _, name := range names {
		cfg := core.Config{Self: name, Map: place, Incarnation: 1, Limits: core.Limits{
			Requests: int(s.num("requests")), Unflushed: int(s.num("unflushed")), Fill: int(s.num("fill")), Gaps: int(s.num("gaps")),
		}}
		if d.HasArg("keeps") {
			cfg.Keeps = func(record.TableID) bool { return true }
		}
		s.n.add(cfg)
	}
	s.n.say = func(format string, args ...any) { fmt.Fprintf(&s.b, format, args...) }
	return s
}

func (s *story) word(i int) string { return s.d.CmdArgs[i].Key }

func (s *story) node(i int) *host { return s.n.host(topology.NodeID(s.word(i))) }

func (s *story) num(key string) (n uint64) {
	if s.d.HasArg(key) {
		s.d.ScanArgs(s.t, key, &n)
	}
	return n
}

func (s *story) str(key string) (v string) {
	if s.d.HasArg(key) {
		s.d.ScanArgs(s.t, key, &v)
	}
	return v
}

// place is where nodes stand, and how many hold what.
func (s *story) place(names []topology.NodeID) *placement.Map {
	l := placement.Layout{Copies: int(max(3, s.num("n")))}
	partitions := int(max(1, s.num("partitions")))
	sites := make([]string, len(names))
	if a, ok := s.d.Arg("sites"); ok {
		sites = a.Vals
	}
	for i, name := range names {
		l.Nodes = append(l.Nodes, placement.Node{ID: name, Site: sites[i], Weight: 1, Numbers: uint32(1 + i*partitions)})
	}
	m, err := placement.Found(1, l, partitions)
	require.NoError(s.t, err)
	return m
}

// level is the one that an argument names; a majority for none.
func (s *story) level(arg string) quorum.Consistency {
	named := s.str(arg)
	for l := quorum.AtQuorum; l.Valid(); l++ {
		if l.String() == named || named == "" {
			return l
		}
	}
	s.d.Fatalf(s.t, "no level %q", named)
	return 0
}

func (s *story) repair() core.Repair {
	named := s.str("repair")
	for r := core.RepairNone; r <= core.RepairWriteBack; r++ {
		if r.String() == named || named == "" {
			return r
		}
	}
	s.d.Fatalf(s.t, "no repair %q", named)
	return 0
}

func (s *story) tell() {
	switch s.d.Cmd {
	case "put", "get":
		s.ask()
	case "flush":
		s.node(0).flush()
	case "deliver", "drop", "lose":
		s.one()
	case "run":
		s.n.run()
	case "tick":
		s.ticks()
	case "deadline", "hedge":
		kind := core.EvDeadline
		if s.d.Cmd == "hedge" {
			kind = core.EvHedge
		}
		r := s.requests[s.word(0)]
		s.n.host(r.at).step(core.Event{Kind: kind, Op: r.op})
	case "clock":
		var ms int64
		_, err := fmt.Sscanf(s.word(1), "%d", &ms)
		require.NoError(s.t, err)
		s.node(0).wall = epoch.Add(time.Duration(ms) * time.Millisecond)
	case "alive":
		var nodes []topology.NodeID
		for i := range s.d.CmdArgs {
			nodes = append(nodes, topology.NodeID(s.word(i)))
		}
		for _, h := range s.n.hosts {
			h.step(core.Event{Kind: core.EvAlive, Nodes: nodes})
		}
	case "crash":
		s.node(0).crash()
	case "start":
		s.start()
	case "incarnate":
		s.node(0).step(core.Event{Kind: core.EvIncarnate, Incarnation: uint32(s.num("life"))})
	case "unreachable":
		for _, h := range s.n.hosts {
			if h.name != topology.NodeID(s.word(0)) {
				h.step(core.Event{Kind: core.EvLost, Node: topology.NodeID(s.word(0)), Err: topology.ErrUnavailable})
			}
		}
	case "install":
		s.install()
	case "caught-up":
		s.node(0).step(core.Event{Kind: core.EvCaughtUp})
	case "join", "move", "step", "undo", "cancel", "map", "stream":
		s.moves()
	default:
		s.look()
	}
}

// ask sends a request: put NAME at=NODE KEY=VALUE, get NAME at=NODE KEY.
func (s *story) ask() {
	name, key := s.word(0), s.d.CmdArgs[2]
	var r *request
	if s.d.Cmd == "get" {
		r = getOf(name, key.Key, s.level("level"), s.repair())
	} else {
		value := ""
		if len(key.Vals) > 0 {
			value = key.Vals[0]
		}
		var seen core.Context
		if from := s.requests[s.str("seen")]; from != nil {
			seen = from.answer.Context
		}
		r = putOf(name, key.Key, value, s.level("level"), seen)
		r.event.Repair = s.repair()
	}
	r.event.Met = s.level("met")
	s.requests[name] = r
	s.n.host(topology.NodeID(s.str("at"))).serve(r)
}

func (s *story) one() {
	a, b := topology.NodeID(s.word(0)), topology.NodeID(s.word(1))
	pair := [2]topology.NodeID{a, b}
	require.NotEmpty(s.t, s.n.queues[pair], "%s: nothing is on its way", s.d.Pos)
	switch s.d.Cmd {
	case "drop":
		s.n.queues[pair] = s.n.queues[pair][1:]
	case "lose":
		s.n.queues[pair] = nil
	default:
		s.n.deliver(a, b, 0, s.d.HasArg("copy"))
	}
}

func (s *story) ticks() {
	count := 1
	if len(s.d.CmdArgs) > 0 {
		_, err := fmt.Sscanf(s.word(0), "%d", &count)
		require.NoError(s.t, err)
	}
	for range count {
		for _, h := range s.n.hosts {
			h.step(core.Event{Kind: core.EvTick})
		}
		s.n.run()
	}
}

func (s *story) start() {
	h := s.node(0)
	if s.d.HasArg("wiped") {
		h.log = nil
	}
	if s.d.HasArg("life") {
		h.cfg.Incarnation = uint32(s.num("life"))
	}
	h.cfg.CatchingUp = s.d.HasArg("catching-up")
	h.start()
}

// install gives a node what another holds, as a part a cell, and at last the set.
func (s *story) install() {
	h, from := s.node(0), s.n.host(topology.NodeID(s.str("from")))
	set := from.core.Applied(0).Clone()
	for _, name := range slices.Sorted(maps.Keys(from.store)) {
		key, field, _ := strings.Cut(name, ".")
		cell := record.Cell{Table: record.TableDefault, Key: []byte(key), Field: []byte(field)}
		state := from.store[name]
		if h.cfg.Keeps != nil {
			state = core.Covering(state, set)
		}
		h.step(core.Event{Kind: core.EvInstall, Node: from.name, Part: core.Part{Cells: []core.Held{{Cell: cell, State: state}}}})
	}
	h.step(core.Event{Kind: core.EvInstall, Node: from.name, Part: core.Part{Applied: set}})
}

func (s *story) look() {
	switch s.d.Cmd {
	case "where":
		fmt.Fprintf(&s.b, "%v\n", s.n.place.Replicas(s.n.place.Partition([]byte(s.word(0)))))
	case "show":
		for _, h := range s.n.hosts {
			if h.core == nil || h.core.Applied(s.n.place.Partition([]byte(s.word(0)))) == nil {
				continue
			}
			fmt.Fprintf(&s.b, "%s: %s", h.name, stateText(h.store[s.word(0)]))
			if n := len(h.lost); n > 0 {
				fmt.Fprintf(&s.b, "; %d lost", n)
			}
			s.b.WriteByte('\n')
			require.Equal(s.t, h.recount(), len(h.lost))
		}
	case "applied":
		for _, h := range s.n.hosts {
			if h.core == nil {
				continue
			}
			if set := h.core.Applied(s.n.place.Partition([]byte(s.word(0)))); set != nil {
				fmt.Fprintf(&s.b, "%s: applied %s; of the key %s\n", h.name, setText(set), setText(h.store[s.word(0)].Context))
			}
		}
	case "stable":
		for _, h := range s.n.hosts {
			if h.core != nil {
				fmt.Fprintf(&s.b, "%s: %s\n", h.name, setText(&version.Set{Prefix: core.Stable(h.core, s.n.place.Partition([]byte(s.word(0))))}))
			}
		}
	case "collect":
		for _, h := range s.n.hosts {
			for _, name := range h.collect() {
				fmt.Fprintf(&s.b, "%s forgets %s\n", h.name, name)
			}
		}
	default:
		s.d.Fatalf(s.t, "no command %q", s.d.Cmd)
	}
}
