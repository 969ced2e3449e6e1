package record_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

func put() record.Mutation { return usual().Mutations[0] }

func TestMutationCheckAcceptsWhatIsWithinTheLimits(t *testing.T) {
	for name, m := range map[string]record.Mutation{
		"a put":                     put(),
		"a delete":                  {Op: record.OpDelete, Key: []byte{0}},
		"a merge":                   {Op: record.OpMerge, Kind: record.KindHLL, Key: []byte("k"), Field: []byte("f"), Value: []byte("v")},
		"a key of any bytes":        {Op: record.OpPut, Key: []byte("\x00/..\n\xff😀")},
		"the greatest key":          {Op: record.OpPut, Key: make([]byte, record.KeyBytesMax)},
		"the greatest field":        {Op: record.OpPut, Key: []byte("k"), Field: make([]byte, record.FieldBytesMax)},
		"the greatest value":        {Op: record.OpPut, Key: []byte("k"), Value: make([]byte, record.ValueBytesMax)},
		"the latest time to expire": {Op: record.OpPut, Key: []byte("k"), Expires: ^version.Timestamp(0)},
	} {
		require.NoError(t, m.Check(0), name)
		require.NoError(t, m.Check(record.ValueBytesMax+1), name)
	}
}

func TestMutationCheckSaysWhichLimitAndByHowMuch(t *testing.T) {
	with := func(change func(*record.Mutation)) record.Mutation {
		m := put()
		change(&m)
		return m
	}
	for _, c := range []struct {
		m    record.Mutation
		most int
		is   error
		why  string
	}{
		{with(func(m *record.Mutation) { m.Key = nil }), 0, record.ErrInvalid, "invalid key: it is empty"},
		{with(func(m *record.Mutation) { m.Key = make([]byte, 65537) }), 0, record.ErrTooLarge, "too large: key of 65537 bytes, at most 65536"},
		{with(func(m *record.Mutation) { m.Field = make([]byte, 65537) }), 0, record.ErrTooLarge, "too large: field of 65537 bytes, at most 65536"},
		{with(func(m *record.Mutation) { m.Value = make([]byte, 16<<20+1) }), 0, record.ErrTooLarge, "too large: value of 16777217 bytes, at most 16777216"},
		{with(func(m *record.Mutation) { m.Value = make([]byte, 16<<20+1) }), 17 << 20, record.ErrTooLarge, "too large: value of 16777217 bytes, at most 16777216"},
		{with(func(m *record.Mutation) { m.Value = make([]byte, 101) }), 100, record.ErrTooLarge, "too large: value of 101 bytes, at most 100"},
		{with(func(m *record.Mutation) { m.Op = 0 }), 0, record.ErrInvalid, "invalid mutation: operation 0"},
		{with(func(m *record.Mutation) { m.Op = 5 }), 0, record.ErrInvalid, "invalid mutation: operation 5"},
		{with(func(m *record.Mutation) { m.Op = record.OpMark }), 0, record.ErrInvalid, "invalid mutation: marks are not for callers"},
		{with(func(m *record.Mutation) { m.Kind = 11 }), 0, record.ErrInvalid, "invalid mutation: kind 11"},
	} {
		err := c.m.Check(c.most)
		require.ErrorIs(t, err, c.is)
		require.EqualError(t, err, c.why)
	}
}

func TestBatchCheckAcceptsWhatIsWithinTheLimits(t *testing.T) {
	big := record.Mutation{Op: record.OpPut, Key: make([]byte, 1<<10), Field: make([]byte, 1<<10), Value: make([]byte, 2<<10)}
	cell := record.Cell{Table: 1, Key: []byte("k"), Field: []byte("f")}
	for name, b := range map[string]record.Batch{
		"one mutation":             {Mutations: []record.Mutation{put()}},
		"as many as may be":        {Mutations: slices.Repeat([]record.Mutation{big}, record.MutationsMax)}, // 16 MiB
		"each kind of condition":   {Mutations: []record.Mutation{put()}, Conditions: []record.Condition{{Cell: cell, Absent: true}, {Cell: cell, Version: dot(1, 0, 1)}, {Cell: cell, Equal: true, Value: []byte("v")}}},
		"equal to an empty value":  {Mutations: []record.Mutation{put()}, Conditions: []record.Condition{{Cell: cell, Equal: true}}},
		"conditions up to a limit": {Mutations: []record.Mutation{put()}, Conditions: slices.Repeat([]record.Condition{{Cell: cell, Absent: true}}, record.ConditionsMax)},
	} {
		require.NoError(t, b.Check(0), name)
	}
}

