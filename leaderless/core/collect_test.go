package core_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// collect forgets the deletes that can go, as a shell does, and returns what is gone.
func (h *host) collect() (gone []string) {
	if h.core == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(h.store)) {
		s := h.store[name]
		key, field, _ := strings.Cut(name, ".")
		stable := core.Stable(h.core, h.net.place.Partition([]byte(key)))
		if len(s.Siblings) == 0 || core.FateOf(&s, stable) != core.Goes {
			continue
		}
		if field == "" {
			under, all := h.under(key, &s, stable)
			for _, u := range under {
				delete(h.store, u)
			}
			if gone = append(gone, under...); !all {
				continue
			}
		}
		delete(h.store, name)
		gone = append(gone, name)
	}
	return gone
}

// under are the cells that go before the delete of their key does, and whether those are all.
func (h *host) under(key string, head *record.State, stable version.Vector) (names []string, all bool) {
	for _, name := range slices.Sorted(maps.Keys(h.store)) {
		s := h.store[name]
		if !strings.HasPrefix(name, key+".") {
			continue
		}
		switch core.FateUnder(&s, head, stable) {
		case core.Goes:
			names = append(names, name)
		case core.Stays:
			return names, false
		}
	}
	return names, true
}

var origin = version.Origin{ID: 1, Incarnation: 1}

func versionAt(seq uint64, value string) record.Version {
	v := record.Version{Dot: version.Dot{Origin: origin, Seq: seq}, Time: version.Timestamp(seq), Kind: record.KindBytes, Value: []byte(value)}
	v.Absent = value == ""
	return v
}

func upTo(seq uint64) *version.Set {
	return &version.Set{Prefix: version.Vector{{Origin: origin, Seq: seq}}}
}

func TestWhatReplicasHoldIsJudgedByWhatTheyHaveApplied(t *testing.T) {
	held := func(vs ...record.Version) record.State { return record.State{Siblings: vs} }
	v, w, d := versionAt(3, "v"), versionAt(5, "w"), versionAt(6, "")
	changed := v
	changed.Value = []byte("x")
	all := upTo(9)
	type copies []core.Copy
	at := func(node string, s record.State) core.Copy {
		return core.Copy{Node: topology.NodeID(node), Held: s, Applied: all}
	}
	late := func(c core.Copy, seq uint64) core.Copy { c.Applied = upTo(seq); return c }
	collected := func(c core.Copy, at version.Timestamp) core.Copy { c.Collected = at; return c }
	under := func(c core.Copy, head record.Version) core.Copy { c.Head = held(head); return c }
	for name, x := range map[string]struct {
		copies
		from   string
		want   core.Finding
		good   []record.Version
		behind []topology.NodeID
	}{
		"the same":                           {copies: copies{at("a", held(v)), at("b", held(v))}},
		"a delete, and nothing":              {copies: copies{at("a", held(d)), at("b", held())}},
		"one has not applied it yet":         {copies: copies{at("a", held(w)), late(at("b", held(v)), 4)}, want: core.Coming},
		"nor the delete":                     {copies: copies{at("a", held(d)), late(at("b", held(v)), 4)}, want: core.Coming},
		"one is lost":                        {copies: copies{at("a", held(v)), at("b", held()), at("c", held(v))}, want: core.Damaged, good: held(v).Siblings, behind: []topology.NodeID{"b"}},
		"all but one are lost":               {copies: copies{at("a", held(v)), at("b", held()), at("c", held())}, want: core.Damaged, good: held(v).Siblings, behind: []topology.NodeID{"b", "c"}},
		"one went back":                      {copies: copies{at("a", held(w)), at("b", held(v)), at("c", held(v))}, want: core.Damaged, good: held(w).Siblings, behind: []topology.NodeID{"b", "c"}},
		"one went back before a delete":      {copies: copies{at("a", held(d)), at("b", held(v)), at("c", held(v))}, want: core.Damaged, good: held(d).Siblings, behind: []topology.NodeID{"b", "c"}},
		"a delete was forgotten":             {copies: copies{collected(at("a", held()), 6), at("b", held(v)), collected(at("c", held()), 6)}, want: core.Damaged, behind: []topology.NodeID{"b"}},
		"a delete may have been forgotten":   {copies: copies{collected(at("a", held()), 6), at("b", held(v))}, want: core.Unclear},
		"most say it was not":                {copies: copies{collected(at("a", held()), 6), at("b", held(v)), at("c", held(v))}, want: core.Damaged, good: held(v).Siblings, behind: []topology.NodeID{"a"}},
		"deletes were forgotten, older ones": {copies: copies{collected(at("a", held()), 2), at("b", held(v))}, want: core.Damaged, good: held(v).Siblings, behind: []topology.NodeID{"a"}},
		"somebody is right":                  {copies: copies{collected(at("a", held()), 6), at("b", held(v))}, from: "b", want: core.Damaged, good: held(v).Siblings, behind: []topology.NodeID{"a"}},
		"other bytes":                        {copies: copies{at("a", held(v)), at("b", held(changed)), at("c", held(v))}, want: core.Damaged, good: held(v).Siblings, behind: []topology.NodeID{"b"}},
		"other bytes, two of three":          {copies: copies{at("a", held(v)), at("b", held(changed))}, want: core.Unclear},
		"hidden, and gone":                   {copies: copies{under(at("a", held(v)), d), at("b", held())}},
		"shown, though the key was deleted":  {copies: copies{at("a", held(v)), under(at("b", held(v)), d)}, want: core.Damaged, behind: []topology.NodeID{"a"}},
		"siblings, by most":                  {copies: copies{at("a", held(v, w)), at("b", held(w)), at("c", held(v, w))}, want: core.Damaged, good: held(v, w).Siblings, behind: []topology.NodeID{"b"}},
		"siblings, by nobody":                {copies: copies{at("a", held(v, w)), at("b", held(w)), at("c", held(v))}, want: core.Unclear},
	} {
		j := core.Judge(x.copies, 3, topology.NodeID(x.from))
		require.Equal(t, x.want, j.Finding, name)
		require.Equal(t, x.good, j.Good.Siblings, name)
		require.Equal(t, x.behind, j.Behind, name)
		require.Equal(t, j.Finding > core.Coming, j.Why != "", name)
	}
}

