package record_test

import (
	"bytes"
	"math"

	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

func dot(id, incarnation uint32, seq uint64) version.Dot {
	return version.Dot{Origin: version.Origin{ID: id, Incarnation: incarnation}, Seq: seq}
}

func mark(id, incarnation uint32, seq uint64) version.Mark {
	return version.Mark{Origin: version.Origin{ID: id, Incarnation: incarnation}, Seq: seq}
}

type recordCase struct {
	name   string
	record record.Record
}

// records are the cases of the golden file: each shows one part of the format.
func records() []recordCase {
	one := []record.Mutation{{Table: record.TableDefault, Op: record.OpDelete, Key: []byte("k")}}
	return []recordCase{
		{"the least record: one delete", record.Record{Dot: dot(1, 0, 1), Mutations: one}},
		{"one put with a request, of the size that benchmarks use", usual()},
		{"deps of three origins, of which one in two lives", record.Record{
			Dot: dot(3, 1, 129), Time: 1 << 62, Term: 255,
			Deps:      version.Vector{mark(1, 1, 70), mark(1, 2, 1), mark(2, 1, 65536)},
			Mutations: one,
		}},
		{"an empty context", record.Record{Dot: dot(4, 1, 1), Context: &version.Set{}, Mutations: one}},
		{"a context of a prefix and dots beyond it", record.Record{
			Dot: dot(4, 1, 9), Time: 77 << 16,
			Context: &version.Set{
				Prefix: version.Vector{mark(4, 1, 8), mark(5, 1, 3)},
				Dots:   []version.Dot{dot(5, 1, 5), dot(5, 1, 300), dot(6, 2, 2)},
			},
			Mutations: one,
		}},
		{"several mutations, one of each operation", record.Record{
			Dot: dot(1, 1, 500), Time: 88 << 16, Term: 4,
			Mutations: []record.Mutation{
				{Table: record.TableFirst, Key: []byte("user:1"), Field: []byte("name"), Op: record.OpPut, Kind: record.KindRow, Value: []byte("\xa5Alice")},
				{Table: record.TableFirst, Key: []byte("user:2"), Op: record.OpDelete, Kind: record.KindRow},
				{Table: 300, Key: []byte("hits\x00\xff"), Op: record.OpMerge, Kind: record.KindCounter, Expires: 99 << 16, Value: []byte{1}},
				{Table: record.TableSystem, Key: []byte(record.MarkTerm), Op: record.OpMark, Value: []byte("node-a")},
			},
		}},
		{"every integer at its greatest", record.Record{
			Dot: dot(math.MaxUint32, math.MaxUint32, math.MaxUint64), Time: math.MaxUint64, Term: math.MaxUint64,
			Request: record.RequestID{Client: math.MaxUint64, Seq: math.MaxUint64},
			Deps:    version.Vector{mark(math.MaxUint32, math.MaxUint32, math.MaxUint64)},
			Mutations: []record.Mutation{{
				Table: math.MaxUint32, Op: record.OpPut, Kind: record.KindHLL, Expires: math.MaxUint64, Key: []byte{0xff},
			}},
		}},
	}
}

// notes are the cases of their golden file.
func notes() []recordCase {
	state := record.NewEncoder().AppendState(nil, &states()[3].state)
	return []recordCase{
		{"the start of a term at a site", record.Record{Time: 5 << 16, Term: 3, Mutations: []record.Mutation{
			{Table: record.TableSystem, Key: []byte(record.MarkTerm), Op: record.OpMark, Value: []byte("node-a")},
		}}},
		{"a state that came by repair", record.Record{Time: 77 << 16, Term: 4, Mutations: []record.Mutation{
			{Table: record.TableDefault, Key: []byte("k"), Op: record.OpState, Value: state},
		}}},
	}
}

type stateCase struct {
	name  string
	state record.State
}

func states() []stateCase {
	return []stateCase{
		{"nothing", record.State{}},
		{"one value that expires", record.State{Siblings: []record.Version{
			{Dot: dot(1, 1, 7), Time: 5 << 16, Expires: 6 << 16, Kind: record.KindBytes, Value: []byte("v")},
		}}},
		{"one that is deleted", record.State{Siblings: []record.Version{{Dot: dot(1, 1, 8), Time: 9 << 16, Absent: true}}}},
		{"siblings and their context", record.State{
			Siblings: []record.Version{
				{Dot: dot(1, 1, 7), Time: 5 << 16, Kind: record.KindText, Value: []byte("a")},
				{Dot: dot(1, 2, 1), Time: 4 << 16, Kind: record.KindText, Value: []byte("b")},
				{Dot: dot(2, 1, 200), Time: 4 << 16, Absent: true},
			},
			Context: &version.Set{Prefix: version.Vector{mark(1, 1, 7)}, Dots: []version.Dot{dot(1, 2, 3), dot(2, 1, 200)}},
		}},
	}
}

// The generators below draw records and states in the form that decoding
// gives: nil for what is empty.

func dots() *rapid.Generator[version.Dot] {
	return rapid.Custom(func(t *rapid.T) version.Dot {
		return dot(rapid.Uint32Range(1, 5).Draw(t, "origin"), rapid.Uint32Range(0, 2).Draw(t, "incarnation"), rapid.Uint64Range(1, 300).Draw(t, "seq"))
	})
}

func sets() *rapid.Generator[*version.Set] {
	return rapid.Custom(func(t *rapid.T) *version.Set {
		s := &version.Set{}
		for _, d := range rapid.SliceOfN(dots(), 0, 12).Draw(t, "dots") {
			s.Add(d)
		}
		if len(s.Dots) == 0 {
			s.Dots = nil
		}
		return s
	})
}

func blobs(least, most int) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		n := rapid.IntRange(least, most).Draw(t, "bytes")
		if n == 0 {
			return nil
		}
		return bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, n)
	})
}

