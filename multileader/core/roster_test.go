package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// trio is three sites of one node, and what they say.
func trio(t *testing.T) (*network, *strings.Builder) {
	n := newNetwork()
	var b strings.Builder
	n.say = func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	members := []core.Member{{Site: "a", Number: 1}, {Site: "b", Number: 2}, {Site: "c", Number: 3}}
	for _, m := range members {
		h := &host{name: m.Site, wall: epoch, net: n, cfg: core.Config{Self: m.Site, Origin: version.Origin{ID: m.Number, Incarnation: 1}, Members: members}}
		for _, p := range members {
			if p != m {
				h.cfg.Links = append(h.cfg.Links, core.Link{Peer: p.Site})
			}
		}
		h.start()
		n.hosts = append(n.hosts, h)
		h.step(core.Event{Kind: core.EvLead, Term: 1})
		h.commit()
	}
	return n, &b
}

// ask asks a site, and returns what it says.
func (h *host) ask(a core.Ask) (r *core.Reply) {
	for _, e := range slices.Clone(h.core.Step(core.Event{Kind: core.EvAsk, Now: h.wall, Ask: &a})) {
		if e.Kind == core.DoReply {
			r = e.Reply
		} else {
			h.perform(e)
		}
	}
	h.commit()
	return r
}

// cut ends a session between two sites.
func cut(a, b *host, session uint64) {
	for _, pair := range [][2]*host{{a, b}, {b, a}} {
		a.net.queues[[2]core.Site{pair[0].name, pair[1].name}] = nil
		pair[0].step(core.Event{Kind: core.EvLinkDown, Peer: pair[1].name, Session: session})
	}
}

func (h *host) learn(t *testing.T, r *core.Roster, err error) {
	t.Helper()
	require.NoError(t, err)
	require.True(t, h.ask(core.Ask{Kind: core.AskLearn, Value: r.Encode()}).OK)
	require.Equal(t, r.Version, h.core.Roster().Version)
}

func TestASiteThatHasPromisedTakesNothingBelow(t *testing.T) {
	n, _ := trio(t)
	h := n.host("a")
	next, err := h.core.Roster().Add("d", nil)
	require.NoError(t, err)
	other, err := h.core.Roster().Retire("c")
	require.NoError(t, err)
	low, mid, high := core.Ballot{Round: 1, Number: 2}, core.Ballot{Round: 1, Number: 3}, core.Ballot{Round: 2, Number: 1}
	prepare := func(b core.Ballot) *core.Reply {
		return h.ask(core.Ask{Kind: core.AskPrepare, Version: 2, Ballot: b})
	}
	accept := func(b core.Ballot, r *core.Roster) *core.Reply {
		return h.ask(core.Ask{Kind: core.AskAccept, Version: 2, Ballot: b, Value: r.Encode()})
	}
	require.True(t, prepare(mid).OK)
	require.False(t, prepare(low).OK)
	require.False(t, prepare(mid).OK, "a ballot is promised once")
	require.False(t, accept(low, other).OK)
	require.True(t, accept(mid, next).OK)
	r := prepare(high)
	require.True(t, r.OK)
	require.Equal(t, mid, r.Accepted)
	require.Equal(t, next.Encode(), r.Value)
	require.False(t, accept(mid, other).OK)
	require.False(t, h.ask(core.Ask{Kind: core.AskPrepare, Version: 3, Ballot: high}).OK, "the version before it is not known")
	require.False(t, h.ask(core.Ask{Kind: core.AskAccept, Version: 2, Ballot: high, Value: []byte("x")}).OK)

	h.crash() // its next leader has promised the same
	var p core.Position
	var a core.Assembly
	for _, it := range h.log {
		_, err := p.Add(it.Entry)
		require.NoError(t, err)
		rec, err := it.Entry.Record()
		require.NoError(t, err)
		a, _, err = a.Add(&rec)
		require.NoError(t, err)
	}
	require.Equal(t, core.Council{Version: 2, Promised: high, Accepted: mid, Value: next.Encode()}, a.Council)
	h.cfg.Assembly = a
	h.start()
	h.step(core.Event{Kind: core.EvLead, Term: 2})
	require.False(t, accept(mid, other).OK)
	require.True(t, accept(high, next).OK)
	h.learn(t, next, nil)
	require.Equal(t, core.Council{}, h.ask(core.Ask{Kind: core.AskRoster}).Council, "what was agreed upon is voted about no more")
	require.True(t, h.ask(core.Ask{Kind: core.AskLearn, Value: other.Encode()}).OK)
	require.Equal(t, next.Digest(), h.core.Roster().Digest(), "a version is agreed upon once")
}

