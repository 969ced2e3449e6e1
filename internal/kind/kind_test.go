package kind

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestNamesOfKindsAreReadAsTheyAreSpelled(t *testing.T) {
	require.Equal(t, "any, bytes, row, counter, set, map, flag, max, min, hll", Names())
	for _, k := range append(slices.Clone(someTables), record.KindFlag, record.KindMax, record.KindMin, record.KindHLL) {
		got, err := Parse(Name(k))
		require.NoError(t, err)
		require.Equal(t, k, got)
	}
	for _, s := range []string{"text", ""} {
		_, err := Parse(s)
		require.ErrorContains(t, err, Names())
	}
	require.Equal(t, "kind 200", Name(200))
	require.False(t, Known(record.KindText))
	require.False(t, Known(200))
}

// The layout stands in logs and stores: a later version must read it.
func TestTheLayoutStays(t *testing.T) {
	m := newMemory()
	must(t, m,
		&Incr{Key: on(record.KindAny, "n"), By: -2},
		&Incr{Key: on(record.KindBytes, "n"), By: -2},
		&MapPut{Key: on(record.KindMap, "m"), Fields: []Field{{[]byte("f"), []byte("v")}, {nil, []byte("w")}, {[]byte("\x00"), nil}}},
		&SetAdd{Key: on(record.KindSet, "s"), Members: list("a", "")},
		&MapPut{Key: on(record.KindRow, "r"), Fields: []Field{{[]byte("c"), []byte("v")}}},
		&MapIncr{Key: on(record.KindRow, "r"), Name: []byte("n"), By: 300},
		&Expire{Key: on(record.KindSet, "s"), At: 99},
	)
	shown := func(k Key) (out []string) {
		for _, c := range m.cells[keyID{k.Table, string(k.Name)}] {
			out = append(out, fmt.Sprintf("%q %s %q %d", c.Field, Name(c.Kind), c.Value, c.Expires))
		}
		return out
	}
	require.Equal(t, []string{`"" counter "\xfe" 0`}, shown(on(record.KindAny, "n")))
	require.Equal(t, []string{`"" bytes "-2" 0`}, shown(on(record.KindBytes, "n")))
	require.Equal(t, []string{`"" map "\x03" 0`, `"\x00" map "w" 0`, `"\x00\x00" map "" 0`, `"f" map "v" 0`}, shown(on(record.KindMap, "m")))
	require.Equal(t, []string{`"" set "\x02" 99`, `"\x00" set "" 0`, `"a" set "" 0`}, shown(on(record.KindSet, "s")))
	require.Equal(t, []string{`"" row "" 0`, `"c" row "\xa1v" 0`, `"n" row "\xcd\x01," 0`}, shown(on(record.KindRow, "r")))
}

func TestFieldsAreFoundAgainByTheirNames(t *testing.T) {
	k := on(record.KindMap, "k")
	before := []byte{}
	for i, name := range []string{"", "\x00", "\x00\x00", "\x00\x01", "\x01", "a\x00"} {
		f := k.field([]byte(name))
		require.NotEmpty(t, f)
		require.Equal(t, name, string(named(f)))
		if i > 0 {
			require.Negative(t, bytes.Compare(before, f), "the order of names is that of fields")
		}
		before = f
	}
}

