package load

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store that is right, but for what flaw does to it.
type memory struct {
	mu     sync.Mutex
	cells  map[string]string
	asked  int
	flaw   func(m *memory, op *history.Op) bool // true: it has dealt with op
	before map[string]string                    // what cells were some time ago
}

func (m *memory) Do(_ context.Context, op history.Op) history.Op {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	op.Outcome = history.Applied
	if m.asked%50 == 25 {
		m.before = maps.Clone(m.cells)
	}
	if m.flaw != nil && m.flaw(m, &op) {
		return op
	}
	m.apply(&op)
	return op
}

func (m *memory) number(key string) int64 { n, _ := history.Number(m.cells[key]); return n }

func (m *memory) apply(op *history.Op) {
	switch op.Kind {
	case history.Get:
		if v, some := m.cells[op.Key]; some {
			op.Got = []string{v}
		}
	case history.Put:
		m.cells[op.Key] = op.Value
	case history.Delete:
		delete(m.cells, op.Key)
	case history.CompareAndSet:
		if m.cells[op.Key] != op.Expect {
			op.Outcome, op.Refused = history.NotApplied, true
			return
		}
		m.cells[op.Key] = op.Value
	case history.Increment:
		m.cells[op.Key] = strconv.FormatInt(m.number(op.Key)+op.Amount, 10)
		op.Got = []string{m.cells[op.Key]}
	case history.Transfer:
		if m.number(op.Key) < op.Amount {
			op.Outcome = history.NotApplied
			return
		}
		m.cells[op.Key] = strconv.FormatInt(m.number(op.Key)-op.Amount, 10)
		m.cells[op.To] = strconv.FormatInt(m.number(op.To)+op.Amount, 10)
	case history.Scan:
		for _, k := range slices.Sorted(maps.Keys(m.cells)) {
			if strings.HasPrefix(k, op.Key) {
				op.Rows = append(op.Rows, history.Row{Key: k, Value: m.cells[k]})
			}
		}
	}
}

func run(t *testing.T, m *memory) check.Report {
	t.Helper()
	m.cells = map[string]string{}
	r := Runner{
		Options: Options{Registers: 4}, Seed: 1, Sessions: 4, OpsMax: 200, Recorder: history.NewRecorder(nil),
		Dial: func(uint64) Client { return m },
	}
	require.NoError(t, r.Open(t.Context()))
	r.Run(t.Context())
	require.Equal(t, 4+4*200, r.Recorder.Len())
	f := check.Final{Node: "m", Cells: map[string]check.Cell{}}
	for k, v := range m.cells {
		f.Cells[k] = check.Cell{Values: []string{v}}
	}
	c, err := check.New(check.Rules{Counting: []string{Accounts}}, r.Recorder.Ops(), f)
	require.NoError(t, err)
	return c.Linearizable(0).And(c.ReadYourWrites()).And(c.MonotonicReads()).And(c.ConsistentPrefix()).And(c.Fresh()).And(c.Kept()).
		And(c.Nowhere()).And(c.Counters()).And(c.Bank(Accounts, 4, 100))
}

func TestARightStoreIsFoundRight(t *testing.T) {
	r := run(t, &memory{})
	require.NoError(t, r.Err())
	require.Greater(t, r.Judged, 1000)
}

// every nth operation of a kind meets the flaw.
func every(n int, kind history.Kind, flaw func(m *memory, op *history.Op) bool) func(*memory, *history.Op) bool {
	met := 0
	return func(m *memory, op *history.Op) bool {
		if op.Kind != kind {
			return false
		}
		met++
		return met%n == 0 && flaw(m, op)
	}
}