func drawnRecords() *rapid.Generator[record.Record] {
	mutation := rapid.Custom(func(t *rapid.T) record.Mutation {
		return record.Mutation{
			Table: record.TableID(rapid.Uint32().Draw(t, "table")), Op: record.Op(rapid.IntRange(1, 4).Draw(t, "op")),
			Kind: record.Kind(rapid.IntRange(0, int(record.KindHLL)).Draw(t, "kind")), Expires: version.Timestamp(rapid.Uint64().Draw(t, "expires")),
			Key: blobs(1, 40).Draw(t, "key"), Field: blobs(0, 300).Draw(t, "field"), Value: blobs(0, 70_000).Draw(t, "value"),
		}
	})
	return rapid.Custom(func(t *rapid.T) record.Record {
		r := record.Record{
			Dot: dots().Draw(t, "dot"), Time: version.Timestamp(rapid.Uint64().Draw(t, "time")), Term: rapid.Uint64().Draw(t, "term"),
			Request:   record.RequestID{Client: rapid.Uint64().Draw(t, "client"), Seq: rapid.Uint64().Draw(t, "request")},
			Deps:      sets().Draw(t, "deps").Prefix,
			Mutations: rapid.SliceOfN(mutation, 1, 20).Draw(t, "mutations"),
		}
		if rapid.Bool().Draw(t, "leaderless") {
			r.Context = sets().Draw(t, "context")
		}
		if rapid.Bool().Draw(t, "note") {
			r.Dot = version.Dot{}
			for i := range r.Mutations {
				r.Mutations[i].Op = record.Op(rapid.IntRange(4, 5).Draw(t, "op"))
			}
		}
		return r
	})
}

func drawnStates() *rapid.Generator[record.State] {
	return rapid.Custom(func(t *rapid.T) record.State {
		var s record.State
		if rapid.Bool().Draw(t, "leaderless") {
			s.Context = sets().Draw(t, "context")
		}
		ds := rapid.SliceOfNDistinct(dots(), 0, 20, rapid.ID[version.Dot]).Draw(t, "siblings")
		for _, d := range sorted(ds) {
			s.Siblings = append(s.Siblings, record.Version{
				Dot: d, Time: version.Timestamp(rapid.Uint64().Draw(t, "time")), Expires: version.Timestamp(rapid.Uint64().Draw(t, "expires")),
				Kind: record.Kind(rapid.IntRange(0, int(record.KindHLL)).Draw(t, "kind")), Absent: rapid.Bool().Draw(t, "absent"),
				Value: blobs(0, 300).Draw(t, "value"),
			})
		}
		return s
	})
}
