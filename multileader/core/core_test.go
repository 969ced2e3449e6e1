package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// pair returns a site under test, led and with one peer, and that peer.
func pair(limits core.Limits) (site, peer *host) {
	n := newNetwork()
	members := []core.Member{{Site: "a", Number: 1}, {Site: "b", Number: 2}}
	for i, m := range members {
		h := &host{name: m.Site, wall: epoch, net: n, cfg: core.Config{
			Self: m.Site, Origin: version.Origin{ID: m.Number, Incarnation: 1}, Members: members, Limits: limits,
			Links: []core.Link{{Peer: members[1-i].Site}},
		}}
		h.start()
		n.hosts = append(n.hosts, h)
		h.step(core.Event{Kind: core.EvLead, Term: 1})
		h.commit()
	}
	return n.hosts[0], n.hosts[1]
}

// from has the site hear a message of its peer.
func (h *host) from(peer *host, m core.Message) {
	h.step(core.Event{Kind: core.EvMessage, Peer: peer.name, Session: h.net.session, Message: &m})
}

// written returns items that a peer with a log of its own would ship.
func written(peer *host, n int) []core.Item {
	for range n {
		peer.put("k", "v")
	}
	peer.commit()
	return peer.log[len(peer.log)-n:]
}

func TestATermIsLedOnce(t *testing.T) {
	a, _ := pair(core.Limits{})
	end := a.core.End()
	for _, term := range []uint64{1, 0} {
		a.step(core.Event{Kind: core.EvLead, Term: term})
		require.Equal(t, end, a.core.End(), "term %d", term)
	}
	a.step(core.Event{Kind: core.EvStepDown})
	require.False(t, a.core.Open())
	a.step(core.Event{Kind: core.EvLead, Term: 1})
	require.False(t, a.core.Open(), "a term is not resumed (S2)")
	a.crash()
	a.start()
	a.step(core.Event{Kind: core.EvLead, Term: 1})
	require.False(t, a.core.Open(), "nor after a restart")
	a.step(core.Event{Kind: core.EvLead, Term: 2})
	require.True(t, a.core.Open())
}

func TestAWriteIsRefusedBeforeItHasAnyEffect(t *testing.T) {
	put := record.Mutation{Table: record.TableDefault, Op: record.OpPut, Key: []byte("k")}
	delta := put
	delta.Op = record.OpMerge
	for name, x := range map[string]struct {
		down  bool
		batch record.Batch
		why   error
	}{
		"without a leader":        {true, record.Batch{Mutations: []record.Mutation{put}}, topology.ErrNotLeader},
		"under a condition":       {false, record.Batch{Mutations: []record.Mutation{put}, Conditions: []record.Condition{{Absent: true}}}, topology.ErrUnsupported},
		"of a delta that is none": {false, record.Batch{Mutations: []record.Mutation{delta}}, topology.ErrUnsupported},
		"of nothing as mark":      {false, record.Batch{Mutations: []record.Mutation{{Op: record.OpState}}}, topology.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := pair(core.Limits{})
			if x.down {
				a.step(core.Event{Kind: core.EvStepDown})
			}
			effects := a.core.Step(core.Event{Kind: core.EvWrite, Now: epoch, Writes: []record.Batch{x.batch}})
			require.Len(t, effects, 1)
			require.Equal(t, core.DoRefuse, effects[0].Kind)
			require.ErrorIs(t, effects[0].Err, x.why)
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(effects[0].Err))
			require.EqualValues(t, 1, a.core.End())
		})
	}
}

func TestAFullQueueDropsWhatWouldComeLast(t *testing.T) {
	a, b := pair(core.Limits{Queue: 2})
	items := written(b, 5)
	a.net.up("a", "b")
	a.from(b, core.Message{Kind: core.MsgShip, Items: []core.Item{items[4], items[3], items[1]}})
	require.Equal(t, 2, a.core.Queued(b.cfg.Origin))
	require.EqualValues(t, 1, a.core.Counts.Dropped)
	a.from(b, core.Message{Kind: core.MsgShip, Items: []core.Item{items[4]}})
	require.EqualValues(t, 2, a.core.Counts.Dropped)
	a.from(b, core.Message{Kind: core.MsgShip, Items: []core.Item{items[0], items[2]}})
	require.Equal(t, 0, a.core.Queued(b.cfg.Origin), "the first came although the queue was full")
	require.EqualValues(t, 3, a.core.Counts.Delivered, "whose turn has come needs no room beside those that wait")
	require.EqualValues(t, 3, a.core.Counts.Dropped, "the fourth made room for the first")
}

