package kind

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// apart is a sight of one site of several.
type apart struct{ Seen }

func (apart) Scattered() {}

func TestAnExtremeKeepsTheGreatestOrTheLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.SampledFrom([]record.Kind{record.KindMax, record.KindMin}).Draw(t, "of")
		m, k := newMemory(), on(rapid.SampledFrom([]record.Kind{of, record.KindAny}).Draw(t, "table"), "k")
		var want int64
		for i, n := range rapid.SliceOfN(someNumber, 1, 20).Draw(t, "numbers") {
			if i == 0 || (n > want) == (of == record.KindMax) {
				want = n
			}
			before := m.seq
			o := &Observe{Key: k, Of: of, N: n}
			require.NoError(t, m.do(t, o))
			require.Equal(t, want, o.Value)
			require.Equal(t, o.Changed, m.seq > before, "what changes nothing is not written")
			m.check(t)
			get, text := &Extreme{Key: k, Of: of}, &Get{Key: k}
			require.NoError(t, m.do(t, get))
			require.NoError(t, m.do(t, text))
			require.True(t, get.There)
			require.Equal(t, want, get.Value)
			require.Equal(t, fmt.Sprint(want), string(text.Value))
		}
	})
}

func TestAFlagIsThereWhileItIsOn(t *testing.T) {
	m, k := newMemory(), on(record.KindFlag, "k")
	on, off, get, there := &FlagSet{Key: k, On: true}, &FlagSet{Key: k}, &FlagGet{Key: k}, &Exists{Keys: []Key{k}}
	must(t, m, off, get)
	require.Zero(t, m.seq, "what is off is not turned off")
	require.False(t, off.Was || get.On)
	must(t, m, on, get, there)
	require.False(t, on.Was)
	require.True(t, get.On)
	require.Equal(t, 1, there.Count)
	must(t, m, on, off, get, there)
	require.True(t, on.Was && off.Was)
	require.False(t, get.On)
	require.Zero(t, there.Count)
	for text, want := range map[string]bool{"1": true, "0": false} {
		ms, err := k.Assign([]byte(text))
		require.NoError(t, err)
		m.apply(t, ms)
		must(t, m, get)
		require.Equal(t, want, get.On)
	}
	_, err := k.Assign([]byte("yes"))
	require.ErrorIs(t, err, topology.ErrMalformed)
}

func TestASketchCountsDifferentElements(t *testing.T) {
	m, k, l := newMemory(), on(record.KindHLL, "k"), on(record.KindHLL, "l")
	add := &SketchAdd{Key: k, Elements: list("a", "b", "a")}
	must(t, m, add)
	require.True(t, add.Changed)
	before := m.seq
	must(t, m, add)
	require.False(t, add.Changed)
	require.Equal(t, before, m.seq, "what changes nothing is not written")
	must(t, m, &SketchAdd{Key: l, Elements: list("b", "c")})
	count := &SketchCount{Keys: []Key{k, l, on(record.KindHLL, "none")}}
	must(t, m, count)
	require.EqualValues(t, 3, count.Count)
	merge := &SketchMerge{Key: k, From: []Key{l, on(record.KindHLL, "none")}}
	must(t, m, merge)
	require.True(t, merge.Changed)
	must(t, m, merge)
	require.False(t, merge.Changed)
	count.Keys = count.Keys[:1]
	must(t, m, count)
	require.EqualValues(t, 3, count.Count)
	b, err := k.Value(m.cells[keyID{k.Table, "k"}])
	require.NoError(t, err)
	require.Equal(t, "3", string(b))
	empty := &SketchMerge{Key: on(record.KindHLL, "empty")}
	must(t, m, empty)
	require.True(t, empty.Changed, "it is made")
	must(t, m, empty)
	require.False(t, empty.Changed)
	require.ErrorIs(t, m.do(t, &SketchAdd{Key: k, Elements: [][]byte{make([]byte, crdt.ElementBytesMax+1)}}), topology.ErrTooLarge)
	require.ErrorIs(t, m.do(t, &SketchCount{Keys: make([]Key, partsMax+1)}), topology.ErrTooLarge)
	require.ErrorIs(t, m.do(t, &SketchMerge{Key: k, From: make([]Key, partsMax)}), topology.ErrTooLarge)
	require.Error(t, (&head{record.Version{Kind: record.KindHLL, Value: []byte("x")}}).broken(&k))
}

