package record_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

func sorted(ds []version.Dot) []version.Dot {
	ds = slices.Clone(ds)
	slices.SortFunc(ds, version.Dot.Compare)
	return ds
}

func encoded(r record.Record) []byte { return record.NewEncoder().Append(nil, &r) }

func TestRecordsReadBackAsTheyWereWritten(t *testing.T) {
	e := record.NewEncoder()
	var again record.Record // used again and again, as a reader of a log does
	rapid.Check(t, func(t *rapid.T) {
		r := drawnRecords().Draw(t, "record")
		b := e.Append(nil, &r)
		var got record.Record
		require.NoError(t, record.Decode(b, &got))
		require.Equal(t, r, got)
		require.NoError(t, record.Decode(b, &again))
		require.Equal(t, b, e.Append(nil, &again), "one record, one encoding")
	})
}

func TestStatesReadBackAsTheyWereWritten(t *testing.T) {
	e := record.NewEncoder()
	var again record.State
	rapid.Check(t, func(t *rapid.T) {
		s := drawnStates().Draw(t, "state")
		b := e.AppendState(nil, &s)
		var got record.State
		require.NoError(t, record.DecodeState(b, &got))
		require.Equal(t, s, got)
		require.NoError(t, record.DecodeState(b, &again))
		require.Equal(t, b, e.AppendState(nil, &again))
	})
}

func TestAppendKeepsWhatStandsBefore(t *testing.T) {
	r, s := usual(), states()[1].state
	b := record.NewEncoder().Append([]byte("head"), &r)
	require.Equal(t, "head", string(b[:4]))
	require.Equal(t, encoded(r), b[4:])
	b = record.NewEncoder().AppendState([]byte("head"), &s)
	require.Equal(t, "head", string(b[:4]))
	require.NoError(t, record.DecodeState(b[4:], &s))
}

func TestDecodeLeavesNothingOfTheRecordBefore(t *testing.T) {
	var r record.Record
	for _, c := range append(records(), records()...) {
		require.NoError(t, record.Decode(encoded(c.record), &r))
		require.Equal(t, encoded(c.record), encoded(r), c.name)
		require.Equal(t, c.record.Context, r.Context)
		require.Len(t, r.Deps, len(c.record.Deps))
	}
	var s record.State
	for _, c := range append(states(), states()...) {
		b := record.NewEncoder().AppendState(nil, &c.state)
		require.NoError(t, record.DecodeState(b, &s))
		require.Equal(t, b, record.NewEncoder().AppendState(nil, &s), c.name)
	}
}

func TestDecodedBytesAliasTheMessageWithoutRoomToGrow(t *testing.T) {
	b := encoded(usual())
	var r record.Record
	require.NoError(t, record.Decode(b, &r))
	m := r.Mutations[0]
	require.Equal(t, len(m.Key), cap(m.Key))
	at := bytes.Index(b, m.Value)
	b[at] = '!'
	require.EqualValues(t, '!', m.Value[0])
}

func TestEmptyAndNilBytesAreTheSame(t *testing.T) {
	r := usual()
	r.Mutations[0].Field, r.Mutations[0].Value = []byte{}, []byte{}
	var got record.Record
	require.NoError(t, record.Decode(encoded(r), &got))
	require.Nil(t, got.Mutations[0].Field)
	require.Nil(t, got.Mutations[0].Value)
}

func TestNoContextAndAnEmptyOneAreNotTheSame(t *testing.T) {
	r := usual()
	without := encoded(r)
	r.Context = &version.Set{}
	require.NotEqual(t, without, encoded(r))
}

func TestSumIsCRC32C(t *testing.T) {
	require.EqualValues(t, 0xe3069283, record.Sum([]byte("123456789")))
}

// changed returns the usual record after a change.
func changed(change func(*record.Record)) record.Record {
	r := usual()
	change(&r)
	return r
}