func TestALogThatTakesNothingIsNotPressed(t *testing.T) {
	a, b := pair(core.Limits{Queue: 1, Uncommitted: 2, Shipment: 4})
	for range 6 {
		written(b, 2)
	}
	a.full = true
	a.net.up("a", "b")
	settle := func() {
		for range 100 {
			a.net.deliver("a", "b", 0, false)
			a.net.deliver("b", "a", 0, false)
		}
	}
	for range 8 {
		asked := a.core.Counts.Asked
		settle()
		require.LessOrEqual(t, a.core.Counts.Asked-asked, uint64(2), "what a full disk refuses comes once a tick")
		a.step(core.Event{Kind: core.EvTick})
	}
	require.EqualValues(t, 1, a.core.End())
	a.full = false
	a.net.tick()
	a.net.run()
	require.EqualValues(t, 13, a.core.End(), "and goes on by itself")
}

func TestDeliveriesWaitWhileTooMuchIsNotCommitted(t *testing.T) {
	a, b := pair(core.Limits{Uncommitted: 2})
	items := append(written(b, 2), written(b, 1)...)
	a.net.up("a", "b")
	a.from(b, core.Message{Kind: core.MsgShip, Items: items})
	require.Equal(t, 1, a.core.Queued(b.cfg.Origin))
	a.commit()
	require.Equal(t, 0, a.core.Queued(b.cfg.Origin))
}

func TestALinkHasAWindow(t *testing.T) {
	a, b := pair(core.Limits{Window: 3, Shipment: 2})
	written(a, 9)
	a.net.up("a", "b")
	a.from(b, core.Message{Kind: core.MsgBeat, Next: 1})
	onWay := func() (n int) {
		for _, p := range a.net.queues[[2]core.Site{"a", "b"}] {
			n += len(p.message.Items)
		}
		return n
	}
	require.Equal(t, 3, onWay())
	a.from(b, core.Message{Kind: core.MsgBeat, Next: a.log[4].Entry.LSN})
	require.Equal(t, 6, onWay(), "what was acknowledged makes room")
	a.from(b, core.Message{Kind: core.MsgBeat, Next: 1 << 40})
	require.Equal(t, 9, onWay(), "an acknowledgement beyond the log is held to its end")
}

