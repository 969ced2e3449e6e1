package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// three returns a cluster of three nodes that all hold everything.
func three(t *testing.T) (n *network, a, b *host) {
	t.Helper()
	place, err := placement.New(7, []topology.NodeID{"a", "b", "c"}, 1, 3, 1)
	require.NoError(t, err)
	n = newNetwork(place)
	for _, name := range place.Nodes() {
		n.add(core.Config{Self: name, Map: place, Incarnation: 1})
	}
	return n, n.host("a"), n.host("b")
}

// sent returns what a node has sent another, and takes it off the network.
func (n *network) sent(from, to topology.NodeID) []core.Message {
	pair := [2]topology.NodeID{from, to}
	ms := n.queues[pair]
	n.queues[pair] = nil
	return ms
}

func (h *host) hear(from topology.NodeID, m core.Message) {
	if m.Epoch == 0 {
		m.Epoch = h.net.place.Epoch()
	}
	if m.Life == 0 {
		m.Life = 1
	}
	h.step(core.Event{Kind: core.EvMessage, Node: from, Message: &m})
}

func entryOf(r record.Record) record.Entry {
	b := record.NewEncoder().Append(nil, &r)
	return record.Entry{LSN: 1, Sum: record.Sum(b), Bytes: b}
}

func TestARequestIsPassedOnOnce(t *testing.T) {
	place, err := placement.New(1, []topology.NodeID{"a", "b", "c", "d"}, 1, 3, 1)
	require.NoError(t, err)
	outside := topology.NodeID("")
	for _, node := range place.Nodes() {
		if !place.Holds(node, 0) {
			outside = node
		}
	}
	c := core.New(core.Config{Self: outside, Map: place, Incarnation: 1}, core.Position{})
	c.Step(core.Event{Kind: core.EvAlive, Nodes: place.Nodes()})
	for _, r := range []*request{putOf("w", "k", "v", quorum.AtOne, core.Context{}), getOf("r", "k", quorum.AtOne, core.RepairNone)} {
		effects := c.Step(r.event)
		require.Len(t, effects, 1)
		require.Equal(t, core.DoForward, effects[0].Kind)
		require.Equal(t, place.Replicas(0)[0], effects[0].Node)
		r.event.Forwarded = true
		effects = c.Step(r.event)
		require.Len(t, effects, 1)
		require.Equal(t, core.DoAnswer, effects[0].Kind)
		require.ErrorIs(t, effects[0].Answer.Err, topology.ErrStale)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(effects[0].Answer.Err))
	}
	require.Zero(t, c.End)
	require.Nil(t, c.Applied(0))
}

func TestAMessageOfAnOlderMapIsRefusedAndOneOfANewerWaits(t *testing.T) {
	n, a, _ := three(t)
	ask := core.Message{Kind: core.MsgAsk, Epoch: 6, Op: 1, Range: topology.CellRange{Cell: record.Cell{Key: []byte("k")}}}
	a.hear("b", ask)
	ms := n.sent("a", "b")
	require.Len(t, ms, 1)
	require.Equal(t, core.MsgNack, ms[0].Kind)
	require.EqualValues(t, 7, ms[0].Epoch)
	require.ErrorIs(t, ms[0].Err, topology.ErrStale)
	require.NotEmpty(t, ms[0].Delta, "and what is newer")
	require.EqualValues(t, 1, a.core.Counts.Behind)
	ask.Epoch = 8
	for range 2 {
		a.hear("b", ask)
	}
	ms = n.sent("a", "b")
	require.Len(t, ms, 1)
	require.Equal(t, core.MsgMap, ms[0].Kind)
	require.Empty(t, ms[0].Delta, "it asks for that first")
	a.hear("b", core.Message{Kind: core.MsgNack, Epoch: 6, Op: 1})
	require.Empty(t, n.sent("a", "b"), "a refusal is not refused")
}

