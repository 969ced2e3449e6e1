package conflict_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// ask seals a mutation over what is held and applies it there, in the name of a site
// that has seen all of that.
func ask(t *testing.T, held []record.Version, id uint32, seq uint64, m record.Mutation) ([]record.Version, error) {
	m.Table, m.Key = spot.Table, spot.Key
	if err := conflict.Seal(&m, dot(id, seq), held); err != nil {
		return held, err
	}
	s := &site{cells: map[string]record.State{"": {Siblings: held}}}
	known, _ := conflict.ContextOf(held)
	r := &record.Record{Dot: dot(id, seq), Time: 1000, Mutations: []record.Mutation{m}}
	changes, err := conflict.Apply(r, func(record.TableID) conflict.Resolver { return conflict.Join() }, nil, known, s)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	return changes[0].State.Siblings, nil
}

func elementsOf(names ...string) []byte {
	w := pack.NewWriter(nil)
	w.Array(len(names))
	for _, n := range names {
		w.Bin([]byte(n))
	}
	return w.Bytes()
}

func TestASketchJoinsWhatIsThereAndReplacesIt(t *testing.T) {
	add := func(held []record.Version, id uint32, seq uint64, names ...string) []record.Version {
		held, err := ask(t, held, id, seq, record.Mutation{Op: record.OpMerge, Kind: record.KindHLL, Value: elementsOf(names...)})
		require.NoError(t, err)
		return held
	}
	a, b := add(nil, 1, 1, "x", "y"), add(nil, 2, 1, "y", "z")
	both, _, err := conflict.Merge(a, nil, b, nil)
	require.NoError(t, err)
	require.Len(t, both, 2)
	require.Len(t, add(both, 1, 2, "w"), 1, "it accounts for both")
	s := conflict.Join().Settle(spot, both)
	require.NoError(t, s.Fault)
	require.Len(t, s.Shown, 1)
	require.Len(t, s.Shown[0].From, 2)
}

func TestASketchTakesAnotherInAmongElements(t *testing.T) {
	other := &crdt.HLL{}
	for _, e := range []string{"x", "y"} {
		other.Add([]byte(e))
	}
	b, err := other.AppendBinary(nil)
	require.NoError(t, err)
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Bin([]byte("z"))
	w.Array(1)
	w.Bin(b)
	merge := record.Mutation{Op: record.OpMerge, Kind: record.KindHLL, Value: w.Bytes()}
	held, err := ask(t, nil, 1, 1, merge)
	require.NoError(t, err)
	var got crdt.HLL
	require.NoError(t, got.UnmarshalBinary(conflict.Join().Settle(spot, held).Shown[0].Bytes))
	require.EqualValues(t, 3, got.Count())
	twice := []record.Mutation{merge, {Op: record.OpMerge, Kind: record.KindHLL, Value: elementsOf("w")}}
	for i := range twice {
		twice[i].Table, twice[i].Key = spot.Table, spot.Key
	}
	require.NoError(t, conflict.SealAll(twice, dot(1, 2), func(record.Cell) (record.State, error) { return record.State{}, nil }))
}

// FuzzAsked gives Seal what a client may ask for.
func FuzzAsked(f *testing.F) {
	f.Add(byte(record.KindHLL), elementsOf("x"))
	f.Add(byte(record.KindHLL), []byte{0x91, 0x91, 0xc4, 0x02, 0x92, 11})
	f.Add(byte(record.KindMin), numberBytes(-7))
	f.Fuzz(func(t *testing.T, kind byte, value []byte) {
		m := record.Mutation{Table: spot.Table, Key: spot.Key, Op: record.OpMerge, Kind: record.Kind(kind), Value: value}
		if err := conflict.Seal(&m, dot(1, 1), nil); err != nil {
			require.Equal(t, value, m.Value)
			return
		}
		require.NoError(t, conflict.Check(conflict.Join(), &m))
	})
}