func TestOneDecisionIsBounded(t *testing.T) {
	many := make([][]byte, partsMax+1)
	keys := make([]Key, partsMax+1)
	fields := make([]Field, partsMax+1)
	pairs := make([]Pair, partsMax+1)
	for i := range many {
		many[i] = []byte(fmt.Sprint(i))
		keys[i] = on(record.KindAny, fmt.Sprint(i))
		fields[i] = Field{Name: many[i]}
		pairs[i] = Pair{Key: keys[i]}
	}
	k, s := on(record.KindAny, "k"), on(record.KindSet, "k")
	for _, op := range []Op{
		&Delete{Keys: keys}, &Exists{Keys: keys}, &PutAll{Pairs: pairs},
		&MapPut{Key: k, Fields: fields}, &MapGet{Key: k, Names: many}, &MapRemove{Key: k, Names: many},
		&SetAdd{Key: s, Members: many}, &SetRemove{Key: s, Members: many}, &SetHas{Key: s, Members: many},
		&Group{Ops: make([]Op, groupMax+1)}, &Group{Watched: make([]Watched, groupMax+1)},
		&Group{Ops: []Op{&SetHas{Key: s, Members: many[:partsMax]}, &SetHas{Key: s, Members: many[:partsMax]}, &SetHas{Key: s, Members: many[:partsMax]}, &SetHas{Key: s, Members: many[:partsMax]}}},
		&Append{Key: k, Value: make([]byte, record.ValueBytesMax+1)},
		&Put{Key: k, Value: make([]byte, record.ValueBytesMax+1)},
		&MapPut{Key: k, Fields: []Field{{Name: make([]byte, record.FieldBytesMax+1)}}},
		&Group{Ops: []Op{&Put{Key: k, Value: make([]byte, record.BatchBytesMax-1)}, &Put{Key: k, Value: []byte("x")}}},
	} {
		t.Run(fmt.Sprintf("%T", op), func(t *testing.T) {
			m := newMemory()
			require.ErrorIs(t, m.do(t, op), topology.ErrTooLarge)
			require.Empty(t, m.cells)
			require.LessOrEqual(t, len(op.Reads()), readsMax)
		})
	}
	m := newMemory()
	must(t, m, &SetAdd{Key: s, Members: many[:partsMax]})
	require.Len(t, m.cells[keyID{s.Table, "k"}], partsMax+1)
}

func TestAKeyWithoutANameIsRefused(t *testing.T) {
	require.ErrorIs(t, newMemory().do(t, &Put{Key: on(record.KindAny, "")}), topology.ErrMalformed)
}

func TestAKeyOfAnotherKindSaysWhatItIs(t *testing.T) {
	m := newMemory()
	k := on(record.KindAny, "k")
	must(t, m, &SetAdd{Key: k, Members: list("a")})
	err := m.do(t, &MapGet{Key: k, Names: list("a")})
	require.ErrorIs(t, err, ErrWrongKind)
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, `key "k" holds a set, not a map`)
	err = m.do(t, &SetAdd{Key: on(record.KindRow, "k"), Members: list("a")})
	require.ErrorContains(t, err, "the table holds keys of kind row, not a set")
	must(t, m, &Put{Key: k, Value: []byte("v")})
	require.Len(t, m.cells[keyID{k.Table, "k"}], 1, "a put replaces the whole key")
}

func TestPartsWithoutAHeadAreNotThereAndDoNotComeBack(t *testing.T) {
	k := on(record.KindAny, "k")
	for _, op := range []Op{
		&SetAdd{Key: k, Members: list("a")},
		&MapPut{Key: k, Fields: []Field{{[]byte("a"), []byte("v")}}},
		&MapIncr{Key: k, Name: []byte("a"), By: 1},
	} {
		m := newMemory()
		must(t, m, &SetAdd{Key: k, Members: list("a", "b")})
		id := keyID{k.Table, "k"}
		m.cells[id] = m.cells[id][1:] // the head has expired
		has, n := &SetHas{Key: k, Members: list("a")}, &SetRemove{Key: k, Members: list("a")}
		require.NoError(t, m.do(t, has))
		require.Equal(t, []bool{false}, has.Has)
		require.NoError(t, m.do(t, n))
		require.Zero(t, n.Count)
		must(t, m, op)
		require.Len(t, m.cells[id], 2, "%T begins anew", op)
	}
}

func TestWhatWasPutUnseenHidesPartsUntilTheKeyGoes(t *testing.T) {
	m := newMemory()
	k := on(record.KindAny, "k")
	must(t, m, &SetAdd{Key: k, Members: list("a", "b")})
	ms, err := k.Assign([]byte("v"))
	require.NoError(t, err)
	m.apply(t, ms)
	got := &Get{Key: k}
	require.NoError(t, m.do(t, got))
	require.Equal(t, "v", string(got.Value))
	require.ErrorIs(t, m.do(t, &SetMembers{Key: k}), ErrWrongKind)
	must(t, m, &Delete{Keys: []Key{k}}, &SetAdd{Key: k, Members: list("c")})
	require.Len(t, m.cells[keyID{k.Table, "k"}], 2)
}

