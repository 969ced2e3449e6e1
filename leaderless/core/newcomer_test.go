package core_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// copying returns a map by which d takes the place of c, and is being filled.
func copying(t *testing.T) *placement.Map {
	m, err := placement.New(1, []topology.NodeID{"a", "b", "c"}, 1, 3, 1)
	require.NoError(t, err)
	l := m.Layout()
	l.Nodes = append(l.Nodes[:2:2], placement.Node{ID: "d", Weight: 1, Numbers: placement.Free(m)})
	p, err := m.Plan(l)
	require.NoError(t, err)
	m, err = p.Begin().Step(0)
	require.NoError(t, err)
	return m
}

// A delete that was forgotten comes with no cell. A newcomer whose clock is behind would
// write what sorts before it, and each replica would show that or not, as it had forgotten:
// so it writes nothing before it was filled, and then after all that its source had.
func TestANewcomerWritesNothingThatSortsBeforeWhatWasForgotten(t *testing.T) {
	m := copying(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	put := core.Event{Kind: core.EvPut, Now: now, Level: quorum.AtOne, Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte("k"), Op: record.OpPut, Kind: record.KindBytes, Value: []byte("v")}}}
	c := core.New(core.Config{Self: "d", Map: m, Incarnation: 1, MaxSkew: time.Hour}, core.Position{})
	c.Step(core.Event{Kind: core.EvAlive, Now: now, Nodes: []topology.NodeID{"a", "b", "c"}})

	put.Op = 1
	out := c.Step(put)
	require.Len(t, out, 1)
	require.Equal(t, core.DoForward, out[0].Kind)
	require.NotEqual(t, topology.NodeID("d"), out[0].Node)

	put.Op, put.Forwarded = 2, true
	out = c.Step(put)
	require.Len(t, out, 1)
	require.ErrorIs(t, out[0].Answer.Err, topology.ErrStale)

	source := core.New(core.Config{Self: "a", Map: m, Incarnation: 1, MaxSkew: time.Hour}, core.Position{Time: version.TimestampAt(now.Add(time.Minute))})
	last := core.Part{Applied: &version.Set{}, Session: m.Part(0).Epoch, Time: core.Latest(source)}
	out = c.Step(core.Event{Kind: core.EvInstall, Node: "a", Op: 3, Part: last})
	require.Equal(t, core.DoAppend, out[0].Kind)
	note, err := out[0].Entry.Record()
	require.NoError(t, err)
	require.Equal(t, core.Latest(source), note.Time, "a restart knows it by the log")
	c.Step(core.Event{Kind: core.EvFlushed, LSN: 1})

	m, err = m.Step(0)
	require.NoError(t, err)
	c.Step(core.Event{Kind: core.EvMap, Part: core.Part{Place: &core.Place{Map: m}}})
	put.Op, put.Forwarded = 4, false
	out = c.Step(put)
	require.Equal(t, core.DoAppend, out[0].Kind)
	r, err := out[0].Entry.Record()
	require.NoError(t, err)
	require.Greater(t, r.Time, core.Latest(source))
}