// broken is what reading a sketch comes to.
func (h *head) broken(k *Key) error { _, err := h.sketch(k); return err }

func TestWhatIsJoinedIsOfOneKind(t *testing.T) {
	ops := func(k Key) map[record.Kind][]Op {
		return map[record.Kind][]Op{
			record.KindFlag: {&FlagSet{Key: k, On: true}, &FlagSet{Key: k}, &FlagGet{Key: k}},
			record.KindMax:  {&Observe{Key: k, Of: record.KindMax}, &Extreme{Key: k, Of: record.KindMax}},
			record.KindMin:  {&Observe{Key: k, Of: record.KindMin}, &Extreme{Key: k, Of: record.KindMin}},
			record.KindHLL:  {&SketchAdd{Key: k}, &SketchCount{Keys: []Key{k}}, &SketchMerge{Key: k}},
		}
	}
	for of, first := range ops(on(record.KindAny, "k")) {
		for other, all := range ops(on(record.KindAny, "k")) {
			m := newMemory()
			must(t, m, first[0])
			require.ErrorIs(t, m.do(t, &Incr{Key: on(record.KindAny, "k")}), ErrWrongKind)
			require.ErrorIs(t, m.do(t, &SetAdd{Key: on(record.KindAny, "k"), Members: list("a")}), ErrWrongKind)
			for _, op := range all {
				if err := m.do(t, op); of == other {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, ErrWrongKind, "%T of a %s", op, Name(of))
				}
			}
		}
	}
	for other, all := range ops(on(record.KindBytes, "k")) {
		require.ErrorIs(t, newMemory().do(t, all[0]), ErrWrongKind, "a table of bytes takes no %s", Name(other))
	}
	for _, tc := range []struct {
		table record.Kind
		value string
		want  error
	}{
		{record.KindMax, "7", nil}, {record.KindMin, "-7", nil}, {record.KindMax, "x", ErrNotInteger}, {record.KindHLL, "x", ErrWrongKind},
	} {
		k := on(tc.table, "k")
		_, err := k.Assign([]byte(tc.value))
		require.ErrorIs(t, err, tc.want)
		require.ErrorIs(t, newMemory().do(t, &Put{Key: k, Value: []byte(tc.value)}), tc.want)
	}
}

// decideApart has a decision made where several sites write.
func decideApart(t *testing.T, op Op, cells ...topology.CellReading) []record.Mutation {
	t.Helper()
	seen := make(Seen, len(op.Reads()))
	if len(cells) > 0 {
		seen[0] = cells
	}
	ms, err := op.Decide(apart{seen})
	require.NoError(t, err)
	return ms
}

func TestWhereSeveralSitesWriteAChangeSaysWhatWasAsked(t *testing.T) {
	k := on(record.KindMax, "k")
	k.Expires = 40
	ms := decideApart(t, &Observe{Key: k, Of: record.KindMax, N: 5})
	require.Equal(t, []record.Mutation{{Table: k.Table, Key: k.Name, Op: record.OpMerge, Kind: record.KindMax, Expires: 40, Value: encodeNumber(5)}}, ms)
	held := topology.CellReading{Version: record.Version{Kind: record.KindMax, Expires: 7, Value: encodeNumber(3)}}
	require.EqualValues(t, 7, decideApart(t, &Observe{Key: k, Of: record.KindMax, N: 5}, held)[0].Expires, "a change keeps the expiry")
	require.Empty(t, decideApart(t, &Observe{Key: k, Of: record.KindMax, N: 3}, held))

	h := on(record.KindHLL, "k")
	ms = decideApart(t, &SketchAdd{Key: h, Elements: list("a", "b", "a")})
	require.Equal(t, record.OpMerge, ms[0].Op)
	r := pack.NewReader(ms[0].Value)
	require.Equal(t, 2, r.Array(), "what it does not count yet")

	f := on(record.KindFlag, "k")
	ms = decideApart(t, &FlagSet{Key: f, On: true}, topology.CellReading{Version: record.Version{Kind: record.KindFlag}})
	require.Len(t, ms, 1, "one that is on is written again")
	require.Equal(t, record.OpPut, ms[0].Op)

	_, err := (&Observe{Key: on(record.KindAny, "k"), Of: record.KindMin}).Decide(apart{Seen{nil}})
	require.ErrorIs(t, err, ErrWrongKind)
	require.ErrorContains(t, err, "in a table of kind min alone")
}