func TestAStoreWithOneFlawIsCaught(t *testing.T) {
	unknown := func(_ *memory, op *history.Op) bool { op.Outcome = history.Unknown; return true }
	for name, test := range map[string]struct {
		flaw   func(m *memory, op *history.Op) bool
		caught string // empty: it is no flaw
	}{
		"a read of long ago": {every(5, history.Get, func(m *memory, op *history.Op) bool {
			if v, some := m.before[op.Key]; some {
				op.Got = []string{v}
			}
			return m.before != nil
		}), check.PromiseLinearized},
		"a write that is forgotten":  {every(5, history.Put, func(*memory, *history.Op) bool { return true }), check.PromiseLinearized},
		"a delete that is forgotten": {every(2, history.Delete, func(*memory, *history.Op) bool { return true }), check.PromiseLinearized},
		"a condition nobody looks at": {every(1, history.CompareAndSet, func(m *memory, op *history.Op) bool {
			if m.cells[op.Key] == op.Expect {
				return false
			}
			m.cells[op.Key] = op.Value
			return true
		}), check.PromiseLinearized},
		"an increment that is counted twice": {every(10, history.Increment, func(m *memory, op *history.Op) bool {
			m.apply(op)
			m.apply(op)
			return true
		}), check.PromiseCounter},
		"an increment that is answered and lost": {every(10, history.Increment, func(m *memory, op *history.Op) bool {
			op.Got = []string{strconv.FormatInt(m.number(op.Key)+op.Amount, 10)}
			return true
		}), check.PromiseCounter},
		"half a transfer": {every(10, history.Transfer, func(m *memory, op *history.Op) bool {
			m.cells[op.To] = strconv.FormatInt(m.number(op.To)+op.Amount, 10)
			return true
		}), check.PromiseBank},
		"not applied, and there": {every(5, history.Put, func(m *memory, op *history.Op) bool {
			m.apply(op)
			op.Outcome = history.NotApplied
			return true
		}), check.PromiseNowhere},
		"a value of nobody": {every(10, history.Get, func(_ *memory, op *history.Op) bool {
			op.Got = []string{"garbage"}
			return op.Key[0] == 'r'
		}), check.PromiseNowhere},
		"unknown and not there": {every(10, history.Put, unknown), ""},
		"unknown and there": {every(10, history.Put, func(m *memory, op *history.Op) bool {
			m.apply(op)
			return unknown(m, op)
		}), ""},
		"increments unknown and there": {every(10, history.Increment, func(m *memory, op *history.Op) bool {
			m.apply(op)
			op.Got = nil
			return unknown(m, op)
		}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, &memory{flaw: test.flaw})
			if test.caught == "" {
				require.NoError(t, r.Err())
				return
			}
			require.Contains(t, r.Broken(), test.caught)
		})
	}
}

func TestAClientIsRetiredAfterAnUnknownAndItsSessionGoesOn(t *testing.T) {
	m := &memory{cells: map[string]string{}, flaw: every(3, history.Put, func(_ *memory, op *history.Op) bool { op.Outcome = ""; return true })}
	r := Runner{Options: Options{Mix: Mix{Put: 1}}, Sessions: 1, OpsMax: 9, Recorder: history.NewRecorder(nil), Dial: func(uint64) Client { return m }}
	r.Run(t.Context())
	require.NoError(t, history.Validate(r.Recorder.Ops()))
	clients := map[uint64]int{}
	for _, op := range r.Recorder.Ops() {
		require.EqualValues(t, 1, op.Session)
		clients[op.Client]++
	}
	require.Equal(t, map[uint64]int{1: 3, 2: 3, 3: 3}, clients)
}

func TestWhatIsUnderWayAtTheEndIsWaitedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := &memory{cells: map[string]string{}}
	m.flaw = func(*memory, *history.Op) bool { cancel(); return false }
	r := Runner{Sessions: 3, Recorder: history.NewRecorder(nil), Dial: func(uint64) Client { return m }}
	r.Run(ctx)
	for _, op := range r.Recorder.Ops() {
		require.NotEqual(t, history.Unknown, op.Outcome)
	}
}

func TestAccountsThatCannotBeOpenedAreNoLoad(t *testing.T) {
	m := &memory{cells: map[string]string{}, flaw: func(_ *memory, op *history.Op) bool { op.Outcome = history.NotApplied; return true }}
	r := Runner{Recorder: history.NewRecorder(nil), Dial: func(uint64) Client { return m }}
	require.ErrorContains(t, r.Open(t.Context()), "put acc/0=100 notapplied")
}