func TestWhatIsNoDeltaIsRefusedAndLeftAsItWas(t *testing.T) {
	for name, m := range map[string]record.Mutation{
		"bytes":              {Kind: record.KindBytes, Value: numberBytes(1)},
		"no number":          {Kind: record.KindCounter, Value: []byte{0xa1, 'x'}},
		"two numbers":        {Kind: record.KindMax, Value: []byte{1, 2}},
		"no elements":        {Kind: record.KindHLL, Value: numberBytes(1)},
		"an element as text": {Kind: record.KindHLL, Value: []byte{0x91, 0xa1, 'x'}},
		"half a sketch":      {Kind: record.KindHLL, Value: []byte{0x91, 0x91, 0xc4, 0x02, 0x92, 11}},
		"two sketches":       {Kind: record.KindHLL, Value: []byte{0x91, 0x92, 0xc4, 0, 0xc4, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			m.Op, m.Key = record.OpMerge, spot.Key
			before := bytes.Clone(m.Value)
			require.ErrorIs(t, conflict.Seal(&m, dot(1, 1), nil), record.ErrInvalid)
			require.Equal(t, before, m.Value)
		})
	}
	put := record.Mutation{Op: record.OpPut, Kind: record.KindCounter, Key: spot.Key, Value: []byte("text")}
	require.ErrorIs(t, conflict.Seal(&put, dot(1, 1), nil), record.ErrInvalid)
}

func TestACounterThatIsFullCountsNoMore(t *testing.T) {
	add := func(held []record.Version, seq uint64, n int64) ([]record.Version, error) {
		return ask(t, held, 1, seq, record.Mutation{Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(n)})
	}
	held, err := add(nil, 1, math.MaxInt64)
	require.NoError(t, err)
	held, err = add(held, 2, math.MaxInt64)
	require.NoError(t, err)
	held, err = add(held, 3, 1)
	require.NoError(t, err)
	require.Equal(t, numberBytes(math.MaxInt64), conflict.Join().Settle(spot, held).Shown[0].Bytes, "the end of the range is shown")
	_, err = add(held, 4, 1)
	require.ErrorIs(t, err, record.ErrTooLarge)
	held, err = add(held, 4, math.MinInt64)
	require.NoError(t, err)
	held, err = add(held, 5, math.MinInt64+2)
	require.NoError(t, err)
	require.Equal(t, numberBytes(1), conflict.Join().Settle(spot, held).Shown[0].Bytes, "and nothing was lost beyond it")
}

func TestAResolverRefusesMutationsThatItCanNotSettle(t *testing.T) {
	merge := record.Mutation{Op: record.OpMerge, Kind: record.KindCounter, Key: spot.Key, Value: numberBytes(1)}
	require.ErrorIs(t, conflict.Check(conflict.Siblings(), &merge), record.ErrInvalid)
	require.ErrorContains(t, conflict.Check(conflict.Siblings(), &merge), "the resolver crdt")
	require.ErrorIs(t, conflict.Check(conflict.Join(), &merge), record.ErrInvalid, "it was not sealed")
	require.ErrorIs(t, conflict.Check(conflict.LWW(), &merge), record.ErrInvalid)
	require.ErrorIs(t, conflict.Check(conflict.Join(), &record.Mutation{Op: record.OpState, Key: spot.Key}), record.ErrInvalid)
	require.NoError(t, conflict.Seal(&merge, dot(1, 1), nil))
	require.NoError(t, conflict.Check(conflict.Join(), &merge))
	merge.Field = []byte("f")
	require.ErrorIs(t, conflict.Check(conflict.Join(), &merge), record.ErrInvalid)
}

// One cell, several kinds: that of the latest version counts.
func TestAClashOfKindsGoesToTheLatest(t *testing.T) {
	text, n := write(1, 1, 5), write(2, 1, 9)
	text.Kind, n.Kind, n.Value = record.KindBytes, record.KindCounter, numberBytes(3)
	s := conflict.Join().Settle(spot, []record.Version{text, n})
	require.Equal(t, record.KindCounter, s.Shown[0].Kind)
	require.Equal(t, numberBytes(3), s.Shown[0].Bytes)
	require.Equal(t, "1.1:1", textOf(s.Lost))
	require.Len(t, s.Stays, 2)
}

func textOf(vs []record.Version) string { return text(vs) }

