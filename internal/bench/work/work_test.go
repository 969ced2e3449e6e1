package work_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/work"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// subjects have two sites, so that what is written at one is met at the other.
const subjects = `
sites: [a, b]
timeout: 30s
subjects:
  one: {topology: single-leader}
  lww: {topology: multi-leader}
  siblings: {topology: multi-leader, conflicts: [siblings]}
  crdt: {topology: multi-leader, conflicts: [crdt]}
  quorum: {topology: leaderless}
  merging: {topology: leaderless, conflicts: [crdt]}
workloads:
  ycsb: {kind: ycsb-f, keys: 70, tables: 3, value_bytes: 20}
  scans: {kind: ycsb-e, keys: 30}
  latest: {kind: ycsb-d, keys: 30, distribution: uniform, reads: 50}
  counter: {kind: counter, keys: 3}
  cart: {kind: cart, keys: 3}
  bank: {kind: bank, keys: 3}
  append: {kind: append, keys: 3}
`

// doing is one kind of work on one subject, that has begun.
type doing struct {
	*work.Load
	w       *world.World
	clients []*work.Client
}

func do(t *testing.T, v scenario.Variant, s *scenario.Scenario, wl scenario.Workload) *doing {
	t.Helper()
	d := &doing{Load: work.New(wl, v, 1)}
	var err error
	d.w, err = world.Start(t.Context(), world.Options{Scenario: s, Variant: v, Dir: t.TempDir(), Tables: d.Tables(), Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.w.Stop()) })
	require.NoError(t, d.Fill(t.Context(), func() world.Way { return d.w.Writer("a") }))
	for _, site := range s.Sites {
		ways := work.Ways{Read: func() world.Way { return d.w.Reader(site) }, Write: func() world.Way { return d.w.Writer(site) }}
		d.clients = append(d.clients, d.Client(ways))
	}
	return d
}

// steps lets the clients of all sites take steps in turns, and waits until every node
// shows everything after each, so that nothing is concurrent.
func (d *doing) steps(t *testing.T, n int) (classes map[work.Class]int) {
	t.Helper()
	classes = map[work.Class]int{}
	for i := range n {
		for _, c := range d.clients {
			class, err := c.Step(t.Context())
			if err != nil {
				require.ErrorIs(t, err, work.ErrRefused)
			}
			classes[class]++
			_, err = d.w.Converge(t.Context(), fmt.Sprintf("step/%d", i))
			require.NoError(t, err)
		}
	}
	return classes
}

func TestWorkThatIsNotConcurrentLosesNothingAnywhere(t *testing.T) {
	s, err := scenario.Read("s.yaml", []byte(subjects))
	require.NoError(t, err)
	for _, v := range s.Variants() {
		for _, wl := range s.Workloads {
			t.Run(v.Name+" "+wl.Name, func(t *testing.T) {
				d := do(t, v, s, wl)
				classes := d.steps(t, 25)
				switch wl.Kind {
				case scenario.YCSBE:
					require.Greater(t, classes[work.Scan], classes[work.Write])
				default:
					require.Positive(t, classes[work.Read])
					require.Positive(t, classes[work.Write])
				}
				for _, n := range d.w.Nodes() {
					sums, err := d.Judge(t.Context(), d.w.At("", n.ID))
					require.NoError(t, err)
					if wl.Kind.Records() {
						require.Nil(t, sums)
						continue
					}
					require.Positive(t, sums.Changes)
					require.Zero(t, sums.Lost+sums.Extra, "%+v", sums)
				}
			})
		}
	}
}

func TestWhatIsLostOrTooMuchIsCounted(t *testing.T) {
	s, err := scenario.Read("s.yaml", []byte(subjects))
	require.NoError(t, err)
	v := s.Variants()[1] // where all values are bytes
	for _, wl := range s.Workloads {
		spoil := map[scenario.Kind]struct {
			value       string
			lost, extra bool
		}{
			scenario.Counter: {"0", true, false}, scenario.Cart: {"0.0 0.1 0.2 0.3 1.0 1.1 1.2 1.3", false, true},
			scenario.Bank: {"5", true, false}, scenario.Append: {"", true, false},
		}[wl.Kind]
		if wl.Kind.Records() {
			continue
		}
		t.Run(wl.Name, func(t *testing.T) {
			d := do(t, v, s, wl)
			d.steps(t, 25)
			for i := range wl.Keys {
				key := fmt.Appendf(nil, "k%0*d", wl.KeyBytes-1, i)
				require.NoError(t, d.w.Writer("a").Do(t.Context(), "spoil", func(ctx context.Context, door world.Door) error {
					at := world.Cell{Table: d.Tables()[0].Name, Kind: record.KindBytes, Key: key}
					_, err := door.Write(ctx, world.Change{Cell: at, Value: []byte(spoil.value)})
					return err
				}))
			}
			_, err := d.w.Converge(t.Context(), "spoilt")
			require.NoError(t, err)
			require.Equal(t, record.KindBytes, d.Tables()[0].Kind)
			sums, err := d.Judge(t.Context(), d.w.At("", "a-1"))
			require.NoError(t, err)
			require.Equal(t, spoil.lost, sums.Lost > 0, "%+v", sums)
			require.Equal(t, spoil.extra, sums.Extra > 0, "%+v", sums)
		})
	}
}