func TestDecodeRefusesARecordThatMeansNothing(t *testing.T) {
	m := usual().Mutations[0]
	set := func(s version.Set) func(*record.Record) { return func(r *record.Record) { r.Context = &s } }
	deps := func(v ...version.Mark) func(*record.Record) { return func(r *record.Record) { r.Deps = v } }
	mutation := func(change func(*record.Mutation)) func(*record.Record) {
		return func(r *record.Record) { change(&r.Mutations[0]) }
	}
	for name, c := range map[string]struct {
		change func(*record.Record)
		why    string
	}{
		"seq 0":                   {func(r *record.Record) { r.Seq = 0 }, "the dot names no write"},
		"a note's op":             {func(r *record.Record) { r.Mutations[0].Op = record.OpState }, "integer 5 is more than 4"},
		"no origin":               {func(r *record.Record) { r.Origin = version.Origin{} }, "the dot names no write"},
		"no mutations":            {func(r *record.Record) { r.Mutations = nil }, "mutations are not whole, or none"},
		"op 0":                    {mutation(func(m *record.Mutation) { m.Op = 0 }), "without an operation"},
		"kind 11":                 {mutation(func(m *record.Mutation) { m.Kind = 11 }), "integer 11 is more than 10"},
		"a long key":              {mutation(func(m *record.Mutation) { m.Key = make([]byte, record.KeyBytesMax+1) }), "bin of 65537 bytes is more than 65536"},
		"a long field":            {mutation(func(m *record.Mutation) { m.Field = make([]byte, record.FieldBytesMax+1) }), "bin of 65537 bytes is more than 65536"},
		"a long value":            {mutation(func(m *record.Mutation) { m.Value = make([]byte, record.ValueBytesMax+1) }), "bin of 16777217 bytes is more than 16777216"},
		"one mutation too many":   {func(r *record.Record) { r.Mutations = slices.Repeat([]record.Mutation{m}, record.MutationsMax+1) }, "array of 28679 is more than 28672"},
		"deps out of order":       {deps(mark(2, 1, 1), mark(1, 1, 1)), "vector is not in canonical order"},
		"deps with one twice":     {deps(mark(1, 1, 1), mark(1, 1, 2)), "vector is not in canonical order"},
		"deps with nothing seen":  {deps(mark(1, 1, 0)), "vector is not in canonical order"},
		"one mark too many":       {deps(make([]version.Mark, record.MarksMax+1)...), "array of 49155 is more than 49152"},
		"one dot too many":        {set(version.Set{Dots: make([]version.Dot, record.MarksMax+1)}), "array of 49155 is more than 49152"},
		"a prefix out of order":   {set(version.Set{Prefix: version.Vector{mark(2, 1, 1), mark(1, 1, 1)}}), "vector is not in canonical order"},
		"dots out of order":       {set(version.Set{Dots: []version.Dot{dot(1, 1, 9), dot(1, 1, 7)}}), "set is not in canonical order"},
		"dots within the prefix":  {set(version.Set{Prefix: version.Vector{mark(1, 1, 7)}, Dots: []version.Dot{dot(1, 1, 7)}}), "set is not in canonical order"},
		"dots next to the prefix": {set(version.Set{Prefix: version.Vector{mark(1, 1, 7)}, Dots: []version.Dot{dot(1, 1, 8)}}), "set is not in canonical order"},
		"a dot that is a prefix":  {set(version.Set{Dots: []version.Dot{dot(1, 1, 1)}}), "set is not in canonical order"},
	} {
		t.Run(name, func(t *testing.T) {
			var r record.Record
			err := record.Decode(encoded(changed(c.change)), &r)
			require.ErrorIs(t, err, pack.ErrMalformed)
			require.ErrorContains(t, err, c.why)
		})
	}
}

func TestDecodeRefusesANoteThatIsAWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*record.Record)
		why    string
	}{
		"a put":        {func(r *record.Record) { r.Mutations[0].Op = record.OpPut }, "a note writes nothing"},
		"a delta":      {func(r *record.Record) { r.Mutations[0].Op = record.OpMerge }, "a note writes nothing"},
		"op 6":         {func(r *record.Record) { r.Mutations[0].Op = 6 }, "integer 6 is more than 5"},
		"no mutations": {func(r *record.Record) { r.Mutations = nil }, "mutations are not whole, or none"},
	} {
		t.Run(name, func(t *testing.T) {
			r := notes()[0].record
			c.change(&r)
			err := record.Decode(encoded(r), &r)
			require.ErrorIs(t, err, pack.ErrMalformed)
			require.ErrorContains(t, err, c.why)
		})
	}
	b := encoded(notes()[0].record)
	require.EqualValues(t, 2, b[1])
	b[4] = 1
	var r record.Record
	require.ErrorContains(t, record.Decode(b, &r), "a note has no dot")
}

func TestDecodeRefusesANewerFormatAndSaysSo(t *testing.T) {
	b := encoded(usual())
	require.EqualValues(t, 1, b[1])
	b[1] = 3
	var r record.Record
	err := record.Decode(b, &r)
	require.ErrorIs(t, err, record.ErrFormat)
	require.EqualError(t, err, "record: unknown format 3: this version knows 2; upgrade this node")

	b[1] = 0
	require.ErrorIs(t, record.Decode(b, &r), record.ErrFormat)

	s := states()[1].state
	b = record.NewEncoder().AppendState(nil, &s)
	b[1] = 0
	require.ErrorIs(t, record.DecodeState(b, &s), record.ErrFormat)
}