// A member that is there is added again: whoever removes it at the same time has not seen
// that.
func TestWhereSeveralSitesWriteAMemberIsAddedAgain(t *testing.T) {
	k := on(record.KindSet, "k")
	stands := topology.CellReading{Version: record.Version{Kind: record.KindSet, Absent: true, Value: encodeCount(math.MaxInt32)}}
	member := topology.CellReading{Field: []byte("a"), Version: record.Version{Kind: record.KindSet}}
	add := func(k Key, head topology.CellReading) *SetAdd {
		o := &SetAdd{Key: k, Members: list("a", "b", "a")}
		ms, err := o.Decide(apart{Seen{{head}, {member}, nil, {member}}})
		require.NoError(t, err)
		require.Len(t, ms, 3)
		require.Equal(t, k.expiry(headOf([]topology.CellReading{head})), ms[0].Expires)
		require.Equal(t, "a", string(ms[1].Field))
		require.Equal(t, 1, o.Count, "and counted where it was not there")
		return o
	}
	add(k, stands)
	k.Expires = 40
	add(k, stands)
	require.EqualValues(t, 40, k.expiry(headOf([]topology.CellReading{stands})), "of a key that is new")
	stands.Absent, stands.Expires = false, 7
	add(k, stands)
	require.EqualValues(t, 7, k.expiry(headOf([]topology.CellReading{stands})), "a change of a part keeps the expiry")
}

func TestWhereSeveralSitesWriteTheExpiryOfKeysWithPartsAloneChanges(t *testing.T) {
	part := topology.CellReading{Version: record.Version{Kind: record.KindSet, Expires: 9, Value: encodeCount(2)}}
	k := on(record.KindSet, "k")
	ms := decideApart(t, &Expire{Key: k, At: 50}, part)
	require.EqualValues(t, 50, ms[0].Expires)
	ms = decideApart(t, &Persist{Key: k}, part)
	require.Zero(t, ms[0].Expires)
	require.Empty(t, ms[0].Value, "and is not taken for a count")
	_, err := (&Expire{Key: k, At: 50, When: IfNone}).Decide(apart{Seen{{part}}})
	require.ErrorIs(t, err, topology.ErrUnsupported)
	value := topology.CellReading{Version: record.Version{Kind: record.KindBytes}}
	for _, op := range []Op{&Expire{Key: on(record.KindBytes, "k"), At: version.Timestamp(50)}, &Persist{Key: on(record.KindBytes, "k")}} {
		_, err := op.Decide(apart{Seen{{value}}})
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
}

// FuzzSketch gives a decision what may stand in a store.
func FuzzSketch(f *testing.F) {
	h := &crdt.HLL{}
	h.Add([]byte("a"))
	b, _ := h.AppendBinary(nil)
	f.Add(b, "a")
	f.Add([]byte("\xc4\x01x"), strings.Repeat("x", 20))
	f.Fuzz(func(t *testing.T, held []byte, element string) {
		cells := []topology.CellReading{{Version: record.Version{Kind: record.KindHLL, Value: held}}}
		k := on(record.KindHLL, "k")
		add := &SketchAdd{Key: k, Elements: [][]byte{[]byte(element)}}
		ms, err := add.Decide(Seen{cells})
		if err != nil {
			require.Empty(t, ms)
			return
		}
		if add.Changed {
			require.NoError(t, (&crdt.HLL{}).UnmarshalBinary(ms[0].Value))
		}
		_, err = (&SketchMerge{Key: k, From: []Key{k}}).Decide(Seen{nil, cells})
		require.NoError(t, err)
	})
}