func TestWhoIsGivenUpIsFrozenAndThenCountsAsFarAsWasAgreed(t *testing.T) {
	n, said := trio(t)
	a, b, c := n.host("a"), n.host("b"), n.host("c")
	for _, pair := range [][2]core.Site{{"a", "b"}, {"a", "c"}, {"b", "c"}} {
		n.up(pair[0], pair[1])
	}
	c.put("k", "1")
	n.run()
	cut(a, c, 2)
	c.put("k", "2")
	n.run() // b has it, a has not
	out, err := a.core.Roster().Evict("c")
	cut(a, b, 1)
	a.learn(t, out, err)
	b.learn(t, out, err)
	c.put("k", "3")
	n.run() // b takes nothing of it any more
	gone := version.Origin{ID: 3, Incarnation: 1}
	marks := func(h *host) uint64 {
		for _, m := range h.ask(core.Ask{Kind: core.AskRoster}).Marks {
			if m.Origin == gone {
				return m.Seq
			}
		}
		return 0
	}
	require.Equal(t, uint64(1), marks(a))
	require.Equal(t, uint64(2), marks(b))
	require.Equal(t, []uint32{1, 2, 3}, a.core.Roster().Holders(a.applied))
	final := version.Vector{{Origin: gone, Seq: 2}}
	last, err := out.Evicted("c", final)
	a.learn(t, last, err)
	b.learn(t, last, err)
	require.Equal(t, []uint32{1, 2, 3}, a.core.Roster().Holders(a.applied), "a lacks what counts of c, and holds back for it")
	n.up("a", "b")
	n.run()
	for range 4 {
		n.tick()
		n.run()
	}
	require.Equal(t, uint64(2), marks(a), "it has it from b")
	require.Equal(t, "2", a.get("k"))
	require.Equal(t, []uint32{1, 2}, a.core.Roster().Holders(a.applied))

	n.up("a", "c") // it shows up
	n.run()
	require.Contains(t, said.String(), "its directories must be empty before it takes part again")
	require.Equal(t, "2", a.get("k"))
	require.Equal(t, uint64(2), marks(a))
	c.learn(t, last, nil)
	c.put("k", "4")
	require.Contains(t, said.String(), "c refuses")
	require.ErrorIs(t, c.core.Barred(), topology.ErrUnavailable)
}