// What nobody wrote by Seal may still be in a record: it is a fault, not a crash.
func TestAForgedCounterIsAFault(t *testing.T) {
	bad, good := write(1, 5, 9), write(2, 1, 3)
	bad.Kind, bad.Value = record.KindCounter, []byte{0x93, 6, 1, 0} // a run that begins after it
	good.Kind, good.Value = record.KindCounter, numberBytes(3)
	s := conflict.Join().Settle(spot, []record.Version{bad, good})
	require.ErrorIs(t, s.Fault, conflict.ErrResolver)
	require.ErrorContains(t, s.Fault, "1.1:5")
	require.Equal(t, bad.Value, s.Shown[0].Bytes, "the last writer's")
}

func TestARecordsLastWordOnAKeyAndItsFieldsCounts(t *testing.T) {
	put := func(field string, n int64) record.Mutation {
		return record.Mutation{Table: spot.Table, Key: spot.Key, Field: []byte(field), Op: record.OpPut, Kind: record.KindMap, Value: numberBytes(n)}
	}
	drop := record.Mutation{Table: spot.Table, Key: spot.Key, Op: record.OpDelete, Kind: record.KindMap}
	old := func(f string) record.State { return record.State{Siblings: []record.Version{write(2, 1)}} }
	for name, x := range map[string]struct {
		ms   []record.Mutation
		want string
	}{
		"a put after the delete of the key":   {[]record.Mutation{put("x", 1), drop, put("", 2), put("x", 3)}, "=2 y- x=3"},
		"a put before the delete of the key":  {[]record.Mutation{put("x", 1), put("new", 2), drop}, "- x- y-"},
		"two puts of a field":                 {[]record.Mutation{put("x", 1), put("x", 2)}, "x=2"},
		"a put of the key leaves what is old": {[]record.Mutation{put("", 1)}, "=1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{cells: map[string]record.State{"": old(""), "x": old("x"), "y": old("y")}}
			r := &record.Record{Dot: dot(1, 1), Time: 9, Mutations: x.ms}
			changes, err := conflict.Apply(r, func(record.TableID) conflict.Resolver { return conflict.Join() }, nil, setOf(dot(2, 1)), s)
			require.NoError(t, err)
			got := ""
			for _, c := range changes {
				got += " " + string(c.Cell.Field)
				if vs := c.State.Siblings; len(vs) == 1 && !vs[0].Absent {
					got += "=" + numberOf(vs[0].Value)
				} else {
					got += "-"
				}
			}
			require.Equal(t, x.want, got[1:])
		})
	}
}

// Where records travel alone, what a deleted key has seen holds for its fields.
func TestAFieldThatTheDeleteOfItsKeyHadSeenDoesNotComeBackLate(t *testing.T) {
	field := record.Mutation{Table: spot.Table, Key: spot.Key, Field: []byte("x"), Op: record.OpPut, Kind: record.KindMap, Value: numberBytes(1)}
	late := &record.Record{Dot: dot(1, 1), Time: 1, Mutations: []record.Mutation{field}}
	s := &site{cells: map[string]record.State{"": {Context: setOf(dot(1, 1))}}}
	join := func(record.TableID) conflict.Resolver { return conflict.Join() }
	changes, err := conflict.Apply(late, join, nil, nil, s)
	require.NoError(t, err)
	require.Empty(t, changes[0].State.Siblings)
}

func TestCanonicalSortsMapsAtEveryLevel(t *testing.T) {
	want, err := msgpack.Marshal(map[string]any{"a": int8(1)})
	require.NoError(t, err)
	for range 50 {
		v := map[string]any{}
		for i := range 20 {
			v[fmt.Sprint("key ", i)] = map[int]any{i: "x", i + 1: []any{map[string]int{"p": 1, "q": 2, "r": 3}}}
		}
		b, err := msgpack.Marshal(v)
		require.NoError(t, err)
		c, err := conflict.Canonical(b)
		require.NoError(t, err)
		if len(want) < 50 {
			want = c
		}
		require.Equal(t, want, c)
		require.Len(t, c, len(b))
	}
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"a key twice":         {0x82, 0xa1, 'a', 1, 0xa1, 'a', 2},
		"more than one value": {1, 2},
		"a header too wide":   {0xdc, 0, 1, 7},
	} {
		_, err := conflict.Canonical(b)
		require.ErrorIs(t, err, pack.ErrMalformed, name)
	}
}

