package triad

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var dot = version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1}

func TestAnOptionThatDoesNotFitIsRefused(t *testing.T) {
	n, f := start(t, Config{})
	require.NoError(t, n.CreateTable(t.Context(), users))
	before := len(f.writes)
	token := topology.Token{LSN: 1}
	for name, do := range map[string]func() error{
		"a read option on a write": func() error { _, err := n.Put(t.Context(), "default", key, value, After(token)); return err },
		"a write option on a read": func() error { _, err := n.Get(t.Context(), "default", key, Durability(topology.Flushed)); return err },
		"a condition on a read":    func() error { _, err := n.Get(t.Context(), "default", key, IfAbsent()); return err },
		"a condition on a batch": func() error {
			_, err := n.Batch(t.Context(), NewBatch().Delete("default", key), IfAbsent())
			return err
		},
		"a read option on tables": func() error { _, err := n.Tables(t.Context(), IfAbsent()); return err },
		"the same twice":          func() error { _, err := n.Get(t.Context(), "default", key, MaxLag(1), MaxLag(2)); return err },
		"two conditions": func() error {
			_, err := n.Put(t.Context(), "default", key, value, IfAbsent(), IfVersion(dot))
			return err
		},
		"any, and a bound":          func() error { _, err := n.Get(t.Context(), "default", key, Any(), MaxStale(time.Second)); return err },
		"any, and linearizable":     func() error { _, err := n.Get(t.Context(), "default", key, Linearizable(), Any()); return err },
		"any, and a token":          func() error { _, err := n.Get(t.Context(), "default", key, Any(), After(token)); return err },
		"a durability there is not": func() error { _, err := n.Put(t.Context(), "default", key, value, Durability(77)); return err },
		"the default durability":    func() error { _, err := n.Put(t.Context(), "default", key, value, Durability(0)); return err },
		"no bound in time":          func() error { _, err := n.Get(t.Context(), "default", key, MaxStale(0)); return err },
		"a bound before now":        func() error { _, err := n.Get(t.Context(), "default", key, MaxStale(-1)); return err },
		"no bound in records":       func() error { _, err := n.Get(t.Context(), "default", key, MaxLag(0)); return err },
		"no bound in bytes":         func() error { _, err := n.Get(t.Context(), "default", key, MaxBytes(0)); return err },
		"a version of no write": func() error {
			_, err := n.Put(t.Context(), "default", key, value, IfVersion(version.Dot{}))
			return err
		},
		"a request of no client": func() error { _, err := n.Put(t.Context(), "default", key, value, Request(0, 1)); return err },
		"the zero option":        func() error { _, err := n.Put(t.Context(), "default", key, value, Option{}); return err },
		"the value of a row":     func() error { _, err := n.Delete(t.Context(), "users", key, IfValue(value)); return err },
		"the value of a row, batch": func() error {
			_, err := n.Batch(t.Context(), NewBatch().Delete("users", key).IfValue("users", key, value))
			return err
		},
		"a retry where none is known": func() error { _, err := n.Put(t.Context(), "default", key, value, Request(1, 1)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := do()
			require.ErrorIs(t, err, topology.ErrUnsupported)
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
		})
	}
	require.Len(t, f.writes, before)
}

func TestWishesReachTheEngine(t *testing.T) {
	n, f := start(t, Config{})
	_, err := n.Put(t.Context(), DefaultTable, key, value, Durability(topology.Received))
	require.NoError(t, err)
	require.Equal(t, topology.Received, f.options[0].Durability)

	token := topology.Token{Origin: dot.Origin, Term: 1, LSN: 1}
	for _, tc := range []struct {
		opts []Option
		want topology.ReadOptions
	}{
		{nil, topology.ReadOptions{}},
		{[]Option{Any()}, topology.ReadOptions{Guarantee: topology.ReadAny}},
		{[]Option{Linearizable()}, topology.ReadOptions{Guarantee: topology.ReadLinearizable}},
		{[]Option{Leased()}, topology.ReadOptions{Guarantee: topology.ReadLeased}},
		{[]Option{After(token)}, topology.ReadOptions{Guarantee: topology.ReadSession, After: token}},
		{[]Option{After(topology.Token{})}, topology.ReadOptions{Guarantee: topology.ReadSession}},
		{[]Option{MaxStale(time.Second), MaxLag(5)}, topology.ReadOptions{Guarantee: topology.ReadBounded, MaxStale: time.Second, MaxLag: 5}},
		{[]Option{MaxBytes(6)}, topology.ReadOptions{Guarantee: topology.ReadBounded, MaxBytes: 6}},
		{[]Option{MaxLag(5), After(token)}, topology.ReadOptions{Guarantee: topology.ReadBounded, After: token, MaxLag: 5}},
		{[]Option{Linearizable(), After(token)}, topology.ReadOptions{Guarantee: topology.ReadLinearizable, After: token}},
	} {
		f.reads = nil
		_, err := n.Get(t.Context(), DefaultTable, key, tc.opts...)
		require.NoError(t, err)
		require.Equal(t, []topology.ReadOptions{tc.want}, f.reads)
	}
}

