package leaderless

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// settles demands that what was read of b, if it was, is written in one way.
func settles[T any](t *testing.T, b []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	v, err := decode(b)
	if err != nil {
		return
	}
	once := encode(v)
	v, err = decode(once)
	require.NoError(t, err)
	require.Equal(t, once, encode(v))
}

// What nodes ask one another, and answer, is read without harm whatever it is.
func FuzzCalls(f *testing.F) {
	enc := record.NewEncoder()
	o := version.Origin{ID: 3, Incarnation: 4}
	set := &version.Set{}
	set.Add(version.Dot{Origin: o, Seq: 7})
	cell := record.Cell{Table: 16, Key: []byte("k"), Field: []byte("f")}
	held := record.State{Siblings: []record.Version{{Dot: version.Dot{Origin: o, Seq: 7}, Time: 9, Kind: record.KindBytes, Value: []byte("v")}}}
	get := &asked{Event: core.Event{Kind: core.EvGet, Range: topology.CellRange{Cell: cell, Whole: true}}}
	put := &asked{Event: core.Event{Kind: core.EvPut, Mutations: []record.Mutation{{Table: 16, Key: cell.Key, Op: record.OpPut, Kind: record.KindBytes, Value: []byte("v")}}}}
	put.Context = core.Context{Seen: set, Time: 5}
	part := &page{votes: true, sets: []core.Applied{{Partition: 2, Set: *set}}, cells: []topology.Edit{{Cell: cell, State: enc.AppendState(nil, &held)}}, more: true}
	asks := &question{
		form: formMend, nodes: []merkle.Node{{Partition: 1, Level: 2, Index: 3}}, from: cell, cells: []record.Cell{cell},
		mends: []core.Mending{{Cell: cell, Expect: 4, Collected: 5, State: held}},
	}
	tells := &answer{
		votes: true, whole: true, sums: []uint64{1, 2}, names: []named{{cell, 3}}, copies: []core.Copy{{Held: held}},
		sets: []applied{{partition: 1, set: *set, collected: 6}}, next: &cell, count: 7,
	}
	for _, b := range [][]byte{
		asks.encode(enc), tells.encode(enc), (&answer{}).encode(enc),
		get.encode(), put.encode(), part.encode(enc),
		(&pageAsked{partitions: []int{1, 2}, from: cell, sets: true}).encode(),
		encodeAnswer(&core.Answer{Dot: version.Dot{Origin: o, Seq: 1}, Time: 2, Stands: 2, Have: []topology.NodeID{"a"}, Cells: []core.Held{{Cell: cell, State: held}}, Context: core.Context{Seen: set, Time: 5}}),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		settles(t, b, decodeAsked, (*asked).encode)
		settles(t, b, decodeAnswer, func(a core.Answer) []byte { return encodeAnswer(&a) })
		settles(t, b, decodePageAsked, func(a pageAsked) []byte { return a.encode() })
		settles(t, b, decodePage, func(p page) []byte { return p.encode(enc) })
		settles(t, b, decodeQuestion, func(q question) []byte { return q.encode(enc) })
		settles(t, b, decodeAnswerOf, func(a answer) []byte { return a.encode(enc) })
	})
}