// FuzzDelta gives Apply and Settle what a peer may send as a delta.
func FuzzDelta(f *testing.F) {
	for _, m := range []record.Mutation{
		{Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(7)},
		{Op: record.OpMerge, Kind: record.KindHLL, Value: elementsOf("x", "y")},
		{Op: record.OpMerge, Kind: record.KindMax, Value: numberBytes(-7)},
		{Op: record.OpDelete, Kind: record.KindCounter},
	} {
		held := []record.Version{{Dot: dot(1, 1), Time: 1, Kind: record.KindCounter, Value: []byte{0x93, 1, 5, 2}}}
		if err := conflict.Seal(&m, dot(1, 2), held); err != nil {
			f.Fatal(err)
		}
		f.Add(byte(m.Op), byte(m.Kind), m.Value)
	}
	f.Fuzz(func(t *testing.T, op, kind byte, value []byte) {
		if len(value) > 64<<10 {
			return
		}
		m := record.Mutation{Table: spot.Table, Key: spot.Key, Op: record.Op(op), Kind: record.Kind(kind), Value: value}
		s := &site{cells: map[string]record.State{"": {Siblings: []record.Version{{Dot: dot(1, 1), Time: 1, Kind: record.KindCounter, Value: []byte{0x93, 1, 5, 2}}}}}}
		r := &record.Record{Dot: dot(2, 9), Time: 7, Mutations: []record.Mutation{m}}
		changes, err := conflict.Apply(r, func(record.TableID) conflict.Resolver { return conflict.Join() }, nil, nil, s)
		if err != nil {
			require.ErrorIs(t, err, record.ErrInvalid)
			return
		}
		for _, c := range changes {
			if len(c.State.Siblings) == 0 {
				continue
			}
			one, two := conflict.Join().Settle(c.Cell, c.State.Siblings), conflict.Join().Settle(c.Cell, c.State.Siblings)
			require.Equal(t, one.Shown, two.Shown)
			conflict.Prune(conflict.Join(), c.Cell, c.State.Siblings, setOf(dot(1, 1), dot(2, 9)))
			again := record.Mutation{Table: spot.Table, Key: spot.Key, Op: record.OpDelete, Kind: record.KindCounter}
			_ = conflict.Seal(&again, dot(3, 1), c.State.Siblings)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, v := range []any{map[string]any{"b": 1, "a": []any{nil, 2.5}}, []int{1, 2}, "x"} {
		b, err := msgpack.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		c, err := conflict.Canonical(b)
		if err != nil {
			require.ErrorIs(t, err, pack.ErrMalformed)
			return
		}
		require.NoError(t, pack.Walk(c))
		again, err := conflict.Canonical(c)
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

// A put whose writer had read one of two counts takes that one alone, and says so.
func TestAPutOfACounterTakesWhatItsContextCovers(t *testing.T) {
	count := func(id uint32, n int64) record.Version {
		held, err := ask(t, nil, id, 1, record.Mutation{Op: record.OpMerge, Kind: record.KindCounter, Value: numberBytes(n)})
		require.NoError(t, err)
		return held[0]
	}
	held := []record.Version{count(1, 10), count(2, 5)}
	m := record.Mutation{Table: spot.Table, Key: spot.Key, Op: record.OpPut, Kind: record.KindCounter, Value: numberBytes(100)}
	covers := setOf(dot(1, 1))
	require.NoError(t, conflict.SealOver(&m, dot(3, 1), held, covers))
	r := &record.Record{Dot: dot(3, 1), Time: 9, Context: covers, Mutations: []record.Mutation{m}}
	changes, err := conflict.Apply(r, func(record.TableID) conflict.Resolver { return conflict.Join() }, nil, covers, &site{cells: map[string]record.State{"": {Siblings: held}}})
	require.NoError(t, err)
	s := conflict.Join().Settle(spot, changes[0].State.Siblings)
	require.Equal(t, numberBytes(105), s.Shown[0].Bytes)
}

// What one record changes twice comes to both changes.
func TestChangesOfOneCellInOneRecordComeTogether(t *testing.T) {
	merge := func(k record.Kind, n int64) record.Mutation {
		return record.Mutation{Table: spot.Table, Key: spot.Key, Op: record.OpMerge, Kind: k, Value: numberBytes(n)}
	}
	other := merge(record.KindCounter, 1000)
	other.Key = []byte("other")
	put := func(n int64) record.Mutation {
		m := merge(record.KindCounter, n)
		m.Op = record.OpPut
		return m
	}
	gone := record.Mutation{Table: spot.Table, Key: spot.Key, Op: record.OpDelete, Kind: record.KindCounter}
	for name, x := range map[string]struct {
		ms   []record.Mutation
		want int64
	}{
		"two additions":               {[]record.Mutation{merge(record.KindCounter, 1), other, merge(record.KindCounter, 2)}, 110 + 3},
		"three additions":             {[]record.Mutation{merge(record.KindCounter, 1), merge(record.KindCounter, 2), merge(record.KindCounter, -4)}, 110 - 1},
		"a put, and an addition":      {[]record.Mutation{put(7), merge(record.KindCounter, 2)}, 9},
		"an addition, and a put":      {[]record.Mutation{merge(record.KindCounter, 2), put(7)}, 7},
		"a delete, and two additions": {[]record.Mutation{gone, merge(record.KindCounter, 2), merge(record.KindCounter, 3)}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			held, err := ask(t, nil, 1, 1, merge(record.KindCounter, 100))
			require.NoError(t, err)
			more, err := ask(t, nil, 2, 1, merge(record.KindCounter, 10))
			require.NoError(t, err)
			s := &site{cells: map[string]record.State{"": {Siblings: append(held, more...)}}}
			require.NoError(t, conflict.SealAll(x.ms, dot(1, 2), func(c record.Cell) (record.State, error) {
				if string(c.Key) == "other" {
					return record.State{}, nil
				}
				return s.Cell(c)
			}))
			r := &record.Record{Dot: dot(1, 2), Time: 9, Mutations: x.ms}
			changes, err := conflict.Apply(r, func(record.TableID) conflict.Resolver { return conflict.Join() }, nil, setOf(dot(1, 1), dot(2, 1)), s)
			require.NoError(t, err)
			for _, c := range changes {
				if string(c.Cell.Key) == "key" {
					require.Equal(t, numberBytes(x.want), conflict.Join().Settle(spot, c.State.Siblings).Shown[0].Bytes)
				}
			}
		})
	}
	hlls := []record.Mutation{
		{Table: spot.Table, Key: spot.Key, Op: record.OpMerge, Kind: record.KindHLL, Value: elementsOf("x")},
		{Table: spot.Table, Key: spot.Key, Op: record.OpMerge, Kind: record.KindHLL, Value: elementsOf("y", "x")},
		{Table: spot.Table, Key: []byte("low"), Op: record.OpMerge, Kind: record.KindMin, Value: numberBytes(3)},
		{Table: spot.Table, Key: []byte("low"), Op: record.OpMerge, Kind: record.KindMin, Value: numberBytes(5)},
	}
	none := func(record.Cell) (record.State, error) { return record.State{}, nil }
	require.NoError(t, conflict.SealAll(hlls, dot(1, 1), none))
	both := record.Mutation{Op: record.OpMerge, Kind: record.KindHLL, Value: elementsOf("x", "y")}
	require.NoError(t, conflict.Seal(&both, dot(1, 1), nil))
	require.Equal(t, both.Value, hlls[1].Value)
	least := merge(record.KindMin, 3)
	require.NoError(t, conflict.Seal(&least, dot(1, 1), nil))
	require.Equal(t, least.Value, hlls[3].Value)

	full := []record.Mutation{merge(record.KindCounter, math.MaxInt64), merge(record.KindCounter, 1)}
	require.ErrorIs(t, conflict.SealAll(full, dot(1, 1), none), record.ErrTooLarge)
}