func TestARosterChangesAsTheRulesSay(t *testing.T) {
	r := core.Founding([]core.Member{{Site: "us", Number: 1}, {Site: "eu", Number: 4}})
	added, err := r.Add("ap", nil)
	require.NoError(t, err)
	require.Equal(t, uint32(5), added.Seat("ap").Number, "numbers go on from the greatest")
	_, err = added.Add("ap", nil)
	require.ErrorIs(t, err, core.ErrAsIs)
	require.Equal(t, []core.Site{"us", "eu"}, added.Voters(), "who joins does not vote")
	_, err = added.Add("us", nil)
	require.ErrorIs(t, err, topology.ErrConflict)
	_, err = added.Retire("sa")
	require.ErrorIs(t, err, topology.ErrNotFound)
	active, err := added.Activate("ap")
	require.NoError(t, err)
	leaving, err := active.Retire("ap")
	require.NoError(t, err)
	old := version.Origin{ID: 5, Incarnation: 8}
	left, err := leaving.Retired("ap", version.Vector{{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 3}, {Origin: old, Seq: 7}})
	require.NoError(t, err)
	require.Equal(t, version.Vector{{Origin: old, Seq: 7}}, left.Seat("ap").Final, "of itself alone")
	again, err := left.Add("ap", nil)
	require.NoError(t, err)
	require.Equal(t, uint32(5), again.Seat("ap").Number)
	require.Equal(t, uint32(9), again.Seat("ap").Life)
	_, err = left.Evict("ap")
	require.ErrorIs(t, err, topology.ErrConflict)
	alone, err := left.Evict("eu")
	require.NoError(t, err)
	_, err = alone.Evict("us")
	require.ErrorIs(t, err, topology.ErrConflict, "the last one stays")
	back, err := core.DecodeRoster(again.Encode())
	require.NoError(t, err)
	require.Equal(t, again, back)
	for i := range again.Encode() {
		_, err := core.DecodeRoster(again.Encode()[:i])
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
}

func TestASiteThatHasLostWhatItHadWritesNothingBeforeItHasWhatAPeerHad(t *testing.T) {
	n, said := trio(t)
	a, b := n.host("a"), n.host("b")
	n.up("a", "b")
	a.put("k", "1")
	b.put("j", "2")
	n.run()
	a.crash()
	a.log, a.cfg.Origin.Incarnation = nil, 2
	a.start()
	a.step(core.Event{Kind: core.EvLead, Term: 2})
	a.commit()
	n.up("a", "b")
	require.True(t, n.deliver("b", "a", 0, false), "the beat says what b has")
	a.put("k", "3")
	require.Contains(t, said.String(), "site a has lost what it had, and takes no writes before it has all that site b had")
	a.step(core.Event{Kind: core.EvCut, Cut: &core.Cut{}})
	require.Equal(t, uint64(1), a.core.Next().Seq, "nor does it say what it has")
	n.run()
	for range 4 {
		n.tick()
		n.run()
	}
	a.put("k", "3")
	n.run()
	require.Equal(t, "3", b.get("k"))
	require.Len(t, b.lost, 0, "it covers what it had lost")
}

func TestRecordsOfAStrangerAreNotTakenUntilTheRosterSaysWhoHeIs(t *testing.T) {
	n, said := trio(t)
	a, b := n.host("a"), n.host("b")
	n.up("a", "b")
	n.run()
	r, err := b.core.Roster().Add("d", nil)
	b.learn(t, r, err)
	n.queues[[2]core.Site{"b", "a"}] = nil // word of it is lost
	stranger := version.Origin{ID: 4, Incarnation: 1}
	a.step(core.Event{Kind: core.EvMessage, Peer: "b", Session: 1, Message: &core.Message{Kind: core.MsgBeat, Next: 1, Marks: []core.Mark{{Origin: stranger, Seq: 1, Chain: 1}}}})
	require.Contains(t, said.String(), "who is no site in version 1 of the roster")
	require.False(t, a.core.Frozen("b"))
	n.run()
	require.Equal(t, uint64(2), a.core.Roster().Version, "it was asked for")
}

func TestASnapshotOnItsWayRaisesTheClockOfWhoeverGoesOnWithIt(t *testing.T) {
	n, _ := trio(t)
	a := n.host("a")
	late := version.TimestampAt(epoch.Add(time.Minute))
	c := core.New(a.cfg, core.Position{}, core.Incoming{Stage: core.StageComing, ID: 1, From: "b", Time: late})
	c.Step(core.Event{Kind: core.EvLead, Now: epoch, Term: 1})
	m := record.Mutation{Table: record.TableDefault, Op: record.OpPut, Key: []byte("k")}
	for _, e := range c.Step(core.Event{Kind: core.EvWrite, Writes: []record.Batch{{Mutations: []record.Mutation{m}}}}) {
		if e.Kind == core.DoAccept {
			require.Greater(t, e.Time, late)
			return
		}
	}
	require.Fail(t, "the write was not taken")
}

// A site that had lost its log, and the roster with it, heard a site that was given up
// before it heard of that.
func TestASiteThatHasTakenMoreThanCountsWritesNothing(t *testing.T) {
	n, said := trio(t)
	a, b, c := n.host("a"), n.host("b"), n.host("c")
	out, err := b.core.Roster().Evict("c")
	require.NoError(t, err)
	gone := version.Origin{ID: 3, Incarnation: 1}
	last, err := out.Evicted("c", version.Vector{{Origin: gone, Seq: 1}})
	require.NoError(t, err)
	n.up("a", "c")
	c.put("k", "1")
	c.put("k", "2")
	n.run()
	cut(a, c, 1)
	require.Equal(t, "2", a.get("k"))
	require.True(t, a.core.Writes())
	a.learn(t, last, nil)
	require.Contains(t, said.String(), "the log of site a holds write 2 of 3.1, of which no more than 1 counts")
	require.False(t, a.core.Writes())
	require.ErrorContains(t, a.core.Barred(), "triad site evict a")
	next := a.core.Next()
	a.put("k", "3")
	require.Contains(t, said.String(), "a refuses")
	a.step(core.Event{Kind: core.EvCut, Cut: &core.Cut{}})
	require.Equal(t, next, a.core.Next(), "nor does it say what it has")
	b.learn(t, last, nil)
	b.put("k", "4")
	n.up("a", "b")
	n.run()
	require.Equal(t, "4", b.get("k"), "the others go on")

	a.crash()
	a.cfg.Roster = last // of its log
	a.start()
	a.step(core.Event{Kind: core.EvLead, Term: 2})
	a.commit()
	require.False(t, a.core.Writes(), "a restart changes nothing")
	ev, err := last.Evict("a")
	a.learn(t, ev, err)
	require.ErrorContains(t, a.core.Barred(), "have given site a up")
}

func TestWhatWasAcceptedPendsUntilARosterIsHeardOf(t *testing.T) {
	n, _ := trio(t)
	h := n.host("a")
	next, err := h.core.Roster().Retire("c")
	require.NoError(t, err)
	require.Nil(t, core.Pending(h.core))
	h.ask(core.Ask{Kind: core.AskPrepare, Version: 2, Ballot: core.Ballot{Round: 1, Number: 2}})
	require.Nil(t, core.Pending(h.core), "a promise is for nothing yet")
	h.ask(core.Ask{Kind: core.AskAccept, Version: 2, Ballot: core.Ballot{Round: 1, Number: 2}, Value: next.Encode()})
	require.Equal(t, next.Digest(), core.Pending(h.core).Digest())
	h.ask(core.Ask{Kind: core.AskPrepare, Version: 2, Ballot: core.Ballot{Round: 2, Number: 3}})
	require.Equal(t, next.Digest(), core.Pending(h.core).Digest(), "whoever tries again is told")
	other, err := h.core.Roster().Evict("b")
	h.learn(t, other, err)
	require.Nil(t, core.Pending(h.core), "another one was agreed upon")
}