func TestAPutThatMeansNothingIsRefusedBeforeItHasAnyEffect(t *testing.T) {
	ahead := &version.Set{}
	ahead.Add(version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 5})
	for name, x := range map[string]struct {
		change func(*core.Event)
		why    error
	}{
		"a delta": {func(ev *core.Event) { ev.Mutations[0].Op = record.OpMerge }, topology.ErrUnsupported},
		"a mark":  {func(ev *core.Event) { ev.Mutations[0].Op = record.OpMark }, topology.ErrUnsupported},
		"nothing": {func(ev *core.Event) { ev.Mutations = nil }, topology.ErrMalformed},
		"two keys": {func(ev *core.Event) {
			m := ev.Mutations[0]
			m.Key = []byte("other")
			ev.Mutations = append(ev.Mutations, m)
		}, topology.ErrUnsupported},
		"a context of nothing":  {func(ev *core.Event) { ev.Context.Seen = ahead }, topology.ErrConflict},
		"a context of tomorrow": {func(ev *core.Event) { ev.Context.Time = version.TimestampAt(epoch.AddDate(0, 0, 1)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, a, _ := three(t)
			r := putOf("w", "k", "v", quorum.AtQuorum, core.Context{})
			x.change(&r.event)
			a.serve(r)
			require.Error(t, r.answer.Err)
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(r.answer.Err))
			if x.why != nil {
				require.ErrorIs(t, r.answer.Err, x.why)
			} else {
				var skew *version.SkewError
				require.ErrorAs(t, r.answer.Err, &skew)
			}
			require.Zero(t, a.core.End)
			require.Zero(t, a.core.Busy())
		})
	}
}

func TestWhatCanNotBeARecordIsNotTaken(t *testing.T) {
	put := record.Mutation{Table: 1, Op: record.OpPut, Key: []byte("k")}
	dot := version.Dot{Origin: version.Origin{ID: 2, Incarnation: 1}, Seq: 1}
	other := put
	other.Key = []byte("l")
	for name, e := range map[string]record.Entry{
		"bytes of nothing": {Bytes: []byte{0xc0}},
		"a note":           entryOf(record.Record{Mutations: []record.Mutation{{Op: record.OpState, Key: []byte("k")}}}),
		"two keys":         entryOf(record.Record{Dot: dot, Mutations: []record.Mutation{put, other}}),
	} {
		t.Run(name, func(t *testing.T) {
			n, a, _ := three(t)
			a.hear("b", core.Message{Kind: core.MsgRecord, Op: 3, Entry: e})
			ms := n.sent("a", "b")
			require.Len(t, ms, 1)
			require.Equal(t, core.MsgNack, ms[0].Kind)
			require.EqualValues(t, 3, ms[0].Op)
			require.ErrorIs(t, ms[0].Err, topology.ErrMalformed)
			require.Zero(t, a.core.End)
			a.hear("b", core.Message{Kind: core.MsgRecord, Entry: e})
			require.Empty(t, n.sent("a", "b"), "who asks for no answer gets none")
		})
	}
}

// Two replicas that hold one write with two contents: neither is merged nor shown.
func TestAForkIsAnAlarmAndNoAnswer(t *testing.T) {
	n, a, b := three(t)
	dot := version.Dot{Origin: version.Origin{ID: 3, Incarnation: 1}, Seq: 1}
	for value, h := range map[string]*host{"one": a, "two": b} {
		m := record.Mutation{Table: 1, Op: record.OpPut, Key: []byte("k"), Value: []byte(value)}
		at := version.TimestampAt(epoch)
		if h == b {
			at++
		}
		h.hear("c", core.Message{Kind: core.MsgRecord, Entry: entryOf(record.Record{Dot: dot, Time: at, Context: &version.Set{}, Mutations: []record.Mutation{m}})})
		h.flush()
	}
	var alarms int
	n.say = func(format string, args ...any) {
		if format == "%s alarms: %v\n" {
			alarms++
		}
	}
	r := getOf("r", "k", quorum.AtAll, core.RepairBlocking)
	a.serve(r)
	n.run()
	require.ErrorIs(t, r.answer.Err, conflict.ErrForked)
	require.Equal(t, 1, alarms)
	require.Equal(t, "one", string(a.store["k"].Siblings[0].Value))
	require.Equal(t, "two", string(b.store["k"].Siblings[0].Value))
}

func TestALogThatCanNotBeIsRefused(t *testing.T) {
	_, a, _ := three(t)
	a.serve(putOf("w", "k", "v", quorum.AtOne, core.Context{}))
	a.serve(putOf("w", "k", "v", quorum.AtOne, core.Context{}))
	var p core.Position
	require.NoError(t, p.Add(a.log[0], a.net.place))
	for name, e := range map[string]record.Entry{
		"twice":            a.log[0],
		"bytes of nothing": {LSN: 2, Bytes: []byte{0xc0}},
	} {
		require.ErrorIs(t, p.Add(e, a.net.place), topology.ErrMalformed, name)
		require.EqualValues(t, 1, p.LSN)
	}
	require.NoError(t, p.Add(a.log[1], a.net.place))
	require.EqualValues(t, 2, p.At(0).Prefix[0].Seq)
}