// What another replica knows overtakes what is held only if that may have been deleted
// for good.
func TestWhatWasDeletedForGoodOvertakesWhatIsHeld(t *testing.T) {
	s := record.State{Siblings: []record.Version{versionAt(3, "v")}}
	require.True(t, core.Overtaken(&s, upTo(5), 5))
	require.False(t, core.Overtaken(&s, upTo(2), 5), "it has not seen it")
	require.False(t, core.Overtaken(&s, upTo(5), 2), "what it has forgotten is older")
	require.False(t, core.Overtaken(&record.State{}, upTo(5), 5))
}

// A value that is due is deleted by a write that sorts right behind it: a put which is not
// known there yet stays, whenever it comes.
func TestADeleteOfWhatIsDueSortsBehindThatAlone(t *testing.T) {
	place, err := placement.New(1, []topology.NodeID{"a", "b", "c"}, 1, 3, 1)
	require.NoError(t, err)
	n := newNetwork(place)
	for _, id := range place.Nodes() {
		n.add(core.Config{Self: id, Map: place, Incarnation: 1})
	}
	first := n.host(place.Replicas(0)[0])
	second := n.host(place.Replicas(0)[1])
	p := putOf("p", "k", "v", 0, core.Context{})
	p.event.Mutations[0].Expires = version.TimestampAt(epoch.Add(time.Second))
	second.serve(p)
	n.run()
	due := func(h *host) {
		h.step(core.Event{Kind: core.EvDue, Cells: n.hosts[0].held(&topology.CellRange{Cell: record.Cell{Table: record.TableDefault, Key: []byte("k")}})})
	}
	for _, h := range n.hosts {
		due(h)
	}
	for _, h := range n.hosts {
		h.wall = epoch.Add(1400 * time.Millisecond)
		due(h)
	}
	require.Len(t, first.log, 1, "not before all clocks that are right hide it")

	later := putOf("q", "k", "w", 0, core.Context{})
	second.serve(later) // nobody else knows of it yet
	for _, h := range n.hosts {
		h.wall = epoch.Add(1600 * time.Millisecond)
	}
	due(first)
	due(first)
	third := n.host(place.Replicas(0)[2])
	due(third)
	require.Len(t, third.log, 1)
	require.Len(t, first.log, 2, "once, and by the first of the replicas that are alive")
	r, err := first.log[1].Record()
	require.NoError(t, err)
	require.Equal(t, record.OpDelete, r.Mutations[0].Op)
	require.Equal(t, first.store["k"].Siblings[0].Time+1, r.Time)
	n.run()
	for range 3 {
		for _, h := range n.hosts {
			h.step(core.Event{Kind: core.EvTick})
		}
		n.run()
	}
	for _, h := range n.hosts {
		require.Equal(t, "w", string(h.store["k"].Siblings[0].Value), "what nobody had seen is not what was due")
	}
}

