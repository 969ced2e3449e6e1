package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestADeleteOfAKeyHidesWhatIsOlderAndNotWhatItCameWith(t *testing.T) {
	at := func(seq uint64, absent bool) record.Version {
		return record.Version{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: seq}, Time: version.Timestamp(seq), Absent: absent}
	}
	removed := record.State{Siblings: []record.Version{at(5, true)}}
	there := record.State{Siblings: []record.Version{at(5, false)}}
	require.False(t, core.Visible(at(4, false), &removed))
	require.True(t, core.Visible(at(5, false), &removed))
	require.True(t, core.Visible(at(6, false), &removed))
	require.True(t, core.Visible(at(4, false), &there))
	require.True(t, core.Visible(at(4, false), &record.State{}))
	require.False(t, core.Visible(at(4, true), &record.State{}))
}

func TestARecordOfATableThatIsNotDefinedWaitsAtItsSender(t *testing.T) {
	place, err := placement.New(1, []topology.NodeID{"a", "b"}, 1, 2, 1)
	require.NoError(t, err)
	known := false
	c := core.New(core.Config{Self: "a", Map: place, Incarnation: 1, Known: func(record.TableID) bool { return known }}, core.Position{})
	r := record.Record{
		Dot: version.Dot{Origin: place.Origin("b", 0, 1), Seq: 1}, Time: 1, Context: &version.Set{},
		Mutations: []record.Mutation{{Table: record.TableFirst, Op: record.OpPut, Key: []byte("k"), Field: []byte("f")}},
	}
	hear := func() core.Effect {
		m := &core.Message{Kind: core.MsgRecord, Epoch: 1, Life: 1, Op: 1, Entry: entryOf(r)}
		effects := c.Step(core.Event{Kind: core.EvMessage, Now: epoch, Node: "b", Message: m})
		require.Len(t, effects, 1)
		return effects[0]
	}
	e := hear()
	require.Equal(t, core.DoSend, e.Kind)
	require.ErrorIs(t, e.Message.Err, topology.ErrNoTable)
	known = true
	require.Equal(t, core.DoAppend, hear().Kind)
}

// messages are one of each kind.
func messages() []core.Message {
	set := &version.Set{}
	set.Add(version.Dot{Origin: version.Origin{ID: 3, Incarnation: 4}, Seq: 7})
	cell := record.Cell{Table: 16, Key: []byte("k")}
	part := cell
	part.Field = []byte("f")
	v := record.Version{Dot: version.Dot{Origin: version.Origin{ID: 3, Incarnation: 4}, Seq: 7}, Time: 9, Kind: record.KindBytes, Value: []byte("v")}
	entry := entryOf(record.Record{Dot: v.Dot, Time: 9, Context: set, Mutations: []record.Mutation{{Table: 16, Op: record.OpPut, Key: []byte("k"), Value: []byte("v")}}})
	return []core.Message{
		{Kind: core.MsgRecord, Epoch: 1, Life: 2, Op: 3, Entry: entry, Full: true, Round: 4},
		{Kind: core.MsgAck, Epoch: 1, Life: 2, Op: 3},
		{Kind: core.MsgAsk, Epoch: 1, Life: 2, Op: 3, Range: topology.CellRange{Cell: part, Whole: true}, Full: true},
		{Kind: core.MsgFound, Epoch: 1, Life: 2, Op: 3, Cells: []core.Held{{State: record.State{Siblings: []record.Version{v}}}, {Cell: record.Cell{Field: []byte("f")}, State: record.State{Context: set}}}},
		{Kind: core.MsgState, Epoch: 1, Life: 2, Range: topology.CellRange{Cell: cell}, Cells: []core.Held{{Cell: part, State: record.State{Siblings: []record.Version{v}}}}},
		{Kind: core.MsgSync, Epoch: 1, Life: 2, Partition: 5, Applied: set, Round: 6, Room: 7},
	}
}

func TestAMessageComesBackAsItWas(t *testing.T) {
	enc := record.NewEncoder()
	for _, m := range messages() {
		b := m.Encode(nil, enc)
		got, err := core.DecodeMessage(b)
		require.NoError(t, err)
		require.Equal(t, b, got.Encode(nil, enc))
		for n := range b {
			_, err := core.DecodeMessage(b[:n])
			require.ErrorIs(t, err, topology.ErrMalformed)
		}
		_, err = core.DecodeMessage(append(b, 0))
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
}

// Whatever comes from a network is read without harm, and once read has one encoding.
func FuzzMessage(f *testing.F) {
	enc := record.NewEncoder()
	for _, m := range messages() {
		f.Add(m.Encode(nil, enc))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := core.DecodeMessage(b)
		if err != nil {
			return
		}
		once := m.Encode(nil, enc)
		m, err = core.DecodeMessage(once)
		require.NoError(t, err)
		require.Equal(t, once, m.Encode(nil, enc))
	})
}