// A key's context does not grow with the writes it has seen.
func TestAContextIsNoLongerThanWhatIsMissing(t *testing.T) {
	n, a, b := three(t)
	for range 50 {
		r := getOf("r", "k", quorum.AtQuorum, core.RepairNone)
		a.serve(r)
		n.run()
		w := putOf("w", "k", "v", quorum.AtQuorum, r.answer.Context)
		b.serve(w)
		n.run()
		require.NoError(t, w.answer.Err)
	}
	for _, h := range n.hosts {
		require.True(t, h.store["k"].Context.IsEmpty())
		require.Empty(t, h.lost, "each had read the one before it")
	}
}

func TestWhatTheLogDidNotTakeIsNotApplied(t *testing.T) {
	n, a, b := three(t)
	a.full = true
	w := putOf("w", "k", "v", quorum.AtOne, core.Context{})
	a.serve(w)
	require.ErrorIs(t, w.answer.Err, topology.ErrDiskFull)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(w.answer.Err))
	require.Zero(t, a.core.Busy())

	w = putOf("w", "k", "v", quorum.AtAll, core.Context{})
	b.serve(w)
	n.run()
	require.ErrorIs(t, w.answer.Err, topology.ErrDiskFull, "a replica without room says so")
	require.Equal(t, topology.Unknown, topology.OutcomeOf(w.answer.Err))

	a.full = false
	w = putOf("w", "k", "w", quorum.AtQuorum, core.Context{})
	a.serve(w)
	n.run()
	require.NoError(t, w.answer.Err)
	require.EqualValues(t, 1, w.answer.Dot.Seq, "the dot is free again")
}

// Everything that comes twice would begin an exchange of its own, which would send
// everything again.
func TestAnExchangeGoesOnOnceHoweverOftenItsRecordsCome(t *testing.T) {
	place, err := placement.New(1, []topology.NodeID{"a", "b", "c"}, 1, 3, 1)
	require.NoError(t, err)
	n := newNetwork(place)
	for _, name := range place.Nodes() {
		n.add(core.Config{Self: name, Map: place, Incarnation: 1, Limits: core.Limits{Fill: 1}})
	}
	a, b := n.host("a"), n.host("b")
	for range 5 {
		a.serve(putOf("w", "k", "v", quorum.AtOne, core.Context{}))
		a.flush()
	}
	n.queues = map[[2]topology.NodeID][]core.Message{}
	for range 3 {
		b.step(core.Event{Kind: core.EvTick})
	}
	tells := n.sent("b", "a")
	require.NotEmpty(t, tells)
	n.sent("b", "c")
	a.hear("b", tells[len(tells)-1])
	fills := n.sent("a", "b")
	require.Len(t, fills, 1)
	for range 4 {
		b.hear("a", fills[0])
	}
	b.flush()
	for range 4 {
		b.hear("a", fills[0])
	}
	require.LessOrEqual(t, len(n.sent("b", "a")), 1)
}

func TestASurveyForgetsWhatAnEarlierLifeSaid(t *testing.T) {
	n, a, _ := three(t)
	r := putOf("w", "k", "v", quorum.AtQuorum, core.Context{})
	r.event.Repair, r.event.Met = core.RepairWriteBack, quorum.AtAll
	a.serve(r)
	at := topology.CellRange{Cell: record.Cell{Table: record.TableDefault, Key: []byte("k")}}
	require.Len(t, n.sent("a", "b"), 1)
	a.hear("b", core.Message{Kind: core.MsgFound, Op: r.op, Range: at})
	a.hear("b", core.Message{Kind: core.MsgSync, Life: 2, Partition: 0, Applied: &version.Set{}})
	a.hear("c", core.Message{Kind: core.MsgFound, Op: r.op, Range: at})
	require.Zero(t, a.core.End, "b may have lost what it held then, and all are to be heard")
	require.EqualValues(t, 1, a.core.Counts.Void)
	a.hear("b", core.Message{Kind: core.MsgFound, Life: 2, Op: r.op, Range: at})
	require.EqualValues(t, 1, a.core.End)
}

func TestAWriteThatIsNotDurableIsNotNamed(t *testing.T) {
	for _, durable := range []bool{false, true} {
		_, a, _ := three(t)
		r := putOf("w", "k", "v", quorum.AtQuorum, core.Context{})
		a.serve(r)
		if durable {
			a.flush()
		}
		a.step(core.Event{Kind: core.EvDeadline, Op: r.op})
		var e *topology.Error
		require.ErrorAs(t, r.answer.Err, &e)
		require.Equal(t, topology.Unknown, e.Outcome)
		require.Equal(t, durable, !e.Dot.IsZero(), "a crash may leave its dot to another")
	}
}