func TestATokenIsWaitedForWhateverElseIsAsked(t *testing.T) {
	n, f := start(t, Config{})
	r, err := n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
	r.Token.LSN++ // not there yet
	for _, o := range []Option{Linearizable(), MaxStale(time.Second), MaxLag(3)} {
		_, err := n.Get(t.Context(), DefaultTable, key, After(r.Token), o)
		require.ErrorIs(t, err, topology.ErrTimeout)
		for _, err := range n.Scan(t.Context(), DefaultTable, nil, nil, o, After(r.Token)) {
			require.ErrorIs(t, err, topology.ErrTimeout)
		}
		_, err = n.Tables(t.Context(), After(r.Token), o)
		require.ErrorIs(t, err, topology.ErrTimeout)
	}
	require.Empty(t, f.reads)
}

// idempotent is a fake that knows a retry.
type idempotent struct{ *fake }

func (idempotent) RequestsMax() uint64 { return 1 }

func TestARequestReachesAnEngineThatKnowsARetry(t *testing.T) {
	build, at := fakes()
	n, _ := start(t, Config{Topology: func(env topology.Env) (topology.Engine, error) {
		_, err := build(env)
		return idempotent{at.Load()}, err
	}})
	_, err := n.Put(t.Context(), DefaultTable, key, value, Request(7, 8))
	require.NoError(t, err)
	require.Equal(t, record.RequestID{Client: 7, Seq: 8}, at.Load().writes[0].Request)
}

func TestConditionsHoldOrNothingHappens(t *testing.T) {
	for _, table := range []string{"default", "users"} {
		t.Run(table, func(t *testing.T) {
			n, _ := start(t, Config{})
			require.NoError(t, n.CreateTable(t.Context(), users))
			empty := []byte{0x80}
			first, err := n.Put(t.Context(), table, key, empty, IfAbsent())
			require.NoError(t, err)
			_, err = n.Put(t.Context(), table, key, empty, IfAbsent())
			require.ErrorIs(t, err, topology.ErrConditionFailed)
			second, err := n.Put(t.Context(), table, key, empty, IfVersion(first.Dot))
			require.NoError(t, err)
			_, err = n.Delete(t.Context(), table, key, IfVersion(first.Dot))
			require.ErrorIs(t, err, topology.ErrConditionFailed)
			got, err := n.Get(t.Context(), table, key)
			require.NoError(t, err)
			require.Equal(t, second.Dot, got.Dot, "what a reading says is what a condition takes")
			_, err = n.Delete(t.Context(), table, key, IfVersion(got.Dot))
			require.NoError(t, err)
			_, err = n.Put(t.Context(), table, key, empty, IfAbsent())
			require.NoError(t, err)
		})
	}
}

func TestIfValueComparesBytes(t *testing.T) {
	n, _ := start(t, Config{})
	_, err := n.Put(t.Context(), DefaultTable, key, nil)
	require.NoError(t, err)
	_, err = n.Put(t.Context(), DefaultTable, key, value, IfValue([]byte("other")))
	require.ErrorIs(t, err, topology.ErrConditionFailed)
	_, err = n.Put(t.Context(), DefaultTable, key, value, IfValue(nil))
	require.NoError(t, err)
}