func TestTheUpperEndOfAnInteger(t *testing.T) {
	m := newMemory()
	k, r := on(record.KindAny, "k"), on(record.KindRow, "r")
	must(t, m, &Incr{Key: k, By: math.MaxInt64}, &MapIncr{Key: r, Name: []byte("n"), By: math.MinInt64})
	require.ErrorIs(t, m.do(t, &Incr{Key: k, By: 1}), ErrOverflow)
	require.ErrorIs(t, m.do(t, &MapIncr{Key: r, Name: []byte("n"), By: -1}), ErrOverflow)
	got := &Get{Key: k}
	require.NoError(t, m.do(t, got))
	require.Equal(t, "9223372036854775807", string(got.Value))
}

func TestHeadsThatAnybodyWroteAreErrorsAndNoMore(t *testing.T) {
	for kind, op := range map[record.Kind]Op{
		record.KindSet:     &SetLength{Key: on(record.KindSet, "k")},
		record.KindMap:     &MapPut{Key: on(record.KindMap, "k"), Fields: []Field{{Name: []byte("f")}}},
		record.KindCounter: &Incr{Key: on(record.KindCounter, "k")},
	} {
		for _, value := range []string{"", "\xa1x", "\x01\x01", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff"} {
			k := on(kind, "k")
			m := newMemory()
			m.apply(t, []record.Mutation{k.headPut(kind, []byte(value), 0)})
			require.ErrorIs(t, m.do(t, op), topology.ErrMalformed, "%s %q", Name(kind), value)
		}
	}
	m, k := newMemory(), on(record.KindSet, "k")
	must(t, m, &SetAdd{Key: k, Members: list("a", "b")})
	m.apply(t, []record.Mutation{k.headPut(record.KindSet, encodeCount(1), 0)})
	require.ErrorIs(t, m.do(t, &SetRemove{Key: k, Members: list("a", "b")}), topology.ErrMalformed, "more than were counted")
}

func TestAWatchedKeyThatChangedStopsTheGroup(t *testing.T) {
	m := newMemory()
	k, l := on(record.KindMap, "k"), on(record.KindAny, "l")
	must(t, m, &MapPut{Key: k, Fields: []Field{{[]byte("f"), []byte("v")}}})
	look := &Look{Key: k}
	require.NoError(t, m.do(t, look))
	watched := []Watched{{k, look.Dot}, {l, version.Dot{}}}
	put := func() *Group {
		return &Group{Watched: watched, Ops: []Op{&Put{Key: l, Value: []byte("v")}}}
	}
	must(t, m, &MapPut{Key: k, Fields: []Field{{[]byte("f"), []byte("w")}}})
	g := put()
	require.NoError(t, m.do(t, g))
	require.False(t, g.Done, "a field that was overwritten is a change")
	require.NoError(t, m.do(t, look))
	watched[0].Dot = look.Dot
	g = put()
	require.NoError(t, m.do(t, g))
	require.True(t, g.Done)
	g = put()
	require.NoError(t, m.do(t, g))
	require.False(t, g.Done, "one that was not there is now")
}

func TestAnswerIsForWhatChangesNothing(t *testing.T) {
	require.ErrorIs(t, Answer(&Put{Key: on(record.KindAny, "k")}, nil), topology.ErrUnsupported)
	u := Update(&Get{Key: on(record.KindAny, "k")})
	require.Len(t, u.Reads, 1)
	require.NotNil(t, u.Decide)
}

func TestOnlyDecimalIntegersAreCountedWith(t *testing.T) {
	for _, s := range []string{"", "+1", "01", "-0", " 1", "1 ", "1e3", "0x1", "9223372036854775808", "-9223372036854775809", strings.Repeat("1", 40)} {
		_, err := integer([]byte(s))
		require.ErrorIs(t, err, ErrNotInteger, s)
	}
}