func TestBatchCheckSaysWhichLimitAndByHowMuch(t *testing.T) {
	one := []record.Mutation{put()}
	cell := record.Cell{Table: 1, Key: []byte("k")}
	on := func(c record.Condition) record.Batch {
		if c.Key == nil {
			c.Cell = cell
		}
		return record.Batch{Mutations: one, Conditions: []record.Condition{{Cell: cell, Absent: true}, c}}
	}
	wide := record.Mutation{Op: record.OpPut, Key: make([]byte, 1), Field: make([]byte, 1), Value: make([]byte, 1<<23-2)}
	for _, c := range []struct {
		name  string
		batch record.Batch
		is    error
		why   string
	}{
		{"nothing", record.Batch{}, record.ErrInvalid, "invalid batch: it holds no mutation"},
		{"too many mutations", record.Batch{Mutations: slices.Repeat(one, 4097)}, record.ErrTooLarge, "too large: batch of 4097 mutations, at most 4096"},
		{"too many conditions", record.Batch{Mutations: one, Conditions: make([]record.Condition, 4097)}, record.ErrTooLarge, "too large: batch with 4097 conditions, at most 4096"},
		{"too many bytes together", record.Batch{Mutations: []record.Mutation{wide, wide, {Op: record.OpDelete, Key: []byte("k")}}}, record.ErrTooLarge, "too large: batch of 16777217 bytes, at most 16777216"},
		{"a bad mutation", record.Batch{Mutations: []record.Mutation{put(), {Op: record.OpPut}}}, record.ErrInvalid, "mutation 2 of 2: invalid key: it is empty"},
		{"a mark", record.Batch{Mutations: []record.Mutation{{Op: record.OpMark, Key: []byte("term")}}}, record.ErrInvalid, "mutation 1 of 1: invalid mutation: marks are not for callers"},
		{"a condition on nothing", on(record.Condition{}), record.ErrInvalid, "condition 2 of 2: invalid condition: one of absent, version and value is asked for, not 0 of them"},
		{"a condition on two", on(record.Condition{Absent: true, Equal: true}), record.ErrInvalid, "condition 2 of 2: invalid condition: one of absent, version and value is asked for, not 2 of them"},
		{"a condition on all", on(record.Condition{Absent: true, Equal: true, Version: dot(1, 1, 1)}), record.ErrInvalid, "condition 2 of 2: invalid condition: one of absent, version and value is asked for, not 3 of them"},
		{"a version without a seq", on(record.Condition{Version: dot(1, 1, 0)}), record.ErrInvalid, "condition 2 of 2: invalid condition: version 1.1:0 names no write"},
		{"a version without an origin", on(record.Condition{Version: dot(0, 0, 4)}), record.ErrInvalid, "condition 2 of 2: invalid condition: version 0.0:4 names no write"},
		{"a value that is not asked for", on(record.Condition{Absent: true, Value: []byte("v")}), record.ErrInvalid, "condition 2 of 2: invalid condition: a value is given and not asked for"},
		{"a condition without a key", on(record.Condition{Cell: record.Cell{Key: []byte{}}, Absent: true}), record.ErrInvalid, "condition 2 of 2: invalid key: it is empty"},
		{"a condition with a long value", on(record.Condition{Equal: true, Value: make([]byte, 16<<20+1)}), record.ErrTooLarge, "condition 2 of 2: too large: value of 16777217 bytes, at most 16777216"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.batch.Check(0)
			require.ErrorIs(t, err, c.is)
			require.EqualError(t, err, c.why)
		})
	}
}

func TestBatchCheckHoldsItsValuesToTheConfiguredLimit(t *testing.T) {
	b := record.Batch{Mutations: []record.Mutation{put()}}
	require.NoError(t, b.Check(128))
	require.ErrorIs(t, b.Check(127), record.ErrTooLarge)
}

func TestCheckAllocatesNothing(t *testing.T) {
	b := record.Batch{Mutations: []record.Mutation{put()}, Conditions: []record.Condition{{Cell: record.Cell{Key: []byte("k")}, Absent: true}}}
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = b.Check(0) }))
}

func TestKindsAreValidUpToTheLast(t *testing.T) {
	require.True(t, record.KindAny.Valid())
	require.True(t, record.KindHLL.Valid())
	require.False(t, (record.KindHLL + 1).Valid())
}