func TestDecodeRefusesMoreBytesThanARecordMayHave(t *testing.T) {
	var r record.Record
	require.ErrorIs(t, record.Decode(make([]byte, record.RecordBytesMax+1), &r), record.ErrTooLarge)
	require.NotErrorIs(t, record.Decode(make([]byte, record.RecordBytesMax), &r), record.ErrTooLarge)
}

func TestRecordWithinAllLimitsIsReadBack(t *testing.T) {
	huge := record.Record{
		Dot: dot(math.MaxUint32, math.MaxUint32, math.MaxUint64), Time: math.MaxUint64, Term: math.MaxUint64,
		Request: record.RequestID{Client: math.MaxUint64, Seq: math.MaxUint64}, Context: &version.Set{},
	}
	for i := range uint32(record.MarksMax) {
		m := mark(math.MaxUint32-record.MarksMax+i, math.MaxUint32, math.MaxUint64)
		huge.Deps = append(huge.Deps, m)
		huge.Context.Prefix = append(huge.Context.Prefix, m)
		huge.Context.Dots = append(huge.Context.Dots, dot(math.MaxUint32-record.MarksMax+i, math.MaxUint32-1, math.MaxUint64))
	}
	for range record.MutationsMax {
		const third = record.BatchBytesMax / record.MutationsMax / 3
		huge.Mutations = append(huge.Mutations, record.Mutation{
			Table: math.MaxUint32, Op: record.OpPut, Kind: record.KindHLL, Expires: math.MaxUint64,
			Key: make([]byte, third), Field: make([]byte, third), Value: make([]byte, third+1),
		})
	}
	require.NoError(t, (&record.Batch{Mutations: huge.Mutations}).Check(0))
	b := encoded(huge)
	require.LessOrEqual(t, len(b), record.RecordBytesMax)
	var got record.Record
	require.NoError(t, record.Decode(b, &got))
	require.Equal(t, b, encoded(got))
}

func TestDecodeStateRefusesAStateThatMeansNothing(t *testing.T) {
	good := record.Version{Dot: dot(1, 1, 7), Value: []byte("v")}
	with := func(change func(*record.Version)) []record.Version {
		v := good
		change(&v)
		return []record.Version{v}
	}
	for name, c := range map[string]struct {
		state record.State
		why   string
	}{
		"seq 0":                    {record.State{Siblings: with(func(v *record.Version) { v.Seq = 0 })}, "the dot names no write"},
		"no origin":                {record.State{Siblings: with(func(v *record.Version) { v.Origin = version.Origin{} })}, "the dot names no write"},
		"kind 11":                  {record.State{Siblings: with(func(v *record.Version) { v.Kind = 11 })}, "integer 11 is more than 10"},
		"a long value":             {record.State{Siblings: with(func(v *record.Version) { v.Value = make([]byte, record.ValueBytesMax+1) })}, "is more than 16777216"},
		"siblings out of order":    {record.State{Siblings: append(with(func(v *record.Version) { v.Seq = 8 }), good)}, "siblings are not in canonical order"},
		"one sibling twice":        {record.State{Siblings: []record.Version{good, good}}, "siblings are not in canonical order"},
		"too many siblings":        {record.State{Siblings: make([]record.Version, record.SiblingsMax+1)}, "array of 524296 is more than 524288"},
		"a context that is no set": {record.State{Context: &version.Set{Dots: []version.Dot{dot(1, 1, 1)}}}, "set is not in canonical order"},
	} {
		t.Run(name, func(t *testing.T) {
			var s record.State
			err := record.DecodeState(record.NewEncoder().AppendState(nil, &c.state), &s)
			require.ErrorIs(t, err, pack.ErrMalformed)
			require.ErrorContains(t, err, c.why)
		})
	}
}

func TestCodecAllocatesNothingOnTheWayOfAWrite(t *testing.T) {
	r, e := usual(), record.NewEncoder()
	b := e.Append(nil, &r)
	require.Zero(t, testing.AllocsPerRun(100, func() { b = e.Append(b[:0], &r) }))
	var again record.Record
	require.NoError(t, record.Decode(b, &again))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = record.Decode(b, &again) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		var fresh record.Record
		_ = record.Decode(b, &fresh)
	}), 1.0, "its mutations")
}