func TestABatchIsOneRecord(t *testing.T) {
	n, f := start(t, Config{Tables: []Table{users}})
	require.NoError(t, n.CreateTable(t.Context(), users))
	_, err := n.Put(t.Context(), DefaultTable, []byte("old"), value)
	require.NoError(t, err)
	b := NewBatch().Put(DefaultTable, key, value).Delete(DefaultTable, []byte("old")).Put("users", key, []byte{0x80})
	require.Equal(t, 3, b.Len())
	r, err := n.Batch(t.Context(), b.IfAbsent("users", key))
	require.NoError(t, err)
	require.Len(t, f.writes[len(f.writes)-1].Mutations, 4)
	for table, want := range map[string]bool{"default": true, "users": true} {
		got, err := n.Get(t.Context(), table, key)
		require.NoError(t, err)
		require.Equal(t, want, got.Dot == r.Dot)
	}
	_, err = n.Get(t.Context(), DefaultTable, []byte("old"))
	require.ErrorIs(t, err, topology.ErrNotFound)
	_, err = n.Batch(t.Context(), b)
	require.ErrorIs(t, err, topology.ErrConditionFailed)
}

func TestAnInvalidWriteIsRefusedBeforeTheEngine(t *testing.T) {
	n, f := start(t, Config{Limits: Limits{ValueBytesMax: 100}})
	require.NoError(t, n.CreateTable(t.Context(), users))
	before := len(f.writes)
	big := make([]byte, 101)
	long := make([]byte, record.KeyBytesMax+1)
	many := NewBatch()
	for i := range record.MutationsMax + 1 {
		many.Put(DefaultTable, fmt.Appendf(nil, "%d", i), nil)
	}
	conditions := NewBatch().Delete(DefaultTable, key)
	for range record.ConditionsMax + 1 {
		conditions.IfAbsent(DefaultTable, key)
	}
	wide := append([]byte{0xde, 0x10, 0x00}, bytes.Repeat([]byte{0xa1, 'a', 0xc0}, 4096)...)
	for name, tc := range map[string]struct {
		batch *Batch
		want  error
	}{
		"no batch":                {nil, topology.ErrMalformed},
		"an empty batch":          {NewBatch(), topology.ErrMalformed},
		"a batch of conditions":   {NewBatch().IfAbsent(DefaultTable, key), topology.ErrMalformed},
		"too many writes":         {many, topology.ErrTooLarge},
		"too many conditions":     {conditions, topology.ErrTooLarge},
		"an empty key":            {NewBatch().Put(DefaultTable, nil, value), topology.ErrMalformed},
		"a long key":              {NewBatch().Put(DefaultTable, long, value), topology.ErrTooLarge},
		"a large value":           {NewBatch().Put(DefaultTable, key, big), topology.ErrTooLarge},
		"an unknown table":        {NewBatch().Put("nobody", key, value), topology.ErrNoTable},
		"a condition on no table": {NewBatch().Put(DefaultTable, key, value).IfAbsent("nobody", key), topology.ErrNoTable},
		"a condition on no key":   {NewBatch().Put(DefaultTable, key, value).IfAbsent(DefaultTable, nil), topology.ErrMalformed},
		"a row that is none":      {NewBatch().Put("users", key, []byte("x")), topology.ErrMalformed},
		"a row of many columns":   {NewBatch().Put("users", key, wide[:100]), topology.ErrMalformed},
		"one of several":          {NewBatch().Put(DefaultTable, key, value).Put(DefaultTable, nil, value), topology.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.Batch(t.Context(), tc.batch)
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
		})
	}
	_, err := kind.Columns(wide)
	require.ErrorIs(t, err, topology.ErrTooLarge)
	require.Len(t, f.writes, before)
}

func TestABatchIsBoundedInBytes(t *testing.T) {
	n, _ := start(t, Config{})
	half := make([]byte, record.BatchBytesMax/2)
	_, err := n.Batch(t.Context(), NewBatch().Put(DefaultTable, key, half).Put(DefaultTable, []byte("l"), half))
	require.ErrorIs(t, err, topology.ErrTooLarge)
}

func TestABatchMayBeWrittenAgain(t *testing.T) {
	n, _ := start(t, Config{})
	b := NewBatch().Put(DefaultTable, key, value)
	first, err := n.Batch(t.Context(), b)
	require.NoError(t, err)
	second, err := n.Batch(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, first.LSN+1, second.LSN)
}

func TestATopologyThatDoesNotTellWhatBecameOfAWrite(t *testing.T) {
	n, _ := start(t, Config{})
	dot := version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 4}
	_, err := n.Resolve(t.Context(), dot, 2)
	require.ErrorIs(t, err, topology.ErrUnsupported)
	var e *topology.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, topology.Unknown, e.Outcome)
	require.Equal(t, dot, e.Dot)
}