// b has written to k, and nobody else has that, when a's delete of k, which sorts behind
// it, reaches all. The delete must not go before the older write has arrived everywhere:
// that would show at who has forgotten the delete.
func TestADeleteStaysWhileAnOlderWriteIsUnderWay(t *testing.T) {
	place, err := placement.New(1, []topology.NodeID{"a", "b", "c"}, 1, 3, 1)
	require.NoError(t, err)
	n := newNetwork(place)
	for _, id := range place.Nodes() {
		n.add(core.Config{Self: id, Map: place, Incarnation: 1})
	}
	a, b := n.host("a"), n.host("b")
	a.wall = epoch.Add(100 * time.Millisecond)
	b.serve(putOf("old", "k", "old", 0, core.Context{}))
	b.flush()
	clear(n.queues)
	a.serve(putOf("delete", "k", "", 0, core.Context{}))
	n.run()
	exchange := func(kinds ...core.MessageKind) {
		for range 6 {
			for _, h := range n.hosts {
				h.step(core.Event{Kind: core.EvTick})
			}
			for busy := true; busy; {
				busy = false
				for _, from := range n.hosts {
					for _, to := range n.hosts {
						pair := [2]topology.NodeID{from.name, to.name}
						n.queues[pair] = slices.DeleteFunc(n.queues[pair], func(m core.Message) bool { return !slices.Contains(kinds, m.Kind) })
						for n.deliver(from.name, to.name, 0, false) {
							to.flush()
							busy = true
						}
					}
				}
			}
		}
	}
	exchange(core.MsgSync)
	dot := a.store["k"].Siblings[0].Dot
	for _, h := range n.hosts {
		require.True(t, h.core.Applied(0).Has(dot), "all have it, and have said so")
		require.Equal(t, dot, h.store["k"].Siblings[0].Dot, "the delete wins where both are")
		require.False(t, core.Stable(h.core, 0).Has(dot), h.name)
		require.Empty(t, h.collect())
	}
	exchange(core.MsgSync, core.MsgRecord, core.MsgAck)
	for _, h := range n.hosts {
		require.True(t, core.Stable(h.core, 0).Has(dot), h.name)
		require.Equal(t, []string{"k"}, h.collect())
	}
}

// A replica that was wiped has what it has from others, who may lack what it alone had
// said to have: nobody waits for that. And while it fills, nothing more becomes stable.
func TestNobodyWaitsForWhatALostDiskHad(t *testing.T) {
	place, err := placement.New(1, []topology.NodeID{"a", "b", "c"}, 1, 3, 1)
	require.NoError(t, err)
	n := newNetwork(place)
	for _, id := range place.Nodes() {
		n.add(core.Config{Self: id, Map: place, Incarnation: 1})
	}
	a, c := n.host("a"), n.host("c")
	ticks := func(of ...*host) {
		for range 6 {
			for _, h := range of {
				h.step(core.Event{Kind: core.EvTick})
			}
			n.run()
		}
	}
	a.serve(putOf("p", "k", "v", 0, core.Context{}))
	n.run()
	ticks(n.hosts...)
	require.NotEmpty(t, core.Stable(a.core, 0))
	c.serve(putOf("q", "l", "v", 0, core.Context{}))
	c.flush()
	lost := c.core.Applied(0).Clone()
	for pair, q := range n.queues {
		n.queues[pair] = slices.DeleteFunc(q, func(m core.Message) bool { return m.Kind == core.MsgRecord })
	}
	c.step(core.Event{Kind: core.EvTick})
	c.step(core.Event{Kind: core.EvTick})
	for _, h := range []string{"a", "b"} {
		for n.deliver("c", topology.NodeID(h), 0, false) { // they hear of it, and do not get it
		}
	}
	c.crash()
	c.log = nil
	c.cfg.Incarnation, c.cfg.CatchingUp = 2, true
	c.start()
	a.serve(putOf("d", "k", "", 0, core.Context{}))
	n.run()
	ticks(n.hosts...)
	dot := a.store["k"].Siblings[0].Dot
	require.True(t, c.core.Applied(0).Has(dot))
	require.False(t, core.Stable(a.core, 0).Has(dot), "c is not sure yet that it has all")
	require.Empty(t, core.Stable(c.core, 0))
	c.step(core.Event{Kind: core.EvInstall, Node: "a", Part: core.Part{Applied: a.core.Applied(0).Clone()}})
	c.flush()
	c.step(core.Event{Kind: core.EvCaughtUp})
	ticks(n.hosts...)
	require.NotEmpty(t, lost.Missing(a.core.Applied(0), 1), "what c had nobody has")
	for _, h := range n.hosts {
		require.True(t, core.Stable(h.core, 0).Has(dot), h.name)
	}
}

func TestADeleteStaysForWhatItCoversAndOthersMayLack(t *testing.T) {
	stable := version.Vector{{Origin: origin, Seq: 6}}
	s := record.State{Siblings: []record.Version{versionAt(6, "")}}
	require.Equal(t, core.Goes, core.FateOf(&s, stable))
	s.Context = upTo(5)
	require.Equal(t, core.Goes, core.FateOf(&s, stable))
	s.Context.Add(version.Dot{Origin: version.Origin{ID: 2, Incarnation: 1}, Seq: 3})
	require.Equal(t, core.Stays, core.FateOf(&s, stable))
	require.Equal(t, core.Settled, core.FateOf(&record.State{Siblings: []record.Version{versionAt(7, "")}}, stable), "that is another delete's")
	require.Equal(t, core.Settled, core.FateOf(&record.State{Siblings: []record.Version{versionAt(5, "v")}}, stable))

	head := record.State{Siblings: []record.Version{versionAt(6, "")}}
	require.Equal(t, core.Goes, core.FateUnder(&record.State{Siblings: []record.Version{versionAt(5, "v")}}, &head, stable))
	require.Equal(t, core.Settled, core.FateUnder(&record.State{Siblings: []record.Version{versionAt(7, "v")}}, &head, stable), "it shows")
	hidden := record.State{Siblings: []record.Version{versionAt(5, "v")}, Context: s.Context}
	require.Equal(t, core.Stays, core.FateUnder(&hidden, &head, stable))
}
