package conflict_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

func dot(id uint32, seq uint64) version.Dot {
	return version.Dot{Origin: version.Origin{ID: id, Incarnation: 1}, Seq: seq}
}

// write is the version of one write; its time is its sequence unless told.
func write(id uint32, seq uint64, at ...version.Timestamp) record.Version {
	v := record.Version{Dot: dot(id, seq), Time: version.Timestamp(seq), Value: fmt.Appendf(nil, "%d:%d", id, seq)}
	if len(at) > 0 {
		v.Time = at[0]
	}
	return v
}

func setOf(ds ...version.Dot) *version.Set {
	s := &version.Set{}
	for _, d := range ds {
		s.Add(d)
	}
	return s
}

func text(vs []record.Version) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.Dot.String()
	}
	return strings.Join(out, " ")
}

func TestMerge(t *testing.T) {
	a1, a2, b1, c1 := write(1, 1), write(1, 2), write(2, 1), write(3, 1)
	for _, x := range []struct {
		name       string
		local      []record.Version
		seen       version.Seen
		in         []record.Version
		covers     version.Seen
		kept, gone string
	}{
		{name: "nothing and nothing is nothing"},
		{name: "an unseen write is kept", in: []record.Version{a1}, kept: "1.1:1"},
		{name: "a stored write that nobody covers stays", local: []record.Version{a1}, kept: "1.1:1"},
		{name: "concurrent writes are siblings in the order of dots", local: []record.Version{b1}, in: []record.Version{a1}, kept: "1.1:1 2.1:1"},
		{name: "what the writer had seen goes", local: []record.Version{a1}, in: []record.Version{a2}, covers: setOf(a1.Dot), kept: "1.1:2", gone: "1.1:1"},
		{name: "what was superseded here does not come back", local: []record.Version{a2}, seen: setOf(a1.Dot, a2.Dot), in: []record.Version{a1}, kept: "1.1:2"},
		{name: "a duplicate changes nothing", local: []record.Version{a1}, seen: setOf(a1.Dot), in: []record.Version{a1}, covers: setOf(a1.Dot), kept: "1.1:1"},
		{name: "both held is kept although covered and seen", local: []record.Version{a1, b1}, seen: setOf(a1.Dot, b1.Dot), in: []record.Version{a1}, covers: setOf(a1.Dot, b1.Dot), kept: "1.1:1", gone: "2.1:1"},
		{name: "a later write does not hide an earlier one it has not seen (X1)", local: []record.Version{a2}, seen: setOf(a2.Dot), in: []record.Version{a1}, kept: "1.1:1 1.1:2"},
		{name: "a plain vector would hide it", local: []record.Version{a2}, seen: version.Vector{{Origin: a2.Origin, Seq: 2}}, in: []record.Version{a1}, kept: "1.1:2"},
		{name: "a state replaces what its sender had seen and lacks nothing else", local: []record.Version{a1, b1, c1}, seen: setOf(a1.Dot, b1.Dot, c1.Dot), in: []record.Version{a2, c1}, covers: setOf(a1.Dot, a2.Dot, c1.Dot), kept: "1.1:2 2.1:1 3.1:1", gone: "1.1:1"},
		{name: "an empty state with knowledge deletes", local: []record.Version{a1}, seen: setOf(a1.Dot), covers: setOf(a1.Dot), gone: "1.1:1"},
	} {
		t.Run(x.name, func(t *testing.T) {
			kept, gone, err := conflict.Merge(x.local, x.seen, x.in, x.covers)
			require.NoError(t, err)
			require.Equal(t, x.kept, text(kept))
			require.Equal(t, x.gone, text(gone))
		})
	}
}

func TestOneDotWithTwoContentsIsAForkAndMergesNothing(t *testing.T) {
	for name, change := range map[string]func(*record.Version){
		"value":   func(v *record.Version) { v.Value = []byte("other") },
		"time":    func(v *record.Version) { v.Time++ },
		"expires": func(v *record.Version) { v.Expires++ },
		"kind":    func(v *record.Version) { v.Kind = record.KindBytes },
		"absent":  func(v *record.Version) { v.Absent = true },
	} {
		t.Run(name, func(t *testing.T) {
			other := write(1, 1)
			change(&other)
			kept, gone, err := conflict.Merge([]record.Version{write(1, 1)}, nil, []record.Version{other, write(2, 1)}, nil)
			require.ErrorIs(t, err, conflict.ErrForked)
			require.ErrorContains(t, err, "1.1:1")
			require.Nil(t, kept)
			require.Nil(t, gone)
		})
	}
}