func TestWhatCanNotBeARecordFreezesTheLink(t *testing.T) {
	for name, change := range map[string]func(a, b *host, it *core.Item){
		"another name":     func(_, _ *host, it *core.Item) { it.Dot.Seq++ },
		"bytes of nothing": func(_, _ *host, it *core.Item) { it.Entry.Bytes = []byte{0xc0} },
		"a note":           func(_, b *host, it *core.Item) { *it = b.log[0] },
		"a wrong chain":    func(_, _ *host, it *core.Item) { it.Chain++ },
		"deps on itself":   func(_, b *host, it *core.Item) { *it = forged(b, version.Vector{{Origin: b.cfg.Origin, Seq: 1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(core.Limits{})
			it := written(b, 1)[0]
			change(a, b, &it)
			a.net.up("a", "b")
			a.from(b, core.Message{Kind: core.MsgShip, Items: []core.Item{it}})
			require.True(t, a.core.Frozen("b"))
			require.EqualValues(t, 0, a.core.Counts.Delivered)
			end := a.core.End()
			a.from(b, core.Message{Kind: core.MsgShip, Items: b.log[1:2]})
			require.Equal(t, end, a.core.End(), "nothing of a frozen peer is taken")
		})
	}
}

// forged returns b's first record with deps that it can not have.
func forged(b *host, deps version.Vector) core.Item {
	r := record.Record{
		Dot: version.Dot{Origin: b.cfg.Origin, Seq: 1}, Time: version.TimestampAt(epoch), Deps: deps,
		Mutations: []record.Mutation{{Table: record.TableDefault, Op: record.OpPut, Key: []byte("k")}},
	}
	bytes := record.NewEncoder().Append(nil, &r)
	e := record.Entry{LSN: 2, Sum: record.Sum(bytes), Bytes: bytes}
	return core.Item{Dot: r.Dot, Chain: record.Chain(0, e.Sum), Entry: e}
}

func TestALogThatCanNotBeIsRefused(t *testing.T) {
	_, b := pair(core.Limits{})
	written(b, 3)
	var p core.Position
	for _, it := range b.log[:3] {
		_, err := p.Add(it.Entry)
		require.NoError(t, err)
	}
	before := core.Position{LSN: p.LSN, Marks: append([]core.Mark(nil), p.Marks...), Time: p.Time, Term: p.Term}
	for name, e := range map[string]record.Entry{
		"an entry twice":       b.log[2].Entry,
		"bytes of nothing":     {LSN: 4, Bytes: []byte{0xc0}},
		"a record's own place": {LSN: 4, Bytes: b.log[1].Entry.Bytes},
	} {
		_, err := p.Add(e)
		require.ErrorIs(t, err, topology.ErrMalformed, name)
		require.Equal(t, before, p, name)
	}
	it, err := p.Add(b.log[3].Entry)
	require.NoError(t, err)
	require.Equal(t, b.log[3], it, "dot and chain are found again")
}

func TestLatePacketsOfAnotherSessionAreNotHeard(t *testing.T) {
	a, b := pair(core.Limits{})
	items := written(b, 1)
	a.net.up("a", "b")
	old := a.net.session
	a.net.up("a", "b")
	a.step(core.Event{Kind: core.EvMessage, Peer: "b", Session: old, Message: &core.Message{Kind: core.MsgShip, Items: items}})
	a.step(core.Event{Kind: core.EvLinkDown, Peer: "b", Session: old})
	require.EqualValues(t, 0, a.core.Counts.Delivered)
	a.from(b, core.Message{Kind: core.MsgShip, Items: items})
	require.EqualValues(t, 1, a.core.Counts.Delivered)
}

func TestAGapIsFilledWithWhatIsCommittedAlone(t *testing.T) {
	a, b := pair(core.Limits{})
	written(a, 2)
	a.put("k", "v") // not committed
	a.net.up("a", "b")
	a.net.queues = map[[2]core.Site][]packet{}
	a.from(b, core.Message{Kind: core.MsgAsk, Origin: a.cfg.Origin, First: 2, Last: 9})
	require.Len(t, a.net.queues[[2]core.Site{"a", "b"}], 1)
	items := a.net.queues[[2]core.Site{"a", "b"}][0].message.Items
	require.Len(t, items, 1)
	require.EqualValues(t, 2, items[0].Dot.Seq)
	for _, m := range []core.Message{{First: 3, Last: 9}, {First: 0, Last: 1}, {First: 2, Last: 1}} {
		m.Kind, m.Origin = core.MsgAsk, a.cfg.Origin
		a.from(b, m)
		require.Len(t, a.net.queues[[2]core.Site{"a", "b"}], 1)
	}
}

func TestWhatTheLogDidNotTakeWasNeverThere(t *testing.T) {
	a, b := pair(core.Limits{})
	items := written(b, 70) // more than there are chains remembered
	written(a, 1)
	a.full = true
	a.put("k", "no room")
	require.Empty(t, a.waiting)
	a.net.up("a", "b")
	a.from(b, core.Message{Kind: core.MsgShip, Items: items})
	require.EqualValues(t, 2, a.core.End())
	a.full = false
	a.put("k", "room")
	a.from(b, core.Message{Kind: core.MsgShip, Items: items})
	require.EqualValues(t, 2, a.log[2].Dot.Seq, "the dot is free again")
	require.EqualValues(t, 73, a.core.End(), "and what was sent is taken when it comes again")
	a.commit()
	require.False(t, a.core.Frozen("b"))
}

func TestATermThatTheLogDidNotTakeIsNotLed(t *testing.T) {
	a, _ := pair(core.Limits{})
	a.full = true
	a.step(core.Event{Kind: core.EvLead, Term: 2})
	require.False(t, a.core.Open())
	a.full = false
	a.step(core.Event{Kind: core.EvLead, Term: 2})
	require.False(t, a.core.Open(), "it is left to its number")
	a.step(core.Event{Kind: core.EvLead, Term: 3})
	require.True(t, a.core.Open())
}