func TestMergeChangesNoArgument(t *testing.T) {
	local := []record.Version{write(1, 1), write(2, 1)}
	in := []record.Version{write(1, 2), write(3, 1)}
	l, i := slices.Clone(local), slices.Clone(in)
	kept, _, err := conflict.Merge(local, setOf(dot(1, 1), dot(2, 1)), in, setOf(dot(1, 1)))
	require.NoError(t, err)
	conflict.SettleLWW(kept)
	require.Equal(t, l, local)
	require.Equal(t, i, in)
}

func TestTheLastWriterWins(t *testing.T) {
	for _, x := range []struct {
		name        string
		kept        []record.Version
		stays, lost string
	}{
		{name: "nothing"},
		{name: "one", kept: []record.Version{write(1, 1)}, stays: "1.1:1"},
		{name: "by time", kept: []record.Version{write(1, 1, 9), write(2, 7, 8)}, stays: "1.1:1", lost: "2.1:7"},
		{name: "then by origin", kept: []record.Version{write(1, 9, 5), write(2, 1, 5)}, stays: "2.1:1", lost: "1.1:9"},
		{name: "then by sequence", kept: []record.Version{write(1, 1, 5), write(1, 2, 5)}, stays: "1.1:2", lost: "1.1:1"},
		{name: "equal values are not equal writes", kept: []record.Version{{Dot: dot(1, 1), Time: 2}, {Dot: dot(2, 1), Time: 1}}, stays: "1.1:1", lost: "2.1:1"},
		{name: "a delete wins like any version", kept: []record.Version{write(1, 1, 5), {Dot: dot(2, 1), Time: 6, Absent: true}, write(3, 1, 4)}, stays: "2.1:1", lost: "1.1:1 3.1:1"},
	} {
		t.Run(x.name, func(t *testing.T) {
			stays, lost := conflict.SettleLWW(x.kept)
			require.Equal(t, x.stays, text(stays))
			require.Equal(t, x.lost, text(lost))
		})
	}
}

func TestARecordsLastWordOnACellCounts(t *testing.T) {
	r := record.Record{Dot: dot(1, 1), Time: 5, Mutations: []record.Mutation{
		{Table: 16, Key: []byte("k"), Op: record.OpPut, Value: []byte("v")},
		{Table: 0, Key: []byte(record.MarkTerm), Op: record.OpMark},
		{Table: 17, Key: []byte("k"), Op: record.OpPut, Value: []byte("w")},
		{Table: 16, Key: []byte("k"), Op: record.OpDelete},
	}}
	got, err := conflict.ApplyLWW(&r, nil, nil, func(record.Cell) (record.State, error) { return record.State{}, nil })
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, record.TableID(17), got[0].Cell.Table)
	require.Equal(t, "w", string(got[0].State.Siblings[0].Value))
	require.Equal(t, record.TableID(16), got[1].Cell.Table)
	require.True(t, got[1].State.Siblings[0].Absent)
}

func TestWhatTheLastWriterCanNotWinIsRefused(t *testing.T) {
	for name, m := range map[string]record.Mutation{
		"delta": {Table: 16, Key: []byte("k"), Op: record.OpMerge, Kind: record.KindCounter},
		"field": {Table: 16, Key: []byte("k"), Field: []byte("f"), Op: record.OpPut},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := conflict.ApplyLWW(&record.Record{Dot: dot(1, 1), Mutations: []record.Mutation{m}}, nil, nil, nil)
			require.ErrorIs(t, err, record.ErrInvalid)
		})
	}
}

// Why fields are refused: were each field to keep its winner alone, a delete of the
// whole key that has seen the winner and not the loser would leave the loser where
// it comes last, and nothing where it came first.
func TestAWinnerAloneIsNotEnoughWhereAWholeKeyIsDeleted(t *testing.T) {
	one, two := write(1, 1, 5), write(2, 1, 3)
	join := func(local, in []record.Version, seen, covers version.Seen) []record.Version {
		c, err := conflict.JoinLWW(local, seen, in, covers)
		require.NoError(t, err)
		return c.State.Siblings
	}
	deleted := func(field []record.Version) []record.Version { return join(field, nil, nil, setOf(one.Dot)) }
	late := join(deleted(join(nil, []record.Version{one}, nil, nil)), []record.Version{two}, setOf(one.Dot), nil)
	early := deleted(join(join(nil, []record.Version{two}, nil, nil), []record.Version{one}, nil, nil))
	require.Equal(t, "2.1:1", text(late))
	require.Empty(t, early)
	require.ErrorIs(t, conflict.CheckLWW(&record.Mutation{Op: record.OpPut, Key: []byte("k"), Field: []byte("x")}), record.ErrInvalid)
}
